"""Equations to statements: implicit groups are the strongly connected components of their dependencies.

Inside a group a *feedback set* of combined values is given at the start of a sweep; everything else follows
from it in order. States and named stages are preferred as feedback to values that lowering wrote itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import networkx as nx

from schemegen.diagnostics import InternalError
from schemegen.scheme.model import Solver
from schemegen.step.builder import ONE, Equation
from schemegen.step.program import Combine, Evaluate, Origin, Solve, Statement, Term

__all__ = ["arrange", "dependencies", "reads"]

Guess = Callable[[str], tuple[Term, ...]]


def reads(equation: Equation) -> tuple[str, ...]:
    """Return the values an equation reads."""
    match equation:
        case Combine(terms=terms):
            return tuple(term.value for term in terms)
        case Evaluate(at=at):
            return at


def dependencies(equations: Sequence[Equation]) -> nx.DiGraph[str]:
    """Return the graph with an edge from each value to those that read it."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(equation.target for equation in equations)
    for equation in equations:
        graph.add_edges_from(
            (value, equation.target) for value in reads(equation) if value in graph
        )
    return graph


def arrange(
    equations: Sequence[Equation],
    wanted: Sequence[str],
    solver: Solver | None,
    guess: Guess,
    preferred: Callable[[str], int],
) -> tuple[Statement, ...]:
    """Return statements in which every value is set before it is used.

    ``wanted`` are the values that leave the step; only what they need is kept. ``guess`` gives the first
    guess of a feedback value, ``preferred`` its rank as a feedback value (lower is better).
    """
    graph = dependencies(equations)
    needed = set(wanted).union(*(nx.ancestors(graph, value) for value in wanted))
    kept = [equation for equation in equations if equation.target in needed]
    graph = graph.subgraph(needed)
    place = {equation.target: index for index, equation in enumerate(kept)}
    by_name = {equation.target: equation for equation in kept}
    components = nx.condensation(graph)
    members = {
        node: sorted(data["members"], key=place.__getitem__)
        for node, data in components.nodes(data=True)
    }
    order = nx.lexicographical_topological_sort(
        components, key=lambda node: place[members[node][0]]
    )
    statements: list[Statement] = []
    for node in order:
        names = members[node]
        group = [by_name[name] for name in names]
        if len(names) == 1 and not graph.has_edge(names[0], names[0]):
            statements.append(group[0])
            continue
        if solver is None:
            raise InternalError(f"{', '.join(names)} depend on one another, but there is no solver")
        statements.extend(_solve(group, solver, guess, preferred))
    return tuple(statements)


def _solve(
    group: Sequence[Equation], solver: Solver, guess: Guess, preferred: Callable[[str], int]
) -> list[Statement]:
    """Return the solve of one group, and after it the members that are no targets again."""
    targets = _feedback(group, preferred)
    inner = _sweep(group, targets)
    names = {item.target: f"{item.target}_sweep" for item in inner if item.target not in targets}
    body = tuple(renamed(item, names) for item in _copies(inner, targets))
    span = next(item.origin.span for item in group if item.target == targets[0])
    guesses = tuple(guess(target) for target in targets)
    origin = Origin(span, targets[0])
    solve = Solve(targets, body, solver, guesses, origin)
    return [solve, *(item for item in inner if item.target not in targets)]


def _feedback(group: Sequence[Equation], preferred: Callable[[str], int]) -> tuple[str, ...]:
    """Return combined values without which the group has no cycle, in the order of writing."""
    graph = dependencies(group)
    names = [item.target for item in group if isinstance(item, Combine)]
    chosen: list[str] = []
    for name in sorted(names, key=preferred):
        if nx.is_directed_acyclic_graph(graph):
            break
        on_cycle = graph.has_edge(name, name) or any(
            name in part and len(part) > 1 for part in nx.strongly_connected_components(graph)
        )
        if on_cycle:
            chosen.append(name)
            graph.remove_node(name)
    if not nx.is_directed_acyclic_graph(graph):
        raise InternalError(f"no combined values close the cycles of {', '.join(names)}")
    return tuple(name for name in names if name in chosen)


def _sweep(group: Sequence[Equation], targets: tuple[str, ...]) -> list[Equation]:
    """Return one sweep in order: what reads a target's given value comes before its new one."""
    place = {item.target: index for index, item in enumerate(group)}
    by_name = {item.target: item for item in group}
    given: nx.DiGraph[str] = nx.DiGraph()
    given.add_nodes_from(place)
    soft: list[tuple[str, str]] = []
    for item in group:
        for value in set(reads(item)) & set(place):
            if value not in targets:
                given.add_edge(value, item.target)
            elif value != item.target:
                soft.append((item.target, value))
    for edge in sorted(soft, key=lambda pair: (place[pair[0]], place[pair[1]])):
        if not nx.has_path(given, edge[1], edge[0]):
            given.add_edge(*edge)
    order = nx.lexicographical_topological_sort(given, key=place.__getitem__)
    return [by_name[name] for name in order]


def _copies(sweep: Sequence[Equation], targets: tuple[str, ...]) -> list[Equation]:
    """Return the sweep with a copy of each target that is still read after its new value is set."""
    done: set[str] = set()
    late: dict[str, str] = {}
    for item in sweep:
        late.update({value: f"{value}_given" for value in reads(item) if value in done})
        if item.target in targets:
            done.add(item.target)
    copies: list[Equation] = [
        Combine(name, (Term(ONE, value),), Origin(None, value)) for value, name in late.items()
    ]
    return copies + [_reading(item, late) for item in sweep]


def _reading(equation: Equation, names: dict[str, str]) -> Equation:
    """Return the equation with other names for what it reads."""
    match equation:
        case Combine(target, terms, origin):
            changed = tuple(Term(t.coefficient, names.get(t.value, t.value)) for t in terms)
            return Combine(target, changed, origin)
        case Evaluate(at=at):
            return replace(equation, at=tuple(names.get(value, value) for value in at))


def renamed(equation: Equation, names: dict[str, str]) -> Equation:
    """Return the equation with other names for what it reads and sets."""
    match _reading(equation, names):
        case Combine(target, terms, origin):
            return Combine(names.get(target, target), terms, origin)
        case Evaluate(target=target) as changed:
            return replace(changed, target=names.get(target, target))
