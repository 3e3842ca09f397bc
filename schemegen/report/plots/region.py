"""The region of absolute stability: ``{z: all roots of modulus <= 1}``, with poles and zeros of R."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import NDArray

from schemegen.analysis.model import Stability
from schemegen.report.plots.canvas import INK, PALETTE, plane, show
from schemegen.report.plots.characteristic import Characteristic
from schemegen.report.plots.window import Window, around

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "HORIZONTAL",
    "VERTICAL",
    "area",
    "legend",
    "mark_poles_and_zeros",
    "near",
    "region",
    "window_of",
]

Complex = NDArray[np.complex128]

HORIZONTAL, VERTICAL = "Re z", "Im z,   z = hλ"
POINTS = {1: 601, 2: 481}
POINTS_OF_MANY = 241
FAR, FAR_OF_UNBOUNDED, FAR_OF_MEDIAN = 4.0, 1.7, 60.0
ON_CIRCLE = 1e-7


def region(
    title: str, members: Sequence[tuple[str, Characteristic]], stability: Stability
) -> Figure:
    """Draw the region of one scheme, or the outlines of several members of a family.

    Args:
        members: name (``k = 1/2``, or empty) and polynomial; one of them is drawn as an area.
    """
    figure, axes = plane(title, HORIZONTAL, VERTICAL)
    windows = [window_of(item, stability if len(members) == 1 else None) for _, item in members]
    window = Window(
        min(item.left for item in windows),
        max(item.right for item in windows),
        max(item.top for item in windows),
    )
    for color, (name, item) in zip(PALETTE, members, strict=False):
        drawn = area(axes, window, item, color, filled=len(members) == 1)
        if name:
            axes.plot([], [], color=color, label=name)
        if name and not drawn:
            _segments(axes, window, item, color, "")
    if len(members) == 1:
        (_, item), *_ = members
        _segments(axes, window, item, PALETTE[1], "stable on the axes")
        mark_poles_and_zeros(axes, window, item)
    show(axes, window)
    legend(figure, axes)
    return figure


def area(axes: Axes, window: Window, item: Characteristic, color: str, *, filled: bool) -> bool:
    """Draw the region; say whether there is more of it than lines."""
    grid = window.grid(POINTS.get(item.degree, POINTS_OF_MANY))
    with np.errstate(divide="ignore"):
        level = np.clip(np.log(item.growth(grid)), -4.0, 4.0)
    # The region is symmetric in the real axis; rows from the lowest up.
    level = np.vstack([level[:0:-1], level])
    x, y = grid[0].real, np.concatenate([-grid[:0:-1, 0].imag, grid[:, 0].imag])
    inside = bool((level < -ON_CIRCLE).any())
    if filled and inside:
        axes.fill([], [], color=color, alpha=0.25, label="stable")
        axes.contourf(x, y, level, levels=[-5.0, 0.0], colors=[color], alpha=0.25, zorder=2)
    axes.contour(x, y, level, levels=[0.0], colors=[color], linewidths=1.6, zorder=3)
    return inside


def _segments(axes: Axes, window: Window, item: Characteristic, color: str, label: str) -> None:
    """Draw the stable parts of both axes; of some schemes they are all there is."""
    t = np.linspace(-1.0, 1.0, 4001)
    spans = ((max(-window.left, window.right), 1.0), (window.top, 1j))
    for reach, direction in spans:
        z = np.asarray(t * reach * direction, dtype=complex)
        stable = item.growth(z) <= 1 + ON_CIRCLE
        stable &= window.holds(z)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], stable.astype(int), [0]])))
        for begin, end in zip(edges[::2], edges[1::2] - 1, strict=True):
            if end > begin:
                ends = z[[begin, end]]
                axes.plot(
                    ends.real,
                    ends.imag,
                    color=color,
                    linewidth=3,
                    solid_capstyle="butt",
                    zorder=4,
                    label=label or "_nolegend_",
                )
                label = ""


def mark_poles_and_zeros(axes: Axes, window: Window, item: Characteristic) -> None:
    """Mark the zeros of R by circles and its poles by crosses, as far as the window shows them."""
    poles = "poles of R" if item.degree == 1 else "a root is infinite"
    for points, marker, name in ((item.zeros(), "o", "zeros of R"), (item.poles(), "x", poles)):
        shown = points[window.holds(points)]
        if len(shown):
            hollow = marker == "o"
            axes.scatter(
                shown.real,
                shown.imag,
                marker=marker,
                s=42,
                facecolors="none" if hollow else INK,
                edgecolors=INK if hollow else None,
                linewidths=1.5,
                zorder=5,
                label=name,
            )


def legend(figure: Figure, axes: Axes) -> None:
    """Name what is drawn, below the axes."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(handles), 5))


def window_of(item: Characteristic, stability: Stability | None) -> Window:
    """Return what to show: the boundary of the region near 0, poles, zeros and the stable intervals."""
    theta = np.linspace(0.0, np.pi, 721)
    locus = item.locus(theta).ravel()
    locus = locus[np.isfinite(locus)]
    boundary = locus[item.growth(locus) <= 1 + 1e-6] if len(locus) else locus
    special = [*item.zeros(), *item.poles(), *_ends(stability)]
    special = [z for z in special if np.isfinite(z)]
    return around(np.concatenate([near(item, boundary), np.asarray(special, dtype=complex)]))


def near(item: Characteristic, points: Complex) -> Complex:
    """Return those of a curve's points that are not on their way to infinity.

    The poles and zeros of a one-step method say how large its picture is, the curve itself for others.
    """
    points = points[np.isfinite(points)]
    sizes = np.abs(points)
    marks = np.abs(np.concatenate([item.zeros(), item.poles()]))
    if item.degree > 1 or not len(marks):
        limit = FAR_OF_MEDIAN * float(np.median(sizes)) if len(sizes) else 0.0
    else:
        scale = max(float(marks.max()), 0.5)
        bounded = not len(sizes) or sizes.max() <= FAR * scale
        limit = (FAR if bounded else FAR_OF_UNBOUNDED) * scale
    return points[sizes <= limit]


def _ends(stability: Stability | None) -> list[complex]:
    found: list[complex] = []
    if stability is None:
        return found
    for ends, unit in ((stability.real_interval, 1.0), (stability.imaginary_interval, 1j)):
        for end in ends or ():
            if end not in (sympy.oo, -sympy.oo):
                found.append(float(end) * unit)
    return found
