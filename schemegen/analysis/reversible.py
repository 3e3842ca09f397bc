"""Can a step be run backwards without solving an equation?

Known at first are the new states and the new history. A slope is known as soon as its argument is a combination
of known values; the step is reversible if in the end all old values are.
"""

from __future__ import annotations

from typing import Any

import sympy

from schemegen.analysis.stages import Row, Stages, stages
from schemegen.scheme.expressions import format_exact as printed
from schemegen.step.program import Program

__all__ = ["reversible"]

Element = Any


class _Span:
    """A linear span in echelon form; ``pivots`` collects the divisors that hold symbols."""

    def __init__(self, zero: Element) -> None:
        self.zero = zero
        self.rows: list[tuple[str, dict[str, Element]]] = []
        self.pivots: list[Element] = []

    def reduced(self, row: dict[str, Element]) -> dict[str, Element]:
        rest = dict(row)
        for pivot, known in self.rows:
            factor = rest.get(pivot)
            if factor:
                for column, element in known.items():
                    rest[column] = rest.get(column, self.zero) - factor * element
        return {column: element for column, element in rest.items() if element}

    def add(self, row: dict[str, Element]) -> None:
        rest = self.reduced(row)
        if not rest:
            return
        pivot = min(rest, key=lambda column: (not _is_plain(rest[column]), column))
        head = rest[pivot]
        if not _is_plain(head):
            self.pivots.append(head)
        self.rows.append((pivot, {column: e / head for column, e in rest.items()}))

    def holds(self, row: dict[str, Element]) -> bool:
        return not self.reduced(row)


def _is_plain(element: Element) -> bool:
    """A number times a power of h (the first generator)."""
    return all(
        len(polynomial.terms()) == 1 and not any(polynomial.monoms()[0][1:])
        for polynomial in (element.numer, element.denom)
    )


def reversible(program: Program) -> tuple[bool | None, str | None]:
    """Return the verdict and the condition on symbols it rests on (``for k != 0``), None without stages."""
    found = stages(program)
    if found is None:
        return None, None
    back, pivots = _run_back(found)
    if not back:
        return False, None
    names = sorted({text for pivot in pivots for text in _conditions(program, found, pivot)})
    return True, "for " + " and ".join(names) if names else None


def _run_back(found: Stages) -> tuple[bool, list[Element]]:
    """Return whether all old values become known, and the divisors that hold symbols."""
    field = found.coefficients.field
    h = found.coefficients.z

    def plain(row: Row) -> dict[str, Element]:
        return {
            column: sum((element * h**power for power, element in entry.items()), field.zero)
            for column, entry in row.items()
        }

    span = _Span(field.zero)
    span.add({"1": field.one})
    for row in found.new.values():
        span.add(plain(row))
    waiting = list(found.slopes)
    while True:
        ready = [slope for slope in waiting if span.holds(plain(slope.argument))]
        if not ready:
            break
        for slope in ready:
            span.add({slope.name: field.one})
        waiting = [slope for slope in waiting if slope not in ready]
    return all(span.holds({column: field.one}) for column in found.new), span.pivots


def _conditions(program: Program, found: Stages, pivot: Element) -> list[str]:
    """Say which factors of a divisor must not vanish: h itself does not, and some need not."""
    field = found.coefficients.field
    names: list[str] = []
    for factor, _ in pivot.numer.factor_list()[1]:
        if not any(any(monomial[1:]) for monomial in factor.monoms()):
            continue
        expr = found.coefficients.expr(field.new(factor))
        symbol = next(iter(expr.free_symbols), None)
        root = _rational_root(expr, symbol)
        if root is not None and symbol is not None:
            there = stages(program, {symbol: root})
            if there is not None and _run_back(there)[0]:
                continue
        names.append(f"{printed(expr)} != 0")
    return names


def _rational_root(expr: sympy.Expr, symbol: sympy.Symbol | None) -> sympy.Expr | None:
    if symbol is None or expr.free_symbols != {symbol}:
        return None
    polynomial = sympy.Poly(expr, symbol)
    if polynomial.degree() != 1:
        return None
    slope, constant = polynomial.all_coeffs()
    return -constant / slope
