"""Everything that is known of a scheme, put together into one frozen Analysis."""

from __future__ import annotations

from schemegen.analysis.cost import cost
from schemegen.analysis.model import Analysis, Geometry, Note, ParamFact
from schemegen.analysis.stability import linear_analysis
from schemegen.scheme.model import Multistep, Scheme, Tableaus
from schemegen.step.program import Program

__all__ = ["analyze"]


def analyze(scheme: Scheme, program: Program, *, order: int | None = None) -> Analysis:
    """Analyse a checked scheme and its step program.

    Args:    order: the number of nodes of the largest tree kept (default: two beyond the order, at least 4).
    Returns: every field is right, or None with a note that says why.
    """
    linear = linear_analysis(program)
    notes = [*linear.notes]
    notes.append(Note("order", "not analysed yet"))
    return Analysis(
        scheme=scheme.name,
        title=scheme.title,
        kind=kind(scheme, program),
        states=tuple(state.name for state in scheme.states),
        fields=tuple(drift.name for drift in scheme.drifts),
        params=tuple(ParamFact(p.name, p.learnable, p.range, None) for p in scheme.params),
        consistent=None,
        order=None,
        stage_order=None,
        embedded_order=None,
        strong_order=None,
        weak_order=None,
        order_special=(),
        order_conditions=(),
        principal_error=(),
        principal_error_norm=None,
        error_constant=None,
        modified_equation=None,
        stability=linear.stability,
        geometry=Geometry(),
        cost=cost(program),
        notes=tuple(notes),
    )


def kind(scheme: Scheme, program: Program) -> str:
    """Return the family's name, as the report prints it."""
    if program.noises:
        return "stochastic"
    if isinstance(scheme.update, Tableaus):
        parts = scheme.update.parts
        return "additive" if len(parts) > 1 else parts[0].tableau.kind
    if isinstance(scheme.update, Multistep):
        return "multistep"
    return (
        "partitioned" if len(program.states) > 1 else "multistep" if program.inputs else "explicit"
    )
