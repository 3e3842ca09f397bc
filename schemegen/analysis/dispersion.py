"""Phase and amplification errors on ``u' = i omega u``, as series in ``nu = h omega``.

The principal root of the step is ``zeta(z) = exp(e_1 z + e_2 z^2 + ..)``, ``z = i nu``. Its argument lags the
phase ``e_1 nu`` of the equation it is consistent with by ``-sum_{k odd > 1} e_k (-1)^((k-1)/2) nu^k``, the
*dispersion*, and its modulus falls short of 1 by the *dissipation*
``1 - exp(sum_{k even} e_k (-1)^(k/2) nu^k)``.
Source: van der Houwen, Sommeijer (1987), SIAM J. Numer. Anal. 24, 595-617.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import sympy

from schemegen.analysis.linear import characteristic
from schemegen.analysis.linear_coefficients import CoefficientField, number
from schemegen.analysis.model import Note, PhaseTerm
from schemegen.analysis.stability import LinearAnalysis

__all__ = ["dispersion_and_dissipation", "principal_logarithm"]

Element = Any
Series = list[Element]

KEPT = 2  # leading terms of each series
MOST = 14  # powers of z that are looked at
FEW_SYMBOLS = 2  # with more the coefficients grow long


def dispersion_and_dissipation(
    linear: LinearAnalysis,
) -> tuple[tuple[PhaseTerm, ...] | None, tuple[PhaseTerm, ...] | None, list[Note]]:
    """Return the leading terms of both series; an empty one has none up to ``nu^13``."""
    logarithm, reason = principal_logarithm(linear)
    if logarithm is None:
        keys = ("dispersion", "dissipation")
        return None, None, [Note(key, reason) for key in keys]
    assert linear.step is not None
    coefficients = linear.step.coefficients
    field = _numbers(coefficients)
    expr = _factored(coefficients) if coefficients.has_parameters else coefficients.reals.exact
    phase = [
        PhaseTerm(k, expr(-logarithm[k] if k % 4 == 1 else logarithm[k]))
        for k in range(3, MOST, 2)
        if logarithm[k]
    ]
    even = [field.zero] * MOST
    for k in range(2, MOST, 2):
        even[k] = logarithm[k] if k % 4 == 0 else -logarithm[k]
    modulus = _exponential(even, field)
    loss = [PhaseTerm(k, expr(-modulus[k])) for k in range(2, MOST, 2) if modulus[k]]
    return tuple(phase[:KEPT]), tuple(loss[:KEPT]), []


def principal_logarithm(linear: LinearAnalysis) -> tuple[Series | None, str]:
    """Return ``0, e_1, e_2, ..`` with ``zeta = exp(sum e_k z^k)`` the root of the step that tends to 1.

    Otherwise None and the reason. With two states, ``zeta = 1 + z + ..`` of the two roots at 1 is meant.
    """
    step = linear.step
    if step is None:
        return None, "the step has no linear test equation"
    if step.scaled is None:
        return None, "the step is no function of z = h*lambda alone"
    symbols = len(step.coefficients.field.symbols) - 1
    if symbols > FEW_SYMBOLS:
        return None, f"worked out for up to {FEW_SYMBOLS} symbols, here are {symbols}"
    polynomial = characteristic(step.scaled, step.coefficients.field)
    field = _numbers(step.coefficients)
    rows = _polynomials(polynomial, step.coefficients.field)
    if (
        not step.coefficients.has_parameters
    ):  # fractions over algebraic numbers would not be reduced
        rows = [[number(c) for c in row] for row in rows]
    table = _substituted(rows, field)
    lowest = min((i for row in table for i, c in enumerate(row) if c), default=0)
    table = [row[lowest:] + [field.zero] * MOST for row in table]
    first = _slope([row[0] for row in table], field)
    if first is None:
        return None, "no simple root of the step tends to 1 with z"
    w = _lifted(table, first, field)
    u = [field.zero, *w][:MOST]
    return _logarithm(u, field), ""


def _factored(coefficients: CoefficientField) -> Callable[[Element], sympy.Expr]:
    return lambda element: sympy.factor(coefficients.expr(element))


def _numbers(coefficients: CoefficientField) -> Any:
    """Return the field of the series' coefficients: of numbers where there are no symbols."""
    return coefficients.field if coefficients.has_parameters else coefficients.reals.domain


def _polynomials(coefficients: Sequence[Element], field: Any) -> list[Series]:
    """Clear denominators; return the coefficients of each power of z, free of z."""
    common = field.ring.one
    for element in coefficients:
        common = common * element.denom.quo(common.gcd(element.denom))
    rows = []
    for element in coefficients:
        whole = element.numer * common.quo(element.denom)
        parts = [field.ring.zero] * (max((m[0] for m in whole.monoms()), default=0) + 1)
        for monomial, c in whole.terms():
            parts[monomial[0]] += field.ring.from_dict({(0, *monomial[1:]): c})
        rows.append([field.new(part) for part in parts])
    return rows


def _substituted(rows: Sequence[Series], field: Any) -> list[Series]:
    """Return, for each power of w, the series in z of ``P(1 + z w, z)``."""
    result = []
    for power in range(len(rows)):
        total = [field.zero] * (power + max(map(len, rows)))
        for j in range(power, len(rows)):
            for i, c in enumerate(rows[j]):
                total[power + i] += c * comb(j, power)
        result.append(total)
    return result


def _slope(polynomial: Sequence[Element], field: Any) -> Element | None:
    """Return the simple root of a polynomial in w: the only one of a linear one, else 1."""
    degree = max((i for i, c in enumerate(polynomial) if c), default=0)
    if degree == 1:
        return -polynomial[0] / polynomial[1]
    derivative = sum((c * i for i, c in enumerate(polynomial)), field.zero)
    if degree > 1 and not sum(polynomial, field.zero) and derivative:
        return field.one
    return None


def _lifted(table: Sequence[Series], first: Element, field: Any) -> Series:
    """Return the series w(z) with ``sum_m table[m](z) w^m = 0`` that starts with a simple root."""
    slope = field.zero
    power = field.one
    for m in range(1, len(table)):
        slope += table[m][0] * power * m
        power = power * first
    w = [first]
    while len(w) < MOST - 1:
        n = len(w)
        w.append(field.zero)
        total = field.zero
        powers: Series = [field.one] + [field.zero] * n
        for m, row in enumerate(table):
            if m:
                powers = _product(powers, w, n + 1, field)
            for i in range(n + 1):
                if row[i] and powers[n - i]:
                    total += row[i] * powers[n - i]
        w[n] = -total / slope
    return w


def _product(a: Series, b: Series, length: int, field: Any) -> Series:
    result = [field.zero] * length
    for i, x in enumerate(a[:length]):
        if x:
            for j, y in enumerate(b[: length - i]):
                if y:
                    result[i + j] += x * y
    return result


def _logarithm(u: Series, field: Any) -> Series:
    """Return ``log(1 + u)`` for a series u without constant term, by ``(1 + u) L' = u'``."""
    n = len(u)
    result = [field.zero] * n
    for k in range(1, n):
        total = u[k] * k
        for j in range(1, k):
            if u[j] and result[k - j]:
                total -= u[j] * result[k - j] * (k - j)
        result[k] = total / k
    return result


def _exponential(u: Series, field: Any) -> Series:
    """Return ``exp(u)`` for a series u without constant term, by ``E' = u' E``."""
    n = len(u)
    result = [field.one] + [field.zero] * (n - 1)
    for k in range(1, n):
        total = field.zero
        for j in range(1, k + 1):
            if u[j]:
                total += u[j] * result[k - j] * j
        result[k] = total / k
    return result
