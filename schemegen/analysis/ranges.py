"""Declared ranges of params: the values that training can reach, beside an exact set of one symbol."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.analysis.parameter_set import Cell
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Constant, Interval, Param

__all__ = ["bounds_of", "fixed_value", "outside", "spelled_bounds", "within"]


def fixed_value(param: Param) -> sympy.Expr | None:
    """Return the number that a fixed param keeps for ever."""
    if param.learnable or not isinstance(param.init, Constant):
        return None
    return param.init.value


def bounds_of(param: Param) -> Interval | None:
    """Return the declared range, or what the last function of ``via`` leaves: (0, 1), (-1, 1), [0, inf)."""
    if param.range is not None:
        return param.range
    if param.via is None or not param.via.is_Function:
        return None
    known = {
        "sigmoid": Interval(sympy.Integer(0), sympy.Integer(1), False, False),
        "tanh": Interval(sympy.Integer(-1), sympy.Integer(1), False, False),
        "softplus": Interval(sympy.Integer(0), sympy.oo, False, False),
        "exp": Interval(sympy.Integer(0), sympy.oo, False, False),
        "relu": Interval(sympy.Integer(0), sympy.oo, True, False),
    }
    return known.get(param.via.func.__name__)


def spelled_bounds(bounds: Interval, name: str) -> str:
    """Return ``-1 < k <= 1``, ``k >= 0``, ``k = 1/2``."""
    low, high = bounds.low, bounds.high
    below, above = ("<=" if c else "<" for c in (bounds.low_closed, bounds.high_closed))
    if low == high:
        return f"{name} = {format_exact(low)}"
    if low == -sympy.oo and high == sympy.oo:
        return f"every {name}"
    if high == sympy.oo:
        return f"{name} {'>=' if bounds.low_closed else '>'} {format_exact(low)}"
    text = f"{name} {above} {format_exact(high)}"
    return text if low == -sympy.oo else f"{format_exact(low)} {below} {text}"


def within(bounds: Interval, cells: Sequence[Cell]) -> bool:
    """Say whether an interval lies in the cells that hold."""
    return not any(_meets(bounds, cell) for cell in cells if not cell.holds)


def outside(bounds: Interval, cells: Sequence[Cell], name: str) -> str | None:
    """Return the part of the interval in cells that do not hold: ``k = -1 or 1 < k <= 2``."""
    parts: list[Interval] = []
    for cell in cells:
        if cell.holds or not _meets(bounds, cell):
            continue
        part = _common(bounds, cell)
        last = parts[-1] if parts else None
        if last is not None and last.high == part.low and (last.high_closed or part.low_closed):
            parts[-1] = Interval(last.low, part.high, last.low_closed, part.high_closed)
        else:
            parts.append(part)
    return " or ".join(spelled_bounds(part, name) for part in parts) or None


def _common(bounds: Interval, cell: Cell) -> Interval:
    low, high = _ends(cell)
    point = cell.is_point
    bottom, closed_bottom = (
        (bounds.low, bounds.low_closed) if not point and bounds.low > low else (low, point)
    )
    top, closed_top = (
        (bounds.high, bounds.high_closed) if not point and bounds.high < high else (high, point)
    )
    return Interval(bottom, top, closed_bottom, closed_top)


def _meets(bounds: Interval, cell: Cell) -> bool:
    low, high = _ends(cell)
    if cell.is_point:
        above = low > bounds.low or (low == bounds.low and bounds.low_closed)
        below = low < bounds.high or (low == bounds.high and bounds.high_closed)
        return bool(above and below)
    if bounds.low == bounds.high:
        return bool(low < bounds.low < high)
    return bool(bounds.low < high and low < bounds.high)


def _ends(cell: Cell) -> tuple[sympy.Expr, sympy.Expr]:
    low = -sympy.oo if cell.low is None else _end(cell.low.named())
    high = sympy.oo if cell.high is None else _end(cell.high.named())
    return low, high


def _end(value: sympy.Expr | float) -> sympy.Expr:
    return value if isinstance(value, sympy.Expr) else sympy.Float(value, 15)
