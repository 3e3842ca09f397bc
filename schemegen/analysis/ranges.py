"""Declared ranges of params, the values that training can reach, beside exact sets of symbols."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

import flint
import sympy

from schemegen.analysis.parameter_set import Cell
from schemegen.analysis.semialgebraic import Atom, Region, covers
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Constant, Interval, Param

__all__ = [
    "Box",
    "bounds_of",
    "box_of",
    "fixed_value",
    "holds_at",
    "outside",
    "point_outside",
    "spelled_bounds",
    "within",
    "within_region",
]

Box = dict[sympy.Symbol, Interval]
MOST_POINTS = 4000


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


def box_of(params: Sequence[Param], symbols: Sequence[sympy.Symbol]) -> Box | None:
    """Return the values that each symbol can take; None where one is no param (a schedule)."""
    found: Box = {}
    for symbol in symbols:
        param = next((p for p in params if p.symbol == symbol), None)
        if param is None:
            return None
        value = fixed_value(param)
        everything = Interval(-sympy.oo, sympy.oo, False, False)
        fixed = None if value is None else Interval(value, value, True, True)
        found[symbol] = fixed or bounds_of(param) or everything
    return found


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


def holds_at(value: sympy.Expr, cells: Sequence[Cell]) -> bool | None:
    """Say whether a number lies in the cells that hold; None where its cell was not decided."""
    point = Interval(value, value, True, True)
    return next((cell.holds for cell in cells if _meets(point, cell)), None)


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


def within_region(box: Box, region: Region) -> bool:
    """Say whether all points of the box are seen to lie in the region; ends must be rational."""
    space = region.space
    atoms = []
    for symbol, bounds in box.items():
        variable = space.polynomial(symbol)
        for end, closed, sign in (
            (bounds.low, bounds.low_closed, 1),
            (bounds.high, bounds.high_closed, -1),
        ):
            if end in (sympy.oo, -sympy.oo):
                continue
            if not end.is_Rational:
                return False
            gap = (variable - space.polynomial(end)) * sign
            atoms.append(Atom(gap, ">=" if closed else ">"))
    return covers(region, atoms)


def point_outside(box: Box, region: Region) -> dict[sympy.Symbol, sympy.Rational] | None:
    """Return a point of the box that the region does not hold, the plainest of those tried."""
    symbols = region.space.symbols
    axes = [_samples(box[s]) if s in box else [sympy.Integer(0)] for s in symbols]
    for point in islice(product(*axes), MOST_POINTS):
        values = [flint.fmpq(int(v.p), int(v.q)) for v in point]
        if not region.holds(values):
            return {s: v for s, v in zip(symbols, point, strict=True) if s in box}
    return None


def _samples(bounds: Interval) -> list[sympy.Rational]:
    """Return rational points of an interval: its middle, its ends, points near open ends."""
    low, high = bounds.low, bounds.high
    if low == high:
        return [low] if low.is_Rational else []
    if high - low == sympy.oo:
        near = [0] if low == -high else [high - 1 if low == -sympy.oo else low + 1]
        start = near[0]
        far = [start + step for step in (1, -1, 2, -2, 3, -3, 1000, -1000)]
        points = [*near, *far, *(e for e in (low, high) if e.is_Rational)]
    else:
        width = high - low
        points = [low + width / 2, high, low, low + width / 1000, high - width / 1000]
    found = [sympy.Rational(p) for p in points if sympy.S(p).is_Rational]
    return [p for p in found if _holds(bounds, p)]


def _holds(bounds: Interval, value: sympy.Rational) -> bool:
    above = value > bounds.low or (value == bounds.low and bounds.low_closed)
    below = value < bounds.high or (value == bounds.high and bounds.high_closed)
    return bool(above and below)
