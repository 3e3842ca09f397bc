"""A generated network written as one writes it by hand: every term a product, every sum a sum."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

__all__ = ["literal"]


def literal(network: fx.GraphModule) -> fx.GraphModule:
    """Return the network with ``x + c*k`` for every fused ``add(x, k, alpha=c)`` and ``addcmul``.

    Modules and parameters are those of ``network``, calls of blocks stay as they are.
    """
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}

    def taken(value: Any) -> Any:
        return fx.map_arg(value, made.__getitem__)

    for node in network.graph.nodes:
        if node.op == "output":
            graph.output(taken(node.args[0]))
        elif node.target is torch.add and "alpha" in node.kwargs:
            total, value = taken(node.args)
            term = graph.call_function(operator.mul, (node.kwargs["alpha"], value))
            made[node] = graph.call_function(operator.add, (total, term))
        elif node.target is torch.addcmul:
            total, value, factor = taken(node.args)
            term = graph.call_function(operator.mul, (factor, value))
            made[node] = graph.call_function(operator.add, (total, term))
        else:
            made[node] = graph.node_copy(node, made.__getitem__)
    return fx.GraphModule(network, graph).train(network.training)
