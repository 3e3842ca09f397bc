"""How pointwise functions are pulled back: activations, and what coefficients are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.cotangents import Scaled, Tape
from schemegen.network import functions

__all__ = ["POINTWISE"]

aten = torch.ops.aten
Pullback = Callable[[Tape, fx.Node, Scaled], None]


def from_result(function: Callable[..., Any], *more: Any, factor: float = 1) -> Pullback:
    """Pull back a function of one tensor whose derivative is known from its result.

    ``factor * function(g, result, *more)`` is the cotangent of the argument for the cotangent g of the result.
    """

    def rule(tape: Tape, node: fx.Node, g: Scaled) -> None:
        tape.give(node.args[0], factor * g.factor, function, g.node, tape.value(node), *more)

    return rule


def from_argument(function: Callable[..., Any], *more: Any) -> Pullback:
    """Pull back a function of one tensor whose derivative is known from its argument."""

    def rule(tape: Tape, node: fx.Node, g: Scaled) -> None:
        x = node.args[0]
        tape.give(x, g.factor, function, g.node, tape.value(x), *more)

    return rule


def times(function: Callable[..., Any], factor: float = 1) -> Pullback:
    """Pull back a function whose derivative is ``factor`` times another function of its argument."""

    def rule(tape: Tape, node: fx.Node, g: Scaled) -> None:
        x = node.args[0]
        if tape.wants(x):
            slope = tape.emit(function, tape.value(x), like=node)
            tape.give(x, factor * g.factor, torch.mul, g.node, slope)

    return rule


def phi(order: int) -> Pullback:
    def rule(tape: Tape, node: fx.Node, g: Scaled) -> None:
        z = node.args[0]
        pull = functions.phi_pulled
        tape.give(z, g.factor, pull, g.node, tape.value(z), tape.value(node), order)

    return rule


def bounded(tape: Tape, node: fx.Node, g: Scaled) -> None:
    value, low, high = node.args
    gradient = tape.tensor(g)  # its sign matters
    tape.give(value, 1, functions.bounded_pulled, gradient, tape.value(value), low, high)


def elu(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x = node.args[0]
    tape.give(x, g.factor, aten.elu_backward, g.node, 1, 1, 1, False, tape.value(x))


POINTWISE: Mapping[Any, Pullback] = {
    torch.tanh: from_result(aten.tanh_backward),
    torch.sigmoid: from_result(aten.sigmoid_backward),
    torch.relu: from_result(aten.threshold_backward, 0),
    torch.exp: from_result(torch.mul),
    torch.sqrt: from_result(torch.div, factor=1 / 2),
    torch.log: from_argument(torch.div),
    torch.sin: times(torch.cos),
    torch.cos: times(torch.sin, -1),
    torch.abs: times(torch.sgn),
    F.gelu: from_argument(aten.gelu_backward),
    F.silu: from_argument(aten.silu_backward),
    F.elu: elu,
    F.softplus: from_argument(aten.softplus_backward, 1, 20),
    functions.phi1: phi(1),
    functions.phi2: phi(2),
    functions.phi3: phi(3),
    functions.bounded: bounded,
}
"""By function. What is given is one tensor, ``bounded`` its bounds too."""
