"""Channels and extents along a row of layers, by arithmetic: what fits is known before any tensor is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemegen.scheme.layers import LAYERS
from schemegen.scheme.network import Layer, NetworkSpec

__all__ = ["Flow", "MisfitError", "along", "behind_stages", "behind_stem", "entry", "passed"]


@dataclass(frozen=True, slots=True)
class Flow:
    """What passes between two layers: ``width`` channels of an image of ``size``; vectors have no size."""

    width: int
    size: tuple[int, ...]

    def __str__(self) -> str:
        if not self.size:
            return f"a vector of {self.width} numbers"
        return f"an image of {' x '.join(str(item) for item in self.size)}"


class MisfitError(Exception):
    """A layer that cannot take what comes to it: code, message and help."""

    def __init__(self, code: str, layer: Layer, message: str, cure: str) -> None:
        super().__init__(code, layer, message, cure)
        self.code, self.layer, self.message, self.cure = code, layer, message, cure


def entry(spec: NetworkSpec) -> Flow:
    """Return the input of a network."""
    return Flow(spec.input_shape[0], spec.input_shape[1:])


def passed(layer: Layer, flow: Flow, width: int) -> Flow:
    """Return what ``layer`` makes of ``flow``; a kernel leads to ``width``. Errors: :class:`MisfitError`."""
    kind = LAYERS[layer.name]
    if kind.maps == "image" and not flow.size:
        cure = "write `linear`" if kind.kernel else f"remove `{layer.text}`"
        raise MisfitError("E0605", layer, f"`{layer.text}` maps images, here is {flow}", cure)
    if kind.maps == "vector" and flow.size:
        cure = "write `conv1x1`, or put `flatten` before it"
        raise MisfitError("E0605", layer, f"`{layer.text}` maps vectors, here is {flow}", cure)
    if layer.name == "flatten":
        count = flow.width
        for extent in flow.size:
            count *= extent
        return Flow(count, ())
    if layer.name == "avgpool" and not layer.arguments:
        return Flow(flow.width, ())
    size = tuple(_extent(layer, extent) for extent in flow.size)
    if any(extent < 1 for extent in size):
        message = f"`{layer.text}` does not fit into {flow}"
        raise MisfitError("E0606", layer, message, "use a smaller size, or a larger input")
    if layer.name == "patch" and any(extent % int(layer.arguments[0]) for extent in flow.size):
        message = f"{flow} cannot be cut into patches of {layer.arguments[0]}"
        raise MisfitError("E0606", layer, message, "use a size that divides both extents")
    return Flow(width if kind.kernel else flow.width, size)


def _extent(layer: Layer, extent: int) -> int:
    """Return one extent behind a layer, by the formulas of ``torch.nn.Conv2d`` and ``MaxPool2d``."""
    numbers = [int(text) for text in layer.arguments if text.isdigit()]
    match layer.name, numbers:
        case "conv", [_, stride]:
            return -(-extent // stride)
        case (("patch" | "avgpool"), [size]):
            return extent // size
        case "maxpool", [size, *rest]:
            padding = size // 2 if size % 2 else 0
            return (extent + 2 * padding - size) // (rest[0] if rest else size) + 1
        case _:
            return extent


def along(layers: tuple[Layer, ...], flow: Flow, width: int) -> Iterator[tuple[Layer, Flow, Flow]]:
    """Yield each layer with what comes to it and what leaves it; kernels lead to ``width``."""
    for layer in layers:
        after = passed(layer, flow, width)
        yield layer, flow, after
        flow = after


def behind_stem(spec: NetworkSpec) -> Flow:
    """Return the first state. Errors: :class:`MisfitError`."""
    flow = entry(spec)
    for layer in spec.stem:
        flow = passed(layer, flow, spec.stem_width)
    return flow


def behind_stages(spec: NetworkSpec) -> Flow:
    """Return the last state. Errors: :class:`MisfitError`."""
    flow = behind_stem(spec)
    for stage in spec.stages:
        flow = Flow(stage.width, tuple(-(-extent // stage.stride) for extent in flow.size))
    return flow
