"""For which real values of one symbol do the powers of a matrix stay bounded?

The answer can only change where a root of the characteristic polynomial crosses the unit circle, two roots
meet, or a root leaves to infinity. These critical values are real roots of polynomials (resultants); between
two of them one rational sample decides, at each of them the matrix is decided in the field of that value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from schemegen.analysis.reals import RealField, Root, distinct_roots

__all__ = ["ZETA", "Cell", "X", "ascending", "critical_polynomials", "solution_set", "spelled"]

Element = Any
ZETA, X = sympy.Dummy("zeta"), sympy.Dummy("x")
Decide = Callable[[RealField, Element], bool]


@dataclass(frozen=True)
class Cell:
    """A critical value (``low is high``) or the open interval between two; None is infinity.

    ``holds`` None: the value is no short radical, so it was not decided.
    """

    low: Root | None
    high: Root | None
    holds: bool | None

    @property
    def is_point(self) -> bool:
        return self.low is not None and self.low is self.high


def critical_polynomials(characteristic: sympy.Poly) -> list[list[Element]]:
    """Return polynomials in x whose real roots contain all critical values.

    Args: characteristic: a polynomial in (ZETA, X) over the number field.
    """
    domain = characteristic.domain
    factors = [q for q, _ in characteristic.factor_list()[1]]
    moving = [q for q in factors if q.degree(ZETA) > 0]
    found = [sympy.Poly(q.as_expr(), X, domain=domain) for q in factors if q.degree(ZETA) == 0]
    for index, q in enumerate(moving):
        n = q.degree(ZETA)
        main = _in_zeta(q)
        coefficients = [sympy.Poly(c, X, domain=domain) for c in main.all_coeffs()]
        found.append(coefficients[0])
        mirrored = sympy.Poly(main.all_coeffs()[::-1], ZETA, domain=main.domain)
        if n > 1:
            found.append(_resultant(main, main.diff(ZETA), domain))
        if mirrored not in (main, -main):
            found.append(_resultant(main, mirrored, domain))
        found += [_resultant(main, _in_zeta(other), domain) for other in moving[index + 1 :]]
    return [ascending(item) for item in found if item.degree() > 0]


def ascending(polynomial: sympy.Poly) -> list[Element]:
    """Return the dense coefficients of a polynomial in one variable, none for zero."""
    return list(polynomial.rep.to_list()[::-1]) if polynomial else []


def _in_zeta(polynomial: sympy.Poly) -> sympy.Poly:
    return sympy.Poly(polynomial.as_expr(), ZETA, domain=polynomial.domain[X])


def _resultant(a: sympy.Poly, b: sympy.Poly, domain: Any) -> sympy.Poly:
    if b.degree() < 1:
        return sympy.Poly(b.as_expr(), X, domain=domain)
    return sympy.Poly(a.resultant(b), X, domain=domain)


def solution_set(
    reals: RealField, critical: Sequence[Sequence[Element]], decide: Decide
) -> list[Cell]:
    """Decompose the real line at the critical values and decide each cell."""
    roots = distinct_roots(reals, critical)
    cells: list[Cell] = []
    for i in range(len(roots) + 1):
        low = roots[i - 1] if i else None
        high = roots[i] if i < len(roots) else None
        sample = reals.domain.convert(_between(low, high))
        cells.append(Cell(low, high, decide(reals, sample)))
        if high is not None:
            cells.append(Cell(high, high, _at(reals, high, decide)))
    return cells


def _between(low: Root | None, high: Root | None) -> Any:
    """Return a rational strictly between two roots, an integer where there is one."""
    if low is None:
        return sympy.QQ(0) if high is None else _floor(high.low) - 1
    if high is None:
        return -_floor(-low.high) + 1
    while low.high >= high.low:
        low, high = low.refined(), high.refined()
    return (low.high + high.low) / 2


def _floor(number: Any) -> Any:
    return sympy.QQ(int(number.numerator) // int(number.denominator))


def _at(reals: RealField, root: Root, decide: Decide) -> bool | None:
    exact = root.exact()
    if exact is None:
        return None
    if root.is_rational:
        return decide(reals, reals.domain.convert(root.low))
    generators = [exact]
    if not reals.domain.is_QQ:
        generators.append(reals.domain.ext.as_expr())
    extended = sympy.QQ.algebraic_field(*generators)
    return decide(RealField(extended), extended.from_sympy(exact))


def spelled(
    cells: Sequence[Cell], name: str, print_exact: Callable[[sympy.Expr], str]
) -> bool | str | None:
    """Return the set as text: True for all reals, False for none, else ``-1 < k <= 1``."""
    if any(cell.holds is None for cell in cells):
        return None
    if all(cell.holds for cell in cells):
        return True
    parts: list[str] = []
    i = 0
    while i < len(cells):
        if not cells[i].holds:
            i += 1
            continue
        j = i
        while j + 1 < len(cells) and cells[j + 1].holds:
            j += 1
        parts.append(_interval(cells[i], cells[j], name, print_exact))
        i = j + 1
    return " or ".join(parts) if parts else False


def _interval(first: Cell, last: Cell, name: str, print_exact: Callable[[sympy.Expr], str]) -> str:
    def end(root: Root | None) -> str | None:
        if root is None:
            return None
        named = root.named()
        return print_exact(named) if isinstance(named, sympy.Expr) else f"{named:.12g}"

    low, high = end(first.low), end(last.high)
    if first is last and first.is_point:
        return f"{name} = {low}"
    text = name
    if low is not None:
        text = f"{low} {'<=' if first.is_point else '<'} {text}"
    if high is not None:
        text = f"{text} {'<=' if last.is_point else '<'} {high}"
    if low is not None and high is None:
        return f"{name} {'>=' if first.is_point else '>'} {low}"
    return text
