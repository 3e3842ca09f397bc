"""The roots of rho besides the principal root 1: what a multistep method adds to the equation."""

from __future__ import annotations

import sympy

from schemegen.analysis.stability import LinearAnalysis
from schemegen.scheme.expressions import format_exact as printed

__all__ = ["parasitic_roots"]

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


def _factors(expr: sympy.Expr, symbols: list[sympy.Symbol]) -> list[tuple[sympy.Poly, int]]:
    radicals = [
        item for item in expr.atoms(sympy.Pow) if item.exp.is_Rational and not item.exp.is_Integer
    ]
    options = {"extension": radicals} if radicals else {}
    _, factors = sympy.factor_list(expr, _ZETA, *symbols, **options)
    return [(sympy.Poly(item, _ZETA), power) for item, power in factors if item.has(_ZETA)]


def _roots(factor: sympy.Poly) -> list[str]:
    coefficients = factor.all_coeffs()
    if len(coefficients) == 2:
        return [printed(sympy.cancel(-coefficients[1] / coefficients[0]))]
    if len(coefficients) == 3 and not factor.free_symbols - {_ZETA} and factor.domain.is_ZZ:
        a, b, c = coefficients
        root = sympy.sqrt(b * b - 4 * a * c)
        return [printed(sympy.expand((-b + sign * root) / (2 * a))) for sign in (-1, 1)]
    return [f"root of {printed(factor.as_expr())}"] * factor.degree()
