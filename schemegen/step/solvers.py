"""The implicit part of the interpreter: what each declared solver computes.

A sweep maps given targets to new ones. ``fixed_point`` repeats it; ``neumann`` adds up
``b + F(b) + F(F(b)) + ..`` where the sweep is ``b + F``; ``anderson`` and ``newton_krylov`` stand for the
solution itself, to a tolerance; ``exact`` solves a linear sweep by elimination in the values' own field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from schemegen.diagnostics import InternalError
from schemegen.step.arithmetic import Number

__all__ = ["anderson", "eliminate", "fixed_point", "neumann"]

Vector = list[Number]
Sweep = Callable[[Vector], Vector]
LIMIT = 400
RIDGE = 1e-13


def fixed_point(sweep: Sweep, guess: Vector, iterations: int, tolerance: float | None) -> Vector:
    """Return the targets after ``iterations`` sweeps, or once they move less than ``tolerance``."""
    values = guess
    for _ in range(iterations):
        following = sweep(values)
        moved = None if tolerance is None else _norm(_minus(following, values))
        values = following
        if moved is not None and tolerance is not None and moved <= tolerance:
            break
    return values


def neumann(sweep: Sweep, base: Vector, terms: int) -> Vector:
    """Return ``b + F(b) + .. + F^terms(b)`` with ``F(v) = sweep(v) - b``."""
    total, power = base, base
    for _ in range(terms):
        power = _minus(sweep(power), base)
        total = [a + b for a, b in zip(total, power, strict=True)]
    return total


def anderson(sweep: Sweep, guess: Vector, memory: int, tolerance: float) -> Vector:
    """Return the fixed point of ``sweep`` by Anderson acceleration (Walker, Ni 2011, algorithm AA).

    Raises InternalError when the residual does not fall below ``tolerance``.
    """
    iterates: list[Vector] = []
    residuals: list[Vector] = []
    values = guess
    for _ in range(LIMIT):
        residual = _minus(sweep(values), values)
        if _norm(residual) <= tolerance:
            return values
        iterates, residuals = [*iterates[-memory:], values], [*residuals[-memory:], residual]
        values = _mixed(iterates, residuals)
    raise InternalError(f"no solution to {tolerance} in {LIMIT} iterations")


def _mixed(iterates: Sequence[Vector], residuals: Sequence[Vector]) -> Vector:
    last = [a + b for a, b in zip(iterates[-1], residuals[-1], strict=True)]
    if len(iterates) == 1:
        return last
    steps = [_minus(new, old) for old, new in pairwise(residuals)]
    for weight, (old, new), step in zip(
        _least_squares(steps, residuals[-1]), pairwise(iterates), steps, strict=True
    ):
        moved = [a + b for a, b in zip(_minus(new, old), step, strict=True)]
        last = [a - weight * b for a, b in zip(last, moved, strict=True)]
    return last


def _least_squares(columns: Sequence[Vector], right: Vector) -> list[float]:
    """Return the weights that bring ``sum_j w_j columns_j`` nearest to ``right``.

    Normal equations of scaled columns, with a ridge that keeps nearly parallel columns harmless.
    """
    scales = [_dot(item, item) ** 0.5 or 1.0 for item in columns]
    matrix = [
        [_dot(a, b) / (s * t) + RIDGE * (a is b) for b, t in zip(columns, scales, strict=True)]
        for a, s in zip(columns, scales, strict=True)
    ]
    vector = [_dot(a, right) / s for a, s in zip(columns, scales, strict=True)]

    def sweep(given: Vector) -> Vector:
        products = [sum(m * w for m, w in zip(row, given, strict=True)) for row in matrix]
        return [w - p + v for w, p, v in zip(given, products, vector, strict=True)]

    weights = eliminate(sweep, 0.0, 1.0, len(columns), lambda item: bool(item == 0))
    return [weight / s for weight, s in zip(weights, scales, strict=True)]


def eliminate(
    sweep: Sweep, zero: Number, one: Number, count: int, is_zero: Callable[[Number], bool]
) -> Vector:
    """Return the fixed point of the affine ``sweep(v) = M v + b`` over any field, by elimination."""
    base = sweep([zero] * count)
    rows: list[Vector] = []
    columns = [
        _minus(sweep([one if i == j else zero for i in range(count)]), base) for j in range(count)
    ]
    for i in range(count):
        rows.append([(one if i == j else zero) - columns[j][i] for j in range(count)] + [base[i]])
    for j in range(count):
        pivot = next((i for i in range(j, count) if not is_zero(rows[i][j])), None)
        if pivot is None:
            raise InternalError("an implicit group has no unique solution")
        rows[j], rows[pivot] = rows[pivot], rows[j]
        rows[j] = [item / rows[j][j] for item in rows[j]]
        for i in range(count):
            if i != j and not is_zero(rows[i][j]):
                rows[i] = [a - rows[i][j] * b for a, b in zip(rows[i], rows[j], strict=True)]
    return [row[-1] for row in rows]


def _minus(left: Sequence[Number], right: Sequence[Number]) -> Vector:
    return [a - b for a, b in zip(left, right, strict=True)]


def _norm(values: Sequence[Number]) -> float:
    return max(float(abs(value).max() if hasattr(value, "max") else abs(value)) for value in values)


def _dot(left: Sequence[Number], right: Sequence[Number]) -> float:
    total = 0.0
    for a, b in zip(left, right, strict=True):
        product = a * b
        total += float(product.sum() if hasattr(product, "sum") else product)
    return total
