"""Polynomials in several symbols over QQ: parts, substitution and their text in the language's syntax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flint
import sympy

from schemegen.scheme.expressions import format_exact

__all__ = ["Polynomial", "Space"]

Polynomial = Any
"""A ``flint.fmpq_mpoly``; there are no stubs."""


@dataclass(frozen=True)
class Space:
    """``QQ[symbols]``; symbols are ordered by name."""

    symbols: tuple[sympy.Symbol, ...]

    @property
    def context(self) -> Any:
        names = [f"x{index}" for index in range(max(len(self.symbols), 1))]
        return flint.fmpq_mpoly_ctx.get(names, "degrevlex")

    def constant(self, number: int | Any) -> Polynomial:
        return self.context.constant(number)

    def generator(self, index: int) -> Polynomial:
        return self.context.gens()[index]

    def quotient(self, expression: sympy.Expr) -> tuple[Polynomial, Polynomial]:
        """Return numerator and denominator in lowest terms of a rational expression in the symbols.

        Raises:   ValueError where it is none.
        """
        above, below = sympy.fraction(sympy.together(expression))
        top, bottom = self.polynomial(above), self.polynomial(below)
        common = top.gcd(bottom)
        return (top / common, bottom / common) if top else (top, self.constant(1))

    def polynomial(self, expression: sympy.Expr) -> Polynomial:
        if not self.symbols:
            if not expression.is_Rational:
                raise ValueError(f"`{expression}` is not rational")
            return self.constant(flint.fmpq(int(expression.p), int(expression.q)))
        try:
            found = sympy.Poly(expression, *self.symbols, domain="QQ")
        except (sympy.PolynomialError, sympy.CoercionFailed) as error:
            raise ValueError(f"`{expression}` is no polynomial over QQ") from error
        terms = {
            tuple(int(e) for e in exponents): flint.fmpq(int(c.numerator), int(c.denominator))
            for exponents, c in found.rep.to_dict().items()
        }
        return self.context.from_dict(terms)

    def converted(self, terms: Sequence[tuple[Sequence[int], Any]]) -> Polynomial:
        """Return the polynomial of ``(exponents, rational)`` terms."""
        table = {
            tuple(int(e) for e in exponents): flint.fmpq(int(c.numerator), int(c.denominator))
            for exponents, c in terms
        }
        return self.context.from_dict(table)

    def parts(self, polynomial: Polynomial, index: int) -> list[Polynomial]:
        """Return the coefficients in one symbol, ascending."""
        tables: list[dict[tuple[int, ...], Any]] = [
            {} for _ in range(int(polynomial.degrees()[index]) + 1 if polynomial else 0)
        ]
        for exponents, c in polynomial.to_dict().items():
            rest = list(map(int, exponents))
            power, rest[index] = rest[index], 0
            tables[power][tuple(rest)] = c
        return [self.context.from_dict(table) for table in tables]

    def put(self, polynomial: Polynomial, index: int, above: Polynomial, below: Polynomial) -> Any:
        """Return ``below^d polynomial(symbol = above/below)`` with d its degree in the symbol."""
        parts = self.parts(polynomial, index)
        total = self.constant(0)
        for power, part in enumerate(parts):
            total += part * above**power * below ** (len(parts) - 1 - power)
        return total

    def used(self, polynomial: Polynomial) -> list[int]:
        """Return the indices of the symbols that occur."""
        if not self.symbols or not polynomial:
            return []
        return [index for index, degree in enumerate(polynomial.degrees()) if degree > 0]

    def factors(self, polynomial: Polynomial) -> list[Polynomial]:
        """Return the distinct irreducible factors, each with integer coefficients and a fixed sign."""
        if not self.used(polynomial):
            return []
        found = [self.primitive(factor) for factor, _ in polynomial.factor()[1]]
        return sorted(found, key=lambda item: (len(item.to_dict()), str(item)))

    def primitive(self, polynomial: Polynomial) -> Polynomial:
        """Scale to coprime integer coefficients; the leading one is positive."""
        return polynomial / self.content(polynomial)

    def content(self, polynomial: Polynomial) -> Any:
        """Return the rational c with ``polynomial / c`` primitive; its sign is that of the leading term."""
        numbers = list(polynomial.to_dict().values())
        above, below = flint.fmpz(0), flint.fmpz(1)
        for number in numbers:
            above, below = above.gcd(number.p), below.lcm(number.q)
        sign = -1 if polynomial.leading_coefficient() < 0 else 1
        return flint.fmpq(above, below) * sign

    def expression(self, polynomial: Polynomial) -> sympy.Expr:
        terms = []
        for exponents, c in polynomial.to_dict().items():
            powers = [s ** int(e) for s, e in zip(self.symbols, exponents, strict=False)]
            terms.append(sympy.Mul(sympy.Rational(int(c.p), int(c.q)), *powers))
        return sympy.Add(*terms)

    def split_constant(self, polynomial: Polynomial) -> tuple[sympy.Expr, sympy.Rational]:
        """Return the part without the constant term, and the constant term with its sign turned."""
        whole = self.expression(polynomial)
        constant, rest = whole.as_coeff_Add()
        return rest, -constant

    def relation(self, polynomial: Polynomial, sign: str) -> str:
        """Return ``polynomial (sign) 0`` as one reads it: ``k != -1``, ``a + b <= 1``.

        ``sign`` is ``=``, ``!=``, ``>`` or ``>=``; the symbols stand on the left, the number on the right.
        """
        rest, number = self.split_constant(polynomial)
        leading = _leading(rest)
        if leading.is_negative or (rest.is_Add and _mostly_negative(rest)):
            rest, number = -rest, -number
            sign = {">": "<", ">=": "<="}.get(sign, sign)
            leading = -leading
        if not rest.is_Add or sign in ("=", "!="):
            scale = leading if leading.is_positive else sympy.Integer(1)
            rest, number = sympy.expand(rest / scale), number / scale
        minus = [term for term in sympy.Add.make_args(rest) if _is_minus(term)]
        if number == 0 and rest.is_Add and len(minus) == 1:
            rest, number = rest - minus[0], -minus[0]
        return f"{_printed(rest)} {sign} {_printed(number)}"


def _printed(expression: sympy.Expr) -> str:
    """Return a sum with its symbols in alphabetical order: ``b1 + b2``, ``2*a21*b2 + b2^2``."""
    terms = sorted(sympy.Add.make_args(expression), key=_place)
    texts = [format_exact(term) for term in terms]
    return " ".join(
        text if not i else f"- {text[1:]}" if text.startswith("-") else f"+ {text}"
        for i, text in enumerate(texts)
    )


def _place(term: sympy.Expr) -> tuple[int, tuple[str, ...]]:
    """Order by total degree, then by the symbols as they are read."""
    powers = term.as_powers_dict()
    names = sorted(
        name
        for base, power in powers.items()
        if base.is_Symbol
        for name in [base.name] * int(power)
    )
    return len(names), tuple(names)


def _leading(expression: sympy.Expr) -> sympy.Rational:
    """Return the rational factor of the first term, as it is printed."""
    return min(sympy.Add.make_args(expression), key=_place).as_coeff_Mul()[0]


def _mostly_negative(expression: sympy.Expr) -> bool:
    return sum(map(_is_minus, expression.args)) * 2 > len(expression.args)


def _is_minus(term: sympy.Expr) -> bool:
    return bool(term.as_coeff_Mul()[0] < 0)
