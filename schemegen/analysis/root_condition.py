"""The root condition, decided exactly: all roots in the closed unit disk, those on the circle simple.

Miller's reduction: with ``p*`` the conjugate reciprocal of ``p`` and
``p1(x) = (p*(0) p(x) - p(0) p*(x)) / x``, the polynomial ``p`` satisfies the condition iff
``|p(0)| < |p*(0)|`` and ``p1`` satisfies it, or ``p1 = 0`` and all roots of ``p'`` lie inside the circle.
Source: J. J. H. Miller (1971), On the location of zeros of certain classes of polynomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemegen.analysis.reals import RealField

__all__ = [
    "Gaussian",
    "is_power_bounded",
    "is_schur",
    "minimal_polynomial",
    "satisfies_root_condition",
]

Element = Any


@dataclass(frozen=True, slots=True)
class Gaussian:
    """``re + i im`` over a real field."""

    re: Element
    im: Element

    def __add__(self, other: Gaussian) -> Gaussian:
        return Gaussian(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Gaussian) -> Gaussian:
        return Gaussian(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Gaussian) -> Gaussian:
        return Gaussian(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    def __truediv__(self, other: Gaussian) -> Gaussian:
        norm = other.re * other.re + other.im * other.im
        product = self * other.conjugate()
        return Gaussian(product.re / norm, product.im / norm)

    def __bool__(self) -> bool:
        return bool(self.re) or bool(self.im)

    def conjugate(self) -> Gaussian:
        return Gaussian(self.re, -self.im)

    @property
    def norm(self) -> Element:
        return self.re * self.re + self.im * self.im


Polynomial = list[Gaussian]


def _trim(polynomial: Sequence[Gaussian]) -> Polynomial:
    found = list(polynomial)
    while found and not found[-1]:
        found.pop()
    return found


def _monic(polynomial: Polynomial) -> Polynomial:
    return [item / polynomial[-1] for item in polynomial]


def _reduced(polynomial: Polynomial) -> Polynomial:
    """Return ``p1`` of a monic polynomial."""
    first = polynomial[0]
    reciprocal = [item.conjugate() for item in reversed(polynomial)]
    return _trim([a - first * b for a, b in zip(polynomial, reciprocal, strict=True)][1:])


def is_schur(reals: RealField, polynomial: Sequence[Gaussian]) -> bool:
    """Say whether all roots lie strictly inside the unit circle (a non-zero constant has none)."""
    current = _trim(polynomial)
    while len(current) > 1:
        current = _monic(current)
        if reals.sign(current[-1].norm - current[0].norm) <= 0:
            return False
        current = _reduced(current)
    return True


def _derivative(reals: RealField, polynomial: Polynomial) -> Polynomial:
    scale = [reals.domain.convert(i) for i in range(len(polynomial))]
    return [Gaussian(k * c.re, k * c.im) for k, c in zip(scale[1:], polynomial[1:], strict=True)]


def satisfies_root_condition(reals: RealField, polynomial: Sequence[Gaussian]) -> bool:
    """Decide the root condition of a polynomial whose leading coefficient is not zero."""
    current = _trim(polynomial)
    while len(current) > 1:
        current = _monic(current)
        sign = reals.sign(current[-1].norm - current[0].norm)
        if sign < 0:
            return False
        reduced = _reduced(current)
        if not reduced:
            return is_schur(reals, _derivative(reals, current))
        if sign == 0:
            return False
        current = reduced
    return True


def minimal_polynomial(reals: RealField, matrix: Sequence[Sequence[Gaussian]]) -> Polynomial:
    """Return the monic minimal polynomial: the first linear dependence among I, M, M^2, .."""
    n = len(matrix)
    zero, one = reals.domain.zero, reals.domain.one
    power = [[Gaussian(one if i == j else zero, zero) for j in range(n)] for i in range(n)]
    rows: list[tuple[int, list[Gaussian], list[Gaussian]]] = []
    for degree in range(n + 1):
        vector = [item for row in power for item in row]
        combination = [Gaussian(one if k == degree else zero, zero) for k in range(n + 1)]
        for pivot, known, known_combination in rows:
            factor = vector[pivot]
            if factor:
                vector = [a - factor * b for a, b in zip(vector, known, strict=True)]
                combination = [
                    a - factor * b for a, b in zip(combination, known_combination, strict=True)
                ]
        pivot_at = next((i for i, item in enumerate(vector) if item), None)
        if pivot_at is None:
            return combination[: degree + 1]
        head = vector[pivot_at]
        rows.append((pivot_at, [a / head for a in vector], [a / head for a in combination]))
        power = [
            [_dot(row, [matrix[k][j] for k in range(n)], zero) for j in range(n)] for row in power
        ]
    raise AssertionError("a matrix satisfies its characteristic polynomial")


def _dot(a: Sequence[Gaussian], b: Sequence[Gaussian], zero: Element) -> Gaussian:
    total = Gaussian(zero, zero)
    for left, right in zip(a, b, strict=True):
        if left and right:
            total = total + left * right
    return total


def is_power_bounded(reals: RealField, matrix: Sequence[Sequence[Gaussian]]) -> bool:
    """Say whether the powers of a matrix stay bounded: the root condition of its minimal polynomial."""
    return satisfies_root_condition(reals, minimal_polynomial(reals, matrix))
