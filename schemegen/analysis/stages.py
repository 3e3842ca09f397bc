"""The step program as stages: every evaluation's argument and every new value as a sum over columns.

Columns are the states at ``n``, remembered values, and the slopes themselves. This is the (partitioned, additive)
Runge-Kutta form where there is one, and holds for implicit groups too: they need no solving here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy

from schemegen.analysis.linear_coefficients import (
    CoefficientField,
    NotRationalError,
    coefficient_field,
    coefficients_of,
    laurent_product,
)
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, Statement

__all__ = ["RungeKutta", "Slope", "Stages", "runge_kutta_form", "stages"]

Element = Any
Laurent = dict[int, Element]
Row = dict[str, Laurent]


@dataclass(frozen=True)
class Slope:
    """One evaluation: ``field`` with the set of weights ``weights`` at ``argument`` and ``t + time h``."""

    name: str
    field: str
    weights: int
    state: str
    argument: Row
    time: sympy.Expr = sympy.S.Zero


@dataclass(frozen=True)
class Stages:
    """``new`` are the rows of the states at n+1 and of what the next step remembers, by column."""

    coefficients: CoefficientField
    states: tuple[str, ...]
    slopes: tuple[Slope, ...]
    new: dict[str, Row]
    every: tuple[Slope, ...] = ()


@dataclass
class _Reader:
    program: Program
    coefficients: CoefficientField
    values: dict[str, Row] = field(default_factory=dict)
    slopes: list[Slope] = field(default_factory=list)

    def run(self, statements: tuple[Statement, ...]) -> bool:
        """Read the statements; False where they have no such form."""
        return all(self._read(statement) for statement in statements)

    def _read(self, statement: Statement) -> bool:
        match statement:
            case Combine():
                self.values[statement.target] = self._combined(statement)
                return True
            case Evaluate():
                return self._evaluated(statement)
            case Solve():
                return self._solved(statement)

    def _combined(self, statement: Combine) -> Row:
        total: Row = {}
        for term in statement.terms:
            factor = self.coefficients.split(term.coefficient)
            _add(total, self.values[term.value], factor, self.coefficients.field.zero)
        return total

    def _evaluated(self, statement: Evaluate) -> bool:
        drift = self.program.field(statement.field)
        if drift.kind != "drift" or len(statement.at) != 1 or statement.at[0] == ONES:
            return False
        name = f"slope {len(self.slopes)}"
        argument = self.values[statement.at[0]]
        self.slopes.append(
            Slope(
                name,
                statement.field,
                statement.weights,
                drift.states[0],
                argument,
                statement.time,
            )
        )
        self.values[statement.target] = {name: {0: self.coefficients.field.one}}
        return True

    def _solved(self, statement: Solve) -> bool:
        if statement.solver.method == "neumann":
            return False
        marks = {target: f"target {target}" for target in statement.targets}
        first = len(self.slopes)
        for target, mark in marks.items():
            self.values[target] = {mark: {0: self.coefficients.field.one}}
        if not self.run(statement.statements):
            return False
        rows = {mark: self.values[target] for target, mark in marks.items()}
        if any(mark in row for row in rows.values() for mark in rows):
            return False
        zero = self.coefficients.field.zero
        for index in range(first, len(self.slopes)):
            slope = self.slopes[index]
            argument: Row = {}
            for column, factor in slope.argument.items():
                known = rows.get(column, {column: {0: self.coefficients.field.one}})
                _add(argument, known, factor, zero)
            self.slopes[index] = replace(slope, argument=argument)
        return True


def _add(total: Row, row: Row, factor: Laurent, zero: Element) -> None:
    for column, entry in row.items():
        mine = total.setdefault(column, {})
        for power, element in laurent_product(factor, entry, zero).items():
            mine[power] = mine.get(power, zero) + element
        total[column] = {power: e for power, e in mine.items() if e}
        if not total[column]:
            del total[column]


def stages(
    program: Program, replaced: Mapping[sympy.Symbol, sympy.Expr] | None = None
) -> Stages | None:
    """Read a program as stages, equal evaluations merged; None where a value has no such form.

    ``replaced`` puts numbers for symbols first.
    """
    if any(noise.symbol not in (replaced or {}) for noise in program.noises):
        return None
    try:
        coefficients = coefficient_field(coefficients_of(program), replaced or {})
        reader = _Reader(program, coefficients)
        one = coefficients.field.one
        columns = [f"{state.name}[n]" for state in program.states]
        reader.values[ONES] = {ONES: {0: one}}
        history: dict[str, int] = {}
        for item in program.inputs:
            history[item.of] = max(item.lag, history.get(item.of, 0))
        remembered = [(of, lag) for of, depth in history.items() for lag in range(1, depth + 1)]
        for name in [*columns, *(f"{of}@{lag}" for of, lag in remembered)]:
            reader.values[name] = {name: {0: one}}
        for item in program.inputs:
            reader.values[item.name] = reader.values[f"{item.of}@{item.lag}"]
        if not reader.run(program.statements):
            return None
    except NotRationalError:
        return None
    new = {f"{s.name}[n]": reader.values[f"{s.name}[n+1]"] for s in program.states}
    for of, lag in remembered:
        new[f"{of}@{lag}"] = reader.values[of if lag == 1 else f"{of}@{lag - 1}"]
    states = tuple(state.name for state in program.states)
    return _merged(Stages(coefficients, states, tuple(reader.slopes), new))


def _merged(found: Stages) -> Stages:
    """Let evaluations of one field at one argument be one slope, and drop those that nothing uses."""
    zero = found.coefficients.field.zero
    one = {0: found.coefficients.field.one}
    while True:
        kept: list[Slope] = []
        names: dict[str, str] = {}
        for slope in found.slopes:
            twin = next((k for k in kept if _same(k, slope)), None)
            if twin is None:
                kept.append(slope)
            else:
                names[slope.name] = twin.name
        if not names:
            break

        def renamed(row: Row, names: dict[str, str] = names) -> Row:
            total: Row = {}
            for column, entry in row.items():
                _add(total, {names.get(column, column): entry}, one, zero)
            return total

        found = Stages(
            found.coefficients,
            found.states,
            tuple(replace(s, argument=renamed(s.argument)) for s in kept),
            {column: renamed(row) for column, row in found.new.items()},
        )
    used = {column for row in found.new.values() for column in row}
    pending = [slope for slope in found.slopes if slope.name in used]
    while pending:
        for column in pending.pop().argument:
            if column not in used:
                used.add(column)
                pending += [slope for slope in found.slopes if slope.name == column]
    slopes = tuple(slope for slope in found.slopes if slope.name in used)
    return Stages(found.coefficients, found.states, slopes, found.new, found.slopes)


def _same(a: Slope, b: Slope) -> bool:
    return (a.field, a.weights, a.time, a.argument) == (b.field, b.weights, b.time, b.argument)


@dataclass(frozen=True)
class RungeKutta:
    """``Y_i = x_s(i) + h sum_j a_ij k_j`` and ``x' = x + h sum_j b_j k_j`` over all slopes j that drive x.

    ``drives[j]`` is the state that slope j advances, ``at[i]`` the state that argument i stands for.
    """

    coefficients: CoefficientField
    states: tuple[str, ...]
    fields: tuple[tuple[str, int], ...]
    at: tuple[str, ...]
    drives: tuple[str, ...]
    a: tuple[tuple[Element, ...], ...]
    b: tuple[Element, ...]

    @property
    def has_parameters(self) -> bool:
        return any(not _is_number(e) for e in (*self.b, *(x for row in self.a for x in row)))


def _is_number(element: Element) -> bool:
    return bool(element.numer.is_ground and element.denom.is_ground)


def runge_kutta_form(found: Stages) -> RungeKutta | None:
    """Return the tableau of a one-step program, None where it is no Runge-Kutta method."""
    if len(found.new) != len(found.states):
        return None
    names = [slope.name for slope in found.slopes]
    rows = [(slope.state, slope.argument) for slope in found.slopes]
    rows += [(state, found.new[f"{state}[n]"]) for state in found.states]
    drives: dict[str, str] = {}
    weights: list[list[Element]] = []
    for state, row in rows:
        numbers = _increments(found, state, row, names)
        if numbers is None:
            return None
        weights.append(numbers)
        for name, number in zip(names, numbers, strict=True):
            if number and drives.setdefault(name, state) != state:
                return None
    if any(name not in drives for name in names):
        return None
    s = len(names)
    index = {state: s + i for i, state in enumerate(found.states)}
    return RungeKutta(
        found.coefficients,
        found.states,
        tuple((slope.field, slope.weights) for slope in found.slopes),
        tuple(slope.state for slope in found.slopes),
        tuple(drives[name] for name in names),
        tuple(tuple(row) for row in weights[:s]),
        tuple(weights[index[drives[name]]][j] for j, name in enumerate(names)),
    )


def _increments(found: Stages, state: str, row: Row, names: list[str]) -> list[Element] | None:
    """Return the factors of h times each slope in ``state + h sum ..``, None for another form."""
    base = row.get(f"{state}[n]")
    if base != {0: found.coefficients.field.one}:
        return None
    if any(column not in names for column in row if column != f"{state}[n]"):
        return None
    if any(power != 1 for name in names for power in row.get(name, {})):
        return None
    zero = found.coefficients.field.zero
    return [row.get(name, {}).get(1, zero) for name in names]
