"""Results that are written over what nothing reads any more, added to it, or side by side."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import ACTIVATIONS
from schemegen.backends.rewrites import alike, into_sum
from schemegen.network.adjoint import row_sum, rows, weighted
from schemegen.network.functions import group_norm_pulled, group_normed, linear_pulled, pixels
from schemegen.network.timed import with_time
from schemegen.network.winograd_pulled import convolution_pulled

__all__ = ["accumulate", "reuse", "side_by_side"]

aten = torch.ops.aten

ALONE: dict[Any, str] = {
    torch.relu: "relu_",
    torch.tanh: "tanh_",
    torch.sigmoid: "sigmoid_",
}
SUMS: dict[Callable[..., Any], str] = {
    torch.add: "add_",
    torch.sub: "sub_",
    torch.addcmul: "addcmul_",
    torch.addmm: "addmm_",
}
INTO: dict[Any, tuple[Callable[..., Any], str, int]] = {
    torch.add: (torch.add, "out", 2),
    torch.sub: (torch.sub, "out", 2),
    torch.lerp: (torch.lerp, "out", 2),
    torch.addcmul: (torch.addcmul, "out", 3),
    aten.tanh_backward: (aten.tanh_backward.grad_input, "grad_input", 1),
    aten.sigmoid_backward: (aten.sigmoid_backward.grad_input, "grad_input", 1),
    aten.threshold_backward: (aten.threshold_backward.grad_input, "grad_input", 1),
}
"""What writes number by number into a tensor that is given, the name for it, and how many operands it may be."""
PARTS = frozenset(
    {
        torch.native_batch_norm, aten.native_batch_norm_backward, aten.convolution_backward,
        group_normed, group_norm_pulled, linear_pulled, convolution_pulled,
        torch.native_layer_norm, aten.native_layer_norm_backward,
    }
)  # fmt: skip
"""Functions that return several tensors of their own."""
NEW = frozenset(
    {
        *ACTIVATIONS, *SUMS, *INTO, F.linear, F.conv2d, F.conv_transpose2d, F.batch_norm, F.group_norm,
        F.layer_norm, torch.mean, torch.mm, with_time, pixels,
    }
)  # fmt: skip
"""Functions whose result is a tensor of its own, and that keep none of their operands."""


MANY = 8
"""Fewer values are not worth memory of their own."""


def is_new(node: fx.Node) -> bool:
    """Return whether a node is a tensor of its own."""
    whole = node.args[0] if node.target is operator.getitem else None
    return node.target in NEW or (isinstance(whole, fx.Node) and whole.target in PARTS)


def reuse(graph: fx.Graph, kept: frozenset[fx.Node] = frozenset()) -> None:
    """Turn functions into those that write in place, in the graph itself.

    An operand is written over where it was made in the graph, every reader returns a new tensor, the reader at
    hand is the last one, and the shapes are the same. So inputs, parameters, remembered values that are read
    later, and ``kept`` values are never written.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    own = {node for node in graph.nodes if is_new(node) and node not in kept}
    readers = {node for node in graph.nodes if node.target in NEW or node.target in PARTS}

    def dies(value: object, reader: fx.Node) -> bool:
        return (
            isinstance(value, fx.Node)
            and value in own
            and all(user in readers and order[user] <= order[reader] for user in value.users)
        )

    for node in list(graph.nodes):
        if node.target not in (*ALONE, *SUMS, *INTO) or "out" in node.kwargs:
            continue
        first, *rest = node.args
        if node.target is torch.add and not node.kwargs and not dies(first, node):
            first, rest = rest[0], [first]
        same = node.target in ALONE or alike(node, first)
        name = ALONE.get(node.target) or SUMS.get(node.target)
        if name is not None and dies(first, node) and first not in rest and same:
            node.args = (first, *rest)
            node.op, node.target = "call_method", name
        elif node.target in INTO:
            function, key, count = INTO[node.target]
            for value in node.args[:count]:
                if dies(value, node) and alike(node, value):
                    node.target, node.kwargs = function, {**node.kwargs, key: value}
                    break
    graph.lint()


def accumulate(graph: fx.Graph) -> None:
    """Write ``u + c (x W^T + b)`` as ``(u + c b) + c x W^T``, in the graph itself.

    The product then adds to what is there; a layer of its own would spread its bias, and the sum read its result.
    """
    turned: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        if node.target is not torch.add or len(node.meta.get("shape", ())) != 1:
            continue
        total, layer = node.args
        if not node.kwargs and not into_sum(layer):
            total, layer = layer, total
        if not into_sum(layer) or not alike(node, total):
            continue
        x, weight, bias = layer.args
        with graph.inserting_before(node):
            if bias is not None:
                total = graph.call_function(torch.add, (total, bias), node.kwargs)
                total.meta.update(node.meta)
            if weight not in turned:
                turned[weight] = graph.call_function(torch.t, (weight,))
            found = graph.call_function(torch.addmm, (total, x, turned[weight]), node.kwargs)
        found.meta.update(node.meta)
        node.replace_all_uses_with(found)
        graph.erase_node(node)
        graph.erase_node(layer)


def side_by_side(graph: fx.Graph) -> frozenset[fx.Node]:
    """Write values that are summed up, as those of composed steps are, side by side and sum them as one.

    In the graph itself. Return these values: more than their users read what is in them.
    """
    moved: set[fx.Node] = set()
    for node in [node for node in graph.nodes if node.target is weighted]:
        values: Any
        values, factors = node.args
        if len(values) < MANY or moved.intersection(values) or len(set(values)) < len(values):
            continue
        if any(value.target not in (torch.tanh, torch.sigmoid) for value in values):
            continue
        chosen = set(values)
        first = next(value for value in graph.nodes if value in chosen)
        with graph.inserting_before(first):
            made = graph.call_function(rows, (first.args[0], len(values)))
            whole, *parts = (
                graph.call_function(operator.getitem, (made, place))
                for place in range(len(values) + 1)
            )
        for value, part in zip(values, parts, strict=True):
            value.kwargs = {"out": part}
        node.target, node.args = row_sum, (whole, factors)
        moved |= chosen
    return frozenset(moved)
