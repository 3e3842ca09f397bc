"""Writing a result over an operand that nothing reads any more, where no gradient is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.rewrites import alike

__all__ = ["reuse"]

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
NEW = frozenset({*ALONE, *SUMS, F.linear, F.conv2d, F.batch_norm, torch.mean, torch.lerp})
"""Functions whose result is a tensor of its own, and that keep none of their operands."""


def reuse(graph: fx.Graph, kept: frozenset[fx.Node] = frozenset()) -> None:
    """Turn functions into methods that write in place, in the graph itself.

    An operand is written over where it was made in the graph, every reader returns a new tensor, the reader at
    hand is the last one, and the shapes are the same. So inputs, parameters, remembered values that are read
    later, and ``kept`` values are never written.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    own = {node for node in graph.nodes if node.target in NEW and node not in kept}
    readers = set(own) | {node for node in kept if node.target in NEW}

    def dies(value: object, reader: fx.Node) -> bool:
        return (
            isinstance(value, fx.Node)
            and value in own
            and len(value.users) == len({*value.users, reader})
            and all(user in readers and order[user] <= order[reader] for user in value.users)
        )

    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in (*ALONE, *SUMS):
            continue
        name = (ALONE | SUMS)[node.target]
        first, *rest = node.args
        if node.target is torch.add and not node.kwargs and not dies(first, node):
            first, rest = rest[0], [first]
        if dies(first, node) and first not in rest and (node.target in ALONE or alike(node, first)):
            node.args = (first, *rest)
            node.op, node.target = "call_method", name
    graph.lint()
