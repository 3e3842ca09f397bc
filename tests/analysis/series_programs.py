"""Step programs written by hand, so that the analysis is tested from the program alone."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import Param, Solver, State
from schemegen.step.program import (
    Combine,
    Evaluate,
    Field,
    Input,
    Origin,
    Program,
    Solve,
    Statement,
    Term,
)

SPAN = Span(Source("test", ""), 0, 0)
ORIGIN = Origin(None, "step")
H = sympy.Symbol("h")
Q = sympy.Rational


def terms(*pairs: tuple[object, str]) -> tuple[Term, ...]:
    return tuple(Term(sympy.Integer(1) * c, value) for c, value in pairs)


def combine(target: str, *pairs: tuple[object, str]) -> Combine:
    return Combine(target, terms(*pairs), ORIGIN)


def evaluate(target: str, field: str, *at: str) -> Evaluate:
    return Evaluate(target, field, at, 0, 0, ORIGIN)


def solve(
    targets: Sequence[str], statements: Sequence[Combine | Evaluate], sweeps: int = 4
) -> Solve:
    guess = tuple(terms((1, "u[n]")) for _ in targets)
    solver = Solver("fixed_point", SPAN, iterations=sweeps)
    return Solve(tuple(targets), tuple(statements), solver, guess, ORIGIN)


def program(
    statements: Sequence[Statement],
    *,
    states: Sequence[str] = ("u",),
    fields: Sequence[tuple[str, tuple[str, ...]]] = (("f", ("u",)),),
    inputs: Sequence[tuple[str, str, int]] = (),
    params: Sequence[str] = (),
    **others: object,
) -> Program:
    return Program(
        "test",
        tuple(State(name, SPAN) for name in states),
        tuple(Field(name, "drift", arguments) for name, arguments in fields),
        tuple(Input(*item) for item in inputs),
        tuple(statements),
        params=tuple(Param(name, SPAN) for name in params),
        **others,  # type: ignore[arg-type]
    )


def runge_kutta(a: Sequence[Sequence[object]], b: Sequence[object], **others: object) -> Program:
    """An explicit tableau, in the form that lowering gives it."""
    statements: list[Statement] = []
    for i, row in enumerate(a):
        stage = f"Y{i + 1}" if i else "u[n]"
        if i:
            slopes = [(c * H, f"k{j + 1}") for j, c in enumerate(row) if c]  # type: ignore[operator]
            statements.append(combine(stage, (1, "u[n]"), *slopes))
        statements.append(evaluate(f"k{i + 1}", "f", stage))
    weights = [(c * H, f"k{j + 1}") for j, c in enumerate(b) if c]  # type: ignore[operator]
    statements.append(combine("u[n+1]", (1, "u[n]"), *weights))
    return program(statements, **others)  # type: ignore[arg-type]


EULER = runge_kutta([[0]], [1])
MIDPOINT = runge_kutta([[0], [Q(1, 2)]], [0, 1])
HEUN = runge_kutta([[0], [1]], [Q(1, 2), Q(1, 2)])
RK4 = runge_kutta([[0], [Q(1, 2)], [0, Q(1, 2)], [0, 0, 1]], [Q(1, 6), Q(1, 3), Q(1, 3), Q(1, 6)])
