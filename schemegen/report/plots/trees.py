"""The trees of the modified equation, painted by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import UsageError
from schemegen.report.forest import Dot, Label, Line, sheet
from schemegen.report.plots.canvas import INK, bare_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["trees"]

PIXELS = 72.0  # an inch: sizes of letters are points
DOT = 9.0


def trees(title: str, analysis: Analysis) -> Figure:
    """Draw every tree of the modified equation with its coefficient.

    Errors: :class:`UsageError` where the scheme has no modified equation.
    """
    equation = analysis.modified_equation
    if equation is None or equation.field is None:
        reason = next((n.text for n in analysis.notes if n.key == "modified_equation"), None)
        raise UsageError(f"{analysis.scheme} has no modified equation to draw", reason)
    page = sheet(equation.field, analysis.states, analysis.fields)
    head = 30.0
    height = page.height + head
    figure = bare_figure(page.width / PIXELS, height / PIXELS)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0.0, page.width)
    axes.set_ylim(height, 0.0)
    axes.text(page.width / 2, 20.0, f"Modified equation of {title}", ha="center", fontsize=12)
    for item in page.items:
        match item:
            case Dot(x, y, color, hollow):
                axes.plot(
                    [x],
                    [y + head],
                    "o",
                    markersize=DOT,
                    markerfacecolor="white" if hollow else color,
                    markeredgecolor=INK if hollow else color,
                    zorder=3,
                )
            case Line(x1, y1, x2, y2):
                axes.plot([x1, x2], [y1 + head, y2 + head], color=INK, linewidth=1.2, zorder=2)
            case Label(x, y, text, size, anchor):
                side = "left" if anchor == "start" else "center"
                axes.text(x, y + head, text, ha=side, va="baseline", fontsize=size * 0.86)
    return figure
