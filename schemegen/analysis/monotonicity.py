"""SSP coefficient and threshold factor of a step program."""

from __future__ import annotations

from schemegen.analysis.intervals import End
from schemegen.analysis.linear_coefficients import number
from schemegen.analysis.model import Note
from schemegen.analysis.ssp import linear_monotonicity, ssp_coefficient
from schemegen.analysis.stability import LinearAnalysis
from schemegen.analysis.stages import runge_kutta_form, stages
from schemegen.step.program import Program

__all__ = ["monotonicity"]


def monotonicity(
    program: Program, linear: LinearAnalysis
) -> tuple[End | None, End | None, list[Note]]:
    """Return the SSP coefficient, the linear threshold factor and notes on what is undecided."""
    notes: list[Note] = []
    threshold = None if linear.function is None else linear_monotonicity(linear.function)
    if threshold is None:
        notes.append(Note("stability.linear_monotonicity", "not analysed yet for this method"))
    found = stages(program)
    method = None if found is None else runge_kutta_form(found)
    if method is None or len(method.states) != 1 or method.has_parameters:
        notes.append(Note("stability.ssp", "only for Runge-Kutta methods with numbers"))
        return None, threshold, notes
    if len(set(method.fields)) > 1:
        notes.append(Note("stability.ssp", "not analysed yet for several fields"))
        return None, threshold, notes
    reals = method.coefficients.reals
    a = [[number(e) for e in row] for row in method.a]
    return ssp_coefficient(reals, a, [number(e) for e in method.b]), threshold, notes
