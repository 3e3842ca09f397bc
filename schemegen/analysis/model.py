"""The outcome of an analysis: frozen data with exact coefficients, the same keys as the JSON
report.

A question that was not decided is None, and ``notes`` says why under the name of its key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import sympy

from schemegen.analysis.weak_model import MeanSquare, ModifiedSDE, StationaryVariance
from schemegen.diagnostics import Diagnostic
from schemegen.scheme.model import Expectation, Interval

__all__ = [
    "Admissible",
    "Analysis",
    "Barrier",
    "Concrete",
    "ConcreteTerm",
    "Contraction",
    "Cost",
    "DerivativeTerm",
    "Geometry",
    "Limit",
    "ModifiedEquation",
    "NearOrder",
    "Note",
    "OrderCondition",
    "OrderSet",
    "ParamFact",
    "PhaseTerm",
    "Proof",
    "SpecialOrder",
    "Stability",
    "TreeTerm",
    "Verdict",
]

Exact: TypeAlias = sympy.Expr


@dataclass(frozen=True, slots=True)
class Note:
    """Why ``key`` is None, or what was assumed for it; ``code`` names a warning."""

    key: str
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class ParamFact:
    """A param as declared, and the exact set it may take (``-1 < k <= 1``), None where nothing is
    known."""

    name: str
    learnable: bool
    range: Interval | None
    admissible: str | None


@dataclass(frozen=True, slots=True)
class OrderCondition:
    """``residual = weight(tree) - 1/density(tree)``; zero where the condition holds."""

    state: str
    tree: str
    nodes: int
    residual: Exact


@dataclass(frozen=True, slots=True)
class TreeTerm:
    """``coefficient * h^h_power * F(tree)``: the coefficient already holds 1/symmetry."""

    tree: str
    nodes: int
    h_power: int
    coefficient: Exact


@dataclass(frozen=True, slots=True)
class DerivativeTerm:
    """``coefficient * h^h_power * u^(derivative)`` on the left of ``.. = f``."""

    derivative: int
    h_power: int
    coefficient: Exact


@dataclass(frozen=True, slots=True)
class ModifiedEquation:
    """``u' = sum of field terms``, per state; ``truncation`` is the power of h in the neglected
    rest.

    ``field`` is None where no small-step field exists; ``derivative_form`` where it does not apply.
    """

    field: tuple[tuple[str, tuple[TreeTerm, ...]], ...] | None
    derivative_form: tuple[DerivativeTerm, ...] | None
    truncation: int
    valid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecialOrder:
    """``order`` where the condition ``when`` on the params holds (``k = 1``)."""

    when: str
    order: int


@dataclass(frozen=True, slots=True)
class OrderSet:
    """The scheme has at least ``order`` exactly for the values ``when``: True all, False none.

    ``conditions`` are the equations that this order adds to the lower ones, ``families`` all solutions.
    ``when`` None: too long for one line.
    """

    order: int
    when: bool | str | None
    conditions: tuple[str, ...]
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """Every value of the declared ``range`` has the property ``claim``, for it lies in ``set``."""

    claim: str
    range: str
    set: str


@dataclass(frozen=True, slots=True)
class Admissible:
    """The exact sets of values of ``symbols`` with each property: True all, False none, None open.

    ``consistent`` and ``order`` are for ``u' = f``; ``order_rescaled`` for the scheme's own limit, such as
    ``(1 + k) u' = f``, where a scheme with a memory is consistent with ``u' = f`` for some values only.
    """

    symbols: tuple[str, ...]
    consistent: bool | str | None = None
    zero_stable: bool | str | None = None
    order: tuple[OrderSet, ...] | None = None
    order_rescaled: tuple[OrderSet, ...] | None = None
    a_stable: bool | str | None = None
    l_stable: bool | str | None = None
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True, slots=True)
class NearOrder:
    """The conditions up to ``order`` hold to ``within`` (the largest residual) only: rounded decimals."""

    order: int
    within: float


@dataclass(frozen=True, slots=True)
class PhaseTerm:
    """``coefficient * nu^power``, ``nu = h omega``, of a phase or amplification error."""

    power: int
    coefficient: Exact


@dataclass(frozen=True, slots=True)
class Barrier:
    """A bound on the methods of a class that is attained: its name, what it says, and who proved it."""

    name: str
    statement: str
    source: str


@dataclass(frozen=True, slots=True)
class Stability:
    """Linear stability on ``u' = lambda u``, ``z = h lambda``; polynomials ascending.

    One-step: ``numerator``/``denominator`` of R(z). Multistep: ``rho``, ``sigma`` ascending in
    zeta, with ``rho - z sigma``. Otherwise ``matrix`` (rows of entries in ``z``). ``zero_stable``
    is a bool or the exact set of params. Ends of intervals are exact where they could be named.
    """

    numerator: tuple[Exact, ...] | None = None
    denominator: tuple[Exact, ...] | None = None
    rho: tuple[Exact, ...] | None = None
    sigma: tuple[Exact, ...] | None = None
    matrix: tuple[tuple[Exact, ...], ...] | None = None
    at_infinity: Exact | None = None
    zero_stable: bool | str | None = None
    a_stable: bool | None = None
    l_stable: bool | None = None
    a_alpha_degrees: float | None = None
    i_stable: bool | None = None
    real_interval: tuple[Exact | float, Exact | float] | None = None
    imaginary_interval: tuple[Exact | float, Exact | float] | None = None
    ssp: Exact | float | None = None
    linear_monotonicity: Exact | float | None = None
    g_matrix: tuple[tuple[Exact, Exact], tuple[Exact, Exact]] | None = None
    barriers: tuple[Barrier, ...] = ()


@dataclass(frozen=True, slots=True)
class Geometry:
    """Structure that the step preserves; None: not decided.

    ``symplectic_to`` and ``energy_preserving_to`` are q where a step misses by ``O(h^(q+1))``; oo: exactly so.
    """

    symplectic: bool | None = None
    symmetric: bool | None = None
    algebraically_stable: bool | None = None
    conserves_quadratic: bool | None = None
    energy_preserving_to: Exact | None = None
    symplectic_to: Exact | None = None
    reversible: bool | None = None
    parasitic_roots: tuple[str, ...] | None = None
    parasitic_growth: tuple[str | None, ...] | None = None
    fsal: bool | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At ``point`` (``lam -> 0``) the scheme ``becomes`` another: ``resnet``, ``plain_cnn``, or its equations."""

    point: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Contraction:
    """Bounds of the distance of two solutions, in ``mu`` (logarithmic norm of f), ``L`` (Lipschitz) and ``h``.

    ``d|x - y|/dt <= rate |x - y|`` in the equation, None where it is not one field with a linear term; in one step
    ``|x - y|`` grows by at most the factor ``lipschitz``. ``damping_helps``: the condition, for a rate
    between 0 and 1, under which damping lowers that factor (``always``, ``h*L < 1``), None without such damping.
    """

    rate: Exact | None
    lipschitz: Exact
    damping_helps: str | None = None


@dataclass(frozen=True, slots=True)
class ConcreteTerm:
    """``h^h_power * expression`` in the equation of ``variable``, or in the Hamiltonian ``H``."""

    variable: str
    h_power: int
    expression: Exact


@dataclass(frozen=True, slots=True)
class Concrete:
    """What the analysis says of a field that is written out; None: not known, ``notes`` say why.

    ``field``: at h = 0, in the order of ``variables``. ``modified`` and ``modifying``: terms by variable and
    power of h. ``hamiltonian``: of the modified equation. ``values``: the terms of ``modified`` at a point.
    """

    variables: tuple[sympy.Symbol, ...]
    field: tuple[Exact, ...]
    modified: tuple[ConcreteTerm, ...] | None
    modifying: tuple[ConcreteTerm, ...] | None
    hamiltonian: tuple[ConcreteTerm, ...] | None
    values: tuple[ConcreteTerm, ...] | None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """Per step: evaluations of each field, state-sized registers, multiply-adds of the
    combinations."""

    evaluations: tuple[tuple[str, int], ...]
    storage: int
    combination_flops: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim of the file; ``holds`` None: not decided."""

    expectation: Expectation
    holds: bool | None
    found: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that is known of a scheme. ``kind`` and keys as in the JSON report.

    ``modifying_equation``, per state: the field that, fed to the scheme, gives the exact solution.
    ``depth_term``: the coefficient of ``h f_t`` that weights changing smoothly with depth add.
    ``dispersion`` and ``dissipation``: leading terms of phase lag and loss of amplitude of a step on
    ``u' = i omega u``; empty where there are none.
    """

    scheme: str
    title: str
    kind: str
    states: tuple[str, ...]
    fields: tuple[str, ...]
    params: tuple[ParamFact, ...]
    consistent: bool | str | None
    order: int | None
    stage_order: int | None
    embedded_order: int | None
    strong_order: Exact | None
    weak_order: Exact | None
    order_special: tuple[SpecialOrder, ...]
    order_conditions: tuple[OrderCondition, ...]
    principal_error: tuple[TreeTerm, ...]
    principal_error_norm: tuple[Exact, float] | None
    error_constant: Exact | None
    modified_equation: ModifiedEquation | None
    stability: Stability
    geometry: Geometry
    cost: Cost
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[Note, ...] = ()
    modifying_equation: tuple[tuple[str, tuple[TreeTerm, ...]], ...] | None = None
    dispersion: tuple[PhaseTerm, ...] | None = None
    dissipation: tuple[PhaseTerm, ...] | None = None
    order_nearly: NearOrder | None = None
    limits: tuple[Limit, ...] | None = None
    contraction: Contraction | None = None
    depth_term: Exact | None = None
    modified_sde: ModifiedSDE | None = None
    mean_square: MeanSquare | None = None
    stationary_variance: StationaryVariance | None = None
    concrete: Concrete | None = None
    admissible: Admissible | None = None
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False)
