"""QQ(k, ..) by FLINT's multivariate polynomials: quotients in lowest terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flint

from schemegen.series.rings import Number

__all__ = ["Quotient", "RationalFunctions"]

Polynomial = Any  # flint.fmpq_mpoly has no stubs


class Quotient:
    """``numerator / denominator`` without common factor, the denominator's leading coefficient 1."""

    __slots__ = ("denominator", "numerator")

    def __init__(self, numerator: Polynomial, denominator: Polynomial) -> None:
        self.numerator = numerator
        self.denominator = denominator

    def __bool__(self) -> bool:
        return bool(self.numerator)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quotient):
            return NotImplemented
        return bool(self.numerator == other.numerator and self.denominator == other.denominator)

    def __hash__(self) -> int:
        return hash((str(self.numerator), str(self.denominator)))

    def __neg__(self) -> Quotient:
        return Quotient(-self.numerator, self.denominator)

    def __add__(self, other: Quotient) -> Quotient:
        left, right = self.denominator, other.denominator
        if left == right:
            numerator = self.numerator + other.numerator
            return Quotient(numerator, left) if left == 1 else _reduced(numerator, left)
        return _reduced(self.numerator * right + other.numerator * left, left * right)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + -other

    def __mul__(self, other: Quotient | int) -> Quotient:
        if isinstance(other, int):
            return Quotient(self.numerator * other, self.denominator)
        numerator = self.numerator * other.numerator
        if self.denominator == 1 and other.denominator == 1:
            return Quotient(numerator, self.denominator)
        return _reduced(numerator, self.denominator * other.denominator)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"({self.numerator})/({self.denominator})"


def _reduced(numerator: Polynomial, denominator: Polynomial) -> Quotient:
    common = numerator.gcd(denominator)
    if common != 1:
        numerator, denominator = numerator / common, denominator / common
    leading = denominator.leading_coefficient()
    if leading != 1:
        numerator, denominator = numerator / leading, denominator / leading
    return Quotient(numerator, denominator)


class RationalFunctions:
    """The field QQ(names)."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._context = flint.fmpq_mpoly_ctx.get(list(names), "degrevlex")
        self._one = self._context.constant(1)
        self.zero = Quotient(self._context.constant(0), self._one)
        self.one = Quotient(self._one, self._one)

    def generator(self, index: int) -> Number:
        """Return the generator of number ``index``."""
        return Quotient(self._context.gens()[index], self._one)

    def rational(self, numerator: int, denominator: int = 1) -> Number:
        return Quotient(self._context.constant(flint.fmpq(numerator, denominator)), self._one)

    def inverse(self, number: Number) -> Number:
        if not number:
            raise ZeroDivisionError
        return _reduced(number.denominator, number.numerator)
