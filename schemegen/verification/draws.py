"""Programs with numbers for their symbols, and seeded draws of their noises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy

from schemegen.scheme.model import Noise
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.evaluation import evaluated
from schemegen.step.program import Combine, Program, Solve, Statement, Term

__all__ = ["DRAWS", "SEED", "SIGMAS", "drawn", "number_of", "with_numbers", "without_draws"]

DRAWS = 200_000
SEED = 20181204
SIGMAS = 5.0  # of a confidence interval; some dozens of numbers are looked at

Array = Any


def without_draws(program: Program) -> Program:
    quiet = tuple(replace(n, active="train", evaluation="mean") for n in program.noises)
    return evaluated(replace(program, noises=quiet, starter=None, first=None, opening=None))


def with_numbers(
    program: Program, numbers: Mapping[str, sympy.Rational], scaled: Sequence[str] = ()
) -> Program:
    """Return the program with numbers for its symbols; a scaled one is h times its number."""
    h = sympy.Symbol("h")
    values = {
        sympy.Symbol(name): value * h if name in scaled else value
        for name, value in numbers.items()
    }

    def changed(statement: Statement) -> Statement:
        match statement:
            case Combine():
                return replace(statement, terms=terms(statement.terms))
            case Solve():
                inner = tuple(changed(item) for item in statement.statements)
                guess = tuple(terms(row) for row in statement.guess)
                solver = replace(
                    statement.solver, method="fixed_point", iterations=80, tolerance=None
                )
                return replace(statement, statements=inner, guess=guess, solver=solver)  # type: ignore[arg-type]
            case _:
                return statement

    def terms(row: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(Term(t.coefficient.xreplace(values), t.value) for t in row)

    noises = tuple(
        replace(n, arguments=tuple(a.xreplace(values) for a in n.arguments)) for n in program.noises
    )
    statements = tuple(changed(item) for item in program.statements)
    return replace(program, statements=statements, noises=noises, params=(), schedules=())


def number_of(expression: sympy.Expr, numbers: Mapping[str, Any]) -> float:
    values = {name: float(value) for name, value in numbers.items()}
    real = lambda item: float(item.evalf(30))  # noqa: E731
    return float(Arithmetic(real, values, functions_of(np)).coefficient(expression))


def drawn(
    noises: Sequence[Noise], step: float, width: int, count: int, random: np.random.Generator
) -> dict[str, Array]:
    """Return independent draws of shape ``(components or 1, count)``; a channel is a component here."""
    found: dict[str, Array] = {}
    for noise in noises:
        shape = (width if noise.scope in ("element", "channel") else 1, count)
        arguments = [number_of(a, {"h": step}) for a in noise.arguments]
        match noise.kind:
            case "wiener":
                found[noise.name] = random.normal(0, np.sqrt(step), shape)
            case "gaussian":
                found[noise.name] = random.normal(0, arguments[0], shape)
            case "bernoulli":
                found[noise.name] = (random.random(shape) < arguments[0]).astype(float)
            case "uniform":
                found[noise.name] = random.uniform(arguments[0], arguments[1], shape)
            case _:
                found[noise.name] = random.integers(0, 2, shape) * 2.0 - 1.0
    return found
