"""Pictures of a scheme, drawn with matplotlib (the extra ``plot``), which is imported when one is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically
from schemegen.report.facts import headline
from schemegen.report.plots.canvas import FORMATS, embedded, rendered, require
from schemegen.scheme.model import Scheme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "KINDS", "Drawing", "drawing", "figure", "inline", "picture", "require"]

KINDS = ("region", "order-star", "locus", "root-locus", "trees")


def figure(kind: str, analysis: Analysis, scheme: Scheme | None = None) -> Figure:
    """Draw one of :data:`KINDS`; ``scheme`` tells the initial values of params.

    Errors: :class:`UsageError` where matplotlib is missing, or the scheme has no such picture.
    """
    require()
    from schemegen.report.plots.canvas import style
    from schemegen.report.plots.locus import boundary_locus
    from schemegen.report.plots.members import members, single
    from schemegen.report.plots.region import region
    from schemegen.report.plots.roots import root_locus
    from schemegen.report.plots.star import order_star
    from schemegen.report.plots.trees import trees

    title = headline(analysis)
    with style():
        match kind:
            case "region":
                return region(title, members(analysis, scheme), analysis.stability)
            case "order-star":
                return order_star(title, single(analysis, one_step=True))
            case "locus":
                return boundary_locus(title, single(analysis))
            case "root-locus":
                return root_locus(title, analysis)
            case "trees":
                return trees(title, analysis)
            case _:
                raise UsageError(f"no picture of the kind `{kind}`", f"kinds: {', '.join(KINDS)}")


def picture(kind: str, form: str, analysis: Analysis, scheme: Scheme | None = None) -> bytes:
    """Return one of :data:`KINDS` as a file of one of :data:`FORMATS`, equal from run to run."""
    return rendered(figure(kind, analysis, scheme), form)


def inline(kind: str, analysis: Analysis, scheme: Scheme | None = None, *, prefix: str = "") -> str:
    """Return one of :data:`KINDS` as an ``<svg>`` element; ``prefix`` keeps names in one page apart."""
    drawn = figure(kind, analysis, scheme)
    return embedded(drawn, f"{kind} of {analysis.scheme}", prefix)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture: a notebook shows it, ``figure`` is matplotlib's."""

    figure: Figure

    def save(self, path: str | Path) -> None:
        """Write the picture to a file that ends in ``.svg``, ``.png`` or ``.pdf``."""
        path = Path(path)
        form = path.suffix[1:].lower()
        if form not in FORMATS:
            raise UsageError(f"{path} ends in none of .svg, .png, .pdf")
        write_atomically(path, rendered(self.figure, form))

    def _repr_svg_(self) -> str:
        return rendered(self.figure, "svg").decode("utf-8")


def drawing(kind: str, analysis: Analysis, scheme: Scheme | None = None) -> Drawing:
    """Return one of :data:`KINDS` as a picture that a notebook shows."""
    return Drawing(figure(kind, analysis, scheme))
