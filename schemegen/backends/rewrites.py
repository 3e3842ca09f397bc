"""Rewrites of a network as a function; each leaves every result as it is, up to rounding."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import ACTIVATIONS
from schemegen.network import functions
from schemegen.network.timed import with_time

__all__ = ["interpolate", "into_layer", "into_sum", "share"]

PURE: frozenset[Any] = frozenset(
    {
        *ACTIVATIONS, F.linear, F.conv2d, F.conv_transpose2d, F.group_norm, F.layer_norm,
        with_time, functions.pixels, torch.exp, torch.log,
        torch.sqrt, torch.sin, torch.cos, torch.abs, torch.add, torch.sub, torch.mul, torch.addcmul,
        torch.lerp, functions.phi1, functions.phi2, functions.phi3, functions.bounded,
        operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow,
    }
)  # fmt: skip


def share(graph: fx.Graph) -> None:
    """Compute once what is computed twice from the same values.

    With the weights of the whole network shared this finds the evaluation that the last stage of a step and the
    first stage of the next one have in common ("first same as last"). Batch statistics and random draws are
    not shared: each call has its own.
    """
    known: dict[object, fx.Node] = {}
    for node in list(graph.nodes):
        if node.target not in PURE and not normalises(node):
            continue
        key = (node.target, node.args, tuple(sorted(node.kwargs.items())))
        first = known.setdefault(hashable(key), node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.erase_node(node)


def normalises(node: fx.Node) -> bool:
    """Return whether a node is a normalisation with fixed statistics."""
    return node.target is F.batch_norm and not node.args[5]


def hashable(value: Any) -> object:
    """Return arguments as a key; ``1`` and ``1.0`` are different factors of an integer."""
    if isinstance(value, list | tuple):
        return tuple(hashable(item) for item in value)
    return value if isinstance(value, fx.Node | str) or callable(value) else (type(value), value)


def interpolate(graph: fx.Graph) -> None:
    """Write ``(1 - k) u + k v`` as one interpolation between u and v, for tensors and for numbers k."""
    for node in list(graph.nodes):
        if node.target is torch.addcmul:
            scaled, end, weight = node.args
        elif node.target is torch.add and "alpha" in node.kwargs:
            scaled, end = node.args
            weight = node.kwargs["alpha"]
        else:
            continue
        if not isinstance(scaled, fx.Node) or scaled.target is not operator.mul:
            continue
        start, other = scaled.args
        if not isinstance(start, fx.Node) or len(scaled.users) > 1 or not alike(start, end):
            continue
        if isinstance(weight, fx.Node) != isinstance(other, fx.Node):
            continue
        if not isinstance(weight, fx.Node):
            if other + weight != 1:
                continue
        elif complements(other, weight):
            pass
        elif complements(weight, other):
            start, end, weight = end, start, other
        else:
            continue
        with graph.inserting_before(node):
            found = graph.call_function(torch.lerp, plain(start, end, weight))
        found.meta.update(node.meta)
        node.replace_all_uses_with(found)
        graph.erase_node(node)
    graph.eliminate_dead_code(is_impure_node=impure)


def plain(start: fx.Node, end: Any, weight: Any) -> tuple[Any, ...]:
    """Return the arguments of an interpolation; a weight that is ``1 - raw`` turns it around."""
    if isinstance(weight, fx.Node) and weight.target is operator.sub and is_one(weight.args[0]):
        return end, start, weight.args[1]
    return start, end, weight


def is_one(value: object) -> bool:
    return isinstance(value, int | float) and value == 1


def complements(one: Any, other: Any) -> bool:
    """Return whether ``one`` is written as ``1 - other``."""
    return (
        isinstance(one, fx.Node)
        and one.target is operator.sub
        and is_one(one.args[0])
        and one.args[1] is other
    )


def alike(one: fx.Node, other: Any) -> bool:
    """Return whether two values are known to have one shape, that of a sample or of a weight."""
    return isinstance(other, fx.Node) and any(
        key in one.meta and one.meta[key] is not None and other.meta.get(key) == one.meta[key]
        for key in ("shape", "own")
    )


def impure(node: fx.Node) -> bool:
    """Return whether a call is kept although nothing reads its result: it draws, or changes a buffer."""
    return node.op in ("placeholder", "output") or (
        node.target not in PURE
        and node.target not in (torch.zeros_like, "type_as", operator.getitem)
    )


def into_layer(node: Any) -> bool:
    """Return whether a value comes from a layer and has one reader alone."""
    return (
        isinstance(node, fx.Node) and node.target in (F.conv2d, F.linear) and len(node.users) == 1
    )


def into_sum(node: Any) -> bool:
    """Return whether a node is a linear layer that one sum alone reads."""
    return into_layer(node) and node.target is F.linear
