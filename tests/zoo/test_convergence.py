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
MOST = {1: 360, 2: 180}  # and of the last
SMALLEST = 1e-15  # the distance aimed at, above rounding for this problem

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
    random = np.random.default_rng(zlib.crc32(f"{name}a".encode()))

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

    def slope(x: Vector) -> Vector:
        parts = dict(zip(names, np.split(x, len(names)), strict=True))
        result = field(parts)
        return np.concatenate([result[name] for name in names])

    h = LONG(time) / pieces
    for _ in range(pieces):
        table: list[list[Vector]] = []
        for row in range(8):
            count = 2 * (row + 1)
            step = h / count
            old, new = current, current + step * slope(current)
            for _ in range(count - 1):
                old, new = new, old + 2 * step * slope(new)
            line = [new]
            for column in range(row):
                ratio = (LONG(count) / (2 * (row - column))) ** 2
                line.append(line[-1] + (line[-1] - table[-1][column]) / (ratio - 1))
            table.append(line)
        current = table[-1][-1]
    return dict(zip(names, np.split(current, len(names)), strict=True))


class ModifiedField:
    """The field of an expansion, evaluated from its printed trees."""

    def __init__(self, program: Program, expansion: Expansion) -> None:
        assert expansion.modified_equation is not None
        assert expansion.modified_equation.field is not None
        self.terms = [
            (state, split_by_scale(terms, expansion.scaled))
            for state, terms in expansion.modified_equation.field
        ]
        self.sines = fields_of(program)
        self.arguments = {field.name: field.states for field in program.fields}
        self.roots = {
            state: {term.tree.split("[")[0] for term in terms} for state, terms in self.terms
        }
        self.program, self.expansion = program, expansion

    def powers(self) -> list[int]:
        """Return the powers of h that occur; with a scaled symbol its own power counts for h."""
        return sorted({self.power(term) for _, terms in self.terms for term in terms})

    def power(self, term: TreeTerm) -> int:
        """Return the power of h, where a scaled symbol counts as h."""
        symbols = [sympy.Symbol(name) for name in self.expansion.scaled]
        degree = sympy.Poly(term.coefficient, *symbols).total_degree() if symbols else 0
        return term.h_power + degree

    def truncated(self, h: Any, power: int) -> Derivative:
        """Return the field with the terms up to ``h^power``."""
        values = values_of(self.program, self.expansion, h)
        kept = {
            state: [
                (parsed(term.tree), _number(term.coefficient, values) * h**term.h_power)
                for term in terms
                if self.power(term) <= power
            ]
            for state, terms in self.terms
        }

        def field(x: State) -> State:
            known: dict[Any, Vector] = {}
            zero = 0 * next(iter(x.values()))
            return {
                state: sum((c * self.differential(tree, x, known) for tree, c in terms), zero)
                for state, terms in kept.items()
            }

        return field

    def differential(self, tree: Any, x: State, known: dict[Any, Vector]) -> Vector:
        if tree not in known:
            name, children = tree
            if name in x:
                known[tree] = x[name]
            elif name == "1":
                known[tree] = 0 * next(iter(x.values())) + 1
            else:
                states = self.arguments[name]
                directions = []
                for label, child in children:
                    fitting = [s for s in states if child[0] in self.roots[s]]
                    slot = states.index(label or fitting[0])
                    directions.append((slot, self.differential(child, x, known)))
                known[tree] = self.sines[name].derivative([x[s] for s in states], directions)
        return known[tree]


def split_by_scale(terms: Sequence[TreeTerm], scaled: Sequence[str]) -> list[TreeTerm]:
    """Split coefficients into powers of the scaled symbols, which stand for ``h`` times a constant."""
    if not scaled:
        return list(terms)
    symbols = [sympy.Symbol(name) for name in scaled]
    result = []
    for term in terms:
        for exponents, c in sympy.Poly(term.coefficient, *symbols).terms():
            part = c * sympy.Mul(*[s**e for s, e in zip(symbols, exponents, strict=True)])
            result.append(TreeTerm(term.tree, term.nodes, term.h_power, part))
    return result


@cache
def parsed(text: str) -> Any:
    """Parse ``g[f,x:f[g]]`` into ``(name, ((label, child), ..))``."""
    name, bracket, rest = text.partition("[")
    if not bracket:
        return (text, ())
    children, depth, start = [], 0, 0
    inner = rest[:-1]
    for position, character in enumerate(inner + ","):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            piece = inner[start:position]
            label, colon, child = piece.partition(":")
            labelled = colon and "[" not in label
            children.append((label, parsed(child)) if labelled else ("", parsed(piece)))
            start = position + 1
    return (name, tuple(children))


# --- the scheme, run ------------------------------------------------------------------------------


def history(
    program: Program, field: Derivative, start: State, h: Any, aux: State
) -> list[dict[str, Vector]]:
    """Return what the inputs refer to, 1, 2, .. steps ago, on the solution of ``field``."""
    sines = fields_of(program)
    held = []
    for lag in range(1, program.history + 1):
        past = flow(field, start, -lag * h)
        values = {f"{name}[n]": x for name, x in {**past, **aux}.items()}
        for statement in program.statements:
            if isinstance(statement, Evaluate) and all(at in values for at in statement.at):
                at = [values[name] for name in statement.at]
                values.setdefault(statement.target, sines[statement.field](*at))
        held.append(values)
    return held


def solution(
    program: Program, expansion: Expansion, field: Derivative, start: State, h: Any, steps: int
) -> State:
    """Follow the scheme from ``start`` with the history on the solution of ``field``."""
    sines = fields_of(program)
    arithmetic = Rounded(
        lambda e: LONG(str(e.evalf(30))), values_of(program, expansion, h), functions_of(np)
    )
    zero = 0 * next(iter(start.values()))
    current = {**start, **dict.fromkeys(expansion.auxiliary, zero)}
    past = history(program, field, start, h, dict.fromkeys(expansion.auxiliary, zero))
    for _ in range(steps):
        values = {f"{name}[n]": x for name, x in current.items()}
        values |= {item.name: past[item.lag - 1][item.of] for item in program.inputs}
        result = run(program, values, sines, arithmetic, tolerance=1e-17)
        past = [result, *past][: program.history]
        current = {name: result[f"{name}[n+1]"] for name in current}
    return current


def start_of(expansion: Expansion) -> State:
    points = np.array([0.3, -0.5, 0.8, 0.1, -0.4, 0.6], dtype=LONG)
    return {name: points[2 * i : 2 * i + 2] for i, name in enumerate(expansion.principal)}


def gap(left: Mapping[str, Vector], right: State) -> float:
    return float(max(abs(left[name] - right[name]).max() for name in right))


def measured(name: str, expansion: Expansion, cut: int, expected: int) -> float:
    """Return the slope of the distance from the equation with the terms up to ``h^cut``.

    Slopes between three step sizes, h, 2/3 h and 4/9 h, are extrapolated to h = 0 as ``s + c h``. The step
    is as small as the expected slope allows before rounding sets in, or as time does.
    """
    modified = ModifiedField(program_of(name), expansion)

    def at(count: int) -> float:
        return distance(program_of(name), expansion, modified, LONG(1) / count, cut, count // 2)

    aim = FIRST * (at(FIRST) / SMALLEST) ** (1 / expected)
    unit = 2 * round(min(max(aim, 18), MOST.get(expected, 126)) / 18)
    first, second, third = at(4 * unit), at(6 * unit), at(9 * unit)
    coarse, fine = (math.log(a / b, 1.5) for a, b in ((first, second), (second, third)))
    return 3 * fine - 2 * coarse


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


@pytest.mark.parametrize("name", sorted(TRUNCATED_NEUMANN))
def test_schemes_without_a_series_say_so(name: str) -> None:
    expansion = expansion_of(name)
    assert not expansion.is_series
    assert expansion.order is None
