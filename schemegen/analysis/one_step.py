"""Stability of a one-step method from R(z) = P(z)/Q(z) with numbers as coefficients.

``E(w) = |Q(iy)|^2 - |P(iy)|^2`` with ``w = y^2`` is non-negative exactly where the imaginary axis is stable.
With all poles in the right half-plane (Routh) that is A-stability. Source: Hairer, Wanner (1996), IV.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.intervals import End
from schemegen.analysis.reals import RealField, Root, common, positive_until

__all__ = ["StabilityFunction", "boundary_angle", "lowest_terms"]

Element = Any


@dataclass(frozen=True)
class StabilityFunction:
    """R = P/Q in lowest terms, ascending, Q(0) = 1 where Q(0) is not 0."""

    reals: RealField
    numerator: tuple[Element, ...]
    denominator: tuple[Element, ...]

    @property
    def at_infinity(self) -> sympy.Expr:
        gap = len(self.numerator) - len(self.denominator)
        if gap > 0:
            return sympy.oo
        if gap < 0 or not self.numerator:
            return sympy.Integer(0)
        return self.reals.exact(self.numerator[-1] / self.denominator[-1])

    @property
    def imaginary(self) -> list[Element]:
        """E(w), ascending in w = y^2."""
        zero = self.reals.domain.zero
        total = [zero] * max(len(self.numerator), len(self.denominator))
        for polynomial, sign in ((self.denominator, 1), (self.numerator, -1)):
            for i, a in enumerate(polynomial):
                for j, b in enumerate(polynomial):
                    if (i - j) % 2 == 0:
                        # i^a conj(i^b) = (-1)^((a - b)/2)
                        total[(i + j) // 2] += sign * a * b * (-1) ** ((i - j) // 2 % 2)
        return _trimmed(total)

    @property
    def poles_right(self) -> bool:
        """Whether all poles lie strictly in the right half-plane."""
        return _is_hurwitz(self.reals, [c * (-1) ** i for i, c in enumerate(self.denominator)])

    @property
    def i_stable(self) -> bool:
        return positive_until(self.reals, self.imaginary) is sympy.oo

    @property
    def a_stable(self) -> bool:
        return self.i_stable and self.poles_right

    @property
    def l_stable(self) -> bool:
        return self.a_stable and self.at_infinity == 0

    @property
    def real_interval(self) -> tuple[End, End] | None:
        """The real z next to 0 with |R| <= 1; None where R(0) is outside of the unit circle."""
        p, q = list(self.numerator), list(self.denominator)
        gap = _difference(_product(q, q, self.reals), _product(p, p, self.reals), self.reals)
        if gap and self.reals.sign(gap[0]) < 0:
            return None
        mirrored = [c * (-1) ** i for i, c in enumerate(gap)]
        low = _named(positive_until(self.reals, mirrored))
        return (-low, _named(positive_until(self.reals, gap)))

    @property
    def imaginary_interval(self) -> tuple[End, End] | None:
        """The y next to 0 with |R(iy)| <= 1."""
        gap = self.imaginary
        if gap and self.reals.sign(gap[0]) < 0:
            return None
        end = positive_until(self.reals, gap)
        if isinstance(end, Root):
            square = end.named()
            high: End = sympy.sqrt(square) if isinstance(square, sympy.Expr) else math.sqrt(square)
        else:
            high = end
        return (-high, high)

    def a_alpha_degrees(self) -> float | None:
        """Return the largest alpha with A(alpha)-stability, to 1e-6 degrees; None where there is none."""
        if len(self.numerator) > len(self.denominator):
            return None
        top = self.at_infinity
        if abs(float(top)) > 1 or not self._stable_on_negative_axis():
            return None
        poles = _roots(self.reals, self.denominator)
        angle = min((_angle(z) for z in poles if z.real <= 0), default=90.0)
        return min(angle, boundary_angle(self._boundary))

    def _stable_on_negative_axis(self) -> bool:
        interval = self.real_interval
        return interval is not None and interval[0] == -sympy.oo

    def _boundary(self, theta: float) -> list[complex]:
        """Return the z with R(z) = exp(i theta)."""
        size = max(len(self.numerator), len(self.denominator))
        p = [self.reals.number(c) for c in self.numerator] + [0.0] * size
        q = [self.reals.number(c) for c in self.denominator] + [0.0] * size
        turn = complex(math.cos(theta), math.sin(theta))
        return [complex(z) for z in np.roots([p[i] - turn * q[i] for i in reversed(range(size))])]


def _angle(z: complex) -> float:
    return math.degrees(abs(math.atan2(z.imag, -z.real)))


def boundary_angle(boundary: Any, samples: int = 1440) -> float:
    """Return the smallest angle to the negative real axis over the boundary locus, refined by sections."""

    def angle(theta: float) -> float:
        near = [_angle(z) for z in boundary(theta) if z.real < -1e-9 * (1 + abs(z))]
        return min(near, default=90.0)

    grid = [math.pi * (i + 0.5) / samples for i in range(samples)]
    values = [angle(theta) for theta in grid]
    best = min(range(samples), key=values.__getitem__)
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, samples - 1)]
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-10:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if angle(left) < angle(right):
            high = right
        else:
            low = left
    return min(values[best], angle((low + high) / 2))


def _roots(reals: RealField, polynomial: Sequence[Element]) -> list[complex]:
    return [complex(z) for z in np.roots([reals.number(c) for c in reversed(polynomial)])]


def _named(end: Root | sympy.Expr) -> End:
    return end.named() if isinstance(end, Root) else end


def _trimmed(polynomial: Sequence[Element]) -> list[Element]:
    found = list(polynomial)
    while found and not found[-1]:
        found.pop()
    return found


def _product(a: Sequence[Element], b: Sequence[Element], reals: RealField) -> list[Element]:
    total = [reals.domain.zero] * max(len(a) + len(b) - 1, 0)
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            total[i + j] += left * right
    return total


def _difference(a: Sequence[Element], b: Sequence[Element], reals: RealField) -> list[Element]:
    size = max(len(a), len(b))
    zero = reals.domain.zero
    left = [*a, *[zero] * (size - len(a))]
    right = [*b, *[zero] * (size - len(b))]
    return _trimmed([x - y for x, y in zip(left, right, strict=True)])


def _is_hurwitz(reals: RealField, polynomial: Sequence[Element]) -> bool:
    """Say whether all roots lie strictly in the left half-plane (Routh's array)."""
    descending = list(polynomial)[::-1]
    if len(descending) < 2:
        return True
    sign = reals.sign(descending[0])
    upper, lower = descending[0::2], descending[1::2]
    while lower:
        if reals.sign(lower[0]) != sign:
            return False
        padded = [*lower[1:], *[reals.domain.zero] * (len(upper) - len(lower))]
        factor = upper[0] / lower[0]
        upper, lower = (
            lower,
            [a - factor * b for a, b in zip(upper[1:], padded, strict=True)],
        )
    return True


def lowest_terms(
    reals: RealField, numerator: Sequence[Element], denominator: Sequence[Element]
) -> StabilityFunction:
    """Divide by the common factor and scale to Q(0) = 1."""
    p, q = _trimmed(numerator), _trimmed(denominator)
    shared = common(reals, p, q) if p else [reals.domain.one]
    if len(shared) > 1:
        p, q = _quotient(p, shared), _quotient(q, shared)
    scale = q[0] if q[0] else q[-1]
    return StabilityFunction(reals, tuple(c / scale for c in p), tuple(c / scale for c in q))


def _quotient(a: list[Element], b: list[Element]) -> list[Element]:
    rest, found = list(a), []
    while len(rest) >= len(b):
        factor = rest[-1] / b[-1]
        found.append(factor)
        for i, c in enumerate(b):
            rest[len(rest) - len(b) + i] -= factor * c
        rest.pop()
    return found[::-1]
