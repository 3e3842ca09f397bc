"""The values of a step program at h = 0: what each tends to, and how it depends on the unknowns.

Every value is ``h^grade (sum_s z_s x_s + sum_t h^|t| / sigma(t) a(t) F(t)(x))`` for the states x that obey
the modified equation: grade 0 for states and stages, -1 for slopes. At each number of nodes the unknowns
enter all values linearly, by the same constant rows (``linear``), so one small matrix serves all orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemegen.analysis.coefficients import Coefficients
from schemegen.analysis.linear_algebra import identity, inverse, product
from schemegen.analysis.operations import Linear, Operations, Slope
from schemegen.series import Number
from schemegen.step.program import ONES

__all__ = ["NoSmallStepLimitError", "Skeleton", "Unknown", "skeleton"]

Row = list[Number]


class NoSmallStepLimitError(Exception):
    """The step does not tend to a first-order equation as h tends to 0; the text says why."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """``kind``: ``field``, ``series`` (auxiliary), ``target`` or ``remembered``; and of which value."""

    kind: str
    name: str


@dataclass(slots=True)
class Skeleton:
    """The program at h = 0.

    ``grades``, ``limits`` (rows over ``principal``) and ``linear`` (rows over ``unknowns``) by value;
    ``terms[name]`` are the terms ``(coefficient, shift, value)`` of a combination, ``shift >= 0``
    powers of h beyond its grade. ``solved`` is the inverse of the unknowns' matrix. ``equations[u]`` is
    the value that the unknown u must equal: one step later for states.
    """

    operations: Operations
    principal: tuple[str, ...]
    auxiliary: tuple[str, ...]
    unknowns: tuple[Unknown, ...]
    grades: dict[str, int] = field(default_factory=dict)
    limits: dict[str, Row] = field(default_factory=dict)
    linear: dict[str, Row] = field(default_factory=dict)
    terms: dict[str, list[tuple[Number, int, str]]] = field(default_factory=dict)
    equations: list[str] = field(default_factory=list)
    solved: list[Row] = field(default_factory=list)


def skeleton(operations: Operations, coefficients: Coefficients) -> Skeleton:
    """Read ``operations`` at h = 0; raises NoSeriesError or NoSmallStepLimitError."""
    principal = _principal(operations, coefficients)
    auxiliary = tuple(s for s in operations.states if s not in principal)
    unknowns = (
        *(Unknown("field", s) for s in principal),
        *(Unknown("series", s) for s in auxiliary),
        *(Unknown("target", t) for t in operations.targets),
        *(Unknown("remembered", v) for v in operations.remembered),
    )
    grades = _grades(operations, coefficients, principal)
    result = Skeleton(operations, principal, auxiliary, unknowns, grades=grades)
    result.terms = _terms(operations, coefficients, grades)
    ends = {step.unknown: step.name for step in _combinations(operations) if step.unknown}
    result.equations = [
        ends[u.name]
        if u.kind == "target"
        else u.name
        if u.kind == "remembered"
        else f"{u.name}[n+1]"
        for u in unknowns
    ]
    _find_limits(result, coefficients)
    _find_linear(result, coefficients)
    return result


def _combinations(operations: Operations) -> list[Linear]:
    return [step for step in operations.steps if isinstance(step, Linear)]


# --- which states tend to their old value --------------------------------------------------------


def _principal(operations: Operations, coefficients: Coefficients) -> tuple[str, ...]:
    """Return the states whose update has the coefficient 1 of the state itself at h = 0."""
    ring = coefficients.ring
    inner = [*operations.targets, *operations.remembered]
    basis = [*(f"{s}[n]" for s in operations.states), *inner]
    parts = _state_parts(operations, coefficients, basis)
    states, size = len(operations.states), len(basis)
    ends = {step.unknown: step.name for step in _combinations(operations) if step.unknown}
    rows = [parts.get(ends.get(name, name), {}).get(0, [ring.zero] * size) for name in inner]
    matrix = [
        [unit - entry for unit, entry in zip(units, row[states:], strict=True)]
        for units, row in zip(identity(ring, len(inner)), rows, strict=True)
    ]
    solved = inverse(ring, matrix)
    if solved is None:
        raise NoSmallStepLimitError("an implicit group has no solution at h = 0")
    eliminated = product(ring, solved, [row[:states] for row in rows]) if inner else []
    result = []
    for index, state in enumerate(operations.states):
        part = parts.get(f"{state}[n+1]", {})
        row = part.get(0, [ring.zero] * size)
        own = row[index]
        for entry, solution in zip(row[states:], eliminated, strict=True):
            own += entry * solution[index]
        if not own - ring.one:
            result.append(state)
    if not result:
        raise NoSmallStepLimitError(_no_limit(operations.states))
    return tuple(result)


def _no_limit(states: Sequence[str]) -> str:
    names = ", ".join(f"`{s}[n+1]` does not tend to `{s}[n]`" for s in states)
    return f"{names} as h tends to 0"


def _state_parts(
    operations: Operations, coefficients: Coefficients, basis: Sequence[str]
) -> dict[str, dict[int, Row]]:
    """Return the part of every value that is linear in ``basis``, by powers of h up to 0."""
    ring = coefficients.ring
    parts: dict[str, dict[int, Row]] = {
        name: {0: unit} for name, unit in zip(basis, identity(ring, len(basis)), strict=True)
    }
    for name, of, _ in operations.lags:
        parts[name] = parts[of]
    for step in operations.steps:
        if isinstance(step, Slope):
            part: dict[int, Row] = {}
        else:
            part = {}
            for c, value in step.terms:
                series = coefficients.series(c)
                for power, row in parts.get(value, {}).items():
                    for extra, number in enumerate(series.numbers, series.valuation):
                        if power + extra <= 0:
                            old = part.get(power + extra, [ring.zero] * len(basis))
                            part[power + extra] = _added(old, number, row)
        if step.name not in parts or step.name in operations.remembered:
            parts[step.name] = part
    return parts


def _added(total: Row, factor: Number, row: Row) -> Row:
    return [a + factor * b if b else a for a, b in zip(total, row, strict=True)]


# --- grades, terms, limits ------------------------------------------------------------------------


def _grades(
    operations: Operations, coefficients: Coefficients, principal: Sequence[str]
) -> dict[str, int]:
    """Return the lowest power of h in each value; a value that is zero has 0.

    The unknowns start as zero, so that each gets the grade that its own equation gives it.
    """
    known: dict[str, int | None] = {f"{s}[n]": 0 for s in principal}
    known[ONES] = -1
    auxiliary = [s for s in operations.states if s not in principal]
    for _ in range(len(operations.steps) + len(operations.lags) + 3):
        before = dict(known)
        for name, of, _lag in operations.lags:
            known[name] = known.get(of)
        for step in operations.steps:
            grade = -1 if isinstance(step, Slope) else _lowest(step, coefficients, known)
            known[step.name] = grade
            if isinstance(step, Linear) and step.unknown:
                known[step.unknown] = grade
        for state in auxiliary:
            known[f"{state}[n]"] = known[f"{state}[n+1]"]
        if known == before:
            return {name: grade or 0 for name, grade in known.items()}
    raise NoSmallStepLimitError("a value grows like a power of 1/h from step to step")


def _lowest(
    step: Linear, coefficients: Coefficients, known: Mapping[str, int | None]
) -> int | None:
    lows = []
    for c, value in step.terms:
        series, grade = coefficients.series(c), known.get(value)
        if series.numbers and grade is not None:
            lows.append(series.valuation + grade)
    return min(lows, default=None)


def _terms(
    operations: Operations, coefficients: Coefficients, grades: Mapping[str, int]
) -> dict[str, list[tuple[Number, int, str]]]:
    """Expand the coefficients of every combination in powers of h."""
    result = {}
    for step in _combinations(operations):
        terms = []
        for c, value in step.terms:
            series = coefficients.series(c)
            for power, number in enumerate(series.numbers, series.valuation):
                if number:
                    terms.append((number, power + grades[value] - grades[step.name], value))
        result[step.name] = terms
    return result


def _propagate(skeleton: Skeleton, start: dict[str, Row], zero: Row) -> dict[str, Row]:
    """Carry rows through the combinations by their terms without further powers of h."""
    rows = dict(start)
    for step in skeleton.operations.steps:
        row = zero
        if isinstance(step, Linear):
            for number, shift, value in skeleton.terms[step.name]:
                if shift == 0:
                    row = _added(row, number, rows[value])
        if step.name not in start or step.name in skeleton.operations.remembered:
            rows[step.name] = row
    return rows


def _find_limits(skeleton: Skeleton, coefficients: Coefficients) -> None:
    """Solve for what the unknowns tend to, and from that what every value tends to."""
    ring, operations = coefficients.ring, skeleton.operations
    states = len(skeleton.principal)
    inner = skeleton.unknowns[states:]
    size = states + len(inner)
    units = identity(ring, size)
    zero = [ring.zero] * size
    start = {f"{s}[n]": unit for s, unit in zip(skeleton.principal, units, strict=False)}
    start[ONES] = zero
    for unknown, unit in zip(inner, units[states:], strict=True):
        start[f"{unknown.name}[n]" if unknown.kind == "series" else unknown.name] = unit
    for name, of, _ in operations.lags:
        start[name] = start[of]
    rows = _propagate(skeleton, start, zero)
    matrix = []
    right = []
    for index, name in enumerate(skeleton.equations[states:]):
        row = rows[name]
        matrix.append(
            [u - e for u, e in zip(units[states + index][states:], row[states:], strict=True)]
        )
        right.append(row[:states])
    solved = inverse(ring, matrix)
    if solved is None:
        raise NoSmallStepLimitError(_no_limit(skeleton.auxiliary or operations.states))
    values = product(ring, solved, right) if inner else []
    limits = {}
    for name, row in rows.items():
        limit = row[:states]
        for entry, value in zip(row[states:], values, strict=True):
            limit = _added(limit, entry, value)
        limits[name] = limit
    skeleton.limits = limits
    for index, state in enumerate(skeleton.principal):
        name = f"{state}[n+1]"
        found = limits[name]
        if skeleton.grades[name] != 0 or found != units[index][:states]:
            raise NoSmallStepLimitError(f"`{name}` does not tend to `{state}[n]` as h tends to 0")


def _find_linear(skeleton: Skeleton, coefficients: Coefficients) -> None:
    """Find how every value depends on the unknowns of the same number of nodes, and solve for them.

    ``exp(j L_b) a`` has ``a + j z b`` at its own number of nodes, the rest comes from fewer nodes.
    """
    ring, operations = coefficients.ring, skeleton.operations
    size = len(skeleton.unknowns)
    units = identity(ring, size)
    zero = [ring.zero] * size
    start = {ONES: zero}
    for unknown, unit in zip(skeleton.unknowns, units, strict=True):
        match unknown.kind:
            case "field":
                start[f"{unknown.name}[n]"] = zero
            case "series":
                start[f"{unknown.name}[n]"] = unit
            case _:
                start[unknown.name] = unit
    for name, of, lag in operations.lags:
        start[name] = _moved(ring.rational(-lag), start[of], skeleton.limits[of])
    rows = _propagate(skeleton, start, zero)
    matrix = []
    for unknown, name, unit in zip(skeleton.unknowns, skeleton.equations, units, strict=True):
        left = unit
        if unknown.kind == "series":
            left = _moved(ring.one, unit, skeleton.limits[f"{unknown.name}[n]"])
        matrix.append([a - b for a, b in zip(left, rows[name], strict=True)])
    solved = inverse(ring, matrix)
    if solved is None:
        raise NoSmallStepLimitError(
            "the limit as h tends to 0 is no first-order equation: 1 is a multiple root"
        )
    skeleton.linear = rows
    skeleton.solved = solved


def _moved(steps: Number, row: Row, limit: Row) -> Row:
    """Return ``row`` plus ``steps z_s`` at the unknown ``b_s``; the fields come first."""
    moved = [a + steps * z if z else a for a, z in zip(row, limit, strict=False)]
    return moved + row[len(limit) :]
