"""``network`` sections: input, blocks, stem, stages and head."""

from __future__ import annotations

from fractions import Fraction

from schemegen.diagnostics import Label, Source
from schemegen.language.nodes import (
    Attribute,
    Binary,
    Bracket,
    Call,
    Declaration,
    Expression,
    Name,
    NetworkNode,
    Number,
)
from schemegen.language.printer import print_expression
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.network import Block, Layer, NetworkSpec, Stage
from schemegen.scheme.report import Report, similar

__all__ = ["BLOCKS", "LAYERS", "check_network"]

BLOCKS = (
    "preact",
    "bottleneck",
    "mlp",
    "conv1x1",
    "shake",
    "fractal",
    "tied",
    "antisymmetric",
    "damped_antisymmetric",
    "lipschitz",
)
OPTIONS = ("expansion", "width", "groups", "columns", "drop", "per_mille", "per_cent")
SIZES = ("drop", "per_mille")  # options that may be 0
LAYERS = {
    "bn": 0,
    "relu": 0,
    "gelu": 0,
    "tanh": 0,
    "sigmoid": 0,
    "softplus": 0,
    "identity": 0,
    "conv": 1,
    "conv1x1": 0,
    "linear": 0,
    "avgpool": 0,
    "flatten": 0,
    "groupnorm": 1,
    "layernorm": 0,
    "drop": 1,
}
KEYWORDS = ("input", "block", "stem", "stage", "head")


def _layer(report: Report, node: Expression) -> Layer | None:
    """Return one layer of a sequence: ``relu`` or ``conv(3)``."""
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
    count = LAYERS[name]
    if len(arguments) != count:
        report.add(
            "E0608",
            f"layer `{name}` takes {count} argument{'s' * (count != 1)}, found {len(arguments)}",
            node.span,
            f"write `{name}(..)`" if count else f"write `{name}`",
        )
        return None
    if name in {"conv", "groupnorm"} and not _whole(arguments[0]):
        report.add(
            "E0608",
            f"layer `{name}` takes a whole number from 1 to 255",
            node.span,
            f"write `{name}(3)`",
        )
        return None
    if name == "conv" and int(arguments[0]) % 2 == 0:
        report.add(
            "E0608",
            f"a kernel of even size {arguments[0]} cannot keep the shape",
            node.span,
            f"write `conv({int(arguments[0]) + 1})`",
        )
        return None
    layer = Layer(name, arguments, node.span)
    if name == "drop" and layer.draws is None and not _share(node):
        report.add(
            "E0608",
            "`drop` takes the name of a noise, or a share of at least 0 and less than 1",
            node.span,
            "write `drop(b)` or `drop(1/10)`",
        )
        return None
    return layer


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


def _whole(text: str) -> bool:
    return text.isdigit() and 1 <= int(text) <= 255


def _outside(report: Report, layers: tuple[Layer, ...]) -> None:
    """Report draws of a scheme's noise in the stem or head, which are not part of any step."""
    for layer in layers:
        if layer.draws is not None:
            report.add(
                "E0608",
                f"`drop({layer.draws})` stands outside a block, where no step draws it",
                layer.span,
                "give a number, or move it into a block",
            )


def _layers(report: Report, nodes: tuple[Expression, ...]) -> tuple[Layer, ...] | None:
    found = [_layer(report, node) for node in nodes]
    if any(item is None for item in found):
        return None
    return tuple(item for item in found if item is not None)


def _as_expression(attribute: Attribute) -> Expression:
    """Return an attribute that stands for a layer: ``relu``, ``conv(3)``."""
    if attribute.values and isinstance(attribute.values[0], Call):
        return attribute.values[0]
    return attribute.name


def _block(report: Report, node: Declaration) -> Block | None:
    """Return ``block NAME: seq [..]`` or ``block NAME: bottleneck``."""
    if len(node.targets) != 1 or node.targets[0].arguments is not None:
        report.add("E0608", "`block` names one block", node.span, "write `block b: seq [..]`")
        return None
    name = node.targets[0].name.id
    if not node.attributes:
        report.add(
            "E0608", f"block `{name}` has no content", node.span, f"write `block {name}: seq [..]`"
        )
        return None
    first, *rest = node.attributes
    if first.name.id == "seq":
        value = first.values[0] if len(first.values) == 1 else None
        if not isinstance(value, Bracket) or (value.opening, value.closing) != ("[", "]"):
            report.add(
                "E0608", "`seq` takes a list of layers", first.span, "write `seq [bn, relu]`"
            )
            return None
        layers = _layers(report, value.items)
        if rest:
            report.add("E0608", "`seq` has no further options", rest[0].span, "remove it")
        return None if layers is None else Block(name, "seq", layers, (), node.span)
    if first.name.id not in BLOCKS:
        report.unknown(
            "E0601",
            f"unknown block `{first.name.id}`",
            first.name.id,
            first.name.span,
            BLOCKS,
            "block",
        )
        return None
    options = Attributes(report, "block", rest, OPTIONS)
    pairs = tuple(
        (option, str(options.integer(option, 1, low=option not in SIZES, high=4096)))
        for option in options.by_name
    )
    return Block(name, first.name.id, (), pairs, node.span)


def _input(report: Report, node: Declaration) -> tuple[tuple[int, ...], int]:
    """Return the shape and the classes of ``input: shape [3, 32, 32], classes 10``."""
    attributes = Attributes(report, "input", node.attributes, ("shape", "classes"))
    shape: tuple[int, ...] = ()
    value = attributes.single("shape")
    if "shape" not in attributes:
        report.add("E0608", "`input` has no shape", node.span, "write `shape [3, 32, 32]`")
    elif isinstance(value, Bracket) and all(
        isinstance(item, Number) and item.text.isdigit() and 0 < int(item.text) <= 65536
        for item in value.items
    ):
        shape = tuple(int(item.text) for item in value.items if isinstance(item, Number))
    if "shape" in attributes and len(shape) not in {1, 3}:
        attributes.wrong(
            attributes["shape"], "`shape` is `[features]` or `[channels, height, width]`"
        )
        shape = ()
    return shape, attributes.integer("classes", 10, low=1, high=1_000_000)


def _stage(report: Report, node: Declaration) -> Stage | None:
    attributes = Attributes(report, "stage", node.attributes, ("width", "steps", "stride"))
    for name in ("width", "steps"):
        if name not in attributes:
            report.add(
                "E0608", f"`stage` has no `{name}`", node.span, "write `stage: width 16, steps 3`"
            )
            return None
    return Stage(
        attributes.integer("width", 16, low=1, high=65536),
        attributes.integer("steps", 1, low=1, high=10_000),
        attributes.integer("stride", 1, low=1, high=16),
        node.span,
    )


def _stem(report: Report, node: Declaration) -> tuple[tuple[Layer, ...], int]:
    layers = [item for item in node.attributes if item.name.id != "width"]
    widths = Attributes(
        report, "stem", [item for item in node.attributes if item.name.id == "width"], ("width",)
    )
    found = _layers(report, tuple(_as_expression(item) for item in layers)) or ()
    return found, widths.integer("width", 16, low=1, high=65536)


def check_network(report: Report, source: Source, node: NetworkNode) -> NetworkSpec | None:
    """Return the checked network, or None after reporting its mistakes."""
    before = len(report.diagnostics)
    nodes: dict[str, list[Declaration]] = {}
    meant: set[str] = set()
    for statement in node.statements:
        if isinstance(statement, Declaration) and statement.keyword.id in KEYWORDS:
            nodes.setdefault(statement.keyword.id, []).append(statement)
            continue
        word = statement.keyword
        match = similar(word.id, KEYWORDS)
        meant.add(match or "")
        report.add(
            "E0102",
            f"unknown statement `{word.id}` in a network",
            word.span,
            f"a statement with a similar name exists: `{match}`"
            if match
            else f"known: {', '.join(f'`{item}`' for item in KEYWORDS)}",
            replacement=match,
        )
    damaged = node.span.start in report.damaged
    for keyword in ("input", "stem", "stage", "head"):
        found = nodes.get(keyword, [])
        if not found and not damaged and keyword not in meant:
            report.add(
                "E0609",
                f"the network `{node.name.id}` has no `{keyword}`",
                node.name.span,
                f"add a line `{keyword}: ..`",
            )
        for extra in found[1:] if keyword != "stage" else []:
            report.add(
                "E0302",
                f"`{keyword}` is declared twice",
                extra.span,
                "keep one",
                labels=[Label(found[0].span, "first declared here")],
            )
    shape, classes = _input(report, nodes["input"][0]) if "input" in nodes else ((), 10)
    stem, stem_width = _stem(report, nodes["stem"][0]) if "stem" in nodes else ((), 16)
    stages = [_stage(report, item) for item in nodes.get("stage", [])]
    blocks = [_block(report, item) for item in nodes.get("block", [])]
    head: tuple[Layer, ...] = ()
    if "head" in nodes:
        head_node = nodes["head"][0]
        head = _layers(report, tuple(_as_expression(item) for item in head_node.attributes)) or ()
        if head and not any(layer.name == "linear" for layer in head):
            report.add(
                "E0611",
                "the head has no `linear`, so it gives no classes",
                head_node.span,
                "add `linear`",
            )
    _outside(report, (*stem, *head))
    if damaged or any(item.is_error for item in report.diagnostics[before:]):
        return None
    return NetworkSpec(
        name=node.name.id,
        title=node.title.text if node.title is not None else "",
        source=source,
        span=node.span,
        input_shape=shape,
        classes=classes,
        blocks=tuple(item for item in blocks if item is not None),
        stem=stem,
        stem_width=stem_width,
        stages=tuple(item for item in stages if item is not None),
        head=head,
    )
