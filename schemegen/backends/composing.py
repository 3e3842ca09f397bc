"""Linear layers that meet with nothing but sums between them, composed.

A step adds ``W2 t`` to the state, and the next evaluation applies W1 to the state. All that happens between two
nonlinear functions is linear, so that W1 need not be applied to the state again and again: with ``z = W1 u + b1``

    u' = u + c (W2 t + b2)     becomes     z' = z + c (M t + d),     M = W1 W2,   d = W1 b2,

one product an evaluation in place of two; the state itself is put together where something else reads it. Each
function here returns a graph that computes the same up to rounding, or None where there is nothing to do. Whether
that is less work depends on widths, on how often weights are used and on the batch: :mod:`costs` decides.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from heapq import heappop, heappush
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import FRONT
from schemegen.network.adjoint import weighted

__all__ = ["collected", "composed", "softened"]

Term = tuple[float, fx.Node]


class _Rebuilt:
    """A graph while it is written anew. What is computed of weights alone stands in front, each value once."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.made: dict[fx.Node, fx.Node] = {}
        self.own: dict[Any, fx.Node] = {}
        self.front = self.graph._root

    def copy(self, node: fx.Node) -> fx.Node:
        new = self.made[node] = self.graph.node_copy(node, self.made.__getitem__)
        if node.op == "placeholder" or FRONT in node.meta:
            self.front = new
        return new

    def emit(self, like: fx.Node, target: Any, *args: Any, **options: Any) -> fx.Node:
        """Write a call whose result has the shape of ``like``."""
        node = self.graph.call_function(target, args, options)
        kept = ("shape", "custom", "stack_trace")
        node.meta.update({key: like.meta[key] for key in kept if key in like.meta})
        return node

    def weight(self, size: tuple[int, ...], target: Any, *args: Any) -> fx.Node:
        """Write what is computed of weights."""
        key = (target, args)
        if key not in self.own:
            with self.graph.inserting_after(self.front):
                self.front = self.own[key] = self.graph.call_function(target, args)
            self.front.meta.update({"own": size, FRONT: True})
        return self.own[key]

    def finished(self) -> fx.Graph:
        self.graph.eliminate_dead_code(is_impure_node=changes)
        self.graph.lint()
        return self.graph


def changes(node: fx.Node) -> bool:
    """Return whether a call may be needed although nothing reads its result."""
    pure = node.target is F.linear or terms(node) is not None or FRONT in node.meta
    return not pure


def terms(node: fx.Node) -> tuple[Term, ...] | None:
    """Return a vector as numbers times other vectors of its shape, None where it is nothing of the kind."""
    shape = node.meta.get("shape", ())
    if node.op != "call_function" or len(shape) != 1:
        return None
    args: tuple[Any, ...] = node.args
    alpha: Any = node.kwargs.get("alpha", 1)
    found: tuple[tuple[Any, Any], ...]
    match node.target, args:
        case ((torch.add | operator.add), (first, second)):
            found = (1, first), (alpha, second)
        case ((torch.sub | operator.sub), (first, second)):
            found = (1, first), (-alpha, second)
        case operator.neg, (first,):
            found = ((-1, first),)
        case ((torch.mul | operator.mul), (first, second)):
            found = ((second, first),) if isinstance(first, fx.Node) else ((first, second),)
        case operator.truediv, (first, int() | float() as second):
            found = ((1 / second, first),)
        case torch.lerp, (first, second, int() | float() as weight):
            found = (1 - weight, first), (weight, second)
        case _:
            return None
    vectors = all(isinstance(v, fx.Node) and v.meta.get("shape") == shape for _, v in found)
    return found if vectors and all(isinstance(c, int | float) for c, _ in found) else None


def summands(value: Any) -> tuple[Term, ...]:
    return (terms(value) or ()) if isinstance(value, fx.Node) else ()


def is_layer(node: Any) -> bool:
    """Return whether a node applies a linear layer to a vector, with weights that are there at the beginning."""
    return (
        isinstance(node, fx.Node)
        and node.target is F.linear
        and len(node.meta.get("shape", ())) == 1
        and all(item is None or at_hand(item) for item in node.args[1:])
    )


def at_hand(node: Any) -> bool:
    return "own" in node.meta and (node.op == "placeholder" or FRONT in node.meta)


# --- tanh ---------------------------------------------------------------------------------------------


def softened(graph: fx.Graph) -> fx.Graph | None:
    """Return a graph with ``tanh z = 2 sigmoid(2 z) - 1`` between linear layers, which take up the numbers.

    A processor computes a sigmoid in a quarter of the time of a tanh.
    """
    chosen = {node for node in graph.nodes if between_layers(node)}
    if not chosen:
        return None
    new = _Rebuilt()
    for node in graph.nodes:
        if is_layer(node) and (chosen.intersection(node.users) or node.args[0] in chosen):
            x, weight, bias = fx.map_arg(node.args, new.made.__getitem__)
            size = weight.meta["own"]
            if node.args[0] in chosen:
                less = new.weight(size[:1], torch.sum, weight, 1)
                bias = (
                    new.weight(size[:1], torch.neg, less)
                    if bias is None
                    else new.weight(size[:1], torch.sub, bias, less)
                )
                weight = new.weight(size, torch.mul, weight, 2)
            if chosen.intersection(node.users):
                weight = new.weight(size, torch.mul, weight, 2)
                bias = None if bias is None else new.weight(size[:1], torch.mul, bias, 2)
            new.made[node] = new.emit(node, F.linear, x, weight, bias)
        elif node in chosen:
            new.made[node] = new.emit(node, torch.sigmoid, new.made[node.args[0]])
        else:
            new.copy(node)
    return new.finished()


def between_layers(node: fx.Node) -> bool:
    """Return whether a tanh has a linear layer before it that only it reads, and layers alone behind it."""
    return (
        node.target is torch.tanh
        and is_layer(node.args[0])
        and len(node.args[0].users) == 1  # type: ignore[union-attr]
        and all(is_layer(user) and user.args[0] is node for user in node.users)
    )


# --- products -----------------------------------------------------------------------------------------


def composed(graph: fx.Graph) -> fx.Graph | None:
    """Return a graph that carries along the images of the state under layers that are used again and again."""
    chosen = repeated(graph)
    if not chosen:
        return None
    images = _Images(graph, chosen)
    for node in graph.nodes:
        if is_layer(node) and node.args[1:] in chosen:
            images.write(node)
        else:
            images.new.copy(node)
    return collected(images.new.finished())


def repeated(graph: fx.Graph) -> dict[Any, fx.Node]:
    """Return the layers that meet what other layers added to their argument, each with its first use.

    Weights that are used with several biases are left alone.
    """
    uses: dict[Any, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        if is_layer(node):
            uses[node.args[1:]].append(node)
    biases: dict[Any, int] = defaultdict(int)
    for weight, _ in uses:
        biases[weight] += 1
    return {
        key: nodes[0]
        for key, nodes in uses.items()
        if biases[key[0]] == 1
        and len(nodes) > 1
        and any(is_layer(value) for node in nodes[1:] for _, value in summands(node.args[0]))
    }


class _Images:
    """Vectors under the layers ``chosen``: ``(W v + s b, s)``, the share s of the bias with it."""

    def __init__(self, graph: fx.Graph, chosen: dict[Any, fx.Node]) -> None:
        self.new = _Rebuilt()
        self.place = {node: index for index, node in enumerate(graph.nodes)}
        self.chosen = chosen
        self.known: dict[Any, tuple[fx.Node, float]] = {}

    def write(self, node: fx.Node) -> None:
        """Write the image of what a layer is applied to."""
        new = self.new
        value, weight, bias = node.args
        found, share = self.image(node, value, weight, bias)
        if share != 1 and bias is not None:
            found = new.emit(node, torch.add, found, new.made[bias], alpha=1 - share)  # type: ignore[index]
        new.made[node] = found

    def image(self, node: fx.Node, value: Any, weight: Any, bias: Any) -> tuple[fx.Node, float]:
        key = (weight, value)
        if key not in self.known:
            self.known[key] = self.written(node, value, weight, bias)
        return self.known[key]

    def written(self, node: fx.Node, value: Any, weight: Any, bias: Any) -> tuple[fx.Node, float]:
        new = self.new
        # What was there before the first use is no sum of later products.
        early = self.place[value] < self.place[self.chosen[weight, bias]]
        parts = None if early else terms(value)
        if parts is not None:
            images = {v: self.image(node, v, weight, bias) for _, v in parts}
            args = fx.map_arg(value.args, lambda item: images[item][0])
            share = sum(factor * images[v][1] for factor, v in parts)
            return new.emit(node, value.target, *args, **value.kwargs), share
        if not early and is_layer(value):
            t, inner, shift = fx.map_arg(value.args, new.made.__getitem__)
            outer = new.made[weight]
            size = (*outer.meta["own"][:1], *inner.meta["own"][1:])
            product = new.weight(size, torch.mm, outer, inner)
            moved = None if shift is None else new.weight(size[:1], torch.mv, outer, shift)
            return new.emit(node, F.linear, t, product, moved), 0
        args = fx.map_arg((value, weight, bias), new.made.__getitem__)
        return new.emit(node, F.linear, *args), 1


# --- sums ---------------------------------------------------------------------------------------------


def collected(graph: fx.Graph) -> fx.Graph:
    """Return a graph that adds before it multiplies::

    sum_j c_j (W t_j + b) = W (sum_j c_j t_j) + (sum_j c_j) b
    """
    place = {node: index for index, node in enumerate(graph.nodes)}
    inside: set[fx.Node] = set()
    sums: dict[fx.Node, _Sum] = {}
    for node in reversed(graph.nodes):
        if node not in inside and terms(node) is not None:
            sums[node] = _Sum(node, place)
            inside |= sums[node].inside
    new = _Rebuilt()
    for node in graph.nodes:
        if node in sums and sums[node].groups:
            new.made[node] = sums[node].written(new)
        else:
            new.copy(node)
    return new.finished()


class _Sum:
    """A sum, with the sums ``inside`` that nothing else reads taken apart: ``sum_j factors_j leaf_j``.

    ``groups``: the layers with the same weights among the leaves, where nothing else reads them.
    """

    def __init__(self, root: fx.Node, place: dict[fx.Node, int]) -> None:
        self.root = root
        self.inside = {root}
        self.factors: dict[fx.Node, float] = defaultdict(float)
        self.factors[root] = 1.0
        waiting = [(-place[root], root)]
        while waiting:
            _, node = heappop(
                waiting
            )  # the last one first: then all that reads a node has been seen
            parts = terms(node)
            if parts is None or (node is not root and not self.inside.issuperset(node.users)):
                continue
            self.inside.add(node)
            factor = self.factors.pop(node)
            for number, value in parts:
                if value not in self.factors:
                    heappush(waiting, (-place[value], value))
                self.factors[value] += factor * number
        self.groups: dict[Any, list[fx.Node]] = defaultdict(list)
        for node in sorted(self.factors, key=place.__getitem__):
            if is_layer(node) and self.inside.issuperset(node.users):
                self.groups[node.args[1:]].append(node)
        self.groups = {key: nodes for key, nodes in self.groups.items() if len(nodes) > 1}

    def written(self, new: _Rebuilt) -> fx.Node:
        grouped = {node for nodes in self.groups.values() for node in nodes}
        total: fx.Node | None = None
        for node, factor in self.factors.items():
            if node not in grouped:
                total = plus(new, self.root, total, factor, new.made[node])
        for (weight, bias), nodes in self.groups.items():
            factors = [self.factors[node] for node in nodes]
            arguments = [new.made[node.args[0]] for node in nodes]  # type: ignore[index]
            start = new.emit(nodes[0].args[0], weighted, arguments, factors)  # type: ignore[arg-type]
            product = new.emit(self.root, F.linear, start, new.made[weight], None)
            total = plus(new, self.root, total, 1, product)
            if bias is not None:
                total = plus(new, self.root, total, sum(factors), new.made[bias])
        assert total is not None
        return total


def plus(
    new: _Rebuilt, root: fx.Node, total: fx.Node | None, factor: float, value: fx.Node
) -> fx.Node:
    """Write ``total + factor value``."""
    if total is None:
        return value if factor == 1 else new.emit(root, torch.mul, value, factor)
    if factor == 1:
        return new.emit(root, torch.add, total, value)
    return new.emit(root, torch.add, total, value, alpha=factor)
