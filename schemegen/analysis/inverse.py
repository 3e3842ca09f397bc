"""One step run backwards: the statements that give the old values from the new ones, where there are any.

Every value of a step is a sum over old values and slopes. Known at first are the new values; a slope is known as
soon as its arguments are sums of known values; the step can be undone if in the end the old values are such sums.
Noise is never divided by, since it may vanish.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from schemegen.analysis.linear_coefficients import (
    Z_GENERATOR,
    CoefficientField,
    NotRationalError,
    coefficient_field,
    coefficients_of,
)
from schemegen.step.program import ONES, Combine, Evaluate, H, Input, Program, Statement, Term

__all__ = ["Inverse", "inverse", "remembered_name"]

Element = Any
Row = dict[str, Element]


@dataclass(frozen=True, slots=True)
class Inverse:
    """``statements`` set the old values from the new ones, under the names the step has for them.

    ``factors[old][new]`` is how an error of a new value enters an old one while slopes are as they were;
    ``divisors`` must not vanish.
    """

    statements: tuple[Statement, ...]
    factors: Mapping[str, Mapping[str, sympy.Expr]]
    divisors: tuple[sympy.Expr, ...]


def remembered_name(program: Program, of: str, lag: int) -> str:
    """Return what a step calls the value that ``of`` had ``lag`` steps ago, 0 for now."""
    if lag == 0:
        return of
    found = (item.name for item in program.inputs if (item.of, item.lag) == (of, lag))
    return next(found, f"{of} {lag} ago")


def inverse(
    program: Program,
    given: Iterable[str],
    wanted: Iterable[str],
    replaced: Mapping[sympy.Symbol, sympy.Expr] | None = None,
) -> Inverse | None:
    """Return how ``wanted`` old values follow from ``given`` new ones, None where that takes more.

    ``replaced`` puts numbers for symbols first. Steps with implicit stages or functions of values are not undone.
    """
    try:
        coefficients = coefficient_field(coefficients_of(program), replaced or {})
        rows = _rows(program, coefficients)
    except NotRationalError:
        return None
    if rows is None:
        return None
    noises = {noise.symbol for noise in program.noises}
    span = _Span(coefficients, noises)
    span.add(ONES, {ONES: coefficients.field.one})
    for name in given:
        if name in rows:
            span.add(name, rows[name])
    statements = _slopes(program, rows, span)
    factors: dict[str, dict[str, sympy.Expr]] = {}
    for name in wanted:
        if name not in span.names:
            terms = span.combination(rows.get(name, {name: coefficients.field.one}))
            if terms is None:
                return None
            statements.append(Combine(name, terms, program.statements[-1].origin))
        factors[name] = {name: sympy.Integer(1)}
        for item in statements:
            if isinstance(item, Combine) and item.target == name:
                factors[name] = {term.value: term.coefficient for term in item.terms}
    return Inverse(_live(statements, set(factors)), factors, tuple(span.divisors))


def _rows(program: Program, coefficients: CoefficientField) -> dict[str, Row] | None:
    """Return every value as a sum over old values and slopes, None where one has no such form."""
    field = coefficients.field
    rows: dict[str, Row] = {ONES: {ONES: field.one}}
    for name in [*(f"{s.name}[n]" for s in program.states), *map(_name, program.inputs)]:
        rows[name] = {name: field.one}
    for item in program.statements:
        if isinstance(item, Combine):
            total: Row = {}
            for term in item.terms:
                factor = _element(coefficients, term.coefficient)
                for column, element in rows[term.value].items():
                    total[column] = total.get(column, field.zero) + factor * element
            rows[item.target] = {column: element for column, element in total.items() if element}
        elif isinstance(item, Evaluate) and program.field(item.field).kind == "drift":
            rows[item.target] = {item.target: field.one}
        else:
            return None
    return rows


def _name(item: Input) -> str:
    return item.name


def _element(coefficients: CoefficientField, expr: sympy.Expr) -> Element:
    powers = coefficients.split(expr).items()
    return sum(
        (element * coefficients.z**power for power, element in powers), coefficients.field.zero
    )


def _slopes(program: Program, rows: Mapping[str, Row], span: _Span) -> list[Statement]:
    """Evaluate every slope whose arguments become known, in an order in which they do."""
    done: list[Statement] = []
    waiting = [item for item in program.statements if isinstance(item, Evaluate)]
    while True:
        for item in waiting:
            found = {name: span.combination(rows[name]) for name in item.at}
            if None in found.values():
                continue
            for name, terms in found.items():
                if name not in span.names and terms is not None:
                    done.append(Combine(name, terms, item.origin))
                    span.names.add(name)
            done.append(item)
            span.add(item.target, rows[item.target])
            waiting.remove(item)
            break
        else:
            return done


class _Span:
    """What is known, in echelon form; every row also says which known values it is a sum of."""

    def __init__(self, coefficients: CoefficientField, noises: set[sympy.Symbol]) -> None:
        self.coefficients = coefficients
        self.noises = noises
        self.zero = coefficients.field.zero
        self.names: set[str] = set()
        self.rows: list[tuple[str, Row, Row]] = []
        self.divisors: list[sympy.Expr] = []

    def expr(self, element: Element) -> sympy.Expr:
        return self.coefficients.expr(element).xreplace({Z_GENERATOR: H})

    def reduced(self, row: Row) -> tuple[Row, Row]:
        """Return the rest of a row beyond what is known, and the part that is, as sums of known values."""
        rest: Row = dict(row)
        part: Row = {}
        for pivot, known, made in self.rows:
            factor = rest.get(pivot)
            if factor:
                for column, element in known.items():
                    rest[column] = rest.get(column, self.zero) - factor * element
                for name, element in made.items():
                    part[name] = part.get(name, self.zero) + factor * element
        return {c: e for c, e in rest.items() if e}, {n: e for n, e in part.items() if e}

    def add(self, name: str, row: Row) -> None:
        self.names.add(name)
        rest, part = self.reduced(row)
        usable = sorted(
            (bool(self.expr(element).free_symbols - {H}), column)
            for column, element in rest.items()
            if not self.noises & self.expr(element).free_symbols
        )
        if not usable:
            return
        symbolic, pivot = usable[0]
        head = rest[pivot]
        if symbolic:
            self.divisors.append(self.expr(head))
        made = {key: -element / head for key, element in part.items()}
        made[name] = made.get(name, self.zero) + 1 / head
        self.rows.append((pivot, {column: e / head for column, e in rest.items()}, made))

    def combination(self, row: Row) -> tuple[Term, ...] | None:
        """Return a row as a sum of known values, None where it is not."""
        rest, part = self.reduced(row)
        if rest:
            return None
        return tuple(Term(self.expr(element), name) for name, element in part.items())


def _live(statements: list[Statement], wanted: set[str]) -> tuple[Statement, ...]:
    """Return the statements that ``wanted`` values need."""
    kept: list[Statement] = []
    for item in reversed(statements):
        if isinstance(item, Combine) and item.target in wanted:
            wanted = wanted | {term.value for term in item.terms}
            kept.append(item)
        elif isinstance(item, Evaluate) and item.target in wanted:
            wanted = wanted | set(item.at)
            kept.append(item)
    return tuple(reversed(kept))
