"""Cotangents of a function: sums that are written as few calls as can be."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from schemegen.network.adjoint import linear_gradients, summed

__all__ = ["Scaled", "Tape"]

Number = int | float
Use = tuple[fx.Node, fx.Node, Number]


@dataclass(frozen=True, slots=True)
class Scaled:
    """``factor * node``; every pullback is linear, so that a factor is carried along and not multiplied out."""

    factor: Number
    node: fx.Node


@dataclass(frozen=True, slots=True)
class Product:
    """``factor * left @ right``."""

    factor: Number
    left: fx.Node
    right: fx.Node


@dataclass
class Layer:
    """Where the weight and the bias of a linear layer meet cotangents: ``(cotangent, input, factor)``."""

    weight: fx.Node
    bias: fx.Node | None
    uses: list[Use] = field(default_factory=list)


class Tape:
    """The backward graph while it is written.

    Cotangents of a value arrive one by one and are summed when the value is pulled back. ``gathered``: products
    for the weights of linear layers wait for the end, where layers of one shape share one call. Otherwise they
    are added up as they come, and the cotangents that biases meet are added before their rows are.
    """

    def __init__(self, needed: frozenset[fx.Node], gathered: bool) -> None:
        self.graph = fx.Graph()
        self.needed = needed
        self.gathered = gathered
        self.sums: dict[fx.Node, list[Scaled | Product]] = {}
        self.saved: dict[fx.Node, fx.Node] = {}
        self.layers: dict[tuple[object, object], Layer] = {}
        self.shifts: dict[fx.Node, Scaled] = {}
        self.pieces: dict[fx.Node, dict[Any, fx.Node]] = {}
        self.last: fx.Node | None = None

    def placeholder(self, name: str) -> fx.Node:
        before = self.graph._root if self.last is None or self.last._erased else self.last
        with self.graph.inserting_after(before):
            self.last = self.graph.placeholder(name)
        return self.last

    def value(self, node: Any) -> Any:
        """Return an argument of the forward pass in the backward pass."""
        if isinstance(node, list | tuple):
            return type(node)(self.value(item) for item in node)
        if not isinstance(node, fx.Node):
            return node
        if node not in self.saved:
            self.saved[node] = self.placeholder(f"{node.name}_")
            self.saved[node].meta.update(node.meta)
        return self.saved[node]

    def emit(
        self, function: Callable[..., Any], *args: Any, like: fx.Node | None = None, **kwargs: Any
    ) -> fx.Node:
        """Write a call; ``like`` has the shape of its result."""
        node = self.graph.call_function(function, args, kwargs)
        if like is not None:
            node.meta.update({k: v for k, v in like.meta.items() if k in ("shape", "own")})
        return node

    def wants(self, value: object) -> bool:
        return isinstance(value, fx.Node) and value in self.needed

    def add(self, value: object, found: Scaled | Product) -> None:
        """Add a cotangent of ``value``, reduced where the value was broadcast."""
        if not isinstance(value, fx.Node) or value not in self.needed:
            return
        self.sums.setdefault(value, []).append(found)
        if "own" in value.meta and isinstance(found, Product):
            total = self.total(value)
            assert total is not None
            self.sums[value] = [total]

    def give(self, value: object, factor: Number, function: Callable[..., Any], *args: Any) -> None:
        """Add ``factor * function(*args)`` to the cotangents of a value, if they are asked for."""
        if not self.wants(value):
            return
        like = next((x for x in args if "shape" in getattr(x, "meta", {})), value)
        node = self.emit(function, *args, like=like)  # type: ignore[arg-type]
        if "own" in node.meta and function in (torch.mul, torch.div):
            sizes = (x.meta["own"] for x in args if "own" in getattr(x, "meta", {}))
            node.meta["own"] = tuple(torch.broadcast_shapes(*sizes))  # type: ignore[no-untyped-call]
        same = "own" in node.meta and node.meta["own"] == value.meta["own"]  # type: ignore[attr-defined]
        found = Scaled(factor, node)
        self.add(value, found if same else self.reduced(value, found))  # type: ignore[arg-type]

    def meet(self, weight: fx.Node, bias: fx.Node | None, use: Use, *, again: bool) -> None:
        """Let the cotangent of what a layer gave meet what the layer was given, ``again`` if it is used so."""
        if self.gathered:
            self.layers.setdefault((weight, bias), Layer(weight, bias)).uses.append(use)
            return
        cotangent, x, factor = use
        if self.wants(weight):
            turned = self.graph.call_method("t", (cotangent,))
            self.add(weight, Product(factor, turned, x))
        if bias is None or not self.wants(bias):
            return
        found = Scaled(factor, cotangent)
        if again:
            before = self.shifts.get(bias)
            self.shifts[bias] = found if before is None else self.sum(before, found, cotangent)
        else:
            self.add(bias, self.rows(bias, found))

    def rows(self, bias: fx.Node, found: Scaled) -> Scaled:
        """Return the gradient of a bias from the cotangent that it met."""
        return Scaled(found.factor, self.emit(torch.sum, found.node, 0, like=bias))

    def flush(self) -> None:
        """Write the products that waited: one call for all layers of one shape that are used alike."""
        groups: dict[Any, list[Layer]] = {}
        layers, self.layers = self.layers, {}
        for layer in layers.values():
            factors = tuple(factor for _, _, factor in layer.uses)
            shape = (layer.weight.meta["own"], layer.uses[0][0].meta.get("shape"))
            groups.setdefault((shape, factors), []).append(layer)
        for alike in groups.values():
            self.multiply(alike)
        shifts, self.shifts = self.shifts, {}
        for bias, found in shifts.items():
            self.add(bias, self.rows(bias, found))

    def multiply(self, layers: Sequence[Layer]) -> None:
        """Write the products of layers of one shape that are used alike."""
        uses = [use for layer in layers for use in layer.uses]
        cotangents, inputs = [use[0] for use in uses], [use[1] for use in uses]
        factors = tuple(use[2] for use in layers[0].uses)
        found = self.emit(linear_gradients, cotangents, inputs, factors)
        for index, layer in enumerate(layers):
            for value, place in ((layer.weight, index), (layer.bias, len(layers) + index)):
                if self.wants(value):
                    part = self.emit(operator.getitem, found, place, like=value)
                    self.add(value, Scaled(1, part))

    def reduced(self, value: fx.Node, found: Scaled) -> Scaled:
        """Sum a cotangent over what a value was broadcast to."""
        own, shape = value.meta.get("own"), value.meta.get("shape")
        if own is not None:
            node = self.graph.call_method("sum_to_size", (found.node, own))
            node.meta["own"] = own
        elif shape == found.node.meta.get("shape"):
            return found
        else:
            node = self.emit(summed, found.node, self.value(value), like=value)
        return Scaled(found.factor, node)

    def total(self, value: fx.Node) -> Scaled | None:
        """Return the sum of the cotangents of a value."""
        parts = self.sums.pop(value, [])
        if not parts:
            return None
        nodes = [item for item in parts if isinstance(item, Scaled)]
        nodes.sort(key=lambda item: (item.factor != 1, item.factor == 0))
        products = [item for item in parts if isinstance(item, Product)]
        if not nodes:
            first, *products = products
            nodes = [Scaled(first.factor, self.emit(torch.mm, first.left, first.right, like=value))]
        start, *rest = nodes
        if start.factor == 0 and len(parts) > 1:  # no unit for the factors of the others
            start = Scaled(1, self.tensor(start))
        for item in rest:
            start = self.sum(start, item, value)
        scale, total = start.factor, start.node
        for product in products:
            more = {} if product.factor == scale else {"alpha": product.factor / scale}
            total = self.emit(torch.addmm, total, product.left, product.right, like=value, **more)
        return Scaled(scale, total)

    def sum(self, one: Scaled, other: Scaled, like: fx.Node) -> Scaled:
        """Write a sum, in units of the first factor."""
        more = {} if other.factor == one.factor else {"alpha": other.factor / one.factor}
        return Scaled(one.factor, self.emit(torch.add, one.node, other.node, like=like, **more))

    def tensor(self, found: Scaled) -> fx.Node:
        """Return a cotangent with its factor multiplied out."""
        if found.factor == 1:
            return found.node
        return self.emit(torch.mul, found.node, found.factor, like=found.node)
