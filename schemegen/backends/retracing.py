"""A step that is undone and run again as one function, in which both share the evaluations of the branches."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from torch import fx, nn

from schemegen.backends.picklable import PicklableGraph
from schemegen.network.retrace import evaluated, leaf, reused, taken
from schemegen.network.solvers import evaluate

__all__ = ["retraced"]

Key = tuple[str, str]


def retraced(
    step: fx.GraphModule, names: Sequence[str], back: fx.GraphModule, others: Sequence[str]
) -> fx.GraphModule | None:
    """Return ``(carry after, *owners) -> (carry before, carry after)``, with a graph from first to second.

    ``step`` is the step and ``back`` the step written backwards, both functions of a carry and of owners with
    the given names; owners are handed on as the step has them, the carry after is a list that is emptied. None
    where the inverse evaluates what the step does not.
    """
    if not set(others) <= set(names):
        return None
    form, inverse = step.graph, back.graph
    slopes, again = branches(form, names), branches(inverse, others)
    if not again or not set(again.values()) <= set(slopes.values()):
        return None
    graph = fx.Graph()
    width = len(list(inverse.find_nodes(op="placeholder"))) - len(others)
    given = graph.placeholder("after")
    owners = {name: graph.placeholder(f"owner{index}") for index, name in enumerate(names)}
    whole = graph.call_function(taken, (given,))
    after = [graph.call_function(operator.getitem, (whole, index)) for index in range(width)]
    records: dict[Key, tuple[fx.Node, fx.Node]] = {}

    def undoing(node: fx.Node, made: dict[fx.Node, fx.Node]) -> fx.Node:
        both = graph.call_function(evaluated, fx.map_arg(node.args, made.__getitem__))
        value, record = (graph.call_function(operator.getitem, (both, place)) for place in (0, 1))
        records[again[node]] = record, value
        return value

    def running(node: fx.Node, made: dict[fx.Node, fx.Node]) -> fx.Node:
        if slopes[node] not in records:
            return graph.node_copy(node, made.__getitem__)
        arguments = fx.map_arg(node.args[1:], made.__getitem__)
        return graph.call_function(reused, (*records[slopes[node]], *arguments))

    def copied(source: fx.Graph, start: Sequence[fx.Node], called: Sequence[str]) -> list[fx.Node]:
        given = [*start, *(owners[name] for name in called)]
        made = dict(zip(source.find_nodes(op="placeholder"), given, strict=True))
        write = undoing if source is inverse else running
        for node in source.nodes:
            if node.op == "output":
                return [made[item] for item in node.args[0]]
            if node not in made:
                is_branch = node.target is evaluate
                made[node] = write(node, made) if is_branch else graph.node_copy(node, made.get)
        return []

    before = [graph.call_function(leaf, (item,)) for item in copied(inverse, after, others)]
    results = copied(form, before, names)
    graph.output((tuple(before), tuple(results)))
    graph.lint()
    return PicklableGraph(nn.Module(), graph, "Retraced")


def branches(form: fx.Graph, names: Sequence[str]) -> dict[fx.Node, Key]:
    """Return the evaluations of a form, each with the value of the step that it is and the branch's name."""
    owners = list(form.find_nodes(op="placeholder"))[-len(names) :] if names else []
    known = dict(zip(owners, names, strict=True))
    return {
        node: (node.meta["custom"]["value"], known[node.args[0]])
        for node in form.nodes
        if node.target is evaluate
    }
