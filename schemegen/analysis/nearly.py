"""The order that decimal coefficients are meant to have.

Decimals are read exactly, so a tableau published with fifteen digits has the order 1 or 0 as written. Here its
order conditions are worked out as they are, and the order up to which all of them hold to within a small bound is
named beside the exact one.
"""

from __future__ import annotations

from math import prod
from typing import Any

from schemegen.analysis.linear_coefficients import number
from schemegen.analysis.model import NearOrder
from schemegen.analysis.stages import RungeKutta
from schemegen.series.trees import rooted_trees

__all__ = ["nearly"]

WITHIN = 1e-6  # a residual that is smaller is taken for rounding
MOST_NODES = 6


def nearly(method: RungeKutta | None, order: int | None) -> NearOrder | None:
    """Return the order above ``order`` up to which the conditions hold to a millionth, and how well they do."""
    if method is None or order is None or method.has_parameters:
        return None
    if len(method.states) != 1 or len(set(method.fields)) != 1:
        return None
    reals = method.coefficients.reals
    zero, one = reals.domain.zero, reals.domain.one
    a = [[number(e) for e in row] for row in method.a]
    b = [number(e) for e in method.b]
    trees = rooted_trees(MOST_NODES)
    inner: list[list[Any]] = []
    outer: list[list[Any]] = []
    held, within = 0, 0.0
    for nodes in range(1, MOST_NODES + 1):
        worst = within
        for tree in trees.level(nodes):
            children = trees.children[tree]
            inner.append([prod((outer[t][i] for t in children), start=one) for i in range(len(b))])
            outer.append([_dot(row, inner[tree], zero) for row in a])
            residual = _dot(b, inner[tree], zero) - one / trees.density[tree]
            worst = max(worst, abs(float(reals.exact(residual).evalf(20))))
        if worst > WITHIN:
            break
        held, within = nodes, worst
    return NearOrder(held, within) if held > order and within else None


def _dot(row: list[Any], values: list[Any], zero: Any) -> Any:
    return sum((x * y for x, y in zip(row, values, strict=True) if x), zero)
