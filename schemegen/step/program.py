"""The step program: one step of a scheme as straight-line statements with exact coefficients.

Analysis reads a program as a series, a backend reads it as tensors, the interpreter runs it over
any number type. No reader asks which family of schemes it came from.

Values are named by text. The state ``u`` enters as ``u[n]`` and leaves as ``u[n+1]``. A value of an
earlier step enters as an :class:`Input`: ``u[n-1]`` is what ``u[n]`` was one step ago,
``f(u[n-1])`` is what the evaluation ``f(u[n])`` gave one step ago (multistep methods keep slopes
and do not evaluate them again, so each slope belongs to the weights of its own step). :data:`ONES`
is the value that is 1 everywhere, for terms such as ``sigma*dW``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

import sympy

from schemegen.diagnostics import Span
from schemegen.scheme.model import (
    Coefficient,
    Noise,
    Param,
    Schedule,
    Solver,
    Start,
    State,
    Transition,
)

__all__ = [
    "ONES",
    "Combine",
    "Evaluate",
    "Field",
    "Input",
    "Origin",
    "Program",
    "Solve",
    "Statement",
    "Term",
    "walk",
]

ONES = "1"
H = sympy.Symbol("h")


@dataclass(frozen=True, slots=True)
class Origin:
    """The place in the file a statement comes from, and the stage of the step it belongs to."""

    span: Span | None = field(compare=False, repr=False)
    stage: str


@dataclass(frozen=True, slots=True)
class Term:
    """``coefficient * value``; the coefficient may hold ``h``, params, schedules and noises."""

    coefficient: Coefficient
    value: str


@dataclass(frozen=True, slots=True)
class Combine:
    """``target = sum_i c_i v_i``; no terms means zero."""

    target: str
    terms: tuple[Term, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Evaluate:
    """``target = F(at, ..)``: a drift, or a pointwise function (field kind ``pointwise``).

    ``call`` numbers the evaluations of this field within the step from 0. ``weights`` numbers the
    set of weights used within the step: 0 where all evaluations share one. ``time`` is c of the time
    ``t + c h`` at which a drift that takes the time is evaluated.
    """

    target: str
    field: str
    at: tuple[str, ...]
    call: int
    weights: int
    origin: Origin
    time: Coefficient = sympy.S.Zero


@dataclass(frozen=True, slots=True)
class Solve:
    """Stages that depend on one another: ``statements`` as equations for ``targets``.

    The statements are in an order that one fixed-point sweep follows: given the ``targets``,
    running them once gives their next values. ``targets`` are the values that close the cycle (a
    feedback set); all other values set inside follow from them. ``guess`` gives, for each target,
    statements-free starting terms.
    """

    targets: tuple[str, ...]
    statements: tuple[Combine | Evaluate, ...]
    solver: Solver
    guess: tuple[tuple[Term, ...], ...]
    origin: Origin


Statement = Combine | Evaluate | Solve


@dataclass(frozen=True, slots=True)
class Field:
    """A vector field of the program.

    ``kind`` ``drift``: trainable, with ``block``, ``weights`` and ``norm_stats`` as in the scheme;
    ``kind`` ``pointwise``: a fixed function of tensors, named in ``function`` (``tanh``,
    ``multiply``, ..), through which no B-series passes. ``states`` are the states its arguments
    stand for; with ``timed`` the time follows them.
    """

    name: str
    kind: str
    states: tuple[str, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    block: str = ""
    weights: str = "step"
    norm_stats: str = "stage"
    function: str = ""
    timed: bool = False
    inner: str = ""
    knots: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """``name`` is the value that ``of`` had ``lag`` steps ago (``lag >= 1``)."""

    name: str
    of: str
    lag: int


@dataclass(frozen=True, slots=True)
class Program:
    """One step: ``u[n+1]`` for every state from ``u[n]`` and the ``inputs`` of earlier steps.

    ``starter`` is the one-step program that replaces this one while history is missing and at shape
    changes (``transition.scheme off``); it is None for a one-step program that needs none. It sets
    every value that ``inputs`` refer to. ``start`` says how history begins (``copy`` needs no
    starter). ``first`` takes the first steps instead of the starter where ``start`` names a scheme; at
    shape changes the starter stays in use. ``embedded`` names the value of an embedded solution
    (``b_hat``) per state, where there is one. ``opening`` replaces the very first step of a network, where
    the scheme says that it differs (damping with ``first off``).
    """

    name: str
    states: tuple[State, ...]
    fields: tuple[Field, ...]
    inputs: tuple[Input, ...]
    statements: tuple[Statement, ...]
    params: tuple[Param, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    noises: tuple[Noise, ...] = ()
    step_size: Coefficient = field(default_factory=lambda: sympy.Integer(1))
    start: Start = field(default_factory=Start)
    transition: Transition = field(default_factory=Transition)
    starter: Program | None = None
    embedded: tuple[tuple[str, str], ...] = ()
    first: Program | None = None
    opening: Program | None = None

    @property
    def history(self) -> int:
        """The number of earlier steps a step reads: 0 for a one-step method."""
        return max((item.lag for item in self.inputs), default=0)

    def field(self, name: str) -> Field:
        return next(item for item in self.fields if item.name == name)


def walk(statements: tuple[Statement, ...]) -> Iterator[Combine | Evaluate]:
    """Yield every combine and evaluate in order, those inside a solve included."""
    for statement in statements:
        match statement:
            case Combine() | Evaluate():
                yield statement
            case Solve():
                yield from statement.statements
            case _:
                assert_never(statement)
