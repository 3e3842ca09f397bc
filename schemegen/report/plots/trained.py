"""Pictures of a trained network: spectra over the region of stability, and coefficients by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemegen.report.plots.canvas import FAINT, PALETTE, bare_figure, titled
from schemegen.report.plots.characteristic import Characteristic
from schemegen.report.plots.region import HORIZONTAL, VERTICAL, area, legend
from schemegen.report.plots.window import Window, around

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DepthLine", "SpectrumPanel", "coefficients_by_depth", "spectra"]

Complex = NDArray[np.complex128]
PANEL = 3.6  # inches
ACROSS = 3
MARKS = "osD^v"


@dataclass(frozen=True, slots=True)
class SpectrumPanel:
    """A stage: the polynomial of its steps (None: no region), and by step its eigenvalues."""

    title: str
    polynomial: Characteristic | None
    steps: tuple[tuple[int, Complex], ...]


def spectra(title: str, panels: Sequence[SpectrumPanel]) -> Figure:
    """Draw the eigenvalues ``z = h lambda`` of each stage over its region of stability."""
    columns = min(len(panels), ACROSS)
    rows = -(-len(panels) // columns)
    figure = bare_figure(max(PANEL * columns, 5.0), PANEL * rows + 1.0)
    titled(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    window = _window(panels)
    last = max(step for panel in panels for step, _ in panel.steps)
    for place, panel in zip(axes, panels, strict=False):
        place.set_title(panel.title, fontsize=10)
        place.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
        place.axvline(0, color=FAINT, linewidth=0.7, zorder=1)
        if panel.polynomial is not None:
            area(place, window, panel.polynomial, PALETTE[0], filled=True)
        for step, values in panel.steps:
            color, marker, name = _mark(step, last)
            place.scatter(
                values.real,
                values.imag,
                s=14,
                marker=marker,
                facecolors="none",
                edgecolors=color,
                linewidths=0.9,
                zorder=4,
                label=name,
            )
        place.set_xlim(window.left, window.right)
        place.set_ylim(-window.top, window.top)
        place.set_aspect("equal", adjustable="box")
        place.set_xlabel(HORIZONTAL)
    axes[0].set_ylabel(VERTICAL)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    legend(figure, axes[int(np.argmax([len(panel.steps) for panel in panels]))])
    return figure


def _mark(step: int, last: int) -> tuple[Any, str, str]:
    """Return colour, marker and name of a step: of a few each its own, of many from dark to light."""
    if last < len(PALETTE) - 1:
        return PALETTE[1 + step], MARKS[step], f"step {step}"
    from matplotlib import colormaps

    named = step in (0, 1, last // 2, last)
    return colormaps["viridis"](step / last), "o", f"step {step}" if named else "_nolegend_"


def _window(panels: Sequence[SpectrumPanel]) -> Window:
    """Return a window for all panels: all eigenvalues and, of the regions, at least what is near 0."""
    points = [values for panel in panels for _, values in panel.steps]
    marks = np.array([-2.2, 0.3, 1.5j])
    return around(np.concatenate([*points, marks]))


@dataclass(frozen=True, slots=True)
class DepthLine:
    """A coefficient by step; ``ends`` are the finite ends of the set in which it should stay."""

    name: str
    positions: tuple[int, ...]
    values: tuple[float, ...]
    ends: tuple[float, ...]


def coefficients_by_depth(title: str, lines: Sequence[DepthLine]) -> Figure:
    """Draw learned coefficients from the first step of the network to the last."""
    from matplotlib.ticker import MaxNLocator

    figure = bare_figure(6.4, 3.8)
    titled(figure, title)
    axes = figure.add_subplot()
    axes.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
    for index, line in enumerate(lines):
        color = PALETTE[index % len(PALETTE)]
        axes.plot(line.positions, line.values, "o", color=color, markersize=4, label=line.name)
        for end in line.ends:
            axes.axhline(end, color=color, linestyle="--", linewidth=0.9, zorder=2)
    axes.set_xlabel("step of the network")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure, axes)
    return figure
