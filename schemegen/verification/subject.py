"""A scheme made ready to run: numbers for its symbols, and solvers that converge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice, product
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.expansion import Expansion
from schemegen.scheme.model import Constant, Param
from schemegen.step.arithmetic import KEPT, Arithmetic, functions_of
from schemegen.step.evaluation import evaluated
from schemegen.step.interpret import run
from schemegen.step.program import Combine, Program, Solve, Statement, walk
from schemegen.verification.problem import LONG

__all__ = ["Subject", "number", "subject_of"]

# Values that are tried for learnable symbols, small denominators first; a scheme with several takes combinations.
CANDIDATES = tuple(
    sympy.Rational(*pair)
    for pair in (
        (1, 3),
        (-1, 5),
        (1, 2),
        (4, 5),
        (-9, 5),
        (2, 3),
        (3, 2),
        (-1, 2),
        (1, 7),
        (3, 1),
        (1, 10),
    )
)
TRIES = 400
CLEAN = 0.5  # parasitic roots below it are small
CONVERGED = 400  # sweeps of an implicit group at most


class Rounded(Arithmetic):
    """Long doubles; every coefficient is worked out once."""

    def coefficient(self, expression: sympy.Expr) -> Any:
        if expression not in self.symbols:
            self.symbols[expression] = super().coefficient(expression)  # type: ignore[index]
        return self.symbols[expression]


@dataclass(frozen=True)
class Subject:
    """A program in evaluation mode with the numbers its symbols stand for.

    ``principal`` states obey the modified equation, ``auxiliary`` ones follow them; ``scaled`` params stand for h
    times a constant. ``numbers`` are the exact values of params and schedules, chosen where none is declared.
    """

    program: Program
    principal: tuple[str, ...]
    auxiliary: tuple[str, ...]
    scaled: tuple[str, ...]
    numbers: Mapping[str, sympy.Rational]
    known: dict[Any, Rounded] = field(default_factory=dict)

    def values(self, h: Any) -> dict[str, Any]:
        """Return the numbers of h, params and schedules."""
        values: dict[str, Any] = {"h": h}
        for name, exact in self.numbers.items():
            value = LONG(int(exact.p)) / int(exact.q)
            values[name] = value * h if name in self.scaled else value
        return values

    def arithmetic(self, h: Any) -> Rounded:
        """Return the arithmetic of a step of size h; the coefficients are kept for the next call."""
        if h not in self.known:
            self.known[h] = Rounded(_rounded, self.values(h), functions_of(np))
        return self.known[h]

    def step(self, given: Mapping[str, Any], fields: Mapping[str, Any], h: Any) -> dict[str, Any]:
        """Return every value of one step of size h."""
        return run(self.program, given, fields, self.arithmetic(h), tolerance=1e-17)


def number(expression: sympy.Expr, values: Mapping[str, Any]) -> Any:
    """Return an exact expression at long double values of its symbols."""
    return Arithmetic(_rounded, values, functions_of(np)).coefficient(expression)


@lru_cache(KEPT)
def _rounded(expression: sympy.Expr) -> Any:
    return LONG(str(expression.evalf(30)))


def subject_of(
    program: Program,
    expansion: Expansion,
    *,
    solved: bool,
    numbers: Mapping[str, sympy.Rational] | None = None,
) -> Subject:
    """Return ``program`` ready to run.

    ``solved``: implicit groups are iterated to the solution, whatever number of sweeps is declared.
    """
    program = replace(evaluated(program), opening=None)  # the step that is analysed, from the start
    if solved:
        program = replace(program, statements=tuple(map(_solved, program.statements)))
    chosen = dict(numbers) if numbers is not None else chosen_numbers(program)
    return Subject(program, expansion.principal, expansion.auxiliary, expansion.scaled, chosen)


def _solved(statement: Statement) -> Statement:
    if not isinstance(statement, Solve) or statement.solver.method == "neumann":
        return statement
    solver = replace(
        statement.solver,
        method="fixed_point",
        iterations=CONVERGED,
        tolerance=sympy.Rational(2, 10**19),
    )
    return replace(statement, solver=solver)


# --- numbers for symbols ------------------------------------------------------------------------------


def chosen_numbers(program: Program) -> dict[str, sympy.Rational]:
    """Return values for params and schedules: declared ones, else the first that make the scheme strongly stable.

    Small parasitic roots make clean slopes; where none are small the smallest are taken.
    """
    fixed: dict[str, sympy.Rational] = {}
    free: list[tuple[str, tuple[sympy.Rational, ...]]] = []
    for param in program.params:
        if (
            not param.learnable
            and isinstance(param.init, Constant)
            and param.init.value.is_Rational
        ):
            fixed[param.name] = param.init.value
        else:
            free.append((param.name, tuple(item for item in CANDIDATES if _inside(param, item))))
    for schedule in program.schedules:
        fixed[schedule.name] = _middle(schedule.values)
    best: tuple[float, dict[str, sympy.Rational]] = (math.inf, fixed)
    for values in islice(product(*(values for _, values in free)), TRIES):
        numbers = {**fixed, **dict(zip((name for name, _ in free), values, strict=True))}
        if not _finite(program, numbers):
            continue
        parasitic = _parasitic(program, numbers)
        if parasitic < best[0]:
            best = (parasitic, numbers)
        if parasitic < CLEAN:
            break
    return best[1]


def _middle(values: Sequence[sympy.Expr]) -> sympy.Rational:
    """Return a rational value between those of a schedule."""
    low, high = values[0], values[-1]
    return (
        sympy.Rational(str(round(float((low + high) / 2), 3))) if values else sympy.Rational(1, 2)
    )


def _inside(param: Param, value: sympy.Rational) -> bool:
    if param.range is None:
        return True
    low, high = param.range.low, param.range.high
    return bool(low < value) and bool(value < high)


def _finite(program: Program, numbers: Mapping[str, sympy.Rational]) -> bool:
    symbols = {sympy.Symbol(name): value for name, value in numbers.items()}
    for coefficient in _coefficients(program):
        value = coefficient.subs(symbols)
        if value.has(sympy.zoo, sympy.oo, sympy.nan) or value.is_real is False:
            return False
    return True


def _coefficients(program: Program) -> Iterator[sympy.Expr]:
    for statement in walk(program.statements):
        if isinstance(statement, Combine):
            yield from (term.coefficient for term in statement.terms)


def _parasitic(program: Program, numbers: Mapping[str, sympy.Rational]) -> float:
    """Return the largest modulus of a parasitic root of the step as h tends to 0."""
    from schemegen.verification.linear import advance_matrix

    if not program.history:
        return 0.0
    matrix = advance_matrix(Subject(program, (), (), (), numbers), 1e-9, 1e-9)
    if matrix is None:
        return 0.0
    moduli = sorted(abs(np.linalg.eigvals(matrix)))
    return float(max(moduli[: -len(program.states)], default=0.0))
