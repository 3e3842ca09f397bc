"""The shapes of what a network computes as one function, which later rewrites read."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.network.functions import pixels
from schemegen.network.noise import DRAWS
from schemegen.network.solvers import evaluate
from schemegen.network.timed import with_time

__all__ = ["ACTIVATIONS", "FRONT", "MOVES", "annotate", "applied", "as_pair"]

FRONT = "front"
"""The note of a node that is computed of values alone, before anything else."""

ACTIVATIONS = frozenset(
    {torch.relu, torch.tanh, torch.sigmoid, F.gelu, F.silu, F.elu, F.softplus}
)  # fmt: skip
ALIKE = frozenset(
    {
        *ACTIVATIONS, F.batch_norm, F.group_norm, F.layer_norm, F.dropout,
        torch.add, torch.sub, torch.mul, operator.add, operator.sub, operator.mul, operator.truediv,
    }
)  # fmt: skip
"""Functions whose result has the shape of their argument."""

MOVES = (torch.movedim, "movedim")
"""The function and the method that put one axis elsewhere; never the first, of the samples, in a network."""


def annotate(module: nn.Module, graph: fx.Graph, values: Mapping[str, fx.Node]) -> None:
    """Note the shape of each node: ``own`` of what depends on values alone, ``shape`` of a sample otherwise."""
    known: dict[fx.Node, Tensor] = {}
    for path, node in values.items():
        found = operator.attrgetter(path)(module)
        node.meta.pop("shape", None)
        if isinstance(found, Tensor):
            known[node] = torch.empty_like(found, device="meta")
    for node in graph.nodes:
        inputs = node.all_input_nodes
        if node.op not in ("call_function", "call_method") or node.target in (evaluate, "add_"):
            continue
        if inputs and known.keys() >= set(inputs):
            known[node] = applied(node, known)
            node.meta.pop("shape", None)
        elif "shape" not in node.meta and inputs:
            shape = shape_of(node, known)
            if shape is not None:
                node.meta["shape"] = shape
    for node, value in known.items():
        node.meta["own"] = tuple(value.shape)


def applied(node: fx.Node, known: Mapping[fx.Node, Tensor]) -> Tensor:
    """Return what a node computes of values that are known."""
    args = fx.map_arg(node.args, known.__getitem__)
    options = fx.map_arg(node.kwargs, known.__getitem__)
    with torch.no_grad():
        if node.op == "call_method":
            first, *rest = args
            result: Tensor = getattr(first, str(node.target))(*rest, **options)
            return result
        return node.target(*args, **options)  # type: ignore[no-any-return, operator]


def shape_of(node: fx.Node, known: Mapping[fx.Node, Tensor]) -> tuple[int, ...] | None:
    """Return the shape of a sample after a layer, None where it is not known."""
    inputs = [item for item in node.all_input_nodes if item not in known]
    before = {item.meta.get("shape") for item in inputs if item.target not in DRAWS}
    shape = before.pop() if before else None
    if before or shape is None:
        return None
    if node.target in ALIKE:
        wide = any(known[item].dim() > len(shape) for item in node.all_input_nodes if item in known)
        return None if wide else shape
    if node.target in MOVES:
        return tuple(torch.empty(1, *shape, device="meta").movedim(*node.args[1:]).shape[1:])  # type: ignore[arg-type]
    if node.target is with_time:
        return (shape[0] + 1, *shape[1:])
    if node.target is pixels:
        strides = zip(shape[1:], as_pair(node.args[1]), strict=True)
        return (shape[0], *((n - 1) // s + 1 for n, s in strides))
    weight = node.args[1] if len(node.args) > 1 else None
    if not isinstance(weight, fx.Node) or weight not in known:
        return None
    width, *size = known[weight].shape
    if node.target is F.linear:
        return (*shape[:-1], width)
    if node.target is F.conv_transpose2d:
        inner, *size = size
        *_, extra, groups, _ = node.args
        pairs = [as_pair(node.args[place]) for place in (3, 4, 7)]
        grid = zip(shape[1:], size, *pairs, as_pair(extra), strict=True)
        grown = ((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in grid)
        return (inner * groups, *grown)  # type: ignore[operator, arg-type]
    if node.target is F.conv2d and not isinstance(node.args[4], str):
        stride, padding, dilation = (as_pair(item) for item in node.args[3:6])
        grid = zip(shape[1:], size[1:], stride, padding, dilation, strict=True)
        return (width, *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in grid))
    return None


def as_pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
