"""The graph backend: the whole network as one ``fx.GraphModule``, built by ``Graph`` calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import fx, nn

from schemegen.backends import modules
from schemegen.backends.backprop import Request, with_plan
from schemegen.backends.builder import (
    FUNCTIONS,
    METHODS,
    PATH,
    Construction,
    Mark,
    Number,
    Place,
    RawParameter,
    Ref,
    Sweep,
)
from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.names import attribute, variable
from schemegen.backends.picklable import PicklableGraph
from schemegen.backends.plan import Register, StepPlan, plan, states_of
from schemegen.backends.shapes import first_line, propagate
from schemegen.backends.steps import Network, Step
from schemegen.diagnostics import Diagnostic, SchemeError, Span
from schemegen.scheme.extents import MisfitError, behind_stem
from schemegen.scheme.network import NetworkSpec
from schemegen.step.program import Program
from schemegen.step.regroup import regroup

__all__ = ["GraphBuilder", "emit_graph", "image_size", "started", "unplanned", "unrolled"]


class GraphBuilder:
    """Adds nodes to a graph; modules and parameters grow on ``root`` under ``prefix``."""

    def __init__(self, root: nn.Module, graph: fx.Graph, program: Program) -> None:
        self.root = root
        self.graph = graph
        self.program = program
        self.prefix = ""
        self.label = ""
        self.where: tuple[int | str, int | None] = ("", None)
        self.mark = Mark(None, "")
        self.attributes: dict[str, fx.Node] = {}
        self.made: dict[str, Construction] = {}
        self.handed: dict[str, fx.Node] | None = None
        self.drawn: fx.Node | None = None

    def enter(self, step: StepPlan) -> None:
        """Begin a step: names and paths that follow are its own."""
        self.prefix = f"stage{step.stage}.{step.index}"
        self.label = f"stage{step.stage}_step{step.index}_"
        self.where = (step.stage, step.index)

    def at(self, mark: Mark) -> None:
        self.mark = mark

    def path(self, where: Place) -> str:
        return where.name if where.shared or not self.prefix else f"{self.prefix}.{where.name}"

    def declare_module(self, where: Place, construction: Construction) -> None:
        path = self.path(where)
        if self.handed is None and not holds(self.root, path):
            self.made[path] = construction
            try:
                attach(self.root, path, construction.instance())
            except (ValueError, TypeError) as error:
                message = f"{path} cannot be built: {first_line(error)}"
                raise SchemeError([Diagnostic("E0605", message, self.mark.span)]) from error

    def declare_parameter(self, where: Place, parameter: RawParameter) -> None:
        path = self.path(where)
        if self.handed is None and not holds(self.root, path):
            tensor = parameter.initial(parameter.shape)
            attach(self.root, path, nn.Parameter(tensor, requires_grad=parameter.learnable))

    def node(
        self, op: str, target: Any, args: tuple[Any, ...], name: str, kwargs: Any = None
    ) -> fx.Node:
        name = name.replace("_next", "") or name
        made = self.graph.create_node(
            op, target, plain(args), plain(kwargs or {}), name=f"{self.label}{name}"
        )
        self.annotate(made)
        return made

    def annotate(self, node: fx.Node) -> None:
        """Say which line of which scheme a node comes from; exporters keep both fields."""
        span = self.mark.span
        file, line = (span.source.name, span.line) if span is not None else (self.program.name, 1)
        stage, step = self.where
        node.meta["span"] = span
        node.stack_trace = f'File "{file}", line {line}, in {self.mark.value}'
        node.meta["custom"] = {
            "scheme": self.program.name,
            "file": file,
            "line": line,
            "stage": stage,
            "step": step,
            "value": self.mark.value,
        }

    def call(
        self, function: str, args: tuple[Any, ...], name: str, kwargs: dict[str, Any] | None = None
    ) -> Ref:
        if function in METHODS:
            return self.node("call_method", METHODS[function], args, name, kwargs)
        return self.node("call_function", FUNCTIONS[function], args, name, kwargs)

    def module(self, where: Place, args: tuple[Any, ...], name: str) -> Ref:
        if self.handed is not None:
            return self.call("evaluate", (self.handed[where.name], *args), name)
        return self.node("call_module", self.path(where), args, name)

    def attribute(self, where: Place) -> Ref:
        if self.handed is not None:
            return self.handed[where.name]
        path = self.path(where)
        if path not in self.attributes:
            label, self.label = self.label, "" if where.shared else self.label
            name = where.name if holds_module(self.root, path) else f"{where.name}_raw"
            self.attributes[path] = self.node("get_attr", path, (), name)
            self.label = label
        return self.attributes[path]

    def path_draw(self) -> Ref:
        return self.drawn

    def sweep(self, where: Place, inputs: tuple[tuple[str, Ref], ...], body: Sweep) -> Ref:
        inner = GraphBuilder(nn.Module(), fx.Graph(), self.program)
        inner.label, inner.where, inner.mark = "", self.where, self.mark
        nodes = []
        inner.handed = {}
        for name, _ in inputs:
            kind, _, text = name.rpartition(":")
            node = inner.graph.placeholder(f"{kind}_{variable(text)}" if kind else variable(text))
            inner.annotate(node)
            nodes.append(node)
            if kind == "block":
                inner.handed[text] = node
            elif kind == "draw":
                inner.drawn = node
        results = body(inner, tuple(nodes))
        inner.graph.output(results)
        inner.graph.lint()
        attach(self.root, self.path(where), PicklableGraph(inner.root, inner.graph, "Sweep"))
        return self.attribute(where)


def plain(value: Any) -> Any:
    """Replace numbers by Python's own, in any nesting of arguments."""
    if isinstance(value, Number):
        return value.python
    if isinstance(value, tuple | list):
        return type(value)(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def holds(root: nn.Module, path: str) -> bool:
    """Return whether ``root`` has an attribute at a dotted path."""
    for name in path.split("."):
        if not hasattr(root, name):
            return False
        root = getattr(root, name)
    return True


def holds_module(root: nn.Module, path: str) -> bool:
    """Return whether a module, not a parameter, is at a dotted path."""
    found: object = root
    for name in path.split("."):
        found = getattr(found, name, None)
    return isinstance(found, nn.Module)


def attach(root: nn.Module, path: str, value: nn.Module | nn.Parameter) -> None:
    """Set the attribute at a dotted path, with plain modules between."""
    *outer, last = path.split(".")
    for name in outer:
        if not hasattr(root, name):
            root.add_module(name, nn.Module())
        root = getattr(root, name)
    setattr(root, last, value)


def image_size(spec: NetworkSpec) -> tuple[int, ...]:
    """Return the image's size after the stem, empty for vectors."""
    try:
        return behind_stem(spec).size
    except MisfitError as error:
        raise SchemeError([modules.misfit(error)]) from None


def unrolled(program: Program, spec: NetworkSpec, blocks: Mapping[str, str] | None) -> Network:
    """Return the network's steps, with what they share, in the fewest terms."""
    program = regroup(program)
    steps = plan(program, spec, image_size(spec))
    return Network(program, spec, dict(blocks or {}), steps)


def emit_graph(
    program: Program,
    spec: NetworkSpec,
    *,
    seed: int | None = 0,
    dtype: torch.dtype | None = None,
    blocks: Mapping[str, str] | None = None,
    backprop: Request | None = None,
) -> SchemeNetwork:
    """Return the network of ``program`` as one graph module.

    Args:   seed: of the initial weights; the global generator is left as it was, None draws from it.
            dtype: the network is cast to it as a whole. blocks: ``module:Class`` by block name.
            backprop: what the backward pass keeps; None keeps all activations.
    Errors: SchemeError where a block or layer does not fit its shapes, at the line of the scheme.
    """
    module, network = unplanned(program, spec, seed=seed, dtype=dtype, blocks=blocks)
    return with_plan(module, network, backprop or Request(), partial(started, program))


def unplanned(
    program: Program,
    spec: NetworkSpec,
    *,
    seed: int | None = 0,
    dtype: torch.dtype | None = None,
    blocks: Mapping[str, str] | None = None,
) -> tuple[SchemeNetwork, Network]:
    """Return the network as one graph that keeps all activations, and its steps with their values at borders."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network = unrolled(program, spec, blocks)
        root, graph = nn.Module(), fx.Graph()
        builder = GraphBuilder(root, graph, program)
        build(network, builder)
    graph.lint()
    module = SchemeNetwork(root, graph, attribute(program.name))
    module.meta["coefficients"] = coefficient_facts(network)
    module.meta["program"] = program.name
    module.meta["network"] = spec.name
    if dtype is not None:
        module.to(dtype)
    propagate(module, spec, builder.made)
    return module, network


def started(program: Program, step: StepPlan, root: nn.Module) -> GraphBuilder:
    """Return a builder of a new graph at a step of a network that is there."""
    builder = GraphBuilder(root, fx.Graph(), program)
    builder.enter(step)
    return builder


def coefficient_facts(network: Network) -> dict[str, dict[str, Any]]:
    """Return, by state-dict key, what training and reports ask of a learnable coefficient."""
    return {
        key: {
            "name": param.name,
            "decay": param.decay,
            "learnable": param.learnable,
            "via": None if param.via is None else str(param.via),
            "range": None if param.range is None else (str(param.range.low), str(param.range.high)),
            "per": param.per,
        }
        for key, param in network.coefficients.items()
    }


def build(network: Network, builder: GraphBuilder) -> None:
    """Write stem, steps and head."""
    program, spec = network.program, network.spec
    graph = builder.graph
    builder.where = ("input", None)
    builder.at(Mark(spec.span, "input"))
    x = graph.placeholder("x")
    builder.annotate(x)
    u: Ref = x
    for index, (name, construction) in enumerate(modules.stem(spec)):
        u = layer(builder, "stem", index, name, construction, u, spec.stem[index].span)
    u = builder.call("torch.Tensor.type_as", (u, x), "stem_u")
    states = split(builder, program, spec.stem_width, u)
    if network.drops_paths:
        place = Place(PATH, shared=True)
        builder.declare_module(place, Construction("PathDraw"))
        builder.drawn = builder.module(place, (u,), PATH)
    history: dict[Register, Ref] = {}
    network.borders.append((states, history))
    for step in network.steps:
        builder.enter(step)
        states, given = Step(network, step, builder).write(states, history)
        history = advance(step, history, given)
        network.borders.append((states, history))
    builder.prefix = builder.label = ""
    last = network.steps[-1].after if network.steps else None
    parts = [states[s.name] for s in program.states if s.name not in program.start.zero]
    builder.where = ("head", None)
    builder.at(Mark(spec.span, "head"))
    u = parts[0] if len(parts) == 1 else builder.call("torch.cat", (parts, Number(1)), "head_u")
    width, size = (
        (last.width, last.size) if last is not None else (spec.stem_width, image_size(spec))
    )
    for index, (name, construction) in enumerate(modules.head(spec, width, size)):
        span = next((item.span for item in spec.head if item.name == name), spec.span)
        u = layer(builder, "head", index, name, construction, u, span)
    builder.annotate(graph.output(u))


def layer(
    builder: GraphBuilder,
    group: str,
    index: int,
    name: str,
    construction: Construction,
    u: Ref,
    span: Span,
) -> Ref:
    """Write one layer of the stem or head."""
    builder.where = (group, None)
    builder.at(Mark(span, name))
    where = Place(f"{group}.{index}", shared=True)
    builder.declare_module(where, construction)
    return builder.module(where, (u,), f"{group}_{name}")


def split(builder: GraphBuilder, program: Program, width: int, u: Ref) -> dict[str, Ref]:
    """Share the stem's channels among the principal states; the others start at zero."""
    zero = set(program.start.zero)
    shares = states_of(program, width)
    names = [state.name for state in program.states if state.name not in zero]
    result: dict[str, Ref] = {names[0]: u}
    if len(names) > 1:
        sizes = [Number(shares[name]) for name in names]
        parts = builder.call("torch.split", (u, sizes, Number(1)), "stem_parts")
        for index, name in enumerate(names):
            result[name] = builder.call("getitem", (parts, Number(index)), f"stem_{variable(name)}")
    for name in sorted(zero):
        result[name] = builder.call(
            "torch.zeros_like", (result[names[0]],), f"stem_{variable(name)}"
        )
    return {state.name: result[state.name] for state in program.states}


def advance(
    step: StepPlan, history: Mapping[Register, Ref], given: Mapping[Register, Ref]
) -> dict[Register, Ref]:
    """Return the registers after a step: what it gave, what moved on, what is filled up."""
    result = dict(given)
    for register in step.shift:
        result[register] = history[Register(register.of, register.lag - 1)]
    for register in step.fill:
        result[register] = given[Register(register.of, 1)]
    return result
