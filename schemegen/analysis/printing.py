"""Exact numbers as text in the language's own syntax."""

from __future__ import annotations

import sympy

__all__ = ["printed"]


def printed(expr: sympy.Expr) -> str:
    """Return ``-2*(1 - k)``, ``sqrt(3)/6``, ``k^2``."""
    return str(expr).replace("**", "^")
