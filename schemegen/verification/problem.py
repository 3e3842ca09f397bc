"""The test problems: fields whose derivatives of all orders are known and none vanishes.

Numbers are numpy long doubles (64 bits of mantissa on x86).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemegen.step.program import Program

__all__ = ["LONG", "Derivative", "Sine", "State", "Vector", "fields_of", "flow", "gap"]

LONG = np.longdouble
Vector = Any
State = dict[str, Vector]
Derivative = Callable[[State], State]


@dataclass(frozen=True)
class Sine:
    """``F(x) = w * sin(sum_s M_s x_s + c)`` with its derivatives."""

    weight: Vector
    constant: Vector
    matrices: tuple[Vector, ...]

    def argument(self, at: Sequence[Vector]) -> Vector:
        """Return what the sine is taken of at the states ``at``."""
        result = self.constant
        for matrix, x in zip(self.matrices, at, strict=True):
            result = result + matrix @ x
        return result

    def wave(self, argument: Vector, order: int) -> Vector:
        """Return ``w`` times a derivative of the sine."""
        return self.weight * np.sin(argument + LONG(np.pi) / 2 * order)

    def derivative(self, at: Sequence[Vector], directions: Sequence[tuple[int, Vector]]) -> Vector:
        """Return the derivative in ``directions = (slot, vector), ..`` at the states ``at``."""
        result = self.wave(self.argument(at), len(directions))
        for slot, vector in directions:
            result = result * (self.matrices[slot] @ vector)
        return result

    def __call__(self, *at: Vector) -> Vector:
        return self.derivative(at, ())


def sine(name: str, arguments: int) -> Sine:
    """Return a field of two components whose numbers depend on its name alone."""
    random = np.random.default_rng(zlib.crc32(f"{name}a".encode()))

    def draw(*shape: int) -> Vector:
        return random.uniform(-1, 1, shape).astype(LONG)

    matrices = tuple(draw(2, 2) for _ in range(arguments))
    return Sine(draw(2) + 1, draw(2), matrices)


def fields_of(program: Program) -> dict[str, Sine]:
    """Return a test field for each field of the program."""
    return {field.name: sine(field.name, len(field.states)) for field in program.fields}


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


def gap(left: State, right: State) -> float:
    """Return the largest difference of a component over the states of ``right``."""
    return float(max(abs(left[name] - right[name]).max() for name in right))
