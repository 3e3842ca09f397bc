"""Pictures of a scheme, drawn with matplotlib (the extra ``plot``), which is imported when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import InternalError
from schemegen.report.facts import headline
from schemegen.report.plots.canvas import FORMATS, embedded, rendered, require
from schemegen.scheme.model import Scheme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "KINDS", "figure", "inline", "picture", "require"]

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
                raise InternalError(f"no picture of this kind: {kind!r}")


def picture(kind: str, form: str, analysis: Analysis, scheme: Scheme | None = None) -> bytes:
    """Return one of :data:`KINDS` as a file of one of :data:`FORMATS`, equal from run to run."""
    return rendered(figure(kind, analysis, scheme), form)


def inline(kind: str, analysis: Analysis, scheme: Scheme | None = None, *, prefix: str = "") -> str:
    """Return one of :data:`KINDS` as an ``<svg>`` element; ``prefix`` keeps names in one page apart."""
    drawn = figure(kind, analysis, scheme)
    return embedded(drawn, f"{kind} of {analysis.scheme}", prefix)
