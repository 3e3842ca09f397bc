"""A network as one function of its input and its tensors: blocks written out as calls of torch functions.

Calling a module costs more than the kernel of a small layer. Here the graph of a network is rewritten so that
every known layer is one call on tensors that are handed in; what is not known stays a module that is handed in
and called. Layers that behave differently in training are written for the mode they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import FRONT, annotate
from schemegen.backends.written import LAYERS, Functional, heard, observed
from schemegen.network import blocks, layers
from schemegen.network.noise import Noise, Power, drawn
from schemegen.network.smooth import Smooth
from schemegen.network.solvers import evaluate
from schemegen.network.timed import TimeConv

__all__ = ["alone", "functional"]

TRACED = (
    *blocks.BLOCKS.values(), blocks.InnerPreact, blocks.InnerBottleneck,
    blocks.Projection, blocks.VectorProjection, layers.Sequence, TimeConv,
)  # fmt: skip
PARTS = {blocks.preactivate: "preactivate", blocks.transform: "transform"}


def draws_in_order(module: nn.Module) -> bool:
    """Return whether a module may draw in the order of memory; noises of schemes do not."""
    known = type(module).__module__.startswith(("schemegen.network.", "torch.nn.modules."))
    return not known or isinstance(module, nn.Dropout)


def functional(module: fx.GraphModule) -> Functional:
    """Return a network as a function, in the mode it is in."""
    return _Writer(module).run()


def alone(block: nn.Module, shape: Sequence[int], call: tuple[Any, ...]) -> fx.GraphModule:
    """Return a network of one block, for inputs of a shape."""
    root, graph = nn.Module(), fx.Graph()
    root.block = block
    x = graph.placeholder("x")
    x.meta["shape"] = tuple(shape)
    graph.output(graph.call_module("block", (x, *call)))
    return fx.GraphModule(root, graph)


class _Writer:
    """Writes the graph of a network node by node."""

    def __init__(self, module: fx.GraphModule) -> None:
        self.module = module
        self.result = Functional(fx.Graph())
        self.graph = self.result.graph
        self.made: dict[fx.Node, fx.Node] = {}
        self.last: fx.Node | None = None
        self.origin: fx.Node | None = None

    def run(self) -> Functional:
        nodes = sorted(self.module.graph.nodes, key=lambda node: node.op != "placeholder")
        for node in nodes:  # inputs first, in whatever order a graph has them
            self.origin = node
            self.made[node] = self.write(node)
        self.graph.lint()
        annotate(self.module, self.graph, self.result.values)
        return self.result

    def write(self, node: fx.Node) -> fx.Node:
        if node.op == "placeholder":
            self.last = self.graph.node_copy(node)
            return self.last
        if node.op == "get_attr":
            return self.value(str(node.target))
        if node.op == "call_module":
            arguments = fx.map_arg(node.args, self.made.__getitem__)
            result = self.call(str(node.target), "forward", arguments)
        elif node.target in PARTS:
            block, *rest = node.args
            arguments = fx.map_arg(tuple(rest), self.made.__getitem__)
            result = self.call(str(block.target), PARTS[node.target], arguments)  # type: ignore[union-attr]
        else:
            result = self.graph.node_copy(node, self.made.__getitem__)
        if "shape" in node.meta:
            result.meta.setdefault("shape", node.meta["shape"])
        return result

    def value(self, path: str) -> fx.Node:
        """Return the argument for what the network has at ``path``."""
        values = self.result.values
        if path not in values:
            with self.graph.inserting_after(self.last):
                name = path.replace(".", "_")
                values[path] = self.last = self.graph.placeholder(name)
        return values[path]

    def smooth(self, path: str, layer: Smooth, args: tuple[Any, ...]) -> fx.Node | None:
        """Write the block of a knot with kernels between its own and those of the next knot."""
        x, depth, *told = args
        first, share = layer.place(depth)
        below, above = layer.knots[first], layer.knots[first + 1]
        plain = "shape" in x.meta and not any(isinstance(item, fx.Node) for item in told)
        if not plain or heard(above):
            return None
        written = functional(alone(below, x.meta["shape"], tuple(told)))
        if written.ordered or any(node.target is evaluate for node in written.graph.nodes):
            return None
        here, there = (f"{path}.knots.{place}" for place in (first, first + 1))
        parameters = dict(below.named_parameters())
        known = {next(iter(written.graph.nodes)): x}
        for place, node in written.values.items():
            name = place.removeprefix("block.")
            known[node] = self.value(f"{here}.{name}")
            if name in parameters:
                known[node] = self.between(known[node], self.value(f"{there}.{name}"), share)
        for own, modules in ((self.result.flat, written.flat), (self.result.modes, written.modes)):
            own.update(
                (f"{here}{name.removeprefix('block')}", item) for name, item in modules.items()
            )
        self.result.flat.update(above.named_modules(prefix=there))
        given = set(known)
        result: Any = self.graph.graph_copy(written.graph, known)
        for node in known.keys() - given:
            self.located(known[node])
        return result  # type: ignore[no-any-return]

    def between(self, start: fx.Node, end: fx.Node, share: float) -> fx.Node:
        """Return what lies between two parameters, computed in front of everything else."""
        assert self.last is not None
        with self.graph.inserting_after(self.last):
            found = self.graph.call_function(torch.lerp, (start, end, share))
        found.meta[FRONT] = True
        return found

    def emit(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        return self.create("call_function", target, args, kwargs)

    def create(
        self, op: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> fx.Node:
        return self.located(self.graph.create_node(op, target, args, kwargs))

    def located(self, node: fx.Node) -> fx.Node:
        """Note where a node comes from."""
        assert self.origin is not None
        for key in ("custom", "stack_trace"):
            if key in self.origin.meta:
                node.meta[key] = self.origin.meta[key]
        return node

    def call(self, path: str, method: str, args: tuple[Any, ...]) -> fx.Node:
        """Write a call of a module: a layer as a function, a block as its layers, others as they are."""
        module = self.module.get_submodule(path)
        if not observed(module):
            if method == "forward" and type(module) in WRITTEN:
                found = WRITTEN[type(module)](self, path, module, args)
                if found is not None:
                    self.result.flat[path] = module
                    return found
            elif type(module) in TRACED:
                inner = traced(module, method, args[1:])
                if inner is not None:
                    self.result.flat[path] = self.result.modes[path] = module
                    return self.inline(path, inner, args[0])
            elif isinstance(module, Noise | Power) and not any(
                isinstance(item, fx.Node) for item in args[1:]
            ):
                self.result.flat[path] = module
                return self.emit(drawn, self.value(path), *args)
        self.result.ordered |= any(map(draws_in_order, module.modules()))
        function = evaluate if method == "forward" else getattr(blocks, method)
        return self.emit(function, self.value(path), *args)

    def inline(self, path: str, inner: fx.Graph, x: fx.Node) -> fx.Node:
        """Write the traced body of a block."""
        known: dict[fx.Node, Any] = {}
        for node in inner.nodes:
            if node.op == "placeholder":
                known[node] = x
                continue
            args = fx.map_arg(node.args, known.__getitem__)
            if node.op == "output":
                result: fx.Node = args[0]
                return result
            place = f"{path}.{str(node.target).removeprefix('block.')}"
            if node.op == "call_module":
                known[node] = self.call(place, "forward", args)
            elif node.op == "get_attr":
                known[node] = self.value(place)
            else:
                target, args, kwargs = kernel(
                    node, args, fx.map_arg(node.kwargs, known.__getitem__)
                )
                known[node] = self.create(node.op, target, args, kwargs)
        raise AssertionError("a traced block has an output")


WRITTEN: Mapping[type[nn.Module], Callable[..., fx.Node | None]] = {
    **LAYERS,
    Smooth: _Writer.smooth,
}


DEFAULTS: dict[Any, dict[str, Any]] = {
    F.linear: {"bias": None},
    F.conv2d: {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    F.conv_transpose2d: {
        "bias": None, "stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1,
    },
    torch.split: {"dim": 0},
}  # fmt: skip


def kernel(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the kernel behind what a block calls, with all its arguments in order."""
    if node.target is F.relu:
        return torch.relu, args, {}
    if node.target in DEFAULTS:
        defaults = DEFAULTS[node.target]
        rest = [kwargs.get(name, value) for name, value in defaults.items()]
        missing = len(args) - 2
        return node.target, (*args, *rest[missing:]), {}
    return node.target, args, kwargs


class _Body(nn.Module):
    """A method of a block at given further arguments, to be traced."""

    def __init__(self, block: nn.Module, method: str, rest: tuple[Any, ...]) -> None:
        super().__init__()
        self.block = block
        self.method = method
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = getattr(self.block, self.method)(x, *self.rest)
        return result


class _Tracer(fx.Tracer):
    """Enters the one block that is traced; every module in it is a leaf."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name != "block"


def traced(module: nn.Module, method: str, rest: tuple[Any, ...]) -> fx.Graph | None:
    """Return the body of a block as a graph of its layers, None where it is no straight line."""
    if any(isinstance(item, fx.Node) for item in rest):
        return None
    body = _Body(module, method, rest)
    body.training = module.training
    try:
        graph = _Tracer().trace(body)
    except (fx.proxy.TraceError, TypeError, NotImplementedError):
        return None
    constant = any("constant" in str(n.target) for n in graph.nodes if n.op == "get_attr")
    return None if constant else graph
