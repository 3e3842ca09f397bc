"""Rewrites of step programs, each leaving every state of the step as it is.

``tidy`` is what lowering ends with; the rest is for whoever needs it: a network drops the embedded solution,
a report counts registers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from schemegen.exact import is_zero
from schemegen.step.program import (
    Combine,
    Evaluate,
    Program,
    Solve,
    Statement,
    Term,
    walk,
)

__all__ = [
    "drop_dead",
    "drop_embedded",
    "drop_zeros",
    "outputs",
    "renumber",
    "share_evaluations",
    "tidy",
    "used_params",
]


def tidy(program: Program, kept: Sequence[str] = ()) -> Program:
    """Drop zeros, share equal evaluations, drop what nothing needs, number calls anew.

    ``kept`` are values to be set besides the states: those that another program remembers.
    """
    shared = share_evaluations(drop_zeros(program), kept)
    return renumber(drop_dead(shared, kept))


def outputs(program: Program) -> tuple[str, ...]:
    """Return the values that leave a step: new states, embedded solutions, kept slopes."""
    states = [f"{state.name}[n+1]" for state in program.states]
    old = {f"{state.name}[n]" for state in program.states}
    hats = [value for _, value in program.embedded]
    kept = [item.of for item in program.inputs if item.of not in old]
    return tuple(dict.fromkeys([*states, *hats, *kept]))


def drop_zeros(program: Program) -> Program:
    """Leave out terms whose coefficient vanishes."""

    def clean(statement: Statement) -> Statement:
        match statement:
            case Combine(target, terms, origin):
                return Combine(target, _nonzero(terms), origin)
            case Evaluate():
                return statement
            case Solve(targets, inner, solver, guess, origin):
                body = tuple(item for item in map(clean, inner) if not isinstance(item, Solve))
                return Solve(targets, body, solver, tuple(map(_nonzero, guess)), origin)
            case _:
                assert_never(statement)

    return replace(program, statements=tuple(map(clean, program.statements)))


def _nonzero(terms: Iterable[Term]) -> tuple[Term, ...]:
    return tuple(term for term in terms if not is_zero(term.coefficient))


def share_evaluations(program: Program, kept: Sequence[str] = ()) -> Program:
    """Evaluate once what a step evaluates twice with the same weights at the same values.

    The evaluations inside a solve are left alone: their arguments change from sweep to sweep.
    """
    fixed = {*outputs(program), *kept}
    known: dict[tuple[object, ...], str] = {}
    names: dict[str, str] = {}
    result: list[Statement] = []
    for statement in program.statements:
        item = renamed(statement, names)
        if isinstance(item, Evaluate):
            key = (item.field, item.at, item.weights, item.time)
            first = known.setdefault(key, item.target)
            if first != item.target and item.target not in fixed:
                names[item.target] = first
                continue
            if first != item.target and first not in fixed:
                # the later name has to stay, so the earlier evaluation takes it
                names[first] = known[key] = item.target
                result = [renamed(earlier, {first: item.target}) for earlier in result]
                continue
        result.append(item)
    return replace(program, statements=tuple(result))


def renamed(statement: Statement, names: dict[str, str]) -> Statement:
    """Return a statement with other names for the values it reads and sets."""

    def name(value: str) -> str:
        return names.get(value, value)

    def terms(items: Iterable[Term]) -> tuple[Term, ...]:
        return tuple(Term(item.coefficient, name(item.value)) for item in items)

    match statement:
        case Combine(target, items, origin):
            return Combine(name(target), terms(items), origin)
        case Evaluate(target=target, at=at):
            return replace(statement, target=name(target), at=tuple(map(name, at)))
        case Solve(targets, inner, solver, guess, origin):
            changed = (renamed(item, names) for item in inner)
            body = tuple(item for item in changed if not isinstance(item, Solve))
            guesses = tuple(terms(items) for items in guess)
            return Solve(tuple(map(name, targets)), body, solver, guesses, origin)
        case _:
            assert_never(statement)


def drop_dead(program: Program, kept: Sequence[str] = ()) -> Program:
    """Drop statements that no output needs, and inputs that nothing reads."""
    statements, inputs = program.statements, program.inputs
    while True:
        trial = replace(program, statements=statements, inputs=inputs)
        live = {*outputs(trial), *kept}
        result: list[Statement] = []
        for statement in reversed(statements):
            sets = statement.targets if isinstance(statement, Solve) else (statement.target,)
            if live.intersection(sets):
                result.append(statement)
                live.update(read_by(statement))
        remaining = tuple(item for item in inputs if item.name in live)
        if remaining == inputs:
            return replace(trial, statements=tuple(reversed(result)))
        inputs = remaining


def read_by(statement: Statement) -> set[str]:
    """Return every value that a statement reads from outside itself."""
    match statement:
        case Combine(terms=terms):
            return {term.value for term in terms}
        case Evaluate(at=at):
            return set(at)
        case Solve(targets=targets, statements=inner, guess=guess):
            read = {value for item in inner for value in read_by(item)}
            own = {*targets, *(item.target for item in inner)}
            return (read - own) | {term.value for terms in guess for term in terms}
        case _:
            assert_never(statement)


def renumber(program: Program) -> Program:
    """Number the calls of each field from 0 in order, and its sets of weights without gaps."""
    calls: Counter[str] = Counter()
    sets: dict[str, dict[int, int]] = {}

    def numbered(statement: Statement) -> Statement:
        match statement:
            case Combine():
                return statement
            case Evaluate(field=field):
                known = sets.setdefault(field, {})
                weights = known.setdefault(statement.weights, len(known))
                calls[field] += 1
                return replace(statement, call=calls[field] - 1, weights=weights)
            case Solve(statements=inner):
                changed = (numbered(item) for item in inner)
                body = tuple(item for item in changed if not isinstance(item, Solve))
                return replace(statement, statements=body)
            case _:
                assert_never(statement)

    return replace(program, statements=tuple(map(numbered, program.statements)))


def drop_embedded(program: Program) -> Program:
    """Drop the embedded solution and what only it needs: a network has no use for it."""
    return renumber(drop_dead(replace(program, embedded=())))


def used_params(program: Program) -> Program:
    """Keep only the params, schedules and noises that occur in a coefficient."""
    symbols = {
        symbol.name
        for statement in walk(program.statements)
        if isinstance(statement, Combine)
        for term in statement.terms
        for symbol in term.coefficient.free_symbols
    }
    noises = tuple(item for item in program.noises if item.name in symbols)
    for noise in noises:
        symbols.update(s.name for item in noise.arguments for s in item.free_symbols)
    return replace(
        program,
        params=tuple(item for item in program.params if item.name in symbols),
        schedules=tuple(item for item in program.schedules if item.name in symbols),
        noises=noises,
    )
