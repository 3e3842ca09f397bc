"""``step { }``: every value assigned before it is used, and only once."""

from __future__ import annotations

from schemegen.diagnostics import Label, Span
from schemegen.language.nodes import (
    Assignment,
    Index,
    Name,
    StepBlock,
)
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Drift, Equations, MapDefinition, State
from schemegen.scheme.names import RESERVED, Names
from schemegen.scheme.scopes import (
    Scope,
    ask_for_step_size,
    check_coefficients,
    check_names,
    is_tensor,
    warn_nonlinear,
)
from schemegen.scheme.times import check_times

__all__ = ["equations"]


def equations(
    names: Names,
    node: StepBlock,
    states: tuple[State, ...],
    drifts: tuple[Drift, ...],
    known_maps: tuple[MapDefinition, ...],
    *,
    has_solver: bool,
) -> Equations | None:
    """Return the checked equations of a step, or None after reporting what is wrong with them."""
    report = names.report
    before = len(report.diagnostics)
    arity = {drift.name: len(drift.arguments) + drift.timed for drift in drifts}
    arity.update((item.name, len(item.arguments)) for item in known_maps)
    state_names = {item.name for item in states}
    local_places = _locals(names, node)
    assigned: dict[str, Span] = {}
    scope = Scope(names, arity, set(), state_names)
    for assignment in node.assignments:
        _uses_in_order(names, assignment, local_places, scope)
        scope.reads_next = {}
        if check_names(scope, assignment.value):
            check_coefficients(scope, assignment.value)
            check_times(names, assignment.value, drifts)
        warn_nonlinear(scope, assignment.value)
        _implicit(names, scope, assigned, has_solver=has_solver)
        _assign(names, scope, assignment, assigned)
        if report.pedantic and isinstance(assignment.target, Index):
            ask_for_step_size(scope, assignment.value, set(arity))
    if node.span.start not in report.damaged:
        _all_updated(names, states, assigned)
    if any(item.is_error for item in report.diagnostics[before:]):
        return None
    return Equations(node.assignments, known_maps, node.span)


def _locals(names: Names, node: StepBlock) -> dict[str, Span]:
    """Return where each local value is first assigned."""
    found: dict[str, Span] = {}
    for assignment in node.assignments:
        target = assignment.target
        if isinstance(target, Name) and target.id not in names.kinds and target.id not in RESERVED:
            found.setdefault(target.id, target.span)
    return found


def _uses_in_order(
    names: Names, assignment: Assignment, places: dict[str, Span], scope: Scope
) -> None:
    """Report locals that are used before they are assigned (E0307), each once."""
    ready = scope.tensors | scope.scalars
    for part in parts(assignment.value):
        if isinstance(part, Name) and part.id in places and part.id not in ready:
            place = places[part.id]
            scope.tensors.add(part.id)
            ready.add(part.id)
            if place.start < assignment.span.start:
                continue  # its own equation is in error and was reported
            help_text = (
                f"move line {place.line} above line {assignment.span.line}"
                if place.line != assignment.span.line
                else "a value cannot be used in its own equation"
            )
            names.report.add(
                "E0307",
                f"stage `{part.id}` is used before it is assigned",
                part.span,
                help_text,
                labels=[Label(place, "assigned here")] if place.line != part.span.line else (),
            )


def _implicit(names: Names, scope: Scope, assigned: dict[str, Span], *, has_solver: bool) -> None:
    for state, span in scope.reads_next.items():
        if state not in assigned and not has_solver:
            names.report.add(
                "E0308",
                f"`{span.text}` on the right makes this equation implicit",
                span,
                "add `solve: fixed_point, iterations 4`",
            )


def _assign(names: Names, scope: Scope, assignment: Assignment, assigned: dict[str, Span]) -> None:
    target = assignment.target
    report = names.report
    if isinstance(target, Index):
        name = target.name
        if name not in scope.states:
            report.unknown(
                "E0301", f"`{name}` is not a state", name, target.span, scope.states, "state"
            )
            return
        if target.base != "n" or target.offset != 1:
            beyond = target.base == "n" and target.offset > 1
            report.add(
                "E0306",
                f"`{target.span.text}` is beyond the step being computed"
                if beyond
                else f"`{target.span.text}` is already known and cannot be assigned",
                target.span,
                f"assign `{name}[n+1]`",
                replacement=f"{name}[n+1]",
                applicability="maybe",
            )
            assigned.setdefault(name, target.span)
            return
        label = f"{name}[n+1]"
    else:
        name = label = target.id
        if name in names.kinds or name in RESERVED:
            kind = names.kinds.get(name)
            if kind == "state":
                report.add(
                    "E0315",
                    f"the state `{name}` needs its step",
                    target.span,
                    f"write `{name}[n+1]`",
                    replacement=f"{name}[n+1]",
                )
                assigned.setdefault(name, target.span)
            elif name in RESERVED:
                report.add(
                    "E0303",
                    f"`{name}` is reserved for {RESERVED[name]}",
                    target.span,
                    "choose another name",
                )
            else:
                report.add(
                    "E0302",
                    f"`{name}` is declared twice",
                    target.span,
                    f"it is a {kind} already; choose another name",
                    labels=[Label(names.spans[name], "first declared here")],
                )
            return
        (scope.tensors if is_tensor(scope, assignment.value) else scope.scalars).add(name)
    if label in assigned or (name in assigned and isinstance(target, Index)):
        first = assigned.get(label, assigned.get(name))
        assert first is not None
        report.add(
            "E0311",
            f"`{label}` is assigned twice",
            target.span,
            f"first assigned at {first.line}:{first.column}",
            labels=[Label(first, "first assigned here")],
        )
        return
    assigned[name] = target.span


def _all_updated(names: Names, states: tuple[State, ...], assigned: dict[str, Span]) -> None:
    for state in states:
        if state.name not in assigned:
            names.report.add(
                "E0305",
                f"state `{state.name}` is never updated",
                state.span,
                f"add `{state.name}[n+1] = ...`",
            )
