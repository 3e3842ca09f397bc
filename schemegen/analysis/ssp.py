"""Strong stability preservation: how large a step keeps what Euler's step keeps.

``C`` is the largest r for which ``rA(I + rA)^-1`` and ``r b^T (I + rA)^-1`` have no negative entry and no row
sum above 1. Source: Kraaijevanger (1991); Ferracina, Spijker (2004). The linear analogue asks that all
derivatives of R are non-negative on ``[-r, 0]``; for a polynomial it is enough to ask that at ``-r``.
Source: Kraaijevanger (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from schemegen.analysis.intervals import End
from schemegen.analysis.one_step import StabilityFunction
from schemegen.analysis.reals import RealField, Root, positive_until

__all__ = ["linear_monotonicity", "ssp_coefficient"]

Element = Any
Polynomial = list[Element]
_R = sympy.Dummy("r")


def ssp_coefficient(reals: RealField, a: Sequence[Sequence[Element]], b: Sequence[Element]) -> End:
    """Return C of a tableau with numbers: exact where short, infinity for backward Euler."""
    domain = reals.domain
    s = len(b)
    size = s + 1
    k = [[*row, domain.zero] for row in a] + [[*b, domain.zero]]
    r = sympy.Poly([domain.one, domain.zero], _R, domain=domain)

    def constant(element: Element) -> sympy.Poly:
        return sympy.Poly([element], _R, domain=domain)

    unit = [
        [constant(domain.one if i == j else domain.zero) for j in range(size)] for i in range(size)
    ]
    scaled = [[r * constant(e) for e in row] for row in k]
    determinant, adjugate = _adjugate(
        [[unit[i][j] + scaled[i][j] for j in range(size)] for i in range(size)], unit
    )
    conditions = [determinant]
    for i in range(size):
        # rK (I + rK)^-1 = I - (I + rK)^-1, times the determinant, which is positive near 0
        row = [determinant * unit[i][j] - adjugate[i][j] for j in range(size)]
        conditions += row
        conditions.append(determinant - sum(row, constant(domain.zero)))
    return _first_violation(reals, [_ascending(item) for item in conditions])


def _adjugate(
    matrix: list[list[sympy.Poly]], unit: list[list[sympy.Poly]]
) -> tuple[sympy.Poly, list[list[sympy.Poly]]]:
    """Return determinant and adjugate by Faddeev and LeVerrier."""
    n = len(matrix)
    domain = matrix[0][0].domain
    power = unit
    coefficient = unit[0][0]
    for k in range(1, n + 1):
        product = [
            [
                sum((matrix[i][m] * power[m][j] for m in range(1, n)), matrix[i][0] * power[0][j])
                for j in range(n)
            ]
            for i in range(n)
        ]
        trace = sum((product[i][i] for i in range(1, n)), product[0][0])
        coefficient = trace * sympy.Poly(
            [domain.convert(-1) / domain.convert(k)], _R, domain=domain
        )
        if k == n:
            break
        power = [[product[i][j] + coefficient * unit[i][j] for j in range(n)] for i in range(n)]
    sign = -1 if n % 2 else 1
    return coefficient * sign, [[entry * -sign for entry in row] for row in power]


def _ascending(polynomial: sympy.Poly) -> Polynomial:
    return list(polynomial.rep.to_list()[::-1]) if polynomial else []


def _first_violation(reals: RealField, conditions: Sequence[Polynomial]) -> End:
    """Return the smallest end over all conditions; a condition that vanishes always holds."""
    ends = [positive_until(reals, condition) for condition in conditions]
    if any(end == 0 for end in ends if not isinstance(end, Root)):
        return sympy.Integer(0)
    roots = [end for end in ends if isinstance(end, Root)]
    if not roots:
        return sympy.oo
    smallest = roots[0]
    for root in roots[1:]:
        smallest = _smaller(smallest, root)
    return smallest.named()


def _smaller(a: Root, b: Root) -> Root:
    if a.polynomial == b.polynomial and (a.low, a.high) == (b.low, b.high):
        return a
    for _ in range(200):
        if a.high <= b.low:
            return a
        if b.high <= a.low:
            return b
        a, b = a.refined(), b.refined()
    return a


def linear_monotonicity(function: StabilityFunction) -> End | None:
    """Return the threshold factor of a polynomial R, None where R has poles."""
    if len(function.denominator) > 1:
        return None
    reals = function.reals
    current = [c / function.denominator[0] for c in function.numerator]
    conditions: list[Polynomial] = []
    while current:
        conditions.append([c * (-1) ** i for i, c in enumerate(current)])
        current = [i * c for i, c in enumerate(current)][1:]
    return _first_violation(reals, conditions)
