"""A step program flattened for reading as series: evaluations, combinations and unknowns.

A value that cannot be computed from those before it is an *unknown*: the field of a state that obeys the
modified equation, the series of an auxiliary state, a target of an implicit group, and a value that an
earlier step remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import assert_never

import sympy

from schemegen.step.program import (
    Combine,
    Evaluate,
    Program,
    Solve,
    Statement,
    Term,
)

__all__ = ["Linear", "Operations", "Slope", "flatten", "unrolled"]


@dataclass(frozen=True, slots=True)
class Slope:
    """``name = field(at, ..)``, without a factor h."""

    name: str
    field: str
    at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linear:
    """``name = sum_i c_i v_i``; ``unknown`` where this is the equation of an implicit target."""

    name: str
    terms: tuple[tuple[sympy.Expr, str], ...]
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Operations:
    """The statements in order, the implicit targets, and ``remembered[name] = (of, lag)``."""

    states: tuple[str, ...]
    steps: tuple[Slope | Linear, ...]
    targets: tuple[str, ...]
    lags: tuple[tuple[str, str, int], ...]

    @property
    def remembered(self) -> tuple[str, ...]:
        """Values of this step, other than states and targets, that a later step reads."""
        known = {f"{state}[n]" for state in self.states} | set(self.targets)
        return tuple(sorted({of for _, of, _ in self.lags if of not in known}))


def flatten(program: Program) -> Operations:
    """Return the operations of ``program``; implicit targets become unknowns with an equation."""
    steps: list[Slope | Linear] = []
    targets: list[str] = []
    for statement in program.statements:
        match statement:
            case Combine() | Evaluate():
                steps.append(_operation(statement))
            case Solve():
                targets.extend(statement.targets)
                for inner in statement.statements:
                    operation = _operation(inner)
                    if isinstance(operation, Linear) and operation.name in statement.targets:
                        name = operation.name
                        operation = Linear(f"next {name}", operation.terms, name)
                    steps.append(operation)
            case _:
                assert_never(statement)
    return Operations(
        states=tuple(state.name for state in program.states),
        steps=tuple(steps),
        targets=tuple(targets),
        lags=tuple((item.name, item.of, item.lag) for item in program.inputs),
    )


def _operation(statement: Combine | Evaluate) -> Slope | Linear:
    match statement:
        case Combine(target, terms):
            return Linear(target, tuple((term.coefficient, term.value) for term in terms))
        case Evaluate(target, field, at):
            return Slope(target, field, at)
        case _:
            assert_never(statement)


def unrolled(program: Program) -> Program:
    """Return ``program`` with each implicit group replaced by the sweeps of its fixed-point solver.

    ``Y^0 = guess`` and ``Y^(i+1) = equations(Y^i)``; the last sweep has the targets' own names.
    """
    statements: list[Statement] = []
    for statement in program.statements:
        match statement:
            case Combine() | Evaluate():
                statements.append(statement)
            case Solve():
                statements.extend(_sweeps(statement))
            case _:
                assert_never(statement)
    return replace(program, statements=tuple(statements))


def _sweeps(solve: Solve) -> Iterator[Combine | Evaluate]:
    """Each sweep reads the targets of the sweep before and writes its own (``Y2 @1``)."""
    count = solve.solver.iterations
    current = {target: f"{target} @0" for target in solve.targets}
    for target, terms in zip(solve.targets, solve.guess, strict=True):
        yield Combine(current[target], terms, solve.origin)
    for sweep in range(1, count + 1):
        last = sweep == count
        names = dict(current)
        for statement in solve.statements:
            own = statement.target if last else f"{statement.target} @{sweep}"
            match statement:
                case Combine():
                    terms = tuple(
                        Term(t.coefficient, names.get(t.value, t.value)) for t in statement.terms
                    )
                    yield replace(statement, target=own, terms=terms)
                case Evaluate():
                    at = tuple(names.get(value, value) for value in statement.at)
                    yield replace(statement, target=own, at=at)
                case _:
                    assert_never(statement)
            if statement.target in solve.targets:
                current[statement.target] = own
            else:
                names[statement.target] = own
