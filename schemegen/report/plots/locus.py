"""The boundary locus: all z for which a root lies on the unit circle.

It cuts the plane into parts in which the number of roots outside the circle is constant; where that is none the
method is stable. Source: Hairer, Wanner (1996), V.1, formula (1.17).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemegen.report.plots.canvas import INK, PALETTE, plane, show
from schemegen.report.plots.characteristic import Characteristic
from schemegen.report.plots.region import HORIZONTAL, VERTICAL, legend, near
from schemegen.report.plots.window import Window, around

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["boundary_locus"]

Complex = NDArray[np.complex128]

POINTS = {1: 401, 2: 401}
POINTS_OF_MANY = 201
ANGLES = 2881
GREYS = ("0.90", "0.80", "0.70", "0.60", "0.50")


def boundary_locus(title: str, item: Characteristic) -> Figure:
    """Draw the curve ``z(theta)`` and shade the plane by the number of roots outside the unit circle."""
    figure, axes = plane(title, HORIZONTAL, VERTICAL)
    theta = np.linspace(0.0, 2 * np.pi, ANGLES)
    curve = item.locus(theta)
    window = around(near(item, curve.ravel()))
    _counts(axes, window, item)
    label = "a root on the unit circle"
    for branch in _branches(curve):
        apart = np.abs(np.diff(branch)) > 0.2 * (window.right - window.left)
        branch[1:][apart] = np.nan
        axes.plot(branch.real, branch.imag, color=PALETTE[1], linewidth=1.6, zorder=3, label=label)
        label = "_nolegend_"
    _marks(axes, window, item)
    show(axes, window)
    legend(figure, axes)
    return figure


def _branches(curve: Complex) -> list[Complex]:
    """Join the roots of neighbouring angles to curves: each goes on with the nearest one left."""
    ordered = curve.copy()
    for before, row in pairwise(ordered):
        left = list(row)
        for j, point in enumerate(before):
            distances = [abs(other - point) if np.isfinite(other) else np.inf for other in left]
            if not np.isfinite(point):
                distances = [0.0 if not np.isfinite(other) else 1.0 for other in left]
            row[j] = left.pop(int(np.argmin(distances)))
    return [ordered[:, j] for j in range(ordered.shape[1])]


def _counts(axes: Axes, window: Window, item: Characteristic) -> None:
    grid = window.grid(POINTS.get(item.degree, POINTS_OF_MANY))
    count = (np.abs(item.roots(grid)) > 1 + 1e-9).sum(axis=-1)
    count = np.vstack([count[:0:-1], count])
    box = (window.left, window.right, -window.top, window.top)
    colors = [PALETTE[5], *GREYS]
    largest = int(count.max())
    from matplotlib.colors import ListedColormap

    shown = ListedColormap([colors[min(n, len(GREYS))] for n in range(largest + 1)])
    axes.imshow(
        count,
        extent=box,
        origin="lower",
        cmap=shown,
        vmin=-0.5,
        vmax=largest + 0.5,
        alpha=0.6,
        interpolation="nearest",
        zorder=0,
    )
    for n in range(largest + 1):
        if _spread(count == n):
            name = "stable" if n == 0 else f"{n} root{'s' * (n > 1)} outside"
            axes.fill([], [], color=colors[min(n, len(GREYS))], alpha=0.6, label=name)


def _spread(part: NDArray[np.bool_]) -> bool:
    """Whether a part of the grid is an area, not a line."""
    return bool((part[1:, 1:] & part[:-1, 1:] & part[1:, :-1] & part[:-1, :-1]).any())


def _marks(axes: Axes, window: Window, item: Characteristic) -> None:
    """Name the points of three angles; of a curve with several points an angle they say nothing."""
    names: dict[complex, str] = {}
    for theta, name in ((0.0, "0"), (np.pi / 2, "π/2"), (np.pi, "π")):
        found = item.locus(np.array([theta])).ravel()
        if len(found) == 1 and np.isfinite(found[0]) and window.holds(found)[0]:
            z = complex(np.round(found[0], 9))
            names[z] = f"{names[z]}, {name}" if z in names else f"θ = {name}"
    for z, name in names.items():
        right = z.real > 0 or z == 0
        axes.plot([z.real], [z.imag], ".", color=INK, zorder=5)
        axes.annotate(
            name,
            (z.real, z.imag),
            textcoords="offset points",
            xytext=(6 if right else -6, 6),
            ha="left" if right else "right",
            fontsize=9,
            zorder=6,
        )
