"""Real stability intervals whose ends depend on symbols.

A step ``R(z) = a + b z`` with ``b > 0`` is bounded for ``-(1 + a)/b <= z <= (1 - a)/b``. A two-step formula with
the characteristic polynomial ``zeta^2 + p(z) zeta + q``, q free of z, is bounded for ``|q| <= 1`` (its
zero-stability) where ``1 + p(z) + q >= 0`` and ``1 - p(z) + q >= 0``, two linear conditions on z.
Source: Jury's criterion; for the damped network and the LM architecture Yang et al. (2020), Lu et al. (2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

__all__ = ["linear_function_interval", "two_step_interval"]

Interval = tuple[sympy.Expr, sympy.Expr]


def linear_function_interval(
    above: Sequence[sympy.Expr], below: Sequence[sympy.Expr], nonnegative: frozenset[str]
) -> Interval | None:
    """Return the interval of ``(a + b z)/1``; None for another function or where the sign of b is open."""
    if len(above) != 2 or len(below) != 1:
        return None
    a, b = (sympy.cancel(value / below[0]) for value in above)
    if not _positive(b, nonnegative):
        return None
    return sympy.factor((-1 - a) / b), sympy.factor((1 - a) / b)


def two_step_interval(
    rho: Sequence[sympy.Expr], sigma: Sequence[sympy.Expr], nonnegative: frozenset[str]
) -> Interval | None:
    """Return the interval of ``rho - z sigma``, monic of degree 2, with ``sigma = s zeta``, ``s > 0``."""
    if len(rho) != 3 or sigma[0] != 0 or sigma[2] != 0 or not _positive(sigma[1], nonnegative):
        return None
    q, p, _ = rho
    low = sympy.cancel(-(1 - p + q) / sigma[1])
    high = sympy.cancel((1 + p + q) / sigma[1])
    return sympy.factor(low), sympy.factor(high)


def _positive(value: sympy.Expr, nonnegative: frozenset[str]) -> bool:
    """Return whether a polynomial with non-negative coefficients in non-negative symbols is positive."""
    if value.is_number:
        return bool(value.is_positive)
    symbols = sorted(value.free_symbols, key=str)
    if any(symbol.name not in nonnegative for symbol in symbols) or not value.is_polynomial(
        *symbols
    ):
        return False
    terms = sympy.Poly(value, *symbols).terms()
    constant = any(not any(monomial) and c.is_positive for monomial, c in terms)
    return constant and all(bool(c.is_nonnegative) for _, c in terms)
