"""Exact numbers that series may have as coefficients.

A :class:`Ring` makes numbers; the numbers themselves add, subtract, multiply and are false when zero. Every
ring here is a field of characteristic 0, so that ``inverse`` exists for all numbers but zero.
"""

from __future__ import annotations

from typing import Any, Protocol

import flint

__all__ = ["Number", "Rationals", "Ring"]

Number = Any
"""An element of a ring: ``+ - *`` with its like, false when zero. (Inner loops stay untyped on purpose.)"""


class Ring(Protocol):
    """A field of exact numbers."""

    @property
    def zero(self) -> Number: ...

    @property
    def one(self) -> Number: ...

    def rational(self, numerator: int, denominator: int = 1) -> Number:
        """Return ``numerator / denominator`` as a number of this ring."""
        ...

    def inverse(self, number: Number) -> Number:
        """Return ``1 / number``; raises ZeroDivisionError."""
        ...


class Rationals:
    """QQ, by FLINT."""

    zero = flint.fmpq(0)
    one = flint.fmpq(1)

    def rational(self, numerator: int, denominator: int = 1) -> Number:
        return flint.fmpq(numerator, denominator)

    def inverse(self, number: Number) -> Number:
        return 1 / number
