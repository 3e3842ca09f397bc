"""Which members of a family of schemes a picture shows: values for the params that are still symbols."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sympy

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import UsageError
from schemegen.report.notation import Script
from schemegen.report.plots.characteristic import Characteristic, characteristic, free_symbols
from schemegen.scheme.model import Constant, Interval, Scheme

__all__ = ["members", "range_of", "single", "the_symbol"]

MOST = 5
POOL = tuple(sympy.Rational(n, 4) for n in (0, 2, -2, 4, -4, 8, -8, 1, 3, -1, -3))
SCRIPT = Script()


def members(analysis: Analysis, scheme: Scheme | None) -> tuple[tuple[str, Characteristic], ...]:
    """Return ``("", polynomial)`` of a scheme with numbers, or some named members of a family.

    The values are the declared ``init``, and others that keep the step zero-stable and lie in the ``range``.

    Errors: :class:`UsageError` where there is no polynomial, or it depends on several params.
    """
    stability = analysis.stability
    symbol = the_symbol(analysis)
    if symbol is None:
        found = characteristic(stability, {})
        assert found is not None
        return (("", found),)
    chosen = []
    for value in candidates(analysis, scheme, symbol):
        try:
            found = characteristic(stability, {symbol: value})
        except (TypeError, ValueError, ZeroDivisionError):
            continue  # the coefficients have a pole at this value
        if found is not None and _zero_stable(found):
            chosen.append((value, found))
        if len(chosen) == MOST:
            break
    if not chosen:
        raise UsageError(
            f"no value of `{symbol}` to draw was found", f"choose one with --set {symbol}=NUMBER"
        )
    chosen.sort(key=lambda item: item[0])
    name = SCRIPT.name(str(symbol))
    return tuple((f"{name} = {SCRIPT.exact(value)}", item) for value, item in chosen)


def single(analysis: Analysis, *, one_step: bool = False) -> Characteristic:
    """Return the polynomial of a scheme whose stability is numbers alone.

    Errors: :class:`UsageError` where it depends on a param, or is not that of a one-step method.
    """
    symbol = the_symbol(analysis)
    if one_step and analysis.stability.numerator is None:
        raise UsageError(
            f"{analysis.scheme} has no order star: it is no one-step method with R(z)",
            "--plot-kind locus shows where roots cross the unit circle",
        )
    if symbol is not None:
        message = f"this picture of {analysis.scheme} depends on `{symbol}`"
        raise UsageError(message, _flags(analysis, (symbol,)))
    found = characteristic(analysis.stability, {})
    assert found is not None
    return found


def the_symbol(analysis: Analysis) -> sympy.Symbol | None:
    """Return the one param that the stability depends on, None where it depends on none.

    Errors: :class:`UsageError` where there is no stability function, or it depends on several params.
    """
    stability = analysis.stability
    if stability.numerator is None and stability.rho is None and stability.matrix is None:
        reasons = [n.text for n in analysis.notes if n.key.startswith("stability") and not n.code]
        raise UsageError(
            f"{analysis.scheme} has no stability function to draw", reasons[0] if reasons else None
        )
    symbols = free_symbols(stability)
    if len(symbols) > 1:
        names = " and ".join(f"`{symbol}`" for symbol in symbols)
        message = f"the stability of {analysis.scheme} depends on {names}"
        raise UsageError(message, _flags(analysis, symbols))
    return symbols[0] if symbols else None


def _flags(analysis: Analysis, symbols: tuple[sympy.Symbol, ...]) -> str | None:
    """Return the advice to choose numbers for those symbols that are params; schedules have no flag."""
    declared = [item.name for item in analysis.params if sympy.Symbol(item.name) in symbols]
    return f"give {' '.join(f'--set {name}=NUMBER' for name in declared)}" if declared else None


def range_of(analysis: Analysis, symbol: sympy.Symbol) -> Interval | None:
    """Return the declared range of a param."""
    return next((item.range for item in analysis.params if item.name == str(symbol)), None)


def candidates(
    analysis: Analysis, scheme: Scheme | None, symbol: sympy.Symbol
) -> Iterator[sympy.Expr]:
    """Yield values to try, the most telling first."""
    interval = range_of(analysis, symbol)
    seen = set()
    for value in (*_initial(scheme, symbol), *_spread(interval)):
        if value not in seen and (interval is None or _within(value, interval)):
            seen.add(value)
            yield value


def _zero_stable(item: Characteristic) -> bool:
    """Whether at z = 0 no root is outside the unit circle, and those on it are simple, to 1e-7."""
    roots = item.roots(np.zeros(1, dtype=complex))[0]
    on_circle = roots[np.abs(roots) > 1 - 1e-7]
    apart = np.abs(on_circle[:, None] - on_circle[None, :]) + np.eye(len(on_circle))
    return bool((np.abs(roots) <= 1 + 1e-7).all() and (apart > 1e-7).all())


def _initial(scheme: Scheme | None, symbol: sympy.Symbol) -> Iterator[sympy.Expr]:
    for param in scheme.params if scheme is not None else ():
        if param.symbol == symbol and isinstance(param.init, Constant):
            yield param.init.value


def _spread(interval: Interval | None) -> tuple[sympy.Expr, ...]:
    if interval is not None and interval.low.is_finite and interval.high.is_finite:
        steps = range(MOST)
        length = interval.high - interval.low
        return tuple(interval.low + length * sympy.Rational(i, MOST - 1) for i in steps)
    return POOL


def _within(value: sympy.Expr, interval: Interval) -> bool:
    above = value >= interval.low if interval.low_closed else value > interval.low
    below = value <= interval.high if interval.high_closed else value < interval.high
    return bool(above) and bool(below)
