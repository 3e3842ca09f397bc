"""The root locus: how the roots zeta of a step move in the unit circle as one number grows.

The number is a param of the scheme at ``z = 0`` (which roots are parasitic, and where the method stops being
zero-stable), or ``z`` itself on its way down the negative real axis.
Source: Hairer, Norsett, Wanner (1993), III.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import NDArray

from schemegen.analysis.model import Analysis
from schemegen.report.plots.canvas import INK, PALETTE, plane, show
from schemegen.report.plots.characteristic import Characteristic, characteristic
from schemegen.report.plots.members import SCRIPT, range_of, the_symbol
from schemegen.report.plots.region import legend
from schemegen.report.plots.window import around

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["root_locus"]

Complex = NDArray[np.complex128]
Path = Sequence[tuple[float, Complex]]

STEPS = 240
BEYOND = 1.25  # how far past the end of the stable interval z goes
FARTHEST = 8.0
LARGEST = 3.0


def root_locus(title: str, analysis: Analysis) -> Figure:
    """Draw the roots as points, coloured by the number that moves them."""
    symbol = the_symbol(analysis)
    if symbol is None:
        path, name = _over_z(analysis), "z = hλ"
    else:
        path, name = _over_param(analysis, symbol)
    figure, axes = plane(title, "Re ζ", "Im ζ")
    theta = np.linspace(0.0, 2 * np.pi, 361)
    axes.plot(np.cos(theta), np.sin(theta), color=INK, linewidth=1.2, label="unit circle", zorder=2)
    numbers = np.concatenate([np.full(len(roots), number) for number, roots in path])
    points = np.concatenate([roots for _, roots in path])
    kept = np.isfinite(points) & (np.abs(points) <= LARGEST)
    dots = axes.scatter(
        points[kept].real, points[kept].imag, c=numbers[kept], cmap="viridis", s=9, zorder=4
    )
    ends = ((path[0], "s", PALETTE[0]), (path[-1], "D", PALETTE[1]))
    for (number, roots), marker, color in ends:
        shown = roots[np.isfinite(roots) & (np.abs(roots) <= LARGEST)]
        axes.scatter(
            shown.real,
            shown.imag,
            marker=marker,
            s=48,
            facecolors="none",
            edgecolors=color,
            linewidths=1.6,
            zorder=5,
            label=f"at {name.split(' ')[0]} = {number:.4g}",
        )
    figure.colorbar(dots, ax=axes, label=name, shrink=0.8)
    window = around(np.concatenate([points[kept], np.exp(1j * theta)]))
    show(axes, window)
    legend(figure, axes)
    return figure


def _over_z(analysis: Analysis) -> Path:
    item = characteristic(analysis.stability, {})
    if item is None:
        return []
    ends = analysis.stability.real_interval
    low = float(ends[0]) if ends is not None and ends[0] != 0 else -1.0
    low = max(low * BEYOND, -FARTHEST)
    numbers = np.linspace(0.0, low, STEPS + 1)
    return [(float(z), item.roots(np.array([z + 0j]))[0]) for z in numbers]


def _over_param(analysis: Analysis, symbol: sympy.Symbol) -> tuple[Path, str]:
    """Let the param go through its range (or a part of it) at z = 0, or -1 where nothing moves at 0."""
    interval = range_of(analysis, symbol)
    low, high = sympy.Rational(-3, 2), sympy.Rational(3, 2)
    if interval is not None:
        low = interval.low if interval.low.is_finite else low
        high = interval.high if interval.high.is_finite else max(low, sympy.Integer(0)) + 2
    found: list[tuple[float, Characteristic]] = []
    for i in range(STEPS + 1):
        value = low + (high - low) * sympy.Rational(i, STEPS)
        try:
            item = characteristic(analysis.stability, {symbol: value})
        except (TypeError, ValueError, ZeroDivisionError):
            continue  # the coefficients have a pole at this value
        if item is not None:
            found.append((float(value), item))
    name = SCRIPT.name(str(symbol))
    path: Path = []
    for z in (0.0, -1.0):
        path = [(number, item.roots(np.array([z + 0j]))[0]) for number, item in found]
        moving = np.ptp(np.array([np.abs(roots - 1).max() for _, roots in path]))
        if moving > 1e-9:
            break
    return path, f"{name} at z = {z:g}"
