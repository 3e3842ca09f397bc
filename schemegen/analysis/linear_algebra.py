"""Exact Gaussian elimination over a ring of :mod:`schemegen.series.rings`."""

from __future__ import annotations

from collections.abc import Sequence

from schemegen.series import Number, Ring

__all__ = ["Matrix", "identity", "inverse", "product"]

Matrix = list[list[Number]]


def identity(ring: Ring, size: int) -> Matrix:
    return [[ring.one if i == j else ring.zero for j in range(size)] for i in range(size)]


def inverse(ring: Ring, matrix: Sequence[Sequence[Number]]) -> Matrix | None:
    """Return the inverse of ``matrix``, None where it is singular."""
    size = len(matrix)
    rows = [list(row) + unit for row, unit in zip(matrix, identity(ring, size), strict=True)]
    for column in range(size):
        pivot = next((i for i in range(column, size) if rows[i][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = ring.inverse(rows[column][column])
        rows[column] = [entry * scale for entry in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]


def product(ring: Ring, left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [
        [sum((a * b for a, b in zip(row, column, strict=True)), ring.zero) for column in columns]
        for row in left
    ]
