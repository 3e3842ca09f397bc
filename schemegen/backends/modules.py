"""Declared blocks, stems and heads as constructions: a layer table read with the shapes of the place."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import prod

import sympy

from schemegen.backends.builder import Construction
from schemegen.backends.coefficients import number
from schemegen.backends.layers import CONSTRUCTORS, LayerShape
from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.network.blocks import BLOCKS
from schemegen.network.noise import NOISES
from schemegen.scheme.blocks import BLOCKS as KINDS
from schemegen.scheme.extents import Flow, MisfitError, along, entry
from schemegen.scheme.layers import LAYERS
from schemegen.scheme.model import Noise
from schemegen.scheme.network import Block, Layer, NetworkSpec
from schemegen.step.program import Field

__all__ = [
    "block",
    "drops_paths",
    "head",
    "misfit",
    "normalised",
    "shares_preactivation",
    "shortcut",
    "stem",
]

PYTHON = "python"
INNER = {"preact": "InnerPreact", "bottleneck": "InnerBottleneck"}
"""Blocks that have a place for noise before their last kernel, and the class with that noise."""


def declared(field: Field, spec: NetworkSpec, overrides: Mapping[str, str]) -> Block:
    """Return the block of a drift: from the command line, the network, or the registry."""
    if field.block in overrides:
        return Block(overrides[field.block], PYTHON, (), (), field.span)
    for item in spec.blocks:
        if item.name == field.block:
            return item
    if field.block not in BLOCKS:
        raise SchemeError([Diagnostic("E0601", f"unknown block `{field.block}`", field.span)])
    return Block(field.block, field.block, (), (), field.span)


def normalised(field: Field, spec: NetworkSpec, overrides: Mapping[str, str]) -> bool:
    """Return whether the block keeps batch-norm statistics, a set for each evaluation."""
    item = declared(field, spec, overrides)
    if item.kind == "seq":
        return any(part.name == "bn" for part in item.layers)
    return item.kind in KINDS and KINDS[item.kind].normed


def drops_paths(field: Field, spec: NetworkSpec, overrides: Mapping[str, str]) -> bool:
    """Return whether the block takes the draw of drop-path that all steps of a network share."""
    item = declared(field, spec, overrides)
    return item.kind in KINDS and KINDS[item.kind].paths and ("drop", "0") not in item.options


def shares_preactivation(field: Field, spec: NetworkSpec, overrides: Mapping[str, str]) -> bool:
    """Return whether the block starts with a BN-ReLU that a projection can share."""
    if field.timed or field.knots:
        return False
    item = declared(field, spec, overrides)
    first = tuple(part.name for part in item.layers[:2])
    return first == ("bn", "relu") or (item.kind in KINDS and KINDS[item.kind].shares)


def block(
    field: Field,
    spec: NetworkSpec,
    overrides: Mapping[str, str],
    widths: tuple[int, int],
    stride: int,
    size: tuple[int, ...],
    calls: int,
    known: Mapping[sympy.Symbol, sympy.Expr],
    inner: Noise | None = None,
) -> Construction:
    """Return the construction of a drift's branch from ``widths[0]`` to ``widths[1]`` channels.

    ``size`` are the extents it is evaluated at, ``known`` the values that its noises' arguments have at the step,
    ``inner`` is the noise before its last kernel.
    """
    item = declared(field, spec, overrides)
    hints = ("in_width", "out_width", "stride", "calls")
    if item.kind == PYTHON:
        target = next((text for key, text in item.options if key == "class"), item.name)
        return Construction(f"python:{target}", (*widths, stride), hints=hints)
    if item.kind == "seq":
        shape = LayerShape(widths[0], widths[1], stride, calls, size)
        layers = item.layers if inner is None else with_inner(item.layers, inner)
        return Construction("Sequence", children=chain(layers, shape, known))
    if item.kind not in BLOCKS:
        raise SchemeError([Diagnostic("E0601", f"unknown block `{item.kind}`", item.span)])
    name = BLOCKS[item.kind].__name__
    plain: tuple[int, ...] = (*widths, stride, calls)
    while len(plain) > 2 and plain[-1] == 1:
        plain = plain[:-1]
    chosen = options(item)
    if getattr(BLOCKS[item.kind], "sized", False):
        if len(size) != 2:
            message = f"block `{item.kind}` is for images"
            raise SchemeError([Diagnostic("E0605", message, item.span)])
        chosen += tuple(zip(("rows", "columns"), size, strict=True))
    children = () if inner is None else (drop(inner, known),)
    name = name if inner is None else INNER[item.kind]
    return Construction(name, plain, children, hints, chosen)


def with_inner(layers: tuple[Layer, ...], noise: Noise) -> tuple[Layer, ...]:
    """Return the layers with a noise before the last kernel."""
    place = max(index for index, item in enumerate(layers) if LAYERS[item.name].kernel)
    new = Layer("drop", (noise.name,), layers[place].span, noise)
    return (*layers[:place], new, *layers[place:])


def options(item: Block) -> tuple[tuple[str, int], ...]:
    """Return a block's options as keyword arguments of its class."""
    known = inspect.signature(BLOCKS[item.kind]).parameters
    for name, _ in item.options:
        if name not in known:
            message = f"block `{item.kind}` has no option `{name}`"
            raise SchemeError([Diagnostic("E0608", message, item.span)])
    return tuple((name, int(text)) for name, text in item.options)


def chain(
    layers: tuple[Layer, ...],
    shape: LayerShape,
    known: Mapping[sympy.Symbol, sympy.Expr],
) -> tuple[Construction, ...]:
    """Return the layers in a row: the first kernel takes the stride, every kernel leads to the new width."""
    result = []
    width, stride = shape.in_width, shape.stride
    for item in layers:
        if item.noise is not None:
            result.append(drop(item.noise, known))
            continue
        here = replace(shape, in_width=width, out_width=width, stride=1)
        if LAYERS[item.name].kernel:
            here = replace(here, out_width=shape.out_width, stride=stride)
            width, stride = shape.out_width, 1
        result.append(construction(item, here))
        width += item.name == "time"
    return tuple(result)


def shortcut(
    spec: NetworkSpec, widths: tuple[int, int], stride: int, size: tuple[int, ...], own: bool
) -> Construction:
    """Return what maps a state at a change of shape; without ``own`` it begins behind a shared BN-ReLU."""
    found = spec.shortcut
    if found is None:
        kind = "Projection" if size else "VectorProjection"
        arguments = (*widths, stride) if own else (*widths, stride, False)
        return Construction(kind, arguments, hints=("in_width", "out_width", "stride"))
    layers = found.layers
    if found.shared and own:
        layers = (*(Layer(name, (), found.span) for name in ("bn", "relu")), *layers)
    elif not found.shared and not own:
        if tuple(item.name for item in layers[:2]) != ("bn", "relu"):
            message = "`bn shared` needs a shortcut that starts with `bn, relu`"
            raise SchemeError([Diagnostic("E0605", message, found.span, "write `bn own`")])
        layers = layers[2:]
    shape = LayerShape(*widths, stride, 1, size)
    return Construction("Sequence", children=chain(layers, shape, {}))


def drop(noise: Noise, known: Mapping[sympy.Symbol, sympy.Expr]) -> Construction:
    """Return the layer that multiplies by a noise of mean 1."""
    options = (noise.scope, noise.active, noise.evaluation)
    inner = Construction(NOISES[noise.kind].__name__, options)
    arguments = (item.xreplace(known) for item in noise.parameters)
    return Construction("Drop", tuple(float(number(item)) for item in arguments), (inner,))


def stem(spec: NetworkSpec) -> tuple[tuple[str, Construction], ...]:
    """Return the stem's layers and their names."""
    return row(spec.stem, entry(spec), spec.stem_width)


def row(layers: tuple[Layer, ...], flow: Flow, goal: int) -> tuple[tuple[str, Construction], ...]:
    """Return layers between the stages and the outside, with kernels that lead to ``goal`` channels."""
    result = []
    for item, before, after in fitting(layers, flow, goal):
        shape = LayerShape(before.width, after.width, 1, 1, before.size)
        result.append((item.name, construction(item, shape)))
    return tuple(result)


def fitting(layers: tuple[Layer, ...], flow: Flow, goal: int) -> list[tuple[Layer, Flow, Flow]]:
    """Return the layers with what passes between them. Errors: :class:`SchemeError`, E0605 and E0606."""
    try:
        return list(along(layers, flow, goal))
    except MisfitError as error:
        raise SchemeError([misfit(error)]) from None


def misfit(error: MisfitError) -> Diagnostic:
    return Diagnostic(error.code, error.message, error.layer.span, error.cure)


def head(
    spec: NetworkSpec, width: int, size: tuple[int, ...]
) -> tuple[tuple[str, Construction], ...]:
    """Return the head's layers and their names; a linear layer flattens what is still an image."""
    linears = [index for index, item in enumerate(spec.head) if item.name == "linear"]
    flow = Flow(width, size)
    result: list[tuple[str, Construction]] = []
    for index, item in enumerate(spec.head):
        if item.name == "linear" and flow.size:
            result.append(("flatten", Construction("nn.Flatten")))
            flow = Flow(flow.width * prod(flow.size), ())
        goal = spec.classes if linears and index == linears[-1] else flow.width
        result += row((item,), flow, goal)
        flow = fitting((item,), flow, goal)[0][2]
    return tuple(result)


def numbers(item: Layer) -> tuple[float, ...]:
    """Return a layer's arguments as numbers."""
    try:
        return tuple(float(Fraction(text)) for text in item.arguments)
    except ValueError:
        message = f"`{item.name}` takes numbers, found `{', '.join(item.arguments)}`"
        raise SchemeError([Diagnostic("E0605", message, item.span)]) from None


def construction(item: Layer, shape: LayerShape) -> Construction:
    function, values = CONSTRUCTORS[item.name](numbers(item), shape)
    hints = (
        ("in_width", "out_width", "size", "stride")
        if function == "conv"
        else ("width", "out_width")
    )
    return Construction(function, values, hints=hints)
