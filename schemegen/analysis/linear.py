"""The step program on the linear test equation: the matrix that advances states and history.

Every drift is ``f(v) = lambda v``, so a value is a row of coefficients over the *columns*: the states at
``n`` and the remembered values of earlier steps. With ``z = h lambda`` an evaluation is ``z/h`` times its
argument, and the power of ``h`` is carried apart; implicit groups are solved exactly.
Source: Hairer, Wanner (1996), IV.2 and V.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemegen.analysis.linear_coefficients import (
    CoefficientField,
    NotRationalError,
    coefficient_field,
    coefficients_of,
    laurent_product,
)
from schemegen.step.evaluation import StillRandomError, evaluated
from schemegen.step.program import (
    ONES,
    Combine,
    Evaluate,
    Program,
    Solve,
    Statement,
    walk,
)

__all__ = ["LinearStep", "NotLinearError", "characteristic", "linear_step"]

Element = Any
Laurent = dict[int, Element]
Row = list[Laurent]


class NotLinearError(Exception):
    """The program has no linear test; the text says why."""


@dataclass(frozen=True)
class LinearStep:
    """``x[n+1] = M x[n]``; ``matrix[i][j]`` is ``{power of h: element of K(z, ..)}``.

    The first ``states`` columns are the states at ``n``; the others are remembered values.
    ``explicit`` says that no implicit group took part; ``truncated`` that a Neumann series did.
    """

    columns: tuple[str, ...]
    states: int
    matrix: tuple[tuple[Laurent, ...], ...]
    coefficients: CoefficientField
    explicit: bool
    truncated: bool

    @property
    def scaled(self) -> tuple[tuple[Element, ...], ...] | None:
        """The matrix in ``z`` alone: M = D(h) scaled D(h)^-1, or None where there is no such D."""
        weights: dict[int, int] = {}
        for start in range(len(self.columns)):
            if start in weights:
                continue
            weights[start] = 0
            pending = [start]
            while pending:
                i = pending.pop()
                for j in range(len(self.columns)):
                    for row, column, sign in ((i, j, -1), (j, i, 1)):
                        entry = self.matrix[row][column]
                        if not entry:
                            continue
                        if len(entry) > 1:
                            return None
                        weight = weights[i] + sign * next(iter(entry))
                        if j not in weights:
                            weights[j] = weight
                            pending.append(j)
                        elif weights[j] != weight:
                            return None
        zero = self.coefficients.field.zero
        return tuple(tuple(next(iter(e.values()), zero) for e in row) for row in self.matrix)


def _check_fields(program: Program) -> None:
    drifts = [item for item in program.fields if item.kind == "drift"]
    used = {item.field for item in walk(program.statements) if isinstance(item, Evaluate)}
    for item in program.fields:
        if item.name in used and item.kind != "drift":
            raise NotLinearError(f"`{item.function}` is not linear")
    seen: dict[str, str] = {}
    for item in drifts:
        if item.name not in used:
            continue
        if len(item.states) != 1:
            raise NotLinearError(
                f"`{item.name}` takes several states; no one number is its linear test"
            )
        other = seen.setdefault(item.states[0], item.name)
        if other != item.name:
            raise NotLinearError(
                f"`{other}` and `{item.name}` act on one state; a step would depend on two numbers"
            )


class _Reader:
    """Runs the statements over rows; ``values`` maps a name to its row, None for a constant."""

    def __init__(self, program: Program, coefficients: CoefficientField, width: int) -> None:
        self.program = program
        self.coefficients = coefficients
        self.width = width
        self.values: dict[str, Row | None] = {ONES: None}
        self.explicit = True
        self.truncated = False

    def unit(self, column: int) -> Row:
        one = self.coefficients.field.one
        return [{0: one} if j == column else {} for j in range(self.width)]

    def run(self, statements: tuple[Statement, ...]) -> None:
        for statement in statements:
            match statement:
                case Combine():
                    self.values[statement.target] = self._combined(statement)
                case Evaluate():
                    at = self.values[statement.at[0]]
                    row = [{}] * self.width if at is None else at
                    self.values[statement.target] = [
                        {power - 1: element * self.coefficients.z for power, element in e.items()}
                        for e in row
                    ]
                case Solve():
                    self._solve(statement)

    def _combined(self, statement: Combine) -> Row:
        zero = self.coefficients.field.zero
        total: Row = [{} for _ in range(self.width)]
        for term in statement.terms:
            row = self.values[term.value]
            if row is None:
                continue
            factor = self.coefficients.split(term.coefficient)
            for j, entry in enumerate(row):
                if entry:
                    for power, element in laurent_product(factor, entry, zero).items():
                        total[j][power] = total[j].get(power, zero) + element
        return [{power: e for power, e in entry.items() if e} for entry in total]

    def _solve(self, statement: Solve) -> None:
        outer = self.width
        count = len(statement.targets)
        self.width = outer + count
        kept = {name: row for name, row in self.values.items() if row is not None}
        for name, row in kept.items():
            self.values[name] = [*row, *({} for _ in range(count))]
        for i, target in enumerate(statement.targets):
            self.values[target] = self.unit(outer + i)
        self.run(statement.statements)
        rows = [self.values[target] or [] for target in statement.targets]
        self.width = outer
        for name in list(self.values):
            if name not in kept and name != ONES:
                del self.values[name]
        self.values.update(kept)
        feedback = [[self._plain(row[outer + j]) for j in range(count)] for row in rows]
        own = [row[:outer] for row in rows]
        if statement.solver.method == "neumann":
            self.truncated = True
            solved = self._series(feedback, own, statement.solver.iterations)
        else:
            self.explicit = False
            solved = self._solved(feedback, own)
        self.values.update(zip(statement.targets, solved, strict=True))

    def _plain(self, entry: Laurent) -> Element:
        if any(power for power in entry):
            raise NotLinearError("an implicit equation mixes values of different size in `h`")
        return entry.get(0, self.coefficients.field.zero)

    def _series(self, feedback: list[list[Element]], own: list[Row], terms: int) -> list[Row]:
        """``sum_j A^j b`` for j = 0..terms."""
        total = own
        for _ in range(terms):
            total = [
                self._sum([own[i], *(self._times(a, total[j]) for j, a in enumerate(row))])
                for i, row in enumerate(feedback)
            ]
        return total

    def _times(self, factor: Element, row: Row) -> Row:
        return [{power: factor * e for power, e in entry.items() if factor} for entry in row]

    def _sum(self, rows: list[Row]) -> Row:
        zero = self.coefficients.field.zero
        total: Row = [{} for _ in range(len(rows[0]))]
        for row in rows:
            for j, entry in enumerate(row):
                for power, element in entry.items():
                    total[j][power] = total[j].get(power, zero) + element
        return [{power: e for power, e in entry.items() if e} for entry in total]

    def _solved(self, feedback: list[list[Element]], own: list[Row]) -> list[Row]:
        """Solve ``(I - A) x = b`` by elimination in the field."""
        one = self.coefficients.field.one
        n = len(own)
        left = [[(one if i == j else 0) - feedback[i][j] for j in range(n)] for i in range(n)]
        right = list(own)
        for i in range(n):
            pivot = next((k for k in range(i, n) if left[k][i]), None)
            if pivot is None:
                raise NotLinearError("the implicit equations are singular on the linear test")
            left[i], left[pivot] = left[pivot], left[i]
            right[i], right[pivot] = right[pivot], right[i]
            inverse = one / left[i][i]
            left[i] = [inverse * e for e in left[i]]
            right[i] = self._times(inverse, right[i])
            for k in range(n):
                if k != i and left[k][i]:
                    factor = left[k][i]
                    left[k] = [a - factor * b for a, b in zip(left[k], left[i], strict=True)]
                    right[k] = self._sum([right[k], self._times(-factor, right[i])])
        return right


def linear_step(program: Program) -> LinearStep:
    """Run ``program`` on ``u' = lambda u`` and return the matrix of one step.

    Errors: :class:`NotLinearError` where a field has no one-number linear test, a function is not linear, or a
    coefficient is in no field known here.
    """
    _check_fields(program)
    try:
        program = evaluated(program)
        coefficients = coefficient_field(coefficients_of(program), {})
        history: dict[str, int] = {}
        for item in program.inputs:
            history[item.of] = max(item.lag, history.get(item.of, 0))
        remembered = [(of, lag) for of, depth in history.items() for lag in range(1, depth + 1)]
        columns = [f"{state.name}[n]" for state in program.states]
        columns += [f"{of}@{lag}" for of, lag in remembered]
        reader = _Reader(program, coefficients, len(columns))
        for j, name in enumerate(columns):
            reader.values[name] = reader.unit(j)
        for item in program.inputs:
            reader.values[item.name] = reader.values[f"{item.of}@{item.lag}"]
        reader.run(program.statements)
    except (NotRationalError, StillRandomError) as error:
        raise NotLinearError(str(error)) from error
    rows = [reader.values[f"{state.name}[n+1]"] for state in program.states]
    rows += [reader.values[of if lag == 1 else f"{of}@{lag - 1}"] for of, lag in remembered]
    matrix = tuple(tuple(row if row is not None else [{}] * len(columns)) for row in rows)
    return LinearStep(
        tuple(columns),
        len(program.states),
        matrix,
        coefficients,
        reader.explicit,
        reader.truncated,
    )


def characteristic(matrix: Sequence[Sequence[Element]], field: Any) -> list[Element]:
    """Return det(zeta I - M), ascending in zeta, by Faddeev and LeVerrier."""
    n = len(matrix)
    coefficients = [field.one]
    power = [[field.zero] * n for _ in range(n)]
    for k in range(1, n + 1):
        for i in range(n):
            power[i][i] += coefficients[-1]
        power = [
            [
                sum((matrix[i][m] * power[m][j] for m in range(n) if matrix[i][m]), field.zero)
                for j in range(n)
            ]
            for i in range(n)
        ]
        trace = sum((power[i][i] for i in range(n)), field.zero)
        coefficients.append(-trace / k)
    return coefficients[::-1]
