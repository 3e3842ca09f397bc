"""Everything that is known of a scheme, put together into one frozen Analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import sympy

from schemegen.analysis.admissible import AdmissibleSets, admissible_sets
from schemegen.analysis.barriers import barriers
from schemegen.analysis.cautions import cautions
from schemegen.analysis.claims import decide
from schemegen.analysis.contraction import contraction
from schemegen.analysis.cost import cost
from schemegen.analysis.dispersion import dispersion_and_dissipation
from schemegen.analysis.expansion import Expansion, expand
from schemegen.analysis.g_stability import g_matrix
from schemegen.analysis.geometry import geometry, with_conservation, without_noise
from schemegen.analysis.limits import limits
from schemegen.analysis.linear_coefficients import coefficients_of
from schemegen.analysis.mean_square import mean_square
from schemegen.analysis.model import (
    Analysis,
    Contraction,
    Geometry,
    Limit,
    NearOrder,
    Note,
    ParamFact,
    PhaseTerm,
    Stability,
)
from schemegen.analysis.monotonicity import monotonicity
from schemegen.analysis.nearly import nearly
from schemegen.analysis.noise_cautions import noise_cautions
from schemegen.analysis.nonautonomous import depth_term
from schemegen.analysis.stability import LinearAnalysis, linear_analysis
from schemegen.analysis.stages import runge_kutta_form, stages
from schemegen.analysis.time_limit import LIMIT_SECONDS, TimeLimitError, time_limit
from schemegen.analysis.weak import weak_analysis
from schemegen.analysis.weak_model import MeanSquare, StationaryVariance, WeakAnalysis
from schemegen.diagnostics import Diagnostic, in_order
from schemegen.scheme.model import Multistep, Scheme, Tableaus
from schemegen.step.program import Combine, Program, Solve, walk

__all__ = ["analyze"]

MOST_NODES = 10  # of a tree that a report holds
DECIMALS = 6  # digits of a denominator that a rounded decimal has at least
UNDECIDED = f"not decided within {LIMIT_SECONDS:g} s"


@dataclass
class _Parts:
    """What the stages of the analysis have found so far."""

    linear: LinearAnalysis = field(default_factory=LinearAnalysis)
    expansion: Expansion | None = None
    dispersion: tuple[PhaseTerm, ...] | None = None
    dissipation: tuple[PhaseTerm, ...] | None = None
    near: NearOrder | None = None
    depth_term: sympy.Expr | None = None
    weak: WeakAnalysis = field(default_factory=WeakAnalysis)
    mean_square: MeanSquare | None = None
    stationary_variance: StationaryVariance | None = None
    limits: tuple[Limit, ...] | None = None
    contraction: Contraction | None = None
    geometry: Geometry = field(default_factory=Geometry)
    admissible: AdmissibleSets = field(default_factory=AdmissibleSets)
    notes: list[Note] = field(default_factory=list)
    late: frozenset[str] = frozenset()  # keys of questions that were cut off


def analyze(scheme: Scheme, program: Program, *, order: int | None = None) -> Analysis:
    """Analyse a checked scheme and its step program.

    Args:    order: the number of nodes of the largest tree kept (default: two beyond the order, at least 4);
             at most 10, beyond which the report says that it was kept to fewer.
    Returns: every field is right, or None with a note that says why. What the time limit cut off is None.
    """
    parts = _Parts()
    if order is not None and order > MOST_NODES:
        text = f"kept to {MOST_NODES} nodes, which is the limit; {order} were asked for"
        parts.notes.append(Note("modified_equation", text))
        order = MOST_NODES
    _run(parts, scheme, program, order)
    scaled = parts.expansion.scaled if parts.expansion is not None else ()
    parts.admissible = admissible_sets(scheme, program, parts.linear, scaled)
    parts.notes = [*parts.linear.notes, *parts.notes, *parts.admissible.notes]
    _say_what_is_late(parts, program)
    found = cautions(scheme, program, parts.linear, parts.expansion, parts.admissible)
    found += noise_cautions(scheme, parts.weak)
    result = _assembled(scheme, program, parts, found)
    verdicts, failures = decide(scheme, result, parts.expansion, parts.weak)
    return replace(result, verdicts=verdicts, diagnostics=in_order([*found, *failures]))


# What a question leaves open where it is cut off.
EXPANDED = (
    "consistent",
    "order",
    "stage_order",
    "embedded_order",
    "order_special",
    "order_conditions",
    "principal_error",
    "principal_error_norm",
    "error_constant",
    "modified_equation",
    "modifying_equation",
    "geometry.symplectic_to",
    "geometry.energy_preserving_to",
)
OPEN = {
    "linear": (
        "stability",
        "stability.linear_monotonicity",
        "dispersion",
        "dissipation",
        "geometry.parasitic_roots",
        "geometry.parasitic_growth",
        "geometry.symmetric",
        "admissible.zero_stable",
        "admissible.a_stable",
        "admissible.l_stable",
    ),
    "dispersion": ("dispersion", "dissipation"),
    "monotonicity": ("stability.ssp", "stability.linear_monotonicity"),
    "geometry": ("geometry",),
    "conservation": ("geometry.symplectic_to", "geometry.energy_preserving_to"),
    "near": ("order_nearly",),
    "barriers": ("stability.G",),
    "depth": ("depth_term",),
    "limits": ("limits",),
    "contraction": ("contraction",),
    "weak": ("weak_order", "strong_order", "modified_sde"),
    "mean square": ("mean_square", "stationary_variance"),
}


def _run(parts: _Parts, scheme: Scheme, program: Program, order: int | None) -> None:
    """Ask one question after the other, each with its own time limit: one that is cut off costs no other."""
    questions: dict[str, Callable[[], None]] = {
        "linear": partial(_linear, parts, program),
        "dispersion": partial(_dispersion, parts),
        "monotonicity": partial(_monotonicity, parts, program),
        "geometry": partial(_geometry, parts, program),
        "expand": partial(_expand, parts, program, order),
        "conservation": partial(_conservation, parts, program),
        "near": partial(_near, parts, program),
        "barriers": partial(_barriers, parts, scheme),
        "depth": partial(_depth, parts, scheme, program),
        "limits": partial(_limits, parts, scheme, program),
        "contraction": partial(_contraction, parts, scheme, program),
        "weak": partial(_weak, parts, program),
        "mean square": partial(_mean_square, parts, program),
    }
    cut: list[str] = []
    for name, ask in questions.items():
        if name == "dispersion" and "linear" in cut:
            continue  # it is read off the linear test
        try:
            with time_limit():
                ask()
        except TimeLimitError:
            cut.append(name)
    late = [key for name in cut for key in OPEN.get(name, ())]
    if "expand" in cut:
        late += EXPANDED if parts.expansion is None else parts.expansion.open
    parts.late = frozenset(late)


def _expand(parts: _Parts, program: Program, order: int | None) -> None:
    def keep(found: Expansion) -> None:
        parts.expansion = found

    try:
        keep(expand(program, order, keep=keep))
    finally:
        parts.notes += parts.expansion.notes if parts.expansion is not None else ()


def _say_what_is_late(parts: _Parts, program: Program) -> None:
    """Replace what was said of the empty results of questions that were cut off."""
    late = set(parts.late)
    if parts.geometry.symmetric is not None:
        late.discard("geometry.symmetric")
    if not program.embedded:
        late.discard("embedded_order")
    if not program.inputs:
        late.discard("error_constant")
    if parts.admissible.found is None:
        late = {key for key in late if not key.startswith("admissible.")}
    parts.notes = [note for note in parts.notes if note.key not in late]
    parts.notes += [Note(key, UNDECIDED) for key in sorted(late)]


def _linear(parts: _Parts, program: Program) -> None:
    parts.linear = linear_analysis(program)


def _dispersion(parts: _Parts) -> None:
    parts.dispersion, parts.dissipation, notes = dispersion_and_dissipation(parts.linear)
    parts.notes += notes


def _monotonicity(parts: _Parts, program: Program) -> None:
    ssp, threshold, notes = monotonicity(program, parts.linear)
    parts.notes += notes
    parts.linear.stability = replace(parts.linear.stability, ssp=ssp, linear_monotonicity=threshold)


def _geometry(parts: _Parts, program: Program) -> None:
    parts.geometry, notes = geometry(program, parts.linear)
    parts.notes += notes


def _conservation(parts: _Parts, program: Program) -> None:
    expansion = parts.expansion
    if expansion is None or not expansion.is_series or not expansion.small_step_limit:
        return
    parts.geometry, notes = with_conservation(parts.geometry, expansion.conservation, program)
    answered = {
        f"geometry.{key}"
        for key in ("symplectic", "conserves_quadratic")
        if getattr(parts.geometry, key) is not None
    }
    parts.notes = [*(note for note in parts.notes if note.key not in answered), *notes]


def _near(parts: _Parts, program: Program) -> None:
    parts.near = near_order(program, parts.expansion)


def _barriers(parts: _Parts, scheme: Scheme) -> None:
    order = parts.expansion.order if parts.expansion is not None else None
    stability = parts.linear.stability
    stability = replace(stability, barriers=barriers(scheme, order, stability))
    rho, sigma = stability.rho, stability.sigma
    if stability.a_stable and order == 2 and rho is not None and sigma is not None:
        stability = replace(stability, g_matrix=g_matrix(rho, sigma))
    if stability.g_matrix is None:
        text = "given for A-stable two-step methods of order 2 with numbers"
        parts.notes.append(Note("stability.G", text))
    parts.linear.stability = stability


def _depth(parts: _Parts, scheme: Scheme, program: Program) -> None:
    parts.depth_term, reason = depth_term(scheme, stages(without_noise(program)))
    if parts.depth_term is None:
        parts.notes.append(Note("depth_term", reason))


def _limits(parts: _Parts, scheme: Scheme, program: Program) -> None:
    parts.limits, reason = limits(scheme, program)
    if parts.limits is None:
        parts.notes.append(Note("limits", reason))


def _contraction(parts: _Parts, scheme: Scheme, program: Program) -> None:
    parts.contraction, reason = contraction(scheme, program, parts.expansion)
    if parts.contraction is None:
        parts.notes.append(Note("contraction", reason))


def _weak(parts: _Parts, program: Program) -> None:
    if program.noises:
        scaled = parts.expansion.scaled if parts.expansion is not None else ()
        parts.weak, notes = weak_analysis(program, scaled)
        parts.notes += notes


def _mean_square(parts: _Parts, program: Program) -> None:
    if program.noises:
        found = mean_square(program, parts.weak.diffusion)
        parts.mean_square, parts.stationary_variance, notes = found
        parts.notes += notes


def near_order(program: Program, expansion: Expansion | None) -> NearOrder | None:
    """Return the order that is meant where coefficients are decimals: those of many digits."""
    if expansion is None or expansion.order is None:
        return None
    if all(_digits(c) < DECIMALS for c in coefficients_of(program)):
        return None
    found = stages(program)
    return nearly(None if found is None else runge_kutta_form(found), expansion.order)


def _digits(coefficient: sympy.Expr) -> int:
    """Return the digits of the longest denominator."""
    return max((len(str(item.q)) for item in coefficient.atoms(sympy.Rational)), default=0)


def _assembled(
    scheme: Scheme, program: Program, parts: _Parts, found: list[Diagnostic]
) -> Analysis:
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


def _explained(result: Analysis, program: Program, parts: _Parts) -> tuple[Note, ...]:
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
