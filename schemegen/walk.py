"""One step of a scheme, value by value, on a small problem, in exact numbers and in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import sympy

from schemegen.diagnostics import UsageError
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Constant, Noise, Normal, Param, Scheme, Uniform
from schemegen.step.arithmetic import Arithmetic, exact, floating, real
from schemegen.step.interpret import run
from schemegen.step.program import ONES, Program, Solve

__all__ = ["PROBLEMS", "Row", "step_size_of", "walk"]

Number = Any
LONGEST = 28  # characters of an exact number that are still read


@dataclass(frozen=True, slots=True)
class Vector:
    """A point of the plane with the arithmetic that a step needs."""

    x: Number
    y: Number

    def __add__(self, other: Any) -> Vector:
        other = other if isinstance(other, Vector) else Vector(other, other)
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.x - other.x, self.y - other.y)

    def __mul__(self, factor: Any) -> Vector:
        other = factor if isinstance(factor, Vector) else Vector(factor, factor)
        return Vector(self.x * other.x, self.y * other.y)

    __radd__ = __add__
    __rmul__ = __mul__


@dataclass(frozen=True, slots=True)
class Problem:
    """``u' = field(u)`` by components; every drift of a scheme is this field of its first argument."""

    text: str
    field: Callable[..., tuple[Number, ...]]
    start: tuple[sympy.Expr, ...]
    linear: bool


ONE, TWO = sympy.Integer(1), sympy.Integer(2)

PROBLEMS = {
    "decay": Problem("u' = -u, u(0) = 1", lambda u: (-1 * u,), (ONE,), True),
    "logistic": Problem("u' = u (1 - u), u(0) = 1/2", lambda u: (u * (1 - u),), (ONE / 2,), False),
    "oscillator": Problem(
        "u1' = u2, u2' = -u1, u(0) = (1, 0)", lambda x, y: (y, -1 * x), (ONE, 0 * ONE), True
    ),
    "vdp": Problem(
        "u1' = u2, u2' = (1 - u1^2) u2 - u1, u(0) = (2, 0)",
        lambda x, y: (y, (1 - x * x) * y - x),
        (TWO, 0 * TWO),
        False,
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A value of the step by name; ``exact`` is None where it has no exact form that is worth reading."""

    name: str
    exact: str | None
    number: str


def walk(
    scheme: Scheme, program: Program, problem: str, step_size: sympy.Expr
) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Return what is assumed (values of params, means of noises), and every value of one step.

    A scheme with history takes its first steps as it declares them; the step shown is the first full one.
    """
    values = {"h": step_size} | {name: value for name, value, _ in _assumed(scheme)}
    assumptions = tuple(
        f"{name} = {format_exact(value)}, {reason}" for name, value, reason in _assumed(scheme)
    )
    chosen = PROBLEMS[problem]
    exactly = _exact_step(program, chosen, values)
    numbers = _float_step(program, chosen, {name: real(value) for name, value in values.items()})
    rows = tuple(
        Row(name, None if exactly is None else _exact_text(exactly[name]), _float_text(number))
        for name, number in numbers.items()
        if name != ONES
    )
    return assumptions, rows


def _exact_step(
    program: Program, problem: Problem, values: Mapping[str, sympy.Expr]
) -> dict[str, Number] | None:
    """Return the step in exact numbers; None where a solver's answer is the limit of an iteration."""
    solves = [item for item in program.statements if isinstance(item, Solve)]
    scalar = len(problem.start) == 1
    finite = all(item.solver.method in ("fixed_point", "neumann") for item in solves)
    if solves and not (scalar and (finite or problem.linear)):
        return None
    if scalar:
        start, field = problem.start[0], lambda u, *_: problem.field(u)[0]
    else:
        start, field = Vector(*problem.start), lambda u, *_: Vector(*problem.field(u.x, u.y))
    implicit = "declared" if finite else "exact"
    return _step(program, field, start, exact(values, tidy=_tidy), implicit)


def _float_step(
    program: Program, problem: Problem, values: Mapping[str, float]
) -> dict[str, Number]:
    start = numpy.array([real(value) for value in problem.start])

    def field(u: Number, *_: Number) -> Number:
        return numpy.array(problem.field(*u))

    return _step(program, field, start, floating(values, numpy), "declared")


def _step(
    program: Program,
    field: Callable[..., Number],
    start: Number,
    arithmetic: Arithmetic,
    implicit: str,
) -> dict[str, Number]:
    """Return the values of the first step that has its whole history."""
    functions = {item.name: field for item in program.fields if item.kind == "drift"}
    states = [state.name for state in program.states]

    def take(
        what: Program, current: Mapping[str, Number], past: list[dict[str, Number]]
    ) -> dict[str, Number]:
        held = {item.name: past[-item.lag][item.of] for item in what.inputs}
        given = {f"{name}[n]": current[name] for name in states}
        return run(what, given | held, functions, arithmetic, implicit=implicit)

    current = {name: 0 * start if name in program.start.zero else start for name in states}
    past: list[dict[str, Number]] = []
    opening = program.first or program.starter
    if program.history and program.start.method == "copy" and program.starter is not None:
        past = [take(program.starter, current, [])] * program.history
    while len(past) < program.history and opening is not None:
        past.append(take(opening, current, past))
        current = {name: past[-1][f"{name}[n+1]"] for name in states}
    return take(program, current, past)


def _assumed(scheme: Scheme) -> Iterator[tuple[str, sympy.Expr, str]]:
    for param in scheme.params:
        yield param.name, _initial(param), "its initial value"
    for schedule in scheme.schedules:
        yield schedule.name, schedule.values[0], "its first value"
    for noise in scheme.noises:
        yield noise.name, _mean(noise), "the mean of the noise"


def _initial(param: Param) -> sympy.Expr:
    match param.init:
        case Constant(value=value):
            return value
        case Uniform(low=low, high=high):
            return (low + high) / 2
        case Normal(mean=mean):
            return mean


def _mean(noise: Noise) -> sympy.Expr:
    match noise.kind:
        case "bernoulli":
            return noise.arguments[0]
        case "uniform":
            return (noise.arguments[0] + noise.arguments[1]) / 2
        case _:
            return sympy.Integer(0)


def _tidy(value: Number) -> Number:
    if isinstance(value, Vector):
        return Vector(sympy.cancel(value.x), sympy.cancel(value.y))
    return sympy.cancel(value)


def _exact_text(value: Number) -> str | None:
    if isinstance(value, Vector):
        first, second = _exact_text(value.x), _exact_text(value.y)
        return None if first is None or second is None else f"({first}, {second})"
    text = format_exact(sympy.cancel(value))
    return text if len(text) <= LONGEST else None


def _float_text(value: Number) -> str:
    parts = [f"{float(item):.15g}" for item in numpy.atleast_1d(value)]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def step_size_of(text: str) -> sympy.Expr:
    """Read an exact step size as the language does."""
    from schemegen.scheme.expressions import coefficient
    from schemegen.scheme.report import Report
    from schemegen.values import exact_number

    node = exact_number(text)
    value = coefficient(node, {}, Report())
    if value is None or not value.is_positive:
        raise UsageError(f"{text!r} is no step size", "a positive exact number such as 1/10")
    return value
