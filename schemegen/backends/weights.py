"""How functions of weights alone are pulled back: products of matrices, transposed and turned kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from schemegen.backends.cotangents import Product, Scaled, Tape
from schemegen.backends.pointwise import Pullback
from schemegen.network.adjoint import spread_rows

__all__ = ["METHODS", "OF_WEIGHTS"]


def mm(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """A product of weights."""
    every: tuple[Any, ...] = node.args
    left, right = every
    if tape.wants(left):
        tape.add(left, Product(g.factor, g.node, tape.emit(torch.t, tape.value(right))))
    if tape.wants(right):
        tape.add(right, Product(g.factor, tape.emit(torch.t, tape.value(left)), g.node))


def mv(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """A matrix of weights on a vector of weights."""
    every: tuple[Any, ...] = node.args
    matrix, vector = every
    tape.give(matrix, g.factor, torch.outer, g.node, tape.value(vector))
    if tape.wants(vector):
        tape.give(vector, g.factor, torch.mv, tape.emit(torch.t, tape.value(matrix)), g.node)


def over_rows(tape: Tape, node: fx.Node, g: Scaled) -> None:
    """A matrix of weights summed over its rows."""
    matrix: Any = node.args[0]
    if tape.wants(matrix):
        tape.give(matrix, g.factor, spread_rows, g.node, matrix.meta["own"])


def transpose(tape: Tape, node: fx.Node, g: Scaled) -> None:
    tape.give(node.args[0], g.factor, torch.transpose, g.node, *node.args[1:])


def flip(tape: Tape, node: fx.Node, g: Scaled) -> None:
    tape.give(node.args[0], g.factor, torch.flip, g.node, node.args[1:])


def view(tape: Tape, node: fx.Node, g: Scaled) -> None:
    weight: Any = node.args[0]
    tape.give(weight, g.factor, torch.reshape, g.node, weight.meta["own"])


METHODS: Mapping[Any, Pullback] = {"transpose": transpose, "flip": flip, "view": view}
"""Methods that are known on weights alone: there the shape of the argument is known."""

OF_WEIGHTS: Mapping[Any, Pullback] = {
    torch.mm: mm,
    torch.mv: mv,
    torch.sum: over_rows,
    **METHODS,
}
"""By the function of a node, or the name of its method."""
