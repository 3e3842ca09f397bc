"""Graph modules that pickle as they are.

torch writes a graph module's source and traces it again to unpickle it: what a node says of its origin is
lost, a function of ours is traced into its body, and a block that is handed to a function is not a module any
more. Here the nodes themselves are written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

__all__ = ["PicklableGraph"]

KEPT = ("custom", "shape", "stack_trace")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier node, by its place."""

    index: int


@dataclass(frozen=True, slots=True)
class StoredNode:
    """One node; nodes among ``args`` and ``kwargs`` are :class:`Earlier`."""

    op: str
    target: Any
    args: Any
    kwargs: Any
    name: str
    meta: dict[str, Any]


def stored(graph: fx.Graph) -> tuple[StoredNode, ...]:
    """Return the nodes of a graph in order."""
    place = {node: Earlier(index) for index, node in enumerate(graph.nodes)}
    written: Callable[[fx.Node], Any] = place.__getitem__
    return tuple(
        StoredNode(
            node.op,
            node.target,
            map_arg(node.args, written),
            map_arg(node.kwargs, written),
            node.name,
            {key: node.meta[key] for key in KEPT if key in node.meta},
        )
        for node in graph.nodes
    )


def graph_of(nodes: tuple[StoredNode, ...]) -> fx.Graph:
    """Return the graph of stored nodes."""
    graph = fx.Graph()
    made: list[fx.Node] = []

    def read(value: Any) -> Any:
        return made[value.index] if isinstance(value, Earlier) else value

    for item in nodes:
        args, kwargs = map_aggregate(item.args, read), map_aggregate(item.kwargs, read)
        node = graph.create_node(item.op, item.target, args, kwargs, item.name)
        node.meta.update(item.meta)
        made.append(node)
    return graph


class _Root(nn.Module):
    """Holds the attributes of a graph module until it is made."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


def restored(
    kind: type[fx.GraphModule], name: str, body: dict[str, Any], nodes: tuple[StoredNode, ...]
) -> fx.GraphModule:
    """Return the graph module that was pickled."""
    meta = body.pop("meta")
    module = kind(_Root(body), graph_of(nodes), name)
    module.meta.update(meta)
    return module


class PicklableGraph(fx.GraphModule):
    """A graph module whose pickle is its nodes and its modules."""

    def __reduce__(self) -> Any:
        body = {key: value for key, value in self.__dict__.items() if key != "_graph"}
        # Every graph module is of a class of its own, below the one that was written.
        kind = next(item for item in type(self).__mro__[1:] if issubclass(item, PicklableGraph))
        return restored, (kind, type(self).__name__, body, stored(self.graph))
