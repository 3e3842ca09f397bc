"""Everything that is known of a scheme, put together into one frozen Analysis."""

from __future__ import annotations

from dataclasses import replace

import sympy

from schemegen.analysis.admissible import admissible_sets
from schemegen.analysis.cautions import cautions
from schemegen.analysis.claims import decide
from schemegen.analysis.cost import cost
from schemegen.analysis.expansion import Expansion
from schemegen.analysis.model import Analysis, Note, ParamFact, Stability
from schemegen.analysis.noise_cautions import noise_cautions
from schemegen.analysis.questions import UNDECIDED, Parts, ask, say_what_is_late
from schemegen.analysis.stability import LinearAnalysis
from schemegen.diagnostics import Diagnostic, in_order
from schemegen.scheme.model import Multistep, Scheme, Tableaus
from schemegen.step.program import Combine, Program, Solve, walk

__all__ = ["analyze"]

MOST_NODES = 10  # of a tree that a report holds


def analyze(scheme: Scheme, program: Program, *, order: int | None = None) -> Analysis:
    """Analyse a checked scheme and its step program.

    Args:    order: the number of nodes of the largest tree kept (default: two beyond the order, at least 4);
             at most 10, beyond which the report says that it was kept to fewer.
    Returns: every field is right, or None with a note that says why. What the time limit cut off is None.
    """
    parts = Parts()
    if order is not None and order > MOST_NODES:
        text = f"kept to {MOST_NODES} nodes, which is the limit; {order} were asked for"
        parts.notes.append(Note("modified_equation", text))
        order = MOST_NODES
    ask(parts, scheme, program, order)
    scaled = parts.expansion.scaled if parts.expansion is not None else ()
    parts.admissible = admissible_sets(scheme, program, parts.linear, scaled)
    parts.notes = [*parts.linear.notes, *parts.notes, *parts.admissible.notes]
    say_what_is_late(parts, program)
    found = cautions(scheme, program, parts.linear, parts.expansion, parts.admissible)
    found += noise_cautions(scheme, parts.weak)
    result = _assembled(scheme, program, parts, found)
    verdicts, failures = decide(scheme, result, parts.expansion, parts.weak)
    return replace(result, verdicts=verdicts, diagnostics=in_order([*found, *failures]))


def _assembled(scheme: Scheme, program: Program, parts: Parts, found: list[Diagnostic]) -> Analysis:
    expansion = parts.expansion if parts.expansion is not None else Expansion(nodes=0)
    stability: Stability = parts.linear.stability
    result = Analysis(
        scheme=scheme.name,
        title=scheme.title,
        kind=kind(scheme, program),
        states=tuple(state.name for state in scheme.states),
        fields=tuple(drift.name for drift in scheme.drifts),
        params=_params(scheme, parts.linear),
        consistent=expansion.consistent,
        order=expansion.order,
        stage_order=expansion.stage_order,
        embedded_order=expansion.embedded_order,
        strong_order=parts.weak.strong_order,
        weak_order=parts.weak.weak_order,
        modified_sde=parts.weak.sde,
        mean_square=parts.mean_square,
        stationary_variance=parts.stationary_variance,
        order_special=expansion.order_special,
        order_conditions=expansion.order_conditions,
        principal_error=expansion.principal_error,
        principal_error_norm=expansion.principal_error_norm,
        error_constant=expansion.error_constant,
        modified_equation=expansion.modified_equation,
        modifying_equation=expansion.modifying_equation,
        stability=stability,
        geometry=parts.geometry,
        dispersion=parts.dispersion,
        dissipation=parts.dissipation,
        order_nearly=parts.near,
        depth_term=parts.depth_term,
        limits=parts.limits,
        contraction=parts.contraction,
        cost=cost(program),
        admissible=parts.admissible.found,
        diagnostics=tuple(found),
    )
    return replace(result, notes=_explained(result, program, parts))


def _params(scheme: Scheme, linear: LinearAnalysis) -> tuple[ParamFact, ...]:
    found = linear.stability.zero_stable
    admissible = found if isinstance(found, str) else None
    return tuple(
        ParamFact(
            param.name,
            param.learnable,
            param.range,
            admissible if param.name == linear.zero_stable_symbol else None,
        )
        for param in scheme.params
    )


def _explained(result: Analysis, program: Program, parts: Parts) -> tuple[Note, ...]:
    """Add a note for each open field that has none yet; each note once."""
    notes = list(dict.fromkeys(parts.notes))
    said = {note.key for note in notes}

    def add(key: str, value: object, text: str) -> None:
        if value is None and key not in said:
            notes.append(Note(key, text))

    stochastic = UNDECIDED if program.noises else "the scheme has no noise"
    add("strong_order", result.strong_order, stochastic)
    add("weak_order", result.weak_order, stochastic)
    add("modified_sde", result.modified_sde, stochastic)
    add("mean_square", result.mean_square, stochastic)
    add("stationary_variance", result.stationary_variance, stochastic)
    add("consistent", result.consistent, "not decided")
    add("order", result.order, _order_note(parts.expansion))
    embedded = "not decided" if program.embedded else "there is no embedded solution"
    add("embedded_order", result.embedded_order, embedded)
    add("stage_order", result.stage_order, "the step has no stages, or they were not analysed")
    add("error_constant", result.error_constant, "only for multistep methods")
    add("modified_equation", result.modified_equation, "not decided")
    for key in ("symplectic_to", "energy_preserving_to"):
        add(f"geometry.{key}", getattr(result.geometry, key), "there is no modified equation")
    add("dispersion", result.dispersion, UNDECIDED)
    add("dissipation", result.dissipation, UNDECIDED)
    add("modifying_equation", result.modifying_equation, "not decided")
    add("principal_error_norm", result.principal_error_norm, "not decided")
    return tuple(notes)


def _order_note(expansion: Expansion | None) -> str:
    if expansion is None:
        return UNDECIDED
    if expansion.order_at_least:
        return f"at least {expansion.order_at_least}; larger trees were not examined"
    return "not decided"


def kind(scheme: Scheme, program: Program) -> str:
    """Return the family's name, as the report prints it."""
    if program.noises:
        return "stochastic"
    coefficients = [
        term.coefficient
        for item in walk(program.statements)
        if isinstance(item, Combine)
        for term in item.terms
    ]
    if any(c.has(sympy.exp) or c.atoms(sympy.core.function.AppliedUndef) for c in coefficients):
        return "exponential"
    if isinstance(scheme.update, Tableaus):
        tableaus = scheme.update.parts
        return "additive" if len(tableaus) > 1 else tableaus[0].tableau.kind
    if isinstance(scheme.update, Multistep):
        return "multistep"
    if len(program.states) > 1:
        return "partitioned"
    if program.inputs:
        return "multistep" if _is_linear_multistep(program) else "two_step_rk"
    implicit = any(isinstance(item, Solve) for item in program.statements)
    return "implicit" if implicit else "explicit"


def _is_linear_multistep(program: Program) -> bool:
    """Every evaluation at ``u[n]`` or ``u[n+1]`` itself: no inner stages."""
    ends = {f"{s.name}[{n}]" for s in program.states for n in ("n", "n+1")}
    return all(
        at in ends
        for item in walk(program.statements)
        if not isinstance(item, Combine)
        for at in item.at
    )
