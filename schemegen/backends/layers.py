"""How each layer of ``scheme/layers.py`` is constructed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CONSTRUCTORS", "LayerShape"]


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What a layer is built for: channels in and out, stride, evaluations, and the image's extents before it."""

    in_width: int
    out_width: int
    stride: int
    calls: int
    size: tuple[int, ...]

    @property
    def image(self) -> bool:
        return bool(self.size)


# Each entry gives the text of a constructor call: the graph backend looks its function up by name and the
# source backend prints it, so that both build the same layer.
Constructor = tuple[str, tuple[int | float, ...]]


def _conv(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    stride = int(arguments[1]) if len(arguments) > 1 else 1
    return "conv", (shape.in_width, shape.out_width, int(arguments[0]), stride * shape.stride)


def _patch(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "Patch", (shape.in_width, shape.out_width, int(arguments[0]))


def _positions(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "Positions", (shape.in_width, *shape.size)


def _bn(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    if shape.calls > 1:
        return "StageBatchNorm", (shape.in_width, shape.calls)
    return ("nn.BatchNorm2d" if shape.image else "nn.BatchNorm1d"), (shape.in_width,)


def _conv1x1(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "conv", (shape.in_width, shape.out_width, 1, shape.stride)


def _layernorm(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    """Normalise over the channels, on images at each place on its own."""
    return ("ChannelNorm" if shape.image else "nn.LayerNorm"), (shape.in_width,)


def _linear(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "nn.Linear", (shape.in_width, shape.out_width)


def _groupnorm(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "nn.GroupNorm", (int(arguments[0]), shape.in_width)


def _drop(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return "nn.Dropout", (arguments[0],)


def _maxpool(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    size, *stride = (int(item) for item in arguments)
    return "nn.MaxPool2d", (size, stride[0] if stride else size, size // 2 if size % 2 else 0)


def _avgpool(arguments: tuple[float, ...], shape: LayerShape) -> Constructor:
    return ("nn.AvgPool2d", (int(arguments[0]),)) if arguments else ("Flat", ())


def _plain(name: str) -> Callable[[tuple[float, ...], LayerShape], Constructor]:
    return lambda _arguments, _shape: (name, ())


CONSTRUCTORS: dict[str, Callable[[tuple[float, ...], LayerShape], Constructor]] = {
    "conv": _conv,
    "conv1x1": _conv1x1,
    "patch": _patch,
    "positions": _positions,
    "linear": _linear,
    "bn": _bn,
    "groupnorm": _groupnorm,
    "layernorm": _layernorm,
    "drop": _drop,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "time": _plain("Time"),
    "relu": _plain("nn.ReLU"),
    "tanh": _plain("nn.Tanh"),
    "sigmoid": _plain("nn.Sigmoid"),
    "softplus": _plain("nn.Softplus"),
    "gelu": _plain("nn.GELU"),
    "silu": _plain("nn.SiLU"),
    "elu": _plain("nn.ELU"),
    "flatten": _plain("nn.Flatten"),
    "identity": _plain("nn.Identity"),
}
