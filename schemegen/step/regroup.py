"""Combinations of a step written in fewer terms, through values that the step has computed before.

A Butcher tableau writes every stage from the slopes alone. Where the same values follow from earlier stages in
fewer terms (Shu-Osher forms, low-storage forms), exact linear algebra finds that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import sympy

from schemegen.step.program import ONES, Combine, Program, Statement, Term

__all__ = ["regroup"]

H = sympy.Symbol("h")
LARGEST = 4
"""A larger coefficient would magnify rounding errors."""

Vector = Mapping[str, Fraction]


def regroup(program: Program) -> Program:
    """Write each combination in the fewest terms over what is known before it, where that saves some.

    Only combinations with rational coefficients take part, slopes counted in units of h. Values and their names
    stay what they are. Source: Shu, Osher (1988), sec. 2; Ketcheson (2010), sec. 2, low-storage forms.
    """
    found = _Regrouping()
    return replace(
        program,
        statements=tuple(map(found.statement, program.statements)),
        starter=None if program.starter is None else regroup(program.starter),
        first=None if program.first is None else regroup(program.first),
        opening=None if program.opening is None else regroup(program.opening),
    )


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A coefficient ``number * h^degree``."""

    number: Fraction
    degree: int


def scaled(coefficient: sympy.Expr) -> _Scaled | None:
    """Return a coefficient as a rational number times a power of h, None where it is not."""
    number, rest = coefficient.as_coeff_Mul()
    base, degree = rest.as_base_exp()
    if rest == 1:
        base, degree = H, sympy.Integer(0)
    if base != H or not isinstance(number, sympy.Rational) or not degree.is_Integer:
        return None
    return _Scaled(Fraction(int(number.p), int(number.q)), int(degree))


class _Regrouping:
    """Knows every value so far as a combination of states and slopes, each with its power of h."""

    def __init__(self) -> None:
        self.vectors: dict[str, Vector] = {}
        self.degrees: dict[str, int] = {}

    def statement(self, statement: Statement) -> Statement:
        if not isinstance(statement, Combine):
            return statement
        vector = self.vector(statement.terms)
        if vector is None:
            return statement
        terms = self.fewest(vector, len(statement.terms))
        self.vectors[statement.target] = vector
        return statement if terms is None else replace(statement, terms=terms)

    def vector(self, terms: Sequence[Term]) -> Vector | None:
        """Return a combination over states and slopes, in units of their powers of h."""
        total: dict[str, Fraction] = {}
        for term in terms:
            found = scaled(term.coefficient)
            if found is None or term.value == ONES:
                return None
            if term.value in self.vectors:
                if found.degree:
                    return None
                parts = self.vectors[term.value]
            else:
                if self.degrees.setdefault(term.value, found.degree) != found.degree:
                    return None
                parts = {term.value: Fraction(1)}
            for name, part in parts.items():
                total[name] = total.get(name, Fraction(0)) + found.number * part
        return {name: part for name, part in total.items() if part}

    def fewest(self, vector: Vector, most: int) -> tuple[Term, ...] | None:
        """Return fewer than ``most`` terms for a value: slopes that nothing else holds, and at most two others."""
        inside = {name for known in self.vectors.values() for name in known}
        alone = {name: part for name, part in vector.items() if name not in inside}
        rest = {name: part for name, part in vector.items() if name in inside}
        basis: dict[str, Vector] = {name: {name: Fraction(1)} for name in self.degrees}
        candidates = {**self.vectors, **{n: v for n, v in basis.items() if n not in alone}}
        for count in range(min(3, most - len(alone))):
            for names in combinations(candidates, count):
                numbers = solved([candidates[name] for name in names], rest)
                if numbers is not None and all(0 < abs(x) <= LARGEST for x in numbers):
                    parts = {**dict(zip(names, numbers, strict=True)), **alone}
                    return tuple(self.term(name, part) for name, part in parts.items())
        return None

    def term(self, name: str, part: Fraction) -> Term:
        number = sympy.Rational(part.numerator, part.denominator)
        return Term(number * H ** self.degrees.get(name, 0), name)


def solved(columns: Sequence[Vector], goal: Vector) -> list[Fraction] | None:
    """Return the numbers with which independent columns add up to ``goal``, None where there are none."""
    names = list(dict.fromkeys([*goal, *(name for column in columns for name in column)]))
    zero = Fraction(0)
    rows = [[*(c.get(n, zero) for c in columns), goal.get(n, zero)] for n in names]
    size = len(columns)
    for place in range(size):
        pivot = next((i for i in range(place, len(rows)) if rows[i][place]), None)
        if pivot is None:
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        first = rows[place] = [x / rows[place][place] for x in rows[place]]
        for index, row in enumerate(rows):
            if index != place and row[place]:
                rows[index] = [x - row[place] * y for x, y in zip(row, first, strict=True)]
    return None if any(row[size] for row in rows[size:]) else [row[size] for row in rows[:size]]
