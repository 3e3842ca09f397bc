"""Stability intervals of a step of two values, such as position and velocity, decided exactly.

The roots of ``zeta^2 + p zeta + q`` with real p and q lie in the closed unit disk iff ``q <= 1``,
``1 + p + q >= 0`` and ``1 - p + q >= 0`` (Jury). For polynomials p and q in z these are polynomial inequalities:
in x for ``z = -x`` and ``z = x``, and in ``nu^2`` for ``z = i nu`` where p and q are even.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy

from schemegen.analysis.intervals import End
from schemegen.analysis.reals import RealField, Root, positive_until

__all__ = ["imaginary_interval", "real_interval"]

Element = Any
Polynomial = Sequence[Element]


def real_interval(reals: RealField, q: Polynomial, p: Polynomial) -> tuple[End, End] | None:
    """Return the real z next to 0 with both roots in the unit disk; None where those at 0 are not."""
    right = _until(reals, list(q), list(p))
    left = _until(
        reals, [c * (-1) ** i for i, c in enumerate(q)], [c * (-1) ** i for i, c in enumerate(p)]
    )
    if right is None or left is None:
        return None
    return -_named(left), _named(right)


def imaginary_interval(reals: RealField, q: Polynomial, p: Polynomial) -> tuple[End, End] | None:
    """Return the nu next to 0 with both roots in the unit disk at ``z = i nu``; None unless p and q are even."""
    if any(c for row in (q, p) for c in list(row)[1::2]):
        return None
    rows = [[c * (-1) ** k for k, c in enumerate(list(row)[::2])] for row in (q, p)]
    end = _until(reals, *rows)
    if end is None:
        return None
    square = _named(end)
    high: End = sympy.sqrt(square) if isinstance(square, sympy.Expr) else math.sqrt(square)
    return -high, high


def _until(reals: RealField, q: list[Element], p: list[Element]) -> Root | sympy.Expr | None:
    """Return how far from 0 on all three inequalities hold; None where one fails at 0 itself."""
    one = reals.domain.one
    size = max(len(p), len(q), 1)
    p, q = ([*row, *[reals.domain.zero] * (size - len(row))] for row in (p, q))
    ends = []
    for signs in ((0, -1), (1, 1), (-1, 1)):
        row = [signs[0] * a + signs[1] * b for a, b in zip(p, q, strict=True)]
        row[0] += one
        if row[0] and reals.sign(row[0]) < 0:
            return None
        ends.append(positive_until(reals, row))
    return min(ends, key=lambda end: end.number() if isinstance(end, Root) else float(end))


def _named(end: Root | sympy.Expr) -> End:
    return end.named() if isinstance(end, Root) else end
