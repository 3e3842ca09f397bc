"""G-stability of two-step methods: the norm in which solutions of monotone problems do not move apart.

With ``G`` positive definite and ``a_0, a_1, a_2`` real::

    (rho(E) y) (sigma(E) y) = |(y_1, y_2)|_G^2 - |(y_0, y_1)|_G^2 + (a_0 y_0 + a_1 y_1 + a_2 y_2)^2

For order 2 the last square is ``m^2 (y_0 - 2 y_1 + y_2)^2``, so G follows by comparing coefficients. An A-stable
method without common factors of rho and sigma is G-stable.
Source: Dahlquist (1978), BIT 18, 384-401; Hairer, Wanner (1996), V.6.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.exact import canonical, is_zero

__all__ = ["g_matrix"]

Matrix = tuple[tuple[sympy.Expr, sympy.Expr], tuple[sympy.Expr, sympy.Expr]]


def g_matrix(rho: Sequence[sympy.Expr], sigma: Sequence[sympy.Expr]) -> Matrix | None:
    """Return G of a two-step method of order 2 with numbers, ascending in zeta; None where there is none.

    The scale is that of ``sigma(1) = 1``.
    """
    if len(rho) != 3 or len(sigma) != 3 or any(value.free_symbols for value in (*rho, *sigma)):
        return None
    total = sum(sigma, sympy.Integer(0))
    if is_zero(total):
        return None
    a = [canonical(value / total) for value in rho]
    b = [canonical(value / total) for value in sigma]
    square = canonical((a[0] * b[2] + a[2] * b[0]) / 2)
    if square.is_negative:
        return None
    g11 = canonical(square - a[0] * b[0])
    g22 = canonical(a[2] * b[2] - square)
    g12 = canonical((a[1] * b[2] + a[2] * b[1]) / 2 + 2 * square)
    middle = a[1] * b[1] - (g11 - g22 + 4 * square)
    other = a[0] * b[1] + a[1] * b[0] - (-2 * g12 - 4 * square)
    if not is_zero(canonical(middle)) or not is_zero(canonical(other)):
        return None
    definite = g11.is_positive and canonical(g11 * g22 - g12**2).is_positive
    return ((g11, g12), (g12, g22)) if definite else None
