"""How functions of tensors are pulled back: from the cotangent of the result to those of the arguments."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import as_pair
from schemegen.backends.arranging import ARRANGED, taken
from schemegen.backends.cotangents import Product, Scaled, Tape
from schemegen.backends.pointwise import POINTWISE, Pullback
from schemegen.backends.weights import METHODS, OF_WEIGHTS
from schemegen.network import functions
from schemegen.network.adjoint import mean_spread, pulled_back, weighted
from schemegen.network.functions import (
    group_norm_pulled,
    group_normed,
    linear_pulled,
    pixels,
    pixels_pulled,
)
from schemegen.network.noise import DRAWS
from schemegen.network.timed import with_time, without_time
from schemegen.network.winograd_pulled import convolution_pulled, suits

__all__ = ["NORM", "PULLBACKS", "by_autograd", "known", "split"]

aten = torch.ops.aten
NORM = torch.native_batch_norm


def known(node: fx.Node) -> bool:
    """Return whether what a node calls, as it calls it, can be pulled back."""
    if node.target in (F.batch_norm, torch.mean) or node.kwargs:
        return (
            (node.target is F.batch_norm and len(node.args) in (6, 8) and not node.kwargs)
            or (node.target is torch.mean and node.args[1:] == ((2, 3),))
            or (node.target in (torch.add, torch.sub) and set(node.kwargs) == {"alpha"})
        )
    if node.target in (F.group_norm, F.layer_norm):
        return len(node.args) == 5
    if node.target in METHODS and "own" not in node.meta:
        return False
    return node.target in PULLBACKS or node.target in BY_AUTOGRAD


def linear(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x, weight, bias = node.args
    if len(node.meta.get("shape", ())) != 1:
        mask = [tape.wants(item) for item in node.args]
        known = (tape.value(item) for item in (x, weight))
        taken(tape, tape.emit(linear_pulled, g.node, *known, mask), node.args, g.factor)
        return
    if tape.wants(x):
        tape.add(x, Product(g.factor, g.node, tape.value(weight)))
    if tape.wants(weight) or tape.wants(bias):
        use = (g.node, tape.value(x), g.factor)
        tape.meet(weight, bias, use, again=again(node))  # type: ignore[arg-type]


def again(layer: fx.Node) -> bool:
    """Return whether a layer is one of several that share their weights."""
    weight: Any = layer.args[1]
    return sum(user.target is F.linear for user in weight.users) > 1


def add(tape: Tape, node: fx.Node, g: Scaled, sign: int = 1) -> None:
    first, second = node.args
    passed(tape, first, g)
    factor: Any = node.kwargs.get("alpha", 1)
    passed(tape, second, Scaled(g.factor * factor * sign, g.node))


def sub(tape: Tape, node: fx.Node, g: Scaled) -> None:
    add(tape, node, g, -1)


def passed(tape: Tape, value: Any, g: Scaled) -> None:
    """Hand a cotangent on as it is, or summed up where the value was broadcast."""
    if tape.wants(value):
        parameter = "own" in value.meta and value.meta["own"] == g.node.meta.get("own")
        tape.add(value, g if parameter else tape.reduced(value, g))


def neg(tape: Tape, node: fx.Node, g: Scaled) -> None:
    passed(tape, node.args[0], Scaled(-g.factor, g.node))


def mul(tape: Tape, node: fx.Node, g: Scaled) -> None:
    both: tuple[Any, ...] = node.args
    for value, other in (both, both[::-1]):
        if isinstance(other, fx.Node):
            tape.give(value, g.factor, torch.mul, g.node, tape.value(other))
        else:
            passed(tape, value, Scaled(g.factor * other, g.node))


def divide(tape: Tape, node: fx.Node, g: Scaled) -> None:
    both: tuple[Any, ...] = node.args
    value, other = both
    if not isinstance(other, fx.Node):
        passed(tape, value, Scaled(g.factor / other, g.node))
        return
    tape.give(value, g.factor, torch.div, g.node, tape.value(other))
    if tape.wants(other):
        product = tape.emit(torch.mul, g.node, tape.value(node), like=node)
        tape.give(other, -g.factor, torch.div, product, tape.value(other))


def addcmul(tape: Tape, node: fx.Node, g: Scaled) -> None:
    total, first, second = node.args
    passed(tape, total, g)
    if tape.wants(first):
        tape.give(first, g.factor, torch.mul, g.node, tape.value(second))
    if tape.wants(second):
        tape.give(second, g.factor, torch.mul, g.node, tape.value(first))


def lerp(tape: Tape, node: fx.Node, g: Scaled) -> None:
    every: tuple[Any, ...] = node.args
    start, end, weight = every
    if not isinstance(weight, fx.Node):
        passed(tape, start, Scaled(g.factor * (1 - weight), g.node))
        passed(tape, end, Scaled(g.factor * weight, g.node))
        return
    scaled = tape.emit(torch.mul, g.node, tape.value(weight), like=node)
    if tape.wants(start):
        tape.add(start, g)
        tape.add(start, Scaled(-g.factor, scaled))
    if tape.wants(end):
        tape.add(end, Scaled(g.factor, scaled))
    if tape.wants(weight):
        change = tape.emit(torch.sub, tape.value(end), tape.value(start), like=node)
        tape.give(weight, g.factor, torch.mul, g.node, change)


def weighted_sum(tape: Tape, node: fx.Node, g: Scaled) -> None:
    values: Any
    factors: Any
    values, factors = node.args
    for value, factor in zip(values, factors, strict=True):
        passed(tape, value, Scaled(g.factor * factor, g.node))


def type_as(tape: Tape, node: fx.Node, g: Scaled) -> None:
    passed(tape, node.args[0], g)


def batch_norm(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """``node`` is the result of the three-valued function, which is its argument."""
    normed: Any = node.args[0]
    x, weight, bias, mean, variance, training, _, eps = normed.args
    mask = [tape.wants(item) for item in (x, weight, bias)]
    saved = [item for item in normed.users if item.args[1] in (1, 2)]
    by_place = {item.args[1]: item for item in saved}
    running = (None, None) if training else (tape.value(mean), tape.value(variance))
    found = tape.emit(
        aten.native_batch_norm_backward,
        g.node,
        tape.value(x),
        tape.value(weight),
        *running,
        tape.value(by_place[1]),
        tape.value(by_place[2]),
        training,
        eps,
        mask,
    )
    taken(tape, found, (x, weight, bias), g.factor)


def group_norm(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """``node`` is the result of the three-valued function, which is its argument."""
    normed: Any = node.args[0]
    x, groups, weight, bias, _ = normed.args
    mask = [tape.wants(item) for item in (x, weight, bias)]
    saved = {item.args[1]: item for item in normed.users}
    known = (tape.value(item) for item in (x, groups, weight, saved[1], saved[2]))
    taken(tape, tape.emit(group_norm_pulled, g.node, *known, mask), (x, weight, bias), g.factor)


def layer_norm(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """``node`` is the result of the three-valued function, which is its argument."""
    normed: Any = node.args[0]
    x, shape, weight, bias, _ = normed.args
    mask = [tape.wants(item) for item in (x, weight, bias)]
    saved = {item.args[1]: item for item in normed.users}
    known = (tape.value(item) for item in (x, shape, saved[1], saved[2], weight, bias))
    found = tape.emit(aten.native_layer_norm_backward, g.node, *known, mask)
    taken(tape, found, (x, weight, bias), g.factor)


def timed(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x: Any = node.args[0]
    if tape.wants(x):
        tape.add(x, Scaled(g.factor, tape.emit(without_time, g.node, like=x)))


def some_pixels(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x: Any
    x, stride = node.args
    if tape.wants(x):
        found = pixels_pulled, g.node, tape.value(x), stride
        tape.add(x, Scaled(g.factor, tape.emit(*found, like=x)))


def conv2d(tape: Tape, node: fx.Node, g: Scaled) -> None:
    *tensors, stride, padding, dilation, groups = node.args
    if isinstance(padding, str):
        by_autograd(tape, node, g)
    else:
        convolution(tape, tensors, g, (stride, padding, dilation), False, (0, 0), groups)


def conv_transpose2d(tape: Tape, node: fx.Node, g: Scaled) -> None:
    *tensors, stride, padding, extra, groups, dilation = node.args
    convolution(tape, tensors, g, (stride, padding, dilation), True, extra, groups)


def convolution(
    tape: Tape, tensors: Any, g: Scaled, sizes: Any, transposed: bool, extra: Any, groups: Any
) -> None:
    x, weight, bias = tensors
    mask = [tape.wants(item) for item in tensors]
    plain = not transposed and groups == 1 and set(map(as_pair, sizes)) == {(1, 1)}
    if plain and mask == [True, True, False] and fewer_products(x, weight):
        found = tape.emit(convolution_pulled, g.node, tape.value(x), tape.value(weight))
        taken(tape, found, (x, weight), g.factor)
        return
    found = tape.emit(
        aten.convolution_backward,
        g.node,
        tape.value(x),
        tape.value(weight),
        None if bias is None else list(bias.meta["own"]),
        *(list(as_pair(value)) for value in sizes),
        transposed,
        list(as_pair(extra)),
        groups,
        mask,
    )
    taken(tape, found, (x, weight, bias), g.factor)


def fewer_products(x: fx.Node, weight: fx.Node) -> bool:
    """Return whether both gradients of a convolution that keeps the size take fewer products than it has."""
    shape = x.meta.get("shape")
    return shape is not None and suits(shape[1:], weight.meta["own"])


def mean(tape: Tape, node: fx.Node, g: Scaled) -> None:
    tape.give(node.args[0], g.factor, mean_spread, g.node, tape.value(node.args[0]))


def matmul(tape: Tape, node: fx.Node, g: Scaled) -> None:
    first, second = node.args
    if tape.wants(first):
        turned = tape.emit(torch.transpose, tape.value(second), -2, -1)
        tape.add(first, Scaled(g.factor, tape.emit(torch.matmul, g.node, turned)))
    if tape.wants(second):
        turned = tape.emit(torch.transpose, tape.value(first), -2, -1)
        tape.add(second, Scaled(g.factor, tape.emit(torch.matmul, turned, g.node)))


def softmax(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x, axis = node.args
    if tape.wants(x):
        found = functions.softmax_pulled, g.node, tape.value(node), axis
        tape.add(x, Scaled(g.factor, tape.emit(*found)))


def rescale(tape: Tape, node: fx.Node, g: Scaled) -> None:
    value, forward, backward = node.args
    tape.give(value, g.factor, torch.mul, g.node, tape.value(backward))
    if tape.wants(forward):
        tape.give(forward, g.factor, torch.mul, g.node, tape.value(value))


def std(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x: Any = node.args[0]
    if tape.wants(x):
        found = functions.std_pulled, g.node, tape.value(x), tape.value(node)
        tape.add(x, Scaled(g.factor, tape.emit(*found, like=x)))


def getitem(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """A part of a tuple: the result of a normalisation, or a piece of a split."""
    whole: Any = node.args[0]
    if whole.target in NORMS:
        NORMS[whole.target](tape, node, g)
    else:
        tape.pieces.setdefault(whole, {})[node.args[1]] = tape.tensor(g)


def split(tape: Tape, node: fx.Node, pieces: dict[Any, fx.Node]) -> None:
    x, sizes, axis = node.args
    if not tape.wants(x):
        return
    parts = {item.args[1]: item for item in node.users}
    whole = [
        pieces[i] if i in pieces else tape.emit(torch.zeros_like, tape.value(parts[i]))
        for i in range(len(sizes))  # type: ignore[arg-type]
    ]
    tape.add(x, Scaled(1, tape.emit(torch.cat, whole, axis, like=x)))  # type: ignore[arg-type]


def nothing(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """A constant."""


def by_autograd(tape: Tape, node: fx.Node, g: Scaled) -> None:
    active = [i for i, value in enumerate(node.args) if tape.wants(value)]
    if active:
        pull = pulled_back(node.target)
        found = tape.emit(pull, tape.value(tuple(node.args)), active, g.node)
        taken(tape, found, tuple(node.args[i] for i in active), g.factor)


NORMS: Mapping[Any, Pullback] = {
    NORM: batch_norm,
    group_normed: group_norm,
    torch.native_layer_norm: layer_norm,
}
"""By the three-valued function of a normalisation, how its first value is pulled back."""

PULLBACKS: Mapping[Any, Pullback] = {
    **POINTWISE,
    F.linear: linear,
    F.conv2d: conv2d,
    F.conv_transpose2d: conv_transpose2d,
    **dict.fromkeys(NORMS, nothing),
    with_time: timed,
    pixels: some_pixels,
    torch.add: add,
    torch.sub: sub,
    operator.add: add,
    operator.sub: sub,
    operator.neg: neg,
    operator.mul: mul,
    torch.mul: mul,
    operator.truediv: divide,
    torch.addcmul: addcmul,
    torch.lerp: lerp,
    torch.neg: neg,
    **OF_WEIGHTS,
    weighted: weighted_sum,
    "type_as": type_as,
    torch.mean: mean,
    **ARRANGED,
    operator.matmul: matmul,
    torch.softmax: softmax,
    functions.rescale: rescale,
    torch.std: std,
    operator.getitem: getitem,
    torch.split: nothing,
    **dict.fromkeys(DRAWS, nothing),
    torch.zeros_like: nothing,
    "add_": nothing,
}
"""By the function of a node, or the name of its method."""

BY_AUTOGRAD = frozenset({torch.clamp, torch.minimum, torch.maximum, operator.pow})
"""Functions of coefficients that few networks call: autograd pulls each back by itself."""
