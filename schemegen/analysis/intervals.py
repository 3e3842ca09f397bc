"""The interval of stability next to 0, read from a decomposition of the real line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

import sympy

from schemegen.analysis.parameter_set import Cell

__all__ = ["End", "interval_around_zero"]

End: TypeAlias = sympy.Expr | float


def interval_around_zero(cells: Sequence[Cell]) -> tuple[End, End] | None:
    """Return the closure of the stable interval that holds 0, or None.

    None where 0 itself is unstable or an inner point was not decided. An end need not belong to the set.
    """
    left = [cell for cell in cells if _side(cell) < 0]
    middle = [cell for cell in cells if _side(cell) == 0]
    right = [cell for cell in cells if _side(cell) > 0]
    if any(cell.holds is not True for cell in middle):
        return None
    high = _end([*middle, *right], upward=True)
    low = _end([*reversed([*left, *middle])], upward=False)
    return None if low is None or high is None else (low, high)


def _side(cell: Cell) -> int:
    """Return where the cell lies: -1 left of 0, 1 right of it, 0 where it holds 0."""
    if cell.is_point and cell.low is not None and cell.low.is_rational and cell.low.low == 0:
        return 0
    if cell.low is not None and cell.low.low >= 0:
        return 1
    return -1 if cell.high is not None and cell.high.high <= 0 else 0


def _end(cells: Sequence[Cell], *, upward: bool) -> End | None:
    """Follow the cells away from 0 while they hold."""
    reached: End = sympy.Integer(0)
    for cell, after in zip_longest(cells, cells[1:]):
        if cell.holds is None and after is not None and after.holds is not False:
            return None
        if not cell.holds:
            return reached
        root = cell.high if upward else cell.low
        reached = (sympy.oo if upward else -sympy.oo) if root is None else root.named()
    return reached
