"""From syntax nodes to checked schemes: every statement to its check, all mistakes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from schemegen.diagnostics import Label, Source
from schemegen.language.nodes import (
    Binding,
    Declaration,
    MultistepBlock,
    Name,
    SchemeNode,
    StepBlock,
    TableauBlock,
)
from schemegen.scheme import declarations, noises, params, settings
from schemegen.scheme.equations import equations
from schemegen.scheme.maps import maps
from schemegen.scheme.model import (
    Drift,
    Noise,
    Param,
    Schedule,
    Scheme,
    Solver,
    State,
    TableauPart,
    Tableaus,
    Update,
)
from schemegen.scheme.multisteps import multistep
from schemegen.scheme.names import Names
from schemegen.scheme.report import Report
from schemegen.scheme.statements import Parts, sort_statements, warn_unused
from schemegen.scheme.tableaus import tableau_part

__all__ = ["check_scheme"]

STATES = 16
PARAMS = 64

Lookup = Callable[[Name], Scheme | None]


def _only(report: Report, nodes: list[Declaration]) -> Declaration | None:
    """Return the one statement of its kind; later ones are reported."""
    for extra in nodes[1:]:
        report.add(
            "E0302",
            f"`{extra.keyword.id}` is declared twice",
            extra.span,
            f"first declared at {nodes[0].span.line}:{nodes[0].span.column}",
            labels=[Label(nodes[0].span, "first declared here")],
        )
    return nodes[0] if nodes else None


def _edition(report: Report, nodes: list[Declaration]) -> None:
    node = _only(report, nodes)
    if node is None:
        return
    words = [item.name.id for item in node.attributes]
    if words != ["v1"] or node.targets:
        report.add(
            "E0126", "this edition of the language is not known", node.span, "write `edition: v1`"
        )


def _declare(names: Names, found: Parts) -> tuple[tuple[State, ...], tuple[Drift, ...]]:
    """Enter every name, so that statements may stand in any order."""
    states = tuple(item for node in found.of("state") for item in declarations.states(names, node))
    drifts = tuple(item for node in found.of("drift") for item in declarations.drifts(names, node))
    for keyword in ("param", "noise"):
        for node in found.of(keyword):
            for target in node.targets:
                names.declare(target.name, keyword)
            if not node.targets:
                names.report.add(
                    "E0125", f"`{keyword}` names nothing", node.span, f"write `{keyword} k: ..`"
                )
    for node in found.of("drift"):
        declarations.drift_arguments(names, node)
    return states, drifts


def _bindings(names: Names, nodes: list[Binding]) -> dict[str, list[object]]:
    results: dict[str, list[object]] = {"const": [], "schedule": [], "stepsize": []}
    for node in nodes:
        match node.keyword.id:
            case "const":
                results["const"].append(declarations.constant(names, node))
            case "schedule":
                results["schedule"].append(declarations.schedule(names, node))
            case _:
                if results["stepsize"]:
                    names.report.add("E0302", "`stepsize` is declared twice", node.span, "keep one")
                results["stepsize"].append(declarations.step_size(names, node))
    return results


def _update(
    names: Names,
    node: SchemeNode,
    found: Parts,
    states: tuple[State, ...],
    drifts: tuple[Drift, ...],
    solver: Solver | None,
) -> Update | None:
    """Return the one block that defines the update (E0217 where several do)."""
    report = names.report
    known_maps = maps(names, found.maps, drifts)
    blocks: list[TableauBlock | StepBlock | MultistepBlock] = [
        *found.tableaus,
        *found.steps,
        *found.multisteps,
    ]
    blocks.sort(key=lambda block: block.span.start)
    if not blocks:
        if node.span.start not in report.damaged:
            report.add(
                "E0221",
                f"the scheme `{node.name.id}` does not say how its state is updated",
                node.name.span,
                "add a `tableau`, `multistep` or `step { }` block",
            )
        return None
    kinds = {block.keyword.id for block in blocks}
    extra = next((block for block in blocks if block.keyword.id != blocks[0].keyword.id), None)
    if extra is None and len(blocks) > 1 and kinds != {"tableau"}:
        extra = blocks[1]
    if extra is not None:
        first = blocks[0].keyword
        both = (
            f"both `{first.id}` and `{extra.keyword.id}` define the update"
            if first.id != extra.keyword.id
            else f"two `{first.id}` blocks define the update"
        )
        report.add(
            "E0217",
            both,
            extra.keyword.span,
            "keep one",
            labels=[Label(first.span, "the other one")],
        )
        return None
    if found.steps:
        return equations(
            names, found.steps[0], states, drifts, known_maps, has_solver=solver is not None
        )
    if found.multisteps:
        return multistep(names, found.multisteps[0], states, drifts, has_solver=solver is not None)
    return _tableaus(names, found.tableaus, states, drifts, solver)


def _tableaus(
    names: Names,
    blocks: list[TableauBlock],
    states: tuple[State, ...],
    drifts: tuple[Drift, ...],
    solver: Solver | None,
) -> Tableaus | None:
    report = names.report
    additive = len(blocks) > 1
    checked = [tableau_part(names, block, drifts, additive=additive) for block in blocks]
    parts = [part for part in checked if part is not None]
    for part, block in zip(checked, blocks, strict=True):
        if part is not None and part.tableau.kind in {"implicit", "dirk"} and solver is None:
            word = next(item for item in block.modifiers if item.id == part.tableau.kind)
            report.add(
                "E0206",
                f"{'an implicit' if word.id == 'implicit' else 'a dirk'} tableau needs a `solve` "
                "statement",
                word.span,
                "add `solve: fixed_point, iterations 4`",
            )
    if len(states) > 1:
        report.add(
            "E0222",
            "a tableau updates one state",
            blocks[0].keyword.span,
            "write several states as `step { }` equations",
        )
        return None
    if len(parts) != len(blocks):
        return None
    _additive(report, parts, blocks)
    return Tableaus(tuple(parts))


def _additive(report: Report, parts: list[TableauPart], blocks: list[TableauBlock]) -> None:
    """Check that the parts of an additive method fit together (E0209, E0218)."""
    if len(parts) < 2:
        return
    seen: set[str] = set()
    for part, block in zip(parts, blocks, strict=True):
        if not any(word.id == "for" for word in block.modifiers):
            report.add(
                "E0218",
                "with several tableaus each one must name its drift",
                block.keyword.span,
                "write `tableau explicit for f`",
            )
        elif seen & set(part.drifts):
            twice = ", ".join(f"`{name}`" for name in sorted(seen & set(part.drifts)))
            report.add(
                "E0217",
                f"two tableaus define the update by {twice}",
                block.keyword.span,
                "keep one",
            )
        seen |= set(part.drifts)
        if part.tableau.stages != parts[0].tableau.stages:
            first, second = parts[0], part
            report.add(
                "E0209",
                f"the tableaus of `{first.drifts[0]}` and `{second.drifts[0]}` have different stage "
                f"counts, {first.tableau.stages} and {second.tableau.stages}",
                block.keyword.span,
                "pad with a zero stage",
            )


def check_scheme(report: Report, source: Source, node: SchemeNode, lookup: Lookup) -> Scheme | None:
    """Return the checked scheme, or None after reporting its mistakes.

    ``lookup`` finds the scheme that ``start: NAME`` names.
    """
    before = len(report.diagnostics)
    names = Names(report)
    found = sort_statements(report, node)
    states, drifts = _declare(names, found)
    _limits(names)
    bindings = _bindings(names, found.bindings)
    for definition in found.maps:
        names.declare(definition.name, "map")
    if not states and node.span.start not in report.damaged:
        report.add(
            "E0323", f"the scheme `{node.name.id}` has no state", node.name.span, "add `state u`"
        )
        return None
    if not found.of("drift") and node.span.start not in report.damaged:
        report.add(
            "E0323", f"the scheme `{node.name.id}` has no drift", node.name.span, "add `drift f(u)`"
        )
    all_params = tuple(item for n in found.of("param") for item in params.params(names, n))
    schedules = tuple(item for item in bindings["schedule"] if isinstance(item, Schedule))
    all_noises = _noises(names, found, schedules, all_params)
    damping_node = _only(report, found.of("damping"))
    damping = settings.damping(names, damping_node) if damping_node is not None else None
    solve_node = _only(report, found.of("solve"))
    solver = settings.solver(names, solve_node) if solve_node is not None else None
    _edition(report, found.of("edition"))
    start_node, transition_node = (
        _only(report, found.of("start")),
        _only(report, found.of("transition")),
    )
    start_setting = settings.start(names, start_node) if start_node is not None else None
    transition = (
        settings.transition(names, transition_node) if transition_node is not None else None
    )
    declared_solver = solver
    if solver is None and (solve_node is not None or "solve" in report.poisoned):
        declared_solver = Solver("fixed_point", node.name.span)  # it was declared, only wrongly
    update = _update(names, node, found, states, drifts, declared_solver)
    claims = [declarations.expectation(names, item) for item in found.expectations]
    if report.spoiled_since(before) or update is None:
        return None
    warn_unused(names, found)
    if node.span.start in report.damaged:
        return None
    scheme = Scheme(
        name=node.name.id,
        title=node.title.text if node.title is not None else "",
        source=source,
        span=node.span,
        states=states,
        drifts=drifts,
        params=all_params,
        constants=tuple(item for item in bindings["const"] if isinstance(item, tuple)),
        schedules=schedules,
        noises=all_noises,
        damping=damping,
        solver=solver,
        update=update,
        expectations=tuple(item for item in claims if item is not None),
    )
    sizes = [item for item in bindings["stepsize"] if item is not None]
    if sizes:
        scheme = replace(scheme, step_size=sizes[0])
    if transition is not None:
        scheme = replace(scheme, transition=transition)
    if start_setting is not None:
        setting, wanted = start_setting
        starter = lookup(wanted) if wanted is not None else None
        if wanted is not None and starter is None:
            return None
        scheme = replace(scheme, start=replace(setting, scheme=starter))
    return scheme


def _limits(names: Names) -> None:
    for kind, limit in (("state", STATES), ("param", PARAMS)):
        declared = names.of_kind(kind)
        if len(declared) > limit:
            names.report.add(
                "E0118",
                f"the scheme has {len(declared)} {kind}s, the limit is {limit}",
                names.spans[declared[limit]],
                "limits are listed in `explain E0118`",
            )


def _noises(
    names: Names, found: Parts, schedules: Sequence[Schedule], all_params: Sequence[Param]
) -> tuple[Noise, ...]:
    result: list[Noise] = []
    for node in found.of("noise"):
        result += noises.noises(names, node, schedules, all_params)
    return tuple(result)
