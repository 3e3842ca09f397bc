"""What a scheme is once it has been checked: frozen data with exact coefficients.

A coefficient is a sympy expression built node by node from an allow-list
(``scheme/expressions.py``): rationals, square roots, the step size ``h``, and symbols of declared
params, schedules and noises. All symbols are plain ``sympy.Symbol(name)``. Zero and equality are
decided in ``schemegen.exact``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import sympy

from schemegen.diagnostics import Source, Span
from schemegen.language import nodes

__all__ = [
    "Coefficient",
    "Constant",
    "Damping",
    "Drift",
    "Equations",
    "Expectation",
    "Init",
    "Interval",
    "MapDefinition",
    "Multistep",
    "Noise",
    "Normal",
    "Param",
    "Schedule",
    "Scheme",
    "Solver",
    "Start",
    "State",
    "Tableau",
    "TableauPart",
    "Tableaus",
    "Transition",
    "Uniform",
    "Update",
]

Coefficient: TypeAlias = sympy.Expr


@dataclass(frozen=True, slots=True)
class State:
    """A tensor carried from step to step; ``split`` is its channels where states share them
    unevenly."""

    name: str
    span: Span = field(compare=False, repr=False)
    split: int | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """A trainable vector field ``f(u, ..)``; ``arguments`` are names of states.

    ``weights``: ``step`` (all evaluations of a step share one set), ``stage`` (a set for each stage
    equation), ``call`` (a set for each evaluation), ``network`` (one set for all steps of equal
    shape). ``norm_stats``: batch-norm statistics of repeated evaluations, ``stage`` (own) or
    ``shared``. ``timed``: it takes the time after its states, ``f(u, t)``.
    ``inner``: the noise that multiplies inside the branch, before its last kernel. ``knots``: of
    ``weights`` ``smooth``, which steps of equal shape interpolate between, by their depth.
    """

    name: str
    arguments: tuple[str, ...]
    span: Span = field(compare=False, repr=False)
    block: str = "preact"
    weights: str = "step"
    norm_stats: str = "stage"
    timed: bool = False
    inner: str = ""
    knots: int = 0


@dataclass(frozen=True, slots=True)
class Constant:
    """Initial value: this number everywhere."""

    value: Coefficient


@dataclass(frozen=True, slots=True)
class Uniform:
    """Initial value: uniform on ``[low, high)``."""

    low: Coefficient
    high: Coefficient


@dataclass(frozen=True, slots=True)
class Normal:
    """Initial value: normal with this mean and standard deviation."""

    mean: Coefficient
    deviation: Coefficient


Init = Constant | Uniform | Normal


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of real numbers; ``sympy.oo`` ends are open."""

    low: Coefficient
    high: Coefficient
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True, slots=True)
class Param:
    """A coefficient of the scheme that a network stores: ``value = via(raw)``.

    ``init`` is of the value, not of the raw tensor. ``via`` is an expression in
    ``sympy.Symbol("raw")`` or None (the tensor is the value). ``per``: ``step``, ``stage`` (of the
    network), ``network``. ``shape``: ``scalar``, ``channel``, ``full``. ``decay``: whether weight
    decay applies.
    """

    name: str
    span: Span = field(compare=False, repr=False)
    learnable: bool = True
    per: str = "step"
    shape: str = "scalar"
    init: Init = field(default_factory=lambda: Constant(sympy.Integer(0)))
    range: Interval | None = None
    via: Coefficient | None = None
    decay: bool = True

    @property
    def symbol(self) -> sympy.Symbol:
        return sympy.Symbol(self.name)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A value by step index ``0..N-1``: ``linear(first, last)``, ``cosine(first, last)``,
    ``list(..)``.

    ``first_drop`` counts ``1..N`` instead: value i of N is that of index ``i + 1`` on ``0..N``.
    """

    name: str
    kind: str
    values: tuple[Coefficient, ...]
    span: Span = field(compare=False, repr=False)
    first_drop: bool = False

    @property
    def symbol(self) -> sympy.Symbol:
        return sympy.Symbol(self.name)


@dataclass(frozen=True, slots=True)
class Noise:
    """A random variable drawn once a step; every use of its name in the step is the same draw.

    ``kind``: ``wiener`` (mean 0, variance h), ``gaussian`` (0, s^2), ``bernoulli`` (p), ``uniform``
    (a, b), ``rademacher``; ``arguments`` are its parameters. ``scope``: ``element, channel, sample,
    batch``. ``evaluation``: ``mean``, ``sample``, ``off``. ``active``: ``train``, ``always``.
    ``backward``: ``same``, ``redraw``, ``mean``. ``compute``: whether a branch that a Bernoulli draw
    multiplies is evaluated only where it is ``kept``, or for ``all`` samples and masked.
    """

    name: str
    kind: str
    arguments: tuple[Coefficient, ...]
    span: Span = field(compare=False, repr=False)
    scope: str = "element"
    active: str = "train"
    evaluation: str = "mean"
    backward: str = "same"
    compute: str = "kept"

    @property
    def parameters(self) -> tuple[Coefficient, ...]:
        """What a draw depends on: the arguments, and h for an increment of Brownian motion."""
        return (sympy.Symbol("h"),) if self.kind == "wiener" else self.arguments

    @property
    def symbol(self) -> sympy.Symbol:
        return sympy.Symbol(self.name)


@dataclass(frozen=True, slots=True)
class Damping:
    """``-(rate/h) u`` added to the field, ``explicit``, ``exact`` or ``implicit``; ``gain`` times
    the drift.

    ``first`` and ``transition``: whether the first step of a network and the steps at changes of
    shape are damped too.
    """

    rate: Coefficient
    mode: str
    gain: Coefficient
    span: Span = field(compare=False, repr=False)
    first: bool = True
    transition: bool = True


@dataclass(frozen=True, slots=True)
class Solver:
    """How implicit groups are solved: ``fixed_point``, ``neumann``, ``anderson``,
    ``newton_krylov``.

    ``iterations`` is the number of sweeps (``terms`` of a Neumann series). ``init``: first guess
    ``copy`` (``u[n]``) or ``euler``. ``gradient``: ``unrolled`` or ``implicit``. ``tolerance``
    None: no early stop.
    """

    method: str
    span: Span = field(compare=False, repr=False)
    iterations: int = 4
    tolerance: Coefficient | None = None
    memory: int = 5
    init: str = "copy"
    gradient: str = "unrolled"


@dataclass(frozen=True, slots=True)
class Start:
    """How a step that lacks its history is taken.

    ``method``: ``euler``, ``copy`` (history := current value), ``partial`` (the step itself with
    the params that multiply missing values at 0), or the name of a one-step scheme, which is
    then in ``scheme``. ``zero`` lists states that start at zero (``start: v zero``). With
    ``plain`` (``first plain``) the first step and changes of shape are plain residual blocks
    ``x + h f(x)``, after which those states are zero.
    """

    method: str = "euler"
    zero: tuple[str, ...] = ()
    scheme: Scheme | None = None
    span: Span | None = field(default=None, compare=False, repr=False)
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """What happens at a change of shape.

    ``history``: ``project`` (history := projected input), ``each`` (every entry has its own
    projection), ``reset`` (forget, start again), or None where the file does not say. ``scheme``:
    ``off`` (a plain residual step ``P(u) + h f(u)``), ``on`` (project, then the scheme's own
    step) or ``strided`` (the scheme's own step from projected values, with drifts that take the
    stride). ``bn``: ``own`` or ``shared`` normalisation of the projection.
    """

    history: str | None = None
    scheme: str = "off"
    bn: str = "own"
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tableau:
    """An s-stage Runge-Kutta method::

        Y_i = u + h sum_j a_ij f(Y_j)        u' = u + h sum_i b_i f(Y_i)

    Exact entries, ``a`` always s x s. ``kind`` as declared: ``explicit``, ``dirk``, ``implicit``.
    The spans point at the cells as written (None for zeros that were left out).
    Source: Butcher (2016), sec. 232.
    """

    kind: str
    a: tuple[tuple[Coefficient, ...], ...]
    b: tuple[Coefficient, ...]
    c: tuple[Coefficient, ...]
    b_hat: tuple[Coefficient, ...] | None = None
    a_spans: tuple[tuple[Span | None, ...], ...] = field(default=(), compare=False, repr=False)
    b_spans: tuple[Span | None, ...] = field(default=(), compare=False, repr=False)
    b_hat_spans: tuple[Span | None, ...] = field(default=(), compare=False, repr=False)

    @property
    def stages(self) -> int:
        return len(self.b)


@dataclass(frozen=True, slots=True)
class TableauPart:
    """A tableau and the drifts it applies to (``tableau .. for f``; without ``for``, the sum of
    all)."""

    drifts: tuple[str, ...]
    tableau: Tableau
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tableaus:
    """A Runge-Kutta update, additive where there are several parts with equal stage counts."""

    parts: tuple[TableauPart, ...]


@dataclass(frozen=True, slots=True)
class Multistep:
    """``sum_j alpha_j u[n+1-j] = h sum_f sum_j beta_fj f(u[n+1-j])``, ``j = 0..k``.

    ``alpha`` and each ``beta`` run from ``n+1`` backwards, as the columns do; ``spans`` are their cells,
    ``alpha`` first. Source: Hairer, Norsett, Wanner (1993), III.2.
    """

    state: str
    alpha: tuple[Coefficient, ...]
    beta: tuple[tuple[str, tuple[Coefficient, ...]], ...]
    span: Span = field(compare=False, repr=False)
    spans: tuple[tuple[Span, ...], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MapDefinition:
    """``map F(x) = body``, kept as syntax until it is lowered."""

    name: str
    arguments: tuple[str, ...]
    body: nodes.Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Equations:
    """``step { }``: assignments in order, kept as checked syntax until they are lowered."""

    assignments: tuple[nodes.Assignment, ...]
    maps: tuple[MapDefinition, ...]
    span: Span = field(compare=False, repr=False)


Update = Tableaus | Multistep | Equations


@dataclass(frozen=True, slots=True)
class Expectation:
    """A claim to be decided at compile time; ``value`` None means ``true``."""

    claim: str
    operator: str | None
    value: Coefficient | bool | None
    span: Span = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.claim if self.value is None else f"{self.claim} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """A checked scheme. ``constants`` are already folded into every coefficient."""

    name: str
    title: str
    source: Source = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)
    states: tuple[State, ...] = ()
    drifts: tuple[Drift, ...] = ()
    params: tuple[Param, ...] = ()
    constants: tuple[tuple[str, Coefficient], ...] = ()
    schedules: tuple[Schedule, ...] = ()
    noises: tuple[Noise, ...] = ()
    step_size: Coefficient = field(default_factory=lambda: sympy.Integer(1))
    damping: Damping | None = None
    solver: Solver | None = None
    start: Start = field(default_factory=Start)
    transition: Transition = field(default_factory=Transition)
    update: Update | None = None
    expectations: tuple[Expectation, ...] = ()
