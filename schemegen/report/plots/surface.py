"""The loss around images as a map, and along the attack as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schemegen.report.plots.canvas import INK, PALETTE, bare_figure, rendered, require, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss_picture"]

Rows = Sequence[Sequence[float]]


def loss_picture(
    title: str,
    along: Sequence[float],
    across: Sequence[float],
    loss: Rows,
    right: Rows,
    count: int,
    form: str,
) -> bytes:
    """Draw the mean loss over ``along`` (0 the images, 1 the attack's end) and ``across`` (a random way).

    On the left the map with its contour lines; on the right, along the attack and along the random way, the
    share of ``count`` images that are read rightly. Errors: :class:`UsageError` without matplotlib.
    """
    require()
    with style():
        figure = bare_figure(9.6, 4.2)
        figure.suptitle(title)
        plane, curves = figure.subplots(1, 2, width_ratios=(1.2, 1))
        shades = plane.contourf(along, across, loss, levels=24, cmap="cividis")
        plane.contour(along, across, loss, levels=8, colors=INK, linewidths=0.4)
        figure.colorbar(shades, ax=plane, label="mean log-odds against the label")
        plane.plot([0, 1], [0, 0], marker="o", markersize=4, color="white", linewidth=1)
        for place, name in ((0, "images"), (1, "attack")):
            plane.annotate(
                name, (place, 0), (0, 6), textcoords="offset points", color="white", ha="center"
            )
        plane.set_xlabel("along the attack")
        plane.set_ylabel("along a random way")
        _curves(curves, along, across, right)
        curves.set_title(f"read rightly, of {count} images", fontsize=10)
        return rendered(figure, form)


def _curves(axes: Axes, along: Sequence[float], across: Sequence[float], right: Rows) -> None:
    row = min(range(len(across)), key=lambda index: abs(across[index]))
    column = min(range(len(along)), key=lambda index: abs(along[index]))
    axes.plot(along, [100 * share for share in right[row]], color=PALETTE[0], label="attack")
    other = [100 * shares[column] for shares in right]
    axes.plot(across, other, color=PALETTE[1], linestyle="--", label="random way")
    axes.set_ylim(-3, 103)
    axes.set_xlabel("way, 1 is the whole perturbation")
    axes.set_ylabel("%")
    axes.legend(loc="lower left")
