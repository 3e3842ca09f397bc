"""The order star: where ``|R(z)|`` exceeds ``|e^z|``.

``p + 1`` sectors of it meet at the origin for a method of order ``p``; poles of R lie in its bounded fingers
that point right, zeros in the gaps between those that point left, and an A-stable method has no finger across
the imaginary axis. Source: Wanner, Hairer, Norsett (1978); Hairer, Wanner (1996), IV.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemegen.report.plots.canvas import PALETTE, plane, show
from schemegen.report.plots.characteristic import Characteristic
from schemegen.report.plots.region import HORIZONTAL, VERTICAL, legend, mark_poles_and_zeros
from schemegen.report.plots.window import around

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["order_star"]

POINTS = 701


def order_star(title: str, item: Characteristic) -> Figure:
    """Draw the order star of a one-step method, its poles and zeros marked."""
    figure, axes = plane(title, HORIZONTAL, VERTICAL)
    special = np.concatenate([item.zeros(), item.poles()])
    reach = 1.25 * max(np.abs(special).max(), 2.0) if len(special) else 3.0
    window = around(np.array([-reach, reach, 1j * reach], dtype=complex))
    grid = window.grid(POINTS)
    with np.errstate(divide="ignore"):
        level = np.clip(np.log(item.growth(grid)) - grid.real, -4.0, 4.0)
    level = np.vstack([level[:0:-1], level])
    x, y = grid[0].real, np.concatenate([-grid[:0:-1, 0].imag, grid[:, 0].imag])
    axes.contourf(x, y, level, levels=[0.0, 5.0], colors=[PALETTE[4]], alpha=0.4, zorder=2)
    axes.contour(x, y, level, levels=[0.0], colors=[PALETTE[1]], linewidths=1.2, zorder=3)
    axes.fill([], [], color=PALETTE[4], alpha=0.4, label="|R(z)| > |exp z|")
    mark_poles_and_zeros(axes, window, item)
    show(axes, window)
    legend(figure, axes)
    return figure
