"""A network as it is after training, for inference: what follows from its weights is computed beforehand."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import FRONT, applied
from schemegen.backends.costs import TYPICAL, cheapest, forms
from schemegen.backends.functional import functional
from schemegen.backends.inplace import accumulate
from schemegen.backends.optimized import OptimizedNetwork
from schemegen.backends.rewrites import alike, into_layer
from schemegen.network.noise import drawn
from schemegen.network.solvers import evaluate

__all__ = ["frozen"]


def frozen(network: fx.GraphModule) -> OptimizedNetwork:
    """Return a copy of a network in eval mode whose weights are buffers.

    Coefficients are computed, terms with the coefficient 0 dropped, normalisations behind a convolution or a
    linear layer folded into its weights (in float64), other normalisations written as one product and sum, kernels
    laid out channels-last. Outputs equal those of the network in eval mode up to rounding.
    """
    source = copy.deepcopy(network).eval()
    written = functional(source)
    every = forms(written.graph)
    best = every[cheapest(every, TYPICAL, weights=False)]
    inputs = {node.name: node for node in best.nodes if node.op == "placeholder"}
    values = {path: inputs[node.name] for path, node in written.values.items()}
    constants = _Constants(source, best, values)
    constants.compute()
    constants.drop()
    constants.fold()
    accumulate(constants.graph)
    constants.compute()
    return constants.network()


def precisely(node: fx.Node, known: dict[fx.Node, Tensor]) -> Tensor:
    """Return what a node computes of weights, products of weights in double precision."""
    if FRONT not in node.meta:
        return applied(node, known)
    found = applied(node, {item: known[item].double() for item in node.all_input_nodes})
    return found.to(known[node.all_input_nodes[0]].dtype)


class _Constants:
    """The graph of a network while its constants are found."""

    def __init__(self, source: fx.GraphModule, graph: fx.Graph, values: dict[str, fx.Node]) -> None:
        self.source = source
        self.graph = graph
        self.modules: dict[fx.Node, nn.Module] = {}
        self.known: dict[fx.Node, Tensor] = {}
        for path, node in values.items():
            found = operator.attrgetter(path)(source)
            if isinstance(found, Tensor):
                self.known[node] = found.detach()
            else:
                self.modules[node] = found

    def compute(self) -> None:
        """Compute every node that depends on weights alone."""
        for node in self.graph.nodes:
            inputs = node.all_input_nodes
            if node.op in ("placeholder", "output") or node.target is evaluate or not inputs:
                continue
            if self.known.keys() >= set(inputs):
                self.known[node] = precisely(node, self.known)

    def drop(self) -> None:
        """Leave out terms whose coefficient is 0 and products with 1 (a removed branch, a damping of 0 or 1)."""
        for node in list(self.graph.nodes):
            with self.graph.inserting_before(node):
                found = self.simpler(node)
            if found is not None and alike(node, found):
                node.replace_all_uses_with(found)
                self.graph.erase_node(node)
        self.prune()

    def simpler(self, node: fx.Node) -> fx.Node | None:
        """Return what a sum or a product is whose coefficient is 0 or 1, None for any other node."""
        match node.target, node.args:
            case operator.mul, (fx.Node() as value, factor) if self.filled(factor, 1):
                return value
            case torch.lerp, (fx.Node() as start, _, weight) if self.filled(weight, 0):
                return start
            case torch.lerp, (_, fx.Node() as end, weight) if self.filled(weight, 1):
                return end
            case torch.add, (total, fx.Node() as value) if not node.kwargs and self.zero(total):
                return value
            case torch.addcmul, (fx.Node() as total, _, factor) if self.filled(factor, 0):
                return total
            case torch.addcmul, (total, fx.Node() as value, factor):
                return self.without(node, total, value, factor)
            case _:
                return None

    def without(self, node: fx.Node, total: Any, value: fx.Node, factor: Any) -> fx.Node | None:
        """Return ``total + value * factor`` without a total of 0 or a factor of 1."""
        shape = node.meta.get("shape")
        if value.meta.get("shape") != shape:
            return None
        ones = self.filled(factor, 1)
        if self.zero(total):
            found = value if ones else self.graph.call_function(operator.mul, (value, factor))
        elif ones:
            found = self.graph.call_function(torch.add, (total, value))
        else:
            return None
        found.meta.update(node.meta)
        return found

    def filled(self, coefficient: Any, number: int) -> bool:
        """Return whether a coefficient is known and equals a number throughout."""
        value = self.known.get(coefficient)
        return value is not None and bool((value == number).all())

    def zero(self, value: Any) -> bool:
        """Return whether a value is a product with 0."""
        return (
            isinstance(value, fx.Node)
            and value.target is operator.mul
            and self.filled(value.args[1], 0)
        )

    def prune(self) -> None:
        self.graph.eliminate_dead_code(is_impure_node=lambda n: n.op in ("placeholder", "output"))

    def constant(self, value: Tensor, name: str) -> fx.Node:
        """Return a node for a tensor that the network will hold."""
        first = next(iter(self.graph.nodes))
        with self.graph.inserting_before(first):
            node = self.graph.get_attr(name)
        self.known[node] = value
        return node

    def fold(self) -> None:
        """Fold normalisations into the layer before where nothing else reads it, else into a product and a sum.

        Behind a module that is not known, whose result may have any shape, they stay as they are.
        """
        for node in list(self.graph.nodes):
            if node.target is not F.batch_norm or any(a not in self.known for a in node.args[1:5]):
                continue
            x, *statistics = node.args[:5]
            mean, variance, weight, bias = (self.known[item].double() for item in statistics)
            scale = weight / torch.sqrt(variance + (node.args[7] if len(node.args) > 7 else 1e-5))
            shift = bias - mean * scale
            if into_layer(x) and x.args[1] in self.known:
                self.merge(node, x, scale, shift)
            elif "shape" in node.meta:
                self.affine(node, x, scale, shift)
        self.prune()

    def merge(self, node: fx.Node, layer: fx.Node, scale: Tensor, shift: Tensor) -> None:
        """Scale the weights of the layer before a normalisation and shift its bias."""
        kernel, offset = self.known[layer.args[1]], layer.args[2]  # type: ignore[index]
        before = 0 if offset is None else self.known[offset].double()  # type: ignore[index]
        by_channel = scale.view(-1, *(1 for _ in kernel.shape[1:]))
        name = layer.name
        weight = self.constant((kernel.double() * by_channel).to(kernel.dtype), f"{name}_weight")
        bias = self.constant((before * scale + shift).to(kernel.dtype), f"{name}_bias")
        layer.args = (layer.args[0], weight, bias, *layer.args[3:])
        node.replace_all_uses_with(layer)
        self.graph.erase_node(node)

    def affine(self, node: fx.Node, x: fx.Node, scale: Tensor, shift: Tensor) -> None:
        """Write a normalisation as ``shift + scale x``."""
        shape = (-1, *(1 for _ in node.meta["shape"][1:]))
        dtype = self.known[node.args[3]].dtype  # type: ignore[index]
        factor = self.constant(scale.view(shape).to(dtype), f"{node.name}_scale")
        offset = self.constant(shift.view(shape).to(dtype), f"{node.name}_shift")
        with self.graph.inserting_before(node):
            found = self.graph.call_function(torch.addcmul, (offset, x, factor))
        found.meta.update(node.meta)
        node.replace_all_uses_with(found)
        self.graph.erase_node(node)

    def network(self) -> OptimizedNetwork:
        """Return the graph with its constants as buffers and its modules as sub-modules."""
        root = nn.Module()
        graph = fx.Graph()
        made: dict[fx.Node, Any] = {}
        for node in self.graph.nodes:
            if node in self.known:
                if all(user in self.known for user in node.users):
                    continue
                value = self.known[node]
                if value.dim() == 4:
                    value = value.contiguous(memory_format=torch.channels_last)
                root.register_buffer(node.name, value)
                made[node] = graph.get_attr(node.name)
            elif node in self.modules:
                if not node.users:
                    continue
                root.add_module(node.name, self.modules[node])
                made[node] = graph.get_attr(node.name)
            elif node.target in (evaluate, drawn) and node.args[0].op == "placeholder":
                module, *arguments = node.args
                args = fx.map_arg(tuple(arguments), made.__getitem__)
                made[node] = graph.call_module(module.name, args)
                made[node].meta.update(node.meta)
            else:
                made[node] = graph.node_copy(node, made.__getitem__)
        graph.lint()
        result = OptimizedNetwork(root, graph, type(self.source).__name__).eval()
        for parameter in result.parameters():
            parameter.requires_grad_(False)
        result.meta.update(
            {k: v for k, v in self.source.meta.items() if k in ("program", "network")}
        )
        result.meta["mode"] = "inference"
        return result
