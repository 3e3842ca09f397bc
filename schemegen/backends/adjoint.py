"""The adjoint of a network: the backward pass of its steps written out as calls of torch functions.

The discrete adjoint of a step program is a step program again: a combination ``y = sum_i c_i v_i`` hands
``c_i`` times the cotangent of y to each v_i, an evaluation ``k = f(v)`` hands back its vector-Jacobian product, in
reverse order. Here it is derived from the graph that the program was written as, so that its gradient is the exact
one of what runs; autograd keeps no graph of the steps and visits one node instead of one a call.

Source: Sanz-Serna (2016), Symplectic Runge-Kutta schemes for adjoint equations, sec. 3.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.annotating import FRONT
from schemegen.backends.cotangents import Scaled, Tape
from schemegen.backends.inplace import accumulate, reuse, side_by_side
from schemegen.backends.vjp import NORM, PULLBACKS, by_autograd, known, split
from schemegen.network.adjoint import Adjoint, Pair
from schemegen.network.functions import group_normed
from schemegen.network.noise import DRAWS

__all__ = ["with_adjoint"]

NORMS: dict[Any, Callable[..., Any]] = {
    F.group_norm: group_normed,
    F.layer_norm: torch.native_layer_norm,
}
"""By normalisation, the function that returns what its backward pass reads as well."""
LEAST = 6
"""A run of fewer calls is left to autograd: entering a function of its own costs as much."""


def with_adjoint(graph: fx.Graph) -> tuple[nn.Module, fx.Graph]:
    """Return the graph with each run of calls that can be pulled back as one call, and what holds these."""
    root = nn.Module()
    result = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    order = {node: index for index, node in enumerate(graph.nodes)}
    for run in runs(graph):
        if not written_out(run):
            for node in run:
                made[node] = result.node_copy(node, made.__getitem__)
            continue
        inside = set(run)
        given = list(dict.fromkeys(x for n in run for x in n.all_input_nodes if x not in inside))
        given.sort(key=lambda item: ("shape" not in item.meta, order[item]))
        leaving = [node for node in run if any(user not in inside for user in node.users)]
        name = f"run{len(list(root.children()))}"
        root.add_module(name, Run(given, run, leaving))
        called = result.call_module(name, tuple(made[item] for item in given))
        for index, node in enumerate(leaving):
            made[node] = result.call_function(operator.getitem, (called, index))
            made[node].meta.update(node.meta)
    result.lint()
    return root, result


def written_out(run: Sequence[fx.Node]) -> bool:
    """Return whether a row of nodes gets a backward pass of its own."""
    inside = set(run)
    whole = all(inside.issuperset(node.users) for node in run if node.target is torch.split)
    return len(run) >= LEAST and whole


def runs(graph: fx.Graph) -> list[list[fx.Node]]:
    """Return the nodes in rows of those that can be pulled back and those that cannot."""
    found: list[list[fx.Node]] = [[]]
    going = False
    for node in graph.nodes:
        inner = node.op.startswith("call") and known(node)
        if node.target is operator.getitem:
            whole = node.args[0]
            inner = going and whole in found[-1] and whole.target is torch.split
        if not (inner and going):
            found.append([])
        found[-1].append(node)
        going = inner
    return found[1:]


class Run(nn.Module):
    """Calls in a row with a backward pass of their own; see :class:`schemegen.network.adjoint.Pairs`."""

    def __init__(
        self, given: Sequence[fx.Node], run: Sequence[fx.Node], leaving: Sequence[fx.Node]
    ) -> None:
        super().__init__()
        self.graph, self.given, self.leaving = forward_graph(given, run, leaving)
        self.known: dict[tuple[tuple[bool, ...], bool], Pair] = {}
        self.pure: Callable[..., tuple[Tensor, ...]] | None = None

    def __call__(self, *inputs: Tensor) -> Any:  # no hooks here: half of what a module call costs
        return Adjoint.apply(self, *inputs)

    def first(self, *inputs: Tensor) -> Any:
        """Return the first result."""
        return Adjoint.apply(self, *inputs)[0]

    def of(self, needed: tuple[bool, ...], small: bool) -> Pair:
        key = (needed, small)
        if key not in self.known:
            self.known[key] = pair(self, needed, small)
        return self.known[key]

    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self.pure is None:
            self.pure = runnable(without_traces(self.graph, self.leaving))
        return self.pure(*inputs)


def runnable(graph: fx.Graph) -> Callable[..., Any]:
    """Return the code of a graph as a function of its placeholders."""
    made: Callable[..., Any] = fx.GraphModule(nn.Module(), graph).forward
    return made


def forward_graph(
    given: Sequence[fx.Node], run: Sequence[fx.Node], leaving: Sequence[fx.Node]
) -> tuple[fx.Graph, list[fx.Node], list[fx.Node]]:
    """Return a run as a graph without output, its inputs and its results; normalisations say all they computed."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    for node in given:
        made[node] = graph.placeholder(node.name)
        made[node].meta.update(node.meta)
    for node in run:
        if node.target is F.batch_norm:
            x, mean, variance, weight, bias, *more = node.args
            training, momentum, eps = (*more, 0.1, 1e-5)[:3]
            ordered = (x, weight, bias, mean, variance, training, momentum, eps)
            args = fx.map_arg(ordered, made.__getitem__)
            made[node] = first_of_three(graph.call_function(NORM, args))
        elif node.target in NORMS:
            own = fx.map_arg(node.args, made.__getitem__)
            made[node] = first_of_three(graph.call_function(NORMS[node.target], own))
        else:
            made[node] = graph.node_copy(node, made.__getitem__)
        made[node].meta.update(node.meta)
    return graph, [made[node] for node in given], [made[node] for node in leaving]


def first_of_three(normed: fx.Node) -> fx.Node:
    """Return the result of a normalisation; its statistics are taken too, for the backward pass."""
    first, *_ = (normed.graph.call_function(operator.getitem, (normed, i)) for i in range(3))
    return first


def pair(run: Run, needed: tuple[bool, ...], small: bool) -> Pair:
    """Write the backward pass to the ``needed`` inputs, and the forward pass that keeps what it reads."""
    wanted = [node for node, asks in zip(run.given, needed, strict=True) if asks]
    active = reached(run.graph, wanted)
    tape = Tape(frozenset(active), small)
    for node in run.leaving:
        if node in active:
            start = tape.placeholder(f"{node.name}_bar")
            start.meta.update(node.meta)
            tape.add(node, Scaled(1, start))
        else:
            tape.placeholder(f"{node.name}_bar")
    for node in reversed(list(run.graph.nodes)):
        if node in tape.pieces:
            split(tape, node, tape.pieces.pop(node))
        elif node.op != "placeholder" and node in active:
            if FRONT in node.meta:
                tape.flush()
            total = tape.total(node)
            if total is not None:
                PULLBACKS.get(node.target, by_autograd)(tape, node, total)
    tape.flush()
    results = []
    for node in wanted:
        total = tape.total(node)
        results.append(None if total is None else tape.tensor(total))
    tape.graph.output(tuple(results))
    tape.graph.eliminate_dead_code()
    given = {node: index for index, node in enumerate(run.given)}
    for node in [node for node, copy in tape.saved.items() if not copy.users]:
        tape.graph.erase_node(tape.saved.pop(node))
    kept = [node for node in tape.saved if node not in given]
    draws = [node for node in run.graph.nodes if node.target in DRAWS]
    kept += [node for node in draws if node not in kept]
    places = [given[node] for node in tape.saved if node in given]
    places += [i for i, asks in enumerate(needed) if asks and i not in places]
    order = [*(run.given[i] for i in places), *kept]
    reorder(tape, order)
    tape.graph.lint()
    reuse(tape.graph, frozenset())
    forward = copied(run.graph)
    nodes = dict(zip(run.graph.nodes, forward.nodes, strict=True))
    outputs = [nodes[node] for node in [*run.leaving, *kept]]
    forward.output(tuple(outputs))
    accumulate(forward)
    moved = frozenset() if small else side_by_side(forward)
    reuse(forward, moved.union(outputs))
    asked = tuple(index for index, asks in enumerate(needed) if asks)
    count = len(run.leaving)
    others = tuple(index for index in range(len(needed)) if index not in places)
    ways = runnable(forward), runnable(tape.graph)
    return Pair(*ways, count, tuple(places), others, asked, tuple(map(kept.index, draws)))


def copied(graph: fx.Graph) -> fx.Graph:
    result = fx.Graph()
    result.graph_copy(graph, {})
    return result


def reached(graph: fx.Graph, start: Iterable[fx.Node]) -> set[fx.Node]:
    """Return the nodes that depend on some."""
    found = set(start)
    for node in graph.nodes:
        if node.target not in DRAWS and found.intersection(node.all_input_nodes):
            found.add(node)
    return found


def reorder(tape: Tape, order: Sequence[fx.Node]) -> None:
    """Put the placeholders of saved values into an order, behind the cotangents; make those that are missing."""
    copies = [tape.value(node) for node in order]
    starts = [n for n in tape.graph.nodes if n.op == "placeholder" and n not in set(copies)]
    last = starts[-1]
    for node in copies:
        last.append(node)
        last = node


def without_traces(graph: fx.Graph, leaving: Sequence[fx.Node]) -> fx.Graph:
    """Return a run that leaves all buffers alone and is given what it drew, for autograd to follow."""
    result = fx.Graph()
    given = [node for node in graph.nodes if node.op == "placeholder"]
    given += [node for node in graph.nodes if node.target in DRAWS]
    made = {node: result.placeholder(node.name) for node in given}
    for node in graph.nodes:
        if node in made:
            continue
        if node.target == "add_":
            continue
        made[node] = result.node_copy(node, made.__getitem__)
        if node.target is NORM and node.args[5]:
            x, weight, bias, _, _, *more = made[node].args
            made[node].args = (x, weight, bias, None, None, *more)
    result.output(tuple(made[node] for node in leaving))
    return result
