"""Figures and files: one style, the Agg family of backends, bytes that are equal from run to run.

Everything here is drawn on :class:`matplotlib.figure.Figure` itself; pyplot, its windows and its global state are
never touched, and a user's own matplotlibrc changes nothing.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from schemegen.diagnostics import UsageError
from schemegen.report.forest import COLORS
from schemegen.report.plots.window import Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS",
    "INK",
    "PALETTE",
    "bare_figure",
    "embedded",
    "plane",
    "rendered",
    "require",
    "show",
    "style",
    "titled",
]

FORMATS = ("svg", "png", "pdf")

PALETTE = COLORS
INK = "#1f2328"
FAINT = "#8c959f"
TITLE_WIDTH = 72
WIDTH, HIGHEST = 6.4, 5.4  # inches

STYLE = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "figure.titlesize": 12,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "schemegen",
    "text.color": INK,
    "text.parse_math": False,  # a title is text: its dollars are no mathematics
    "text.usetex": False,
    "xtick.color": INK,
    "ytick.color": INK,
}

# No date, no version: two runs give equal bytes.
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def require() -> None:
    """Raise :class:`UsageError` where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError("pictures need matplotlib", "pip install 'schemegen[plot]'")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the one style, whatever matplotlibrc says."""
    from matplotlib import style as styles

    with styles.context(["default", STYLE], after_reset=True):
        yield


def bare_figure(width: float, height: float) -> Figure:
    """Return an empty figure, its sides in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plane(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes of equal scale, their zero lines and labels."""
    figure = bare_figure(WIDTH, HIGHEST)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="box")
    axes.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=1)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    titled(figure, title)
    return figure, axes


def titled(figure: Figure, title: str) -> None:
    """Write the title over a figure."""
    # matplotlib's own wrapping reads a text between dollars as mathematics.
    figure.suptitle("\n".join(textwrap.wrap(title, TITLE_WIDTH)))


def show(axes: Axes, window: Window) -> None:
    """Set the limits of the axes; a flat window makes a flat figure."""
    axes.set_xlim(window.left, window.right)
    axes.set_ylim(-window.top, window.top)
    shape = 2 * window.top / (window.right - window.left)
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_size_inches(WIDTH, min(max(1.5 + 5.5 * shape, 3.2), HIGHEST))


def rendered(figure: Figure, form: str) -> bytes:
    """Return the figure as a file of ``form``: ``svg``, ``png`` or ``pdf``."""
    return _saved(figure, form, transparent=False)


def embedded(figure: Figure, label: str, prefix: str) -> str:
    """Return the figure as an ``<svg>`` element for a page: its ink is the colour of the text around it.

    Args:
        label:  what a screen reader says.
        prefix: put before every name in the drawing, so that several stand in one page.
    """
    text = _saved(figure, "svg", transparent=True).decode("utf-8")
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'\b(id="|href="#)', rf"\1{prefix}", text)
    text = text.replace("url(#", f"url(#{prefix}")
    text = text.replace("<svg ", '<svg role="img" ', 1)
    end = text.index(">") + 1
    return f"{text[:end]}\n<title>{escape(label)}</title>{text[end:]}".rstrip()


def _saved(figure: Figure, form: str, *, transparent: bool) -> bytes:
    stream = io.BytesIO()
    with style(), warnings.catch_warnings():
        # A title may use letters that the font lacks; they are drawn as boxes, and that is all.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format=form, metadata=METADATA[form], transparent=transparent)
    return stream.getvalue()
