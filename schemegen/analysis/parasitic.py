"""The roots of rho besides the principal root 1: what a multistep method adds to the equation."""

from __future__ import annotations

import sympy

from schemegen.analysis.stability import LinearAnalysis
from schemegen.scheme.expressions import format_exact as printed

__all__ = ["parasitic_growth", "parasitic_roots"]

_ZETA = sympy.Symbol("zeta")


def parasitic_roots(linear: LinearAnalysis) -> tuple[str, ...] | None:
    """Return the roots as text, repeated as often as they occur; none for a one-step method.

    Linear factors and quadratic ones with numbers are solved; another factor is named as
    ``root of zeta^3 - ...`` once for each of its roots.
    """
    stability = linear.stability
    if stability.numerator is not None:
        return ()
    if stability.rho is None:
        return None
    symbols = sorted(set().union(*(c.free_symbols for c in stability.rho)), key=str)
    expr = sum((c * _ZETA**i for i, c in enumerate(stability.rho)), sympy.Integer(0))
    numerator = sympy.fraction(sympy.together(expr))[0]
    found: list[str] = []
    principal = False
    for factor, power in _factors(numerator, symbols):
        roots = _roots(factor)
        if roots == ["1"] and not principal:
            principal = True
            roots = roots * (power - 1)
        else:
            roots = roots * power
        found += roots
    return tuple(found)


def parasitic_growth(
    linear: LinearAnalysis, roots: tuple[str, ...] | None
) -> tuple[str | None, ...] | None:
    """Return, for each parasitic root, w with ``zeta(z) = zeta (1 + w z + ..)``: ``sigma/(zeta rho')`` there.

    A root on the unit circle with a negative w grows on damped problems (weak instability). None for a root that
    is not simple, is 0, or is only named by its equation. Source: Hairer, Norsett, Wanner (1993), III.9.
    """
    stability = linear.stability
    if not roots or stability.rho is None or stability.sigma is None:
        return None if roots is None else ()
    rho = sum((c * _ZETA**i for i, c in enumerate(stability.rho)), sympy.Integer(0))
    sigma = sum((c * _ZETA**i for i, c in enumerate(stability.sigma)), sympy.Integer(0))
    slope = sympy.diff(rho, _ZETA)
    known = {
        printed(root): root
        for factor, _ in _factors(
            sympy.fraction(sympy.together(rho))[0],
            sorted(set().union(*(c.free_symbols for c in stability.rho)), key=str),
        )
        for root in _exact_roots(factor)
    }
    return tuple(
        None if roots.count(root) > 1 or root == "1" else _growth(known.get(root), slope, sigma)
        for root in roots
    )


def _growth(root: sympy.Expr | None, slope: sympy.Expr, sigma: sympy.Expr) -> str | None:
    """Return ``sigma/(zeta rho')`` at a simple root."""
    if root is None or root == 0:
        return None
    below = sympy.expand(root * slope.subs(_ZETA, root))
    value = sympy.radsimp(sympy.cancel(sympy.expand(sigma.subs(_ZETA, root)) / below))
    return printed(sympy.factor(sympy.expand(value) if value.is_number else value))


def _factors(expr: sympy.Expr, symbols: list[sympy.Symbol]) -> list[tuple[sympy.Poly, int]]:
    radicals = [
        item for item in expr.atoms(sympy.Pow) if item.exp.is_Rational and not item.exp.is_Integer
    ]
    options = {"extension": radicals} if radicals else {}
    _, factors = sympy.factor_list(expr, _ZETA, *symbols, **options)
    return [(sympy.Poly(item, _ZETA), power) for item, power in factors if item.has(_ZETA)]


def _exact_roots(factor: sympy.Poly) -> list[sympy.Expr]:
    """Return the roots of a linear factor, or of a quadratic one with numbers; nothing for another."""
    coefficients = factor.all_coeffs()
    if len(coefficients) == 2:
        return [sympy.cancel(-coefficients[1] / coefficients[0])]
    if len(coefficients) == 3 and not factor.free_symbols - {_ZETA} and factor.domain.is_ZZ:
        a, b, c = coefficients
        root = sympy.sqrt(b * b - 4 * a * c)
        return [sympy.expand((-b + sign * root) / (2 * a)) for sign in (-1, 1)]
    return []


def _roots(factor: sympy.Poly) -> list[str]:
    exact = _exact_roots(factor)
    if exact:
        return [printed(root) for root in exact]
    return [f"root of {printed(factor.as_expr())}"] * factor.degree()
