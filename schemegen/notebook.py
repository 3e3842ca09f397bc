"""Notebooks: how schemes and analyses are shown, their short-cuts, and the ``%%scheme`` cell.

``%load_ext schemegen`` gives the cell magic; the reprs are there as soon as a scheme is loaded. IPython
itself is never imported: it calls what it finds by name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.scheme.model import Scheme
from schemegen.step.program import Program

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch.fx import GraphModule

    from schemegen.report.plots import Drawing

__all__ = ["attach", "load_ipython_extension"]

DECLARES = re.compile(r"^\s*scheme\s+\w+", re.MULTILINE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


def attach() -> None:
    """Give schemes, analyses and programs their notebook reprs, schemes also ``analyze``, ``plot``, ``network``.

    They are set here because a scheme stands above reports and networks and may not know of them.
    """
    methods: dict[type, dict[str, Callable[..., Any]]] = {
        Scheme: {
            "_repr_latex_": _scheme_latex,
            "analyze": _analyze,
            "network": _network,
            "plot": _scheme_plot,
            "plot_region": _scheme_region,
        },
        Analysis: {
            "_repr_html_": _analysis_html,
            "_repr_latex_": _analysis_latex,
            "_repr_markdown_": _analysis_markdown,
            "plot": _analysis_plot,
        },
        Program: {"_repr_latex_": _program_latex},
    }
    for kind, named in methods.items():
        for name, method in named.items():
            setattr(kind, name, method)


def load_ipython_extension(shell: Any) -> None:
    """Register ``%%scheme`` with an IPython shell."""
    attach()

    def cell_magic(line: str, cell: str) -> Scheme | None:
        return run_cell(shell, line, cell)

    shell.register_magic_function(cell_magic, magic_kind="cell", magic_name="scheme")


def run_cell(shell: Any, line: str, cell: str) -> Scheme | None:
    """Check the text of a cell, bind every scheme in it by name and return the last.

    ``%%scheme rk2`` over a text without ``scheme .. {`` takes the text as the body of ``rk2``. Mistakes are
    shown as caret blocks, without a traceback, and bind nothing.
    """
    from schemegen.pipeline import examine, raise_errors
    from schemegen.render import render_text

    name = line.strip()
    text = cell
    if not DECLARES.search(cell):
        if not NAME.match(name):
            print("error: name the scheme: %%scheme rk2", file=sys.stderr)
            return None
        text = f"scheme {name} {{ {cell}\n}}\n"
    try:
        checked, found = examine(Source("<cell>", text))
        raise_errors(found)
    except SchemeError as error:
        print(render_text(error.diagnostics), file=sys.stderr)
        return None
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return None
    if found:
        print(render_text(found), file=sys.stderr)
    shell.push({scheme.name: scheme for scheme in checked.schemes})
    return checked.schemes[-1] if checked.schemes else None


def _scheme_latex(self: Scheme) -> str:
    from schemegen.pipeline import study
    from schemegen.report import scheme_latex

    return scheme_latex(self, study(self).analysis)


def _analyze(self: Scheme, *, order: int | None = None) -> Analysis:
    """Return everything that is known of this scheme."""
    from schemegen.pipeline import study

    return study(self, order=order).analysis


def _network(
    self: Scheme,
    network: str | Path | None = None,
    *,
    backprop: str = "store",
    **values: object,
) -> GraphModule:
    """Return the network of this scheme as one ``torch.fx.GraphModule``."""
    from schemegen.pipeline import build

    return build(self, network, backprop=backprop, **values)


def _scheme_plot(self: Scheme, kind: str = "region") -> Drawing:
    """Return a picture of this scheme, one of :data:`schemegen.report.plots.KINDS`."""
    from schemegen.report.plots import drawing

    return drawing(kind, _analyze(self), self)


def _scheme_region(self: Scheme) -> Axes:
    """Return matplotlib's axes with the stability region, to draw more into."""
    return _scheme_plot(self).figure.axes[0]


def _analysis_plot(self: Analysis, kind: str = "region") -> Drawing:
    """Return a picture, one of :data:`schemegen.report.plots.KINDS`."""
    from schemegen.report.plots import drawing

    return drawing(kind, self)


def _analysis_latex(self: Analysis) -> str:
    from schemegen.report.latex import formulas_latex

    return formulas_latex(self)


def _program_latex(self: Program) -> str:
    from schemegen.report.show import program_latex

    return f"$\\displaystyle {program_latex(self)}$"


def _analysis_html(self: Analysis) -> str:
    from schemegen.report import report_html

    return report_html(self)


def _analysis_markdown(self: Analysis) -> str:
    from schemegen.report import report_markdown

    return report_markdown(self)
