"""Pictures of a diagnosis, drawn by ``schemegen.report.plots``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from schemegen.analysis.model import Analysis
from schemegen.diagnosis.learned import frozen
from schemegen.diagnosis.model import Diagnosis, Spectrum
from schemegen.diagnosis.tables import headline
from schemegen.diagnostics import UsageError
from schemegen.report.plots.canvas import embedded, rendered, require, style
from schemegen.report.plots.trained import (
    DepthLine,
    SpectrumPanel,
    coefficients_by_depth,
    spectra,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KINDS", "figure", "inline", "picture"]

KINDS = ("spectrum", "coefficients")


def figure(kind: str, found: Diagnosis, analysis: Analysis) -> Figure:
    """Draw one of :data:`KINDS`. Errors: UsageError where matplotlib is missing or there is nothing to draw."""
    require()
    with style():
        if kind == "spectrum":
            panels = [_panel(stage, list(own), analysis) for stage, own in _stages(found)]
            if not panels:
                reason = dict(found.notes).get("spectrum", "no spectrum was computed")
                raise UsageError(f"there is no spectrum to draw: {reason}")
            return spectra(headline(found), panels)
        lines = _lines(found)
        if not lines:
            raise UsageError(f"{found.scheme} has no learned coefficients to draw")
        return coefficients_by_depth(headline(found), lines)


def picture(kind: str, form: str, found: Diagnosis, analysis: Analysis) -> bytes:
    """Return one of :data:`KINDS` as a file ``svg``, ``png`` or ``pdf``, equal from run to run."""
    return rendered(figure(kind, found, analysis), form)


def inline(kind: str, found: Diagnosis, analysis: Analysis) -> str:
    """Return one of :data:`KINDS` as an ``<svg>`` element."""
    return embedded(figure(kind, found, analysis), f"{kind} of {found.scheme}", f"{kind}-")


def _stages(found: Diagnosis) -> groupby[int, Spectrum]:
    return groupby(found.spectrum, key=lambda item: item.stage)


def _panel(stage: int, items: list[Spectrum], analysis: Analysis) -> SpectrumPanel:
    """Return a stage with the region of its middle step."""
    own = [item for item in items if item.inside is not None]
    title, polynomial = f"stage {stage}", None
    if own:
        middle = own[len(own) // 2]
        values = dict(middle.symbols)
        polynomial = frozen(analysis.stability, values)
        at = ", ".join(f"{name} = {value:.3g}" for name, value in values.items())
        title += f", region at {at}" if at else ""
    steps = [(item.step, np.asarray(item.eigenvalues, complex)) for item in items]
    return SpectrumPanel(title, polynomial, tuple(steps))


def _lines(found: Diagnosis) -> list[DepthLine]:
    """Return a line for each coefficient; its steps are counted through all stages."""
    offsets = {(item.stage, item.step): index for index, item in enumerate(found.distances)}
    lines = []
    for name, stages in groupby(found.learned, key=lambda item: item.param):
        own = list(stages)
        lines.append(
            DepthLine(
                name=name,
                positions=tuple(offsets[s.stage, step] for s in own for step in s.steps),
                values=tuple(value for s in own for value in s.values),
                ends=tuple(dict.fromkeys(end for s in own for end in s.ends)),
            )
        )
    return lines
