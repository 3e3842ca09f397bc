"""Second moments on linear problems by simulation: their growth, and the variance they settle to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.model import Analysis
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Program
from schemegen.verification.draws import DRAWS, SEED, SIGMAS, drawn, number_of
from schemegen.verification.model import Check

__all__ = ["growth", "variance"]

PATHS = 40_000
SETTLED = 240  # steps after which a linear problem has forgotten its start

Array = Any


def _linear_program(
    program: Program, z: float, w: float, step: float, names: Mapping[str, str]
) -> dict[str, Any]:
    """Return fields ``f(u) = lambda u`` for the variables that the report names."""
    values = _variables(z, w, names)
    size = {"z": step, "w": np.sqrt(step)}
    rates = {field: values[variable] / size[variable[0]] for variable, field in names.items()}
    return {name: (lambda u, rate=rate: rate * u) for name, rate in rates.items()}


def _at(
    numbers: Mapping[str, sympy.Rational], scaled: Sequence[str], step: float
) -> dict[str, float]:
    return {k: float(v) * (step if k in scaled else 1) for k, v in numbers.items()}


def _variables(z: float, w: float, names: Mapping[str, str]) -> dict[str, float]:
    """Return a number for each variable, no two alike."""
    return {v: (z if v[0] == "z" else w) * (1 + 0.3 * i) for i, v in enumerate(names)}


def growth(
    program: Program,
    analysis: Analysis,
    numbers: Mapping[str, sympy.Rational],
    scaled: Sequence[str],
) -> Iterator[Check]:
    """Compare ``E R^2`` with the mean over draws."""
    found = analysis.mean_square
    if found is None or found.function is None:
        return
    z, w, step = -0.7, 0.4, 0.25
    names = dict(found.variables)
    values = {**_at(numbers, scaled, step), "h": step, **_variables(z, w, names)}
    wanted = number_of(found.function, values)
    fields = _linear_program(program, z, w, step, names)
    draws = drawn(program.noises, step, 1, DRAWS, np.random.default_rng(SEED + 1))
    real = lambda item: float(item.evalf(30))  # noqa: E731
    arithmetic = Arithmetic(real, {"h": step, **draws}, functions_of(np))
    state = program.states[0].name
    ends = [
        run(program, {f"{state}[n]": np.full((1, DRAWS), u)}, fields, arithmetic)[f"{state}[n+1]"]
        for u in (1.0, 0.0)
    ]
    squares = (ends[0] - ends[1]) ** 2
    error = float(squares.std() / np.sqrt(DRAWS))
    mean = float(squares.mean())
    yield Check(
        "mean_square.function",
        "growth of second moments",
        f"{wanted:.6f}",
        f"{mean:.6f} +- {2 * error:.6f}",
        abs(mean - wanted) <= SIGMAS * error + 1e-12,
        f"z = {z:g}, {DRAWS:,} draws",
    )


def variance(
    program: Program,
    analysis: Analysis,
    numbers: Mapping[str, sympy.Rational],
    scaled: Sequence[str],
) -> Iterator[Check]:
    """Compare the stationary variance with that over many paths."""
    found, square = analysis.stationary_variance, analysis.mean_square
    if found is None or square is None:
        return
    z, w, step = -0.5, 0.25, 0.25
    names = dict(square.variables)
    values = {**_at(numbers, scaled, step), "h": step, **_variables(z, w, names)}
    wanted = number_of(found.scheme, values)
    fields = _linear_program(program, z, w, step, names)
    random = np.random.default_rng(SEED + 2)
    real = lambda item: float(item.evalf(30))  # noqa: E731
    current = {f"{s.name}[n]": np.zeros((1, PATHS)) for s in program.states}
    held = {(item.of, item.lag): np.zeros((1, PATHS)) for item in program.inputs}
    for _ in range(SETTLED):
        draws = drawn(program.noises, step, 1, PATHS, random)
        arithmetic = Arithmetic(real, {"h": step, **draws}, functions_of(np))
        memory = {item.name: held[item.of, item.lag] for item in program.inputs}
        known = run(program, {**current, **memory}, fields, arithmetic)
        held = {(of, lag): known[of] if lag == 1 else held[of, lag - 1] for of, lag in sorted(held)}
        current = {f"{s.name}[n]": known[f"{s.name}[n+1]"] for s in program.states}
    x = current[f"{program.states[0].name}[n]"]
    variance = float(x.var())
    error = float(((x - x.mean()) ** 2).std() / np.sqrt(PATHS))
    yield Check(
        "stationary_variance",
        "stationary variance",
        f"{wanted:.6f}",
        f"{variance:.6f} +- {2 * error:.6f}",
        abs(variance - wanted) <= SIGMAS * error,
        f"z = {z:g}, {PATHS:,} paths",
    )
