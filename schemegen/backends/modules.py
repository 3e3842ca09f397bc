"""Declared blocks, stems and heads as constructions: a layer table read with the shapes of the place."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import sympy

from schemegen.backends.builder import Construction
from schemegen.backends.coefficients import number
from schemegen.backends.layers import LAYERS, LayerShape
from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.network.blocks import BLOCKS
from schemegen.network.noise import NOISES
from schemegen.scheme.model import Noise
from schemegen.scheme.network import Block, Layer, NetworkSpec
from schemegen.step.program import Field

__all__ = ["block", "head", "normalised", "shares_preactivation", "stem"]

KERNELS = ("conv", "conv1x1", "linear")
PYTHON = "python"


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
    return getattr(BLOCKS.get(item.kind), "normalised", False)


def shares_preactivation(field: Field, spec: NetworkSpec, overrides: Mapping[str, str]) -> bool:
    """Return whether the block starts with a BN-ReLU that a projection can share."""
    item = declared(field, spec, overrides)
    first = tuple(part.name for part in item.layers[:2])
    return item.kind in ("preact", "bottleneck") or (item.kind == "seq" and first == ("bn", "relu"))


def block(
    field: Field,
    spec: NetworkSpec,
    overrides: Mapping[str, str],
    widths: tuple[int, int],
    stride: int,
    calls: int,
    known: Mapping[sympy.Symbol, sympy.Expr],
    size: tuple[int, ...] = (),
) -> Construction:
    """Return the construction of a drift's branch from ``widths[0]`` to ``widths[1]`` channels.

    ``known`` are the values that the arguments of its noises have at the step, ``size`` is that of its images.
    """
    item = declared(field, spec, overrides)
    hints = ("in_width", "out_width", "stride", "calls")
    if item.kind == PYTHON:
        target = next((text for key, text in item.options if key == "class"), item.name)
        return Construction(f"python:{target}", (*widths, stride), hints=hints)
    if item.kind == "seq":
        shape = LayerShape(widths[0], widths[1], stride, calls, len(spec.input_shape) == 3)
        return Construction("Sequence", children=chain(item.layers, shape, widths[1], known))
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
    return Construction(name, plain, hints=hints, options=chosen)


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
    last: int,
    known: Mapping[sympy.Symbol, sympy.Expr],
) -> tuple[Construction, ...]:
    """Return the layers in a row: the first kernel takes the stride, every kernel the new width.

    ``conv(size, width)`` names another width inside; the last kernel always ends at ``last``.
    """
    kernels = [index for index, item in enumerate(layers) if item.name in KERNELS]
    result = []
    width, stride = shape.in_width, shape.stride
    for index, item in enumerate(layers):
        if item.noise is not None:
            result.append(drop(item.noise, known))
            continue
        arguments = numbers(item)
        if index in kernels:
            wide = int(arguments[1]) if item.name == "conv" and len(arguments) > 1 else last
            goal = last if index == kernels[-1] else wide
            here = replace(shape, in_width=width, out_width=goal, stride=stride)
            width, stride = goal, 1
        else:
            here = replace(shape, in_width=width, out_width=width, stride=1)
        result.append(construction(item, arguments, here))
    return tuple(result)


def drop(noise: Noise, known: Mapping[sympy.Symbol, sympy.Expr]) -> Construction:
    """Return the layer that multiplies by a noise of mean 1."""
    options = (noise.scope, noise.active, noise.evaluation)
    inner = Construction(NOISES[noise.kind].__name__, options)
    arguments = (item.xreplace(known) for item in noise.parameters)
    return Construction("Drop", tuple(float(number(item)) for item in arguments), (inner,))


def stem(spec: NetworkSpec) -> tuple[tuple[str, Construction], ...]:
    """Return the stem's layers and their names; ``conv(size, stride)`` may stride here."""
    shape = LayerShape(spec.input_shape[0], spec.stem_width, 1, 1, len(spec.input_shape) == 3)
    width = shape.in_width
    result = []
    for item in spec.stem:
        arguments = numbers(item)
        kernel = item.name in KERNELS
        goal = spec.stem_width if kernel else width
        stride = int(arguments[1]) if item.name == "conv" and len(arguments) > 1 else 1
        here = replace(shape, in_width=width, out_width=goal, stride=stride)
        result.append((item.name, construction(item, arguments, here)))
        width = goal
    return tuple(result)


def head(
    spec: NetworkSpec, width: int, size: tuple[int, ...]
) -> tuple[tuple[str, Construction], ...]:
    """Return the head's layers and their names; a linear layer flattens what is still an image."""
    result: list[tuple[str, Construction]] = []
    image = bool(size)
    linears = [index for index, item in enumerate(spec.head) if item.name == "linear"]
    for index, item in enumerate(spec.head):
        arguments = numbers(item)
        if item.name == "linear" and image:
            result.append(("flatten", Construction("nn.Flatten")))
            for extent in size:
                width *= extent
            image = False
        goal = spec.classes if linears and index == linears[-1] else width
        here = LayerShape(width, goal, 1, 1, image)
        result.append((item.name, construction(item, arguments, here)))
        if item.name == "flatten" and image:
            for extent in size:
                width *= extent
        image = image and item.name not in ("flatten", "avgpool")
        width = goal if item.name in KERNELS else width
    return tuple(result)


def numbers(item: Layer) -> tuple[float, ...]:
    """Return a layer's arguments as numbers."""
    try:
        return tuple(float(Fraction(text)) for text in item.arguments)
    except ValueError:
        message = f"`{item.name}` takes numbers, found `{', '.join(item.arguments)}`"
        raise SchemeError([Diagnostic("E0605", message, item.span)]) from None


def construction(item: Layer, arguments: tuple[float, ...], shape: LayerShape) -> Construction:
    if item.name not in LAYERS:
        help_ = "layers: " + ", ".join(sorted(LAYERS))
        raise SchemeError([Diagnostic("E0605", f"unknown layer `{item.name}`", item.span, help_)])
    function, values = LAYERS[item.name](arguments, shape)
    hints = (
        ("in_width", "out_width", "size", "stride")
        if function == "conv"
        else ("width", "out_width")
    )
    return Construction(function, values, hints=hints)
