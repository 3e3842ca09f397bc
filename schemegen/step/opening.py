"""First steps by another scheme: ``start: rk2`` takes the update of ``rk2`` on this scheme's drifts."""

from __future__ import annotations

from dataclasses import replace

from schemegen.diagnostics import InternalError
from schemegen.scheme.model import Scheme, Start, Tableaus
from schemegen.step import passes
from schemegen.step.builder import after, drift_fields, now
from schemegen.step.program import Evaluate, Origin, Program, Solve, Statement

__all__ = ["fitted", "keeping"]


def fitted(scheme: Scheme, other: Scheme) -> Scheme:
    """Return ``other`` with the damping of ``scheme`` and, if it is one tableau, its state and drifts."""
    adopted = replace(
        other,
        name=scheme.name,
        step_size=scheme.step_size,
        damping=scheme.damping,
        start=Start(),
        transition=scheme.transition,
    )
    match other.update:
        case Tableaus(parts=(part,)):
            names = tuple(drift.name for drift in scheme.drifts)
            update = Tableaus((replace(part, drifts=names),))
            return replace(adopted, states=scheme.states, drifts=scheme.drifts, update=update)
        case _:
            return adopted


def keeping(scheme: Scheme, program: Program, kept: tuple[str, ...]) -> Program:
    """Return ``program`` on the states and drifts of ``scheme``, matched in order, setting ``kept``."""
    if len(program.states) != len(scheme.states) or program.inputs:
        raise InternalError(f"{program.name} cannot take the first steps of {scheme.name}")
    names: dict[str, str] = {}
    for ours, theirs in zip(scheme.states, program.states, strict=True):
        names |= {now(theirs.name): now(ours.name), after(theirs.name): after(ours.name)}
    drifts = [field.name for field in program.fields if field.kind == "drift"]
    if len(drifts) != len(scheme.drifts):
        raise InternalError(f"{program.name} has {len(drifts)} drifts for {len(scheme.drifts)}")
    fields = dict(zip(drifts, (drift.name for drift in scheme.drifts), strict=True))
    statements = tuple(
        _on_fields(passes.renamed(item, names), fields) for item in program.statements
    )
    ours_by_name = {drift.name: drift for drift in scheme.drifts}
    first: list[Statement] = []
    for value in kept:
        field = value.partition("(")[0]
        at = tuple(now(state) for state in ours_by_name[field].arguments)
        first.append(Evaluate(value, field, at, 0, 0, Origin(ours_by_name[field].span, value)))
    pointwise = tuple(item for item in program.fields if item.kind == "pointwise")
    adopted = replace(
        program,
        states=scheme.states,
        fields=drift_fields(scheme.drifts) + pointwise,
        statements=(*first, *statements),
        embedded=(),
        starter=None,
    )
    return passes.tidy(adopted, kept)


def _on_fields(statement: Statement, names: dict[str, str]) -> Statement:
    """Return a statement that evaluates other drifts."""
    match statement:
        case Evaluate(field=field):
            return replace(statement, field=names.get(field, field))
        case Solve(statements=inner):
            changed = (_on_fields(item, names) for item in inner)
            body = tuple(item for item in changed if not isinstance(item, Solve))
            return replace(statement, statements=body)
        case _:
            return statement
