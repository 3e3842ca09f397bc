"""The layers of blocks, stems, shortcuts and heads: which there are, what they take, how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from schemegen.language.nodes import Attribute, Binary, Call, Expression, Name, Number
from schemegen.language.printer import print_expression
from schemegen.scheme.network import Layer
from schemegen.scheme.report import Report

__all__ = ["LAYERS", "LayerKind", "as_expression", "read_layers"]


@dataclass(frozen=True, slots=True)
class LayerKind:
    """What is known of a layer by its name.

    ``least`` and ``most`` count its arguments, whole numbers; a ``kernel`` leads from one width to another;
    ``maps`` is ``image`` or ``vector`` where it takes only these; ``reshapes`` where it never keeps the extent;
    ``stem`` where it stands in stems alone, ``block`` where in blocks alone.
    """

    least: int = 0
    most: int = 0
    kernel: bool = False
    maps: str = ""
    reshapes: bool = False
    stem: bool = False
    block: bool = False


LAYERS: dict[str, LayerKind] = {
    "conv": LayerKind(1, 2, kernel=True, maps="image"),  # size, stride
    "conv1x1": LayerKind(kernel=True, maps="image"),
    "patch": LayerKind(1, 1, kernel=True, maps="image", reshapes=True, stem=True),  # size
    "linear": LayerKind(kernel=True, maps="vector"),
    "positions": LayerKind(maps="image", stem=True),
    "bn": LayerKind(),
    "groupnorm": LayerKind(1, 1),  # groups
    "layernorm": LayerKind(),
    "time": LayerKind(maps="image", block=True),
    "drop": LayerKind(1, 1),  # a share, or the name of a noise
    "maxpool": LayerKind(1, 2, maps="image", reshapes=True),  # size, stride
    "avgpool": LayerKind(0, 1, maps="image", reshapes=True),  # size; all of the image without
    "flatten": LayerKind(maps="image", reshapes=True),
    "relu": LayerKind(),
    "gelu": LayerKind(),
    "silu": LayerKind(),
    "elu": LayerKind(),
    "tanh": LayerKind(),
    "sigmoid": LayerKind(),
    "softplus": LayerKind(),
    "identity": LayerKind(),
}
"""Every layer of the language; ``backends/layers.py`` says how each one is built."""


def read_layers(
    report: Report, nodes: Sequence[Expression], stem: bool = False
) -> tuple[Layer, ...] | None:
    """Return the layers of a row, None after reporting mistakes; ``stem`` where the row is a stem."""
    found = [_layer(report, node, stem) for node in nodes]
    if any(item is None for item in found):
        return None
    return tuple(item for item in found if item is not None)


def as_expression(attribute: Attribute) -> Expression:
    """Return an attribute that stands for a layer: ``relu``, ``conv(3)``."""
    if attribute.values and isinstance(attribute.values[0], Call):
        return attribute.values[0]
    return attribute.name


def _layer(report: Report, node: Expression, stem: bool) -> Layer | None:
    """Return one layer of a row: ``relu`` or ``conv(3)``."""
    match node:
        case Name(id=name):
            arguments: tuple[str, ...] = ()
        case Call(name=name, arguments=given):
            arguments = tuple(print_expression(item) for item in given)
        case _:
            report.add(
                "E0608", "a layer is a name or a call", node.span, "write `conv(3)`, `relu`, .."
            )
            return None
    if name not in LAYERS:
        report.unknown("E0601", f"unknown layer `{name}`", name, node.span, LAYERS, "layer")
        return None
    kind = LAYERS[name]
    if kind.stem and not stem:
        report.add("E0608", f"`{name}` stands in a stem only", node.span, "move it into the stem")
        return None
    if not kind.least <= len(arguments) <= kind.most:
        report.add(
            "E0608",
            f"layer `{name}` takes {_counted(kind)}, found {len(arguments)}",
            node.span,
            f"write `{name}(..)`" if kind.most else f"write `{name}`",
        )
        return None
    layer = Layer(name, arguments, node.span)
    sound = _drops(report, node, layer) if name == "drop" else _numbers(report, node, layer)
    return layer if sound else None


def _counted(kind: LayerKind) -> str:
    if kind.least != kind.most:
        return f"{kind.least} or {kind.most} arguments"
    return f"{kind.most} argument{'s' * (kind.most != 1)}"


def _numbers(report: Report, node: Expression, layer: Layer) -> bool:
    """Whether the arguments are numbers that the layer can take, after reporting others."""
    if not all(text.isdigit() and 1 <= int(text) <= 255 for text in layer.arguments):
        report.add(
            "E0608",
            f"layer `{layer.name}` takes a whole number from 1 to 255",
            node.span,
            f"write `{layer.name}(3)`",
        )
        return False
    if layer.name == "conv" and int(layer.arguments[0]) % 2 == 0:
        report.add(
            "E0608",
            f"a kernel of even size {layer.arguments[0]} cannot keep the shape",
            node.span,
            f"write `conv({int(layer.arguments[0]) + 1})`",
        )
        return False
    return True


def _drops(report: Report, node: Expression, layer: Layer) -> bool:
    """Whether ``drop`` names a noise or gives a share."""
    if layer.draws is not None or _share(node):
        return True
    report.add(
        "E0608",
        "`drop` takes the name of a noise, or a share of at least 0 and less than 1",
        node.span,
        "write `drop(b)` or `drop(1/10)`",
    )
    return False


def _share(node: Expression) -> bool:
    """Return whether the argument of a call is a number from 0 to 1, without 1."""
    match node:
        case Call(
            arguments=(Number() | Binary(operator="/", left=Number(), right=Number()) as share,)
        ):
            text = print_expression(share).replace(" ", "")
            above, _, below = text.partition("/")
            return Fraction(below or "1") != 0 and Fraction(above) < Fraction(below or "1")
        case _:
            return False
