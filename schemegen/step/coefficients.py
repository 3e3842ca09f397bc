"""Exact coefficients of statements: zero, the canonical form, and the step size as a symbol."""

from __future__ import annotations

import sympy

from schemegen.scheme.model import Coefficient

__all__ = ["ONE", "ZERO", "canonical", "is_zero"]

ZERO: Coefficient = sympy.Integer(0)
ONE: Coefficient = sympy.Integer(1)


def canonical(expression: Coefficient) -> Coefficient:
    """Return the normal form of a coefficient."""
    if expression.is_Rational or expression.is_Symbol:
        return expression
    return sympy.factor_terms(sympy.expand(sympy.radsimp(expression)))


def is_zero(expression: Coefficient) -> bool:
    """Decide whether a coefficient vanishes."""
    if expression.is_Rational:
        return bool(expression == 0)
    return bool(canonical(expression) == 0)
