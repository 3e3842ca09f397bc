"""Check what every step program must satisfy; a breach is a mistake of ours, never of the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from schemegen.diagnostics import InternalError
from schemegen.exact import is_zero
from schemegen.step.dump import dump
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, Statement, Term

__all__ = ["verify"]


def verify(program: Program) -> None:
    """Raise InternalError, with the program as text, unless it is well formed.

    Every value is set once and before it is used; every state is set; every term has a coefficient other
    than zero; a solve sets its targets by combines, each has a guess, and no other value of it is used
    outside; what an input refers to is an old state or is set by the program and by its starter.
    """
    faults = [*_faults(program)]
    others = (("starter", program.starter), ("first", program.first), ("opening", program.opening))
    for title, other in others:
        if other is not None:
            faults += [f"{title}: {fault}" for fault in _faults(other)]
    if faults:
        listed = "\n".join(f"- {fault}" for fault in faults)
        raise InternalError(f"step program of {program.name}:\n{listed}\n{dump(program)}")


def _faults(program: Program) -> Iterator[str]:
    old = {f"{state.name}[n]" for state in program.states}
    defined = {ONES, *old, *(item.name for item in program.inputs)}
    every = set(defined)
    names = {field.name: len(field.states) for field in program.fields if field.kind == "drift"}
    names |= {field.name: -1 for field in program.fields if field.kind == "pointwise"}
    for statement in program.statements:
        yield from _statement(statement, defined, every, names)
    for state in program.states:
        if f"{state.name}[n+1]" not in defined:
            yield f"{state.name}[n+1] is never set"
    for _, value in program.embedded:
        if value not in defined:
            yield f"the embedded solution {value} is never set"
    yield from _inputs(program, old, defined)


def _inputs(program: Program, old: set[str], defined: set[str]) -> Iterator[str]:
    for item in program.inputs:
        if item.lag < 1:
            yield f"input {item.name} has lag {item.lag}"
        if item.of not in defined:
            yield f"input {item.name} refers to {item.of}, which is never set"
        elif item.of not in old:
            others = (
                ("starter", program.starter),
                ("first step", program.first),
                ("opening", program.opening),
            )
            for title, other in others:
                if other is not None and item.of not in _set_by(other):
                    yield f"input {item.name} refers to {item.of}, which the {title} does not set"
    if program.inputs and program.starter is None:
        yield "a program with history has no starter"


def _set_by(program: Program) -> set[str]:
    found: set[str] = set()
    for statement in program.statements:
        found.update(statement.targets if isinstance(statement, Solve) else (statement.target,))
    return found


def _statement(
    statement: Statement, defined: set[str], every: set[str], fields: dict[str, int]
) -> Iterator[str]:
    match statement:
        case Combine(target, terms, _):
            yield from _terms(target, terms, defined)
            yield from _define(target, defined, every)
        case Evaluate(target, field, at, call, weights, _):
            yield from (f"{target} reads {value} too early" for value in at if value not in defined)
            if field not in fields:
                yield f"{target} evaluates {field}, which is no field"
            elif fields[field] not in (-1, len(at)):
                yield f"{field} takes {fields[field]} values, {target} gives {len(at)}"
            if call < 0 or weights < 0:
                yield f"{target} has call {call} and weights {weights}"
            yield from _define(target, defined, every)
        case Solve():
            yield from _solve(statement, defined, every, fields)
        case _:
            assert_never(statement)


def _solve(
    solve: Solve, defined: set[str], every: set[str], fields: dict[str, int]
) -> Iterator[str]:
    targets = set(solve.targets)
    if not targets or len(targets) != len(solve.targets) or len(solve.guess) != len(solve.targets):
        yield f"a solve for {solve.targets} has {len(solve.guess)} guesses"
    for target, terms in zip(solve.targets, solve.guess, strict=False):
        yield from _terms(f"the guess of {target}", terms, defined)
    combined = {item.target for item in solve.statements if isinstance(item, Combine)}
    yield from (
        f"the solve never combines {item}" for item in solve.targets if item not in combined
    )
    inside = defined | targets
    for item in solve.statements:
        if item.target in targets:
            # its new value; the given one may not be read from here on
            yield from _statement(item, set(inside), set(), fields)
            inside.discard(item.target)
        else:
            yield from _statement(item, inside, every, fields)
    for target in solve.targets:
        yield from _define(target, defined, every)


def _terms(target: str, terms: tuple[Term, ...], defined: set[str]) -> Iterator[str]:
    for term in terms:
        if term.value not in defined:
            yield f"{target} reads {term.value} too early"
        if is_zero(term.coefficient):
            yield f"{target} has the coefficient 0 at {term.value}"


def _define(target: str, defined: set[str], every: set[str]) -> Iterator[str]:
    if target in every:
        yield f"{target} is set twice"
    defined.add(target)
    every.add(target)
