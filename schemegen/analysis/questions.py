"""The questions of the analysis, asked one after the other, each within its own time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import sympy

from schemegen.analysis.admissible import AdmissibleSets
from schemegen.analysis.barriers import barriers
from schemegen.analysis.contraction import contraction
from schemegen.analysis.dispersion import dispersion_and_dissipation
from schemegen.analysis.expansion import Expansion, expand
from schemegen.analysis.g_stability import g_matrix
from schemegen.analysis.geometry import geometry, with_conservation, without_noise
from schemegen.analysis.limits import limits
from schemegen.analysis.linear_coefficients import coefficients_of
from schemegen.analysis.mean_square import mean_square
from schemegen.analysis.model import Contraction, Geometry, Limit, NearOrder, Note, PhaseTerm
from schemegen.analysis.monotonicity import monotonicity
from schemegen.analysis.nearly import nearly
from schemegen.analysis.nonautonomous import depth_term
from schemegen.analysis.stability import LinearAnalysis, linear_analysis
from schemegen.analysis.stages import runge_kutta_form, stages
from schemegen.analysis.time_limit import LIMIT_SECONDS, TimeLimitError, time_limit
from schemegen.analysis.weak import weak_analysis
from schemegen.analysis.weak_model import MeanSquare, StationaryVariance, WeakAnalysis
from schemegen.scheme.model import Scheme
from schemegen.step.program import Program

__all__ = ["UNDECIDED", "Parts", "ask", "near_order", "say_what_is_late"]

DECIMALS = 6  # digits of a denominator that a rounded decimal has at least
UNDECIDED = f"not decided within {LIMIT_SECONDS:g} s"


@dataclass
class Parts:
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


def ask(parts: Parts, scheme: Scheme, program: Program, order: int | None) -> None:
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
    for name, answer in questions.items():
        if name == "dispersion" and "linear" in cut:
            continue  # it is read off the linear test
        try:
            with time_limit():
                answer()
        except TimeLimitError:
            cut.append(name)
    late = [key for name in cut for key in OPEN.get(name, ())]
    if "expand" in cut:
        late += EXPANDED if parts.expansion is None else parts.expansion.open
    parts.late = frozenset(late)


def _expand(parts: Parts, program: Program, order: int | None) -> None:
    def keep(found: Expansion) -> None:
        parts.expansion = found

    try:
        keep(expand(program, order, keep=keep))
    finally:
        parts.notes += parts.expansion.notes if parts.expansion is not None else ()


def say_what_is_late(parts: Parts, program: Program) -> None:
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


def _linear(parts: Parts, program: Program) -> None:
    parts.linear = linear_analysis(program)


def _dispersion(parts: Parts) -> None:
    parts.dispersion, parts.dissipation, notes = dispersion_and_dissipation(parts.linear)
    parts.notes += notes


def _monotonicity(parts: Parts, program: Program) -> None:
    ssp, threshold, notes = monotonicity(program, parts.linear)
    parts.notes += notes
    parts.linear.stability = replace(parts.linear.stability, ssp=ssp, linear_monotonicity=threshold)


def _geometry(parts: Parts, program: Program) -> None:
    parts.geometry, notes = geometry(program, parts.linear)
    parts.notes += notes


def _conservation(parts: Parts, program: Program) -> None:
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


def _near(parts: Parts, program: Program) -> None:
    parts.near = near_order(program, parts.expansion)


def _barriers(parts: Parts, scheme: Scheme) -> None:
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


def _depth(parts: Parts, scheme: Scheme, program: Program) -> None:
    parts.depth_term, reason = depth_term(scheme, stages(without_noise(program)))
    if parts.depth_term is None:
        parts.notes.append(Note("depth_term", reason))


def _limits(parts: Parts, scheme: Scheme, program: Program) -> None:
    parts.limits, reason = limits(scheme, program)
    if parts.limits is None:
        parts.notes.append(Note("limits", reason))


def _contraction(parts: Parts, scheme: Scheme, program: Program) -> None:
    parts.contraction, reason = contraction(scheme, program, parts.expansion)
    if parts.contraction is None:
        parts.notes.append(Note("contraction", reason))


def _weak(parts: Parts, program: Program) -> None:
    if program.noises:
        scaled = parts.expansion.scaled if parts.expansion is not None else ()
        parts.weak, notes = weak_analysis(program, scaled)
        parts.notes += notes


def _mean_square(parts: Parts, program: Program) -> None:
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
