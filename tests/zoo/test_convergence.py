"""What the analysis derives, measured: orders, and modified equations followed to the order they are cut.

Every field of the test problem is ``f(x) = w * sin(M x + c)`` elementwise, of all its states: derivatives of all
orders are known and none vanishes. Numbers are long doubles, coefficients rounded once from 30 digits.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

from schemegen.analysis.expansion import Expansion, expand
from schemegen.analysis.model import TreeTerm
from schemegen.diagnostics import Source
from schemegen.language import parse
from schemegen.resources import resource_dir
from schemegen.scheme import check
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Evaluate, Program, Solve

LONG = np.longdouble
Vector = Any
State = dict[str, Vector]
Derivative = Callable[[State], State]

PARAMS = {"k": "1/3", "gamma": "1/3", "lam": "1/2", "q": "-9/5", "p": "4/5", "sigma": "1/10"}
WITHOUT_LIMIT = {"plain_cnn"}
TRUNCATED_NEUMANN = {"polynet"}  # follows no equation near u' = f unless f(0) = 0
SCHEMES = sorted(
    path.stem for path in (Path(str(resource_dir("zoo"))) / "schemes").glob("*.scheme")
)
ANALYSED = [name for name in SCHEMES if name not in WITHOUT_LIMIT | TRUNCATED_NEUMANN]


FIRST = 12  # steps per unit of time of the first try
MOST = {1: 600, 2: 300}  # and of the last
SMALLEST = 1e-14  # the smallest distance measured, well above rounding

# --- the test problem ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Sine:
    """``F(x) = w * sin(sum_s M_s x_s + c)`` with its derivatives."""

    weight: Vector
    constant: Vector
    matrices: tuple[Vector, ...]

    def derivative(self, at: Sequence[Vector], directions: Sequence[tuple[int, Vector]]) -> Vector:
        """Return the derivative in ``directions = (slot, vector), ..`` at the states ``at``."""
        argument = self.constant
        for matrix, x in zip(self.matrices, at, strict=True):
            argument = argument + matrix @ x
        result = self.weight * np.sin(argument + LONG(np.pi) / 2 * len(directions))
        for slot, vector in directions:
            result = result * (self.matrices[slot] @ vector)
        return result

    def __call__(self, *at: Vector) -> Vector:
        return self.derivative(at, ())


def sine(name: str, arguments: int) -> Sine:
    random = np.random.default_rng(zlib.crc32(name.encode()))

    def draw(*shape: int) -> Vector:
        return random.uniform(-1, 1, shape).astype(LONG)

    matrices = tuple(draw(2, 2) for _ in range(arguments))
    return Sine(draw(2) + 1, draw(2), matrices)


@cache
def program_of(name: str) -> Program:
    path = Path(str(resource_dir("zoo"))) / "schemes" / f"{name}.scheme"
    checked = check(parse(Source(path.name, path.read_text(encoding="utf-8"))))
    return lower(next(scheme for scheme in checked.schemes if scheme.name == name))


def fields_of(program: Program) -> dict[str, Sine]:
    return {field.name: sine(field.name, len(field.states)) for field in program.fields}


def sweeps_limited(program: Program) -> bool:
    """Say whether implicit groups are left after a fixed number of sweeps."""
    solvers = [s.solver for s in program.statements if isinstance(s, Solve)]
    return any(s.method == "fixed_point" and s.tolerance is None for s in solvers)


@cache
def expansion_of(name: str, order: int | None = None) -> Expansion:
    program = program_of(name)
    return expand(program, order, sweeps=sweeps_limited(program))


class Rounded(Arithmetic):
    """Long doubles; every coefficient is worked out once."""

    def coefficient(self, expression: sympy.Expr) -> Any:
        if expression not in self.symbols:
            self.symbols[expression] = super().coefficient(expression)  # type: ignore[index]
        return self.symbols[expression]


def values_of(program: Program, expansion: Expansion, h: Any) -> dict[str, Any]:
    """Return the numbers of h, params, schedules and noises (their means)."""
    values: dict[str, Any] = {"h": h}
    for item in (*program.params, *program.schedules):
        number = LONG(sympy.Rational(PARAMS[item.name]).p) / sympy.Rational(PARAMS[item.name]).q
        values[item.name] = number * h if item.name in expansion.scaled else number
    for noise in program.noises:
        numbers = [_number(argument, values) for argument in noise.arguments]
        mean = {"bernoulli": lambda n: n[0], "uniform": lambda n: (n[0] + n[1]) / 2}
        values[noise.name] = mean.get(noise.kind, lambda _: LONG(0))(numbers)
    return values


def _number(expression: sympy.Expr, values: Mapping[str, Any]) -> Any:
    floats = {s: sympy.Float(str(values[s.name]), 25) for s in expression.free_symbols}
    return LONG(str(sympy.N(expression.subs(floats), 25)))


# --- flows ----------------------------------------------------------------------------------------


def flow(field: Derivative, start: State, time: Any) -> State:
    """Return the solution after ``time``, by extrapolation of the midpoint rule (order 16).

    Source: Hairer, Norsett, Wanner (1993), II.9.
    """
    pieces = max(1, int(np.ceil(abs(float(time)) / 0.25)))
    names = list(start)
    current = np.concatenate([start[name] for name in names])

    def measured(name: str, expansion: Expansion, cut: int, expected: int) -> float:
    """Return the slope of the distance from the equation with the terms up to ``h^cut``.

    The step is made as small as the expected slope allows before rounding sets in, or as time does.
    """
    modified = ModifiedField(program_of(name), expansion)

    def at(count: int) -> float:
        return distance(program_of(name), expansion, modified, LONG(1) / count, cut, count // 2)

    first = at(FIRST)
    aim = FIRST * (first / SMALLEST) ** (1 / expected)
    fine = 4 * round(min(max(aim, 1.5 * FIRST), MOST.get(expected, 150)) / 4)
    coarse = fine // 4 * 3
    return math.log(at(coarse) / at(fine)) / math.log(fine / coarse)


def distance(
    program: Program, expansion: Expansion, modified: ModifiedField, h: Any, power: int, steps: int
) -> float:
    """Return how far the scheme and the truncated equation are apart after ``steps`` steps.

    The history is on the best equation known, so that no parasitic solution is started. An auxiliary
    state finds its own value during the first steps, which are left out.
    """
    start = start_of(expansion)
    best = modified.truncated(h, max(modified.powers()))
    waiting = 45 if expansion.auxiliary else 0
    if waiting:
        begin = flow(best, start, -waiting * h)
        run_in = solution(program, expansion, best, begin, h, waiting)
        found = solution(program, expansion, best, begin, h, waiting + steps)
        start = {name: run_in[name] for name in start}
    else:
        found = solution(program, expansion, best, start, h, steps)
    return gap(found, flow(modified.truncated(h, power), start, h * steps))


# --- the tests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANALYSED)
def test_the_measured_order_is_the_derived_order(name: str) -> None:
    expansion = expansion_of(name)
    assert expansion.order is not None
    found = measured(name, expansion, 0, expansion.order)
    assert found == pytest.approx(expansion.order, abs=0.15)


@pytest.mark.parametrize("name", ANALYSED)
def test_the_solution_follows_the_truncated_modified_equation(name: str) -> None:
    """With the terms up to h^r the distance is h^s, s > r the power of the first term left out."""
    order = expansion_of(name).order
    assert order is not None
    expansion = expansion_of(name, order + 3)
    powers = ModifiedField(program_of(name), expansion).powers()
    cut, expected = [power for power in powers if power >= order][:2]
    found = measured(name, expansion, cut, expected)
    assert found == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("name", sorted(WITHOUT_LIMIT))
def test_schemes_without_a_limit_say_so(name: str) -> None:
    expansion = expansion_of(name)
    assert not expansion.small_step_limit
    assert expansion.order is None
