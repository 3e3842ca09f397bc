"""``network`` sections: input, blocks, stem, shortcut, stages and head."""

from __future__ import annotations

from schemegen.diagnostics import Label, Source
from schemegen.language.nodes import Bracket, Declaration, NetworkNode, Number
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.blocks import BLOCKS, MAY_BE_ZERO
from schemegen.scheme.extents import Flow, MisfitError, along, behind_stages, behind_stem, passed
from schemegen.scheme.layers import LAYERS, as_expression, read_layers
from schemegen.scheme.network import Block, Layer, NetworkSpec, Shortcut, Stage
from schemegen.scheme.report import Report, similar

__all__ = ["check_network"]

KEYWORDS = ("input", "block", "stem", "shortcut", "after", "stage", "head")
AFTER = ("relu",)


def _outside(report: Report, layers: tuple[Layer, ...]) -> None:
    """Report draws of a scheme's noise, and the time, in the stem or head, which are not part of any step."""
    for layer in layers:
        if LAYERS[layer.name].block:
            report.add(
                "E0608",
                f"`{layer.name}` stands outside a block, where there is no time of a step",
                layer.span,
                "move it into the block of a drift `f(u, t)`",
            )
        if layer.draws is not None:
            report.add(
                "E0608",
                f"`drop({layer.draws})` stands outside a block, where no step draws it",
                layer.span,
                "give a number, or move it into a block",
            )


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
        layers = read_layers(report, value.items)
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
    options = Attributes(report, first.name.id, rest, BLOCKS[first.name.id].options)
    pairs = tuple(
        (option, str(options.integer(option, 1, low=option not in MAY_BE_ZERO, high=4096)))
        for option in options.by_name
    )
    return Block(name, first.name.id, (), pairs, node.span)


def _blocks(report: Report, nodes: list[Declaration]) -> tuple[Block, ...]:
    found: dict[str, Block] = {}
    for node in nodes:
        block = _block(report, node)
        if block is None:
            continue
        first = found.setdefault(block.name, block)
        if first is not block and first.span is not None:
            label = Label(first.span, "first declared here")
            message = f"block `{block.name}` is declared twice"
            report.add("E0302", message, node.span, "keep one", labels=[label])
    return tuple(found.values())


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
    found = read_layers(report, [as_expression(item) for item in layers], stem=True) or ()
    return found, widths.integer("width", 16, low=1, high=65536)


def _shortcut(report: Report, node: Declaration) -> Shortcut | None:
    """Return ``shortcut: conv1x1, bn`` or ``shortcut: shared, conv1x1``."""
    attributes = list(node.attributes)
    shared = bool(attributes) and attributes[0].name.id == "shared"
    rest = attributes[1:] if shared else attributes
    layers = read_layers(report, [as_expression(item) for item in rest])
    if layers is None:
        return None
    if not any(LAYERS[layer.name].kernel for layer in layers):
        message = "the shortcut has no layer that changes the width"
        report.add("E0608", message, node.span, "add `conv1x1`")
    for layer in layers:
        if LAYERS[layer.name].reshapes or len(layer.arguments) > 1:
            message = f"`{layer.text}` in a shortcut: the first layer with a width takes the stride"
            report.add("E0608", message, layer.span, "remove it")
    return Shortcut(layers, shared, node.span)


def _after(report: Report, node: Declaration) -> Layer | None:
    """Return the activation of ``after: relu``."""
    first, *rest = node.attributes
    for extra in rest:
        report.add("E0608", "`after` takes one activation", extra.span, "remove it")
    if first.name.id not in AFTER:
        message = f"`after` cannot be `{first.name.id}`"
        report.unknown("E0601", message, first.name.id, first.name.span, AFTER, "activation")
        return None
    return Layer(first.name.id, (), node.span)


def _head(report: Report, node: Declaration) -> tuple[Layer, ...]:
    head = read_layers(report, [as_expression(item) for item in node.attributes]) or ()
    if head and not any(layer.name == "linear" for layer in head):
        message = "the head has no `linear`, so it gives no classes"
        report.add("E0611", message, node.span, "add `linear`")
    return head


def _shapes(report: Report, spec: NetworkSpec) -> None:
    """Report layers of the stem, the shortcut and the head that cannot take what comes to them."""
    try:
        flow = behind_stem(spec)
        if flow.width != spec.stem_width:
            ends = f"{flow.width} channel{'s' * (flow.width != 1)}"
            message = f"the stem ends at {ends}, its width is {spec.stem_width}"
            last = spec.stem[-1].span if spec.stem else spec.span
            report.add("E0605", message, last, "add a layer with a width, for example `conv(3)`")
        if spec.shortcut is not None:
            list(along(spec.shortcut.layers, flow, flow.width))
        flow = behind_stages(spec)
        for layer in spec.head:
            if layer.name == "linear":  # flattens what is still an image
                flow = Flow(flow.width, ())
            flow = passed(layer, flow, flow.width)
    except MisfitError as misfit:
        report.add(misfit.code, misfit.message, misfit.layer.span, misfit.cure)


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
    for keyword in KEYWORDS:
        found = nodes.get(keyword, [])
        needed = keyword in ("input", "stem", "stage", "head")
        if needed and not found and not damaged and keyword not in meant:
            report.add(
                "E0609",
                f"the network `{node.name.id}` has no `{keyword}`",
                node.name.span,
                f"add a line `{keyword}: ..`",
            )
        for extra in found[1:] if keyword not in ("stage", "block") else []:
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
    blocks = _blocks(report, nodes.get("block", []))
    head = _head(report, nodes["head"][0]) if "head" in nodes else ()
    shortcut = _shortcut(report, nodes["shortcut"][0]) if "shortcut" in nodes else None
    after = _after(report, nodes["after"][0]) if "after" in nodes else None
    _outside(report, (*stem, *(shortcut.layers if shortcut is not None else ()), *head))
    if damaged or any(item.is_error for item in report.diagnostics[before:]):
        return None
    spec = NetworkSpec(
        name=node.name.id,
        title=node.title.text if node.title is not None else "",
        source=source,
        span=node.span,
        input_shape=shape,
        classes=classes,
        blocks=blocks,
        stem=stem,
        stem_width=stem_width,
        stages=tuple(item for item in stages if item is not None),
        head=head,
        shortcut=shortcut,
        after=after,
    )
    _shapes(report, spec)
    return None if any(item.is_error for item in report.diagnostics[before:]) else spec
