"""Curves with their spread: accuracy over depth, over a perturbation, over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemegen.report.plots.canvas import FAINT, PALETTE, bare_figure, style, titled
from schemegen.report.plots.region import legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "Panel", "curves"]

Real = NDArray[np.float64]

WIDTH, HEIGHT, ACROSS = 4.2, 3.4, 3
STROKES = ("-", "--", "-.", ":")
MARKS = "osD^vP"


@dataclass(frozen=True, slots=True)
class Curve:
    """Means at ``x`` between ``low`` and ``high``, which are bars or a ``band``."""

    name: str
    x: Real
    mean: Real
    low: Real
    high: Real
    band: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    across: str
    up: str
    curves: tuple[Curve, ...]


def curves(title: str, panels: Sequence[Panel]) -> Figure:
    """Draw the panels side by side; a name has the same colour in all of them."""
    columns = min(len(panels), ACROSS)
    rows = -(-len(panels) // columns)
    with style():
        figure = bare_figure(max(WIDTH * columns, 6.4), HEIGHT * rows + 0.8)
        titled(figure, title)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
        for place, panel in zip(axes, panels, strict=False):
            _draw(place, panel, names)
        for place in axes[len(panels) :]:
            place.set_visible(False)
        legend(figure, axes[int(np.argmax([len(panel.curves) for panel in panels]))])
    return figure


def _draw(axes: Axes, panel: Panel, names: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(panel.title, fontsize=10)
    axes.grid(color=FAINT, linewidth=0.4, alpha=0.5)
    for curve in panel.curves:
        index = names.index(curve.name)
        color = PALETTE[index % len(PALETTE)]
        stroke = STROKES[index // len(PALETTE) % len(STROKES)]
        if curve.band:
            axes.plot(curve.x, curve.mean, stroke, color=color, linewidth=1.4, label=curve.name)
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
            continue
        axes.errorbar(
            curve.x,
            curve.mean,
            yerr=[curve.mean - curve.low, curve.high - curve.mean],
            fmt=MARKS[index % len(MARKS)] + stroke,
            color=color,
            markersize=4,
            linewidth=1.2,
            capsize=2.5,
            label=curve.name,
        )
    if all(float(x).is_integer() for curve in panel.curves for x in curve.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)
