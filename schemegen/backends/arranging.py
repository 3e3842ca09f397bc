"""How functions are pulled back that arrange the numbers of tensors otherwise."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from schemegen.backends.annotating import MOVES
from schemegen.backends.cotangents import Scaled, Tape
from schemegen.backends.pointwise import Pullback

__all__ = ["ARRANGED", "taken"]


def taken(tape: Tape, found: fx.Node, values: tuple[Any, ...], factor: Any) -> None:
    """Add the parts of a tuple of cotangents."""
    for index, value in enumerate(values):
        if tape.wants(value):
            tape.add(value, Scaled(factor, tape.emit(operator.getitem, found, index, like=value)))


def moved(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x, source, target = node.args
    if tape.wants(x):
        back = torch.movedim, g.node, target, source
        tape.add(x, Scaled(g.factor, tape.emit(*back, like=x)))  # type: ignore[arg-type]


def transposed(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x, *axes = node.args
    if tape.wants(x):
        tape.add(x, Scaled(g.factor, tape.emit(torch.transpose, g.node, *axes)))


def reshaped(tape: Tape, node: fx.Node, g: Scaled) -> None:
    x = node.args[0]
    if tape.wants(x):
        shaped = tape.graph.call_method("reshape_as", (g.node, tape.value(x)))
        tape.add(x, Scaled(g.factor, shaped))


def joined(tape: Tape, node: fx.Node, g: Scaled) -> None:
    parts, axis = node.args
    sizes = [part.meta["shape"][axis - 1] for part in parts]  # type: ignore[union-attr,operator]
    found = tape.emit(torch.split, g.node, sizes, axis)
    taken(tape, found, tuple(parts), g.factor)  # type: ignore[arg-type]


ARRANGED: Mapping[Any, Pullback] = {
    **dict.fromkeys(MOVES, moved),
    torch.transpose: transposed,
    torch.flatten: reshaped,
    torch.unflatten: reshaped,
    "reshape_as": reshaped,
    torch.cat: joined,
}
"""By the function of a node, or the name of its method."""
