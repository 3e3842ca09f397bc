"""Coefficients of a step program as power series in ``h`` over one exact field.

The field is QQ, QQ<surds>, QQ(k, ..) or QQ<surds>(k, ..), with one more generator for a transcendental
number such as ``exp(-lam)`` that does not go to 1 with ``h``. Nothing here is decided by ``simplify``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.core.mul import _keep_coeff

from schemegen.series import Number, Rationals, Ring
from schemegen.series.rational_functions import Quotient, RationalFunctions

__all__ = ["Coefficients", "Laurent", "NoSeriesError"]

H = sympy.Symbol("h")
PHI = ("phi1", "phi2", "phi3")


class NoSeriesError(Exception):
    """A value of the program has no expansion; the text says which and why (caught in ``expand``)."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Laurent:
    """``h^valuation (c_0 + c_1 h + ..)`` with ``c_0`` non-zero, or zero (no numbers)."""

    valuation: int
    numbers: tuple[Number, ...]

    def at(self, power: int) -> Number | None:
        """Return the coefficient of ``h^power``, None for zero."""
        index = power - self.valuation
        return self.numbers[index] if 0 <= index < len(self.numbers) else None


class SympyField:
    """A field of ``sympy.polys``: algebraic numbers, or rational functions over them."""

    def __init__(self, domain: Any) -> None:
        self.domain = domain
        self.zero = domain.zero
        self.one = domain.one

    def rational(self, numerator: int, denominator: int = 1) -> Number:
        return self.domain.convert(sympy.QQ(numerator, denominator), sympy.QQ)

    def inverse(self, number: Number) -> Number:
        if not number:
            raise ZeroDivisionError
        return self.one / number


class Coefficients:
    """The field that holds all ``expressions``, and the way in and out of it.

    ``scaled`` lists symbols that stand for ``h`` times a constant. ``terms`` is the number of powers of h kept,
    relative to the first.
    """

    def __init__(
        self,
        expressions: Iterable[sympy.Expr],
        *,
        terms: int,
        scaled: Sequence[str] = (),
    ) -> None:
        self.terms = terms
        self.scaled = tuple(scaled)
        atoms, surds = _atoms(list(expressions), self.scaled)
        self.generators = tuple(atoms)
        self.ring, self._images = _field(self.generators, surds)
        self._cache: dict[sympy.Expr, Laurent] = {}

    def series(self, expression: sympy.Expr) -> Laurent:
        """Return ``expression`` as a series in h; raises NoSeriesError where there is none."""
        if expression not in self._cache:
            self._cache[expression] = self._series(expression)
        return self._cache[expression]

    def _series(self, e: sympy.Expr) -> Laurent:
        if e == H:
            return Laurent(1, (self.ring.one,))
        if e.is_Symbol and e.name in self.scaled:
            return Laurent(1, (self._images[e],))
        if e in self._images:
            return self._stripped(0, [self._images[e]])
        if e.is_Rational:
            return self._stripped(0, [self.ring.rational(int(e.p), int(e.q))])
        if e.is_Add:
            return self._sum([self.series(arg) for arg in e.args])
        if e.is_Mul:
            result = Laurent(0, (self.ring.one,))
            for arg in e.args:
                result = self._product(result, self.series(arg))
            return result
        if e.is_Pow and e.exp.is_Integer:
            return self._power(self.series(e.base), int(e.exp))
        if isinstance(e, sympy.exp):
            return self._exponential(e)
        if e.func.__name__ in PHI:
            return self._phi(int(e.func.__name__[-1]), e.args[0])
        if e.is_Number or (e.is_Pow and not e.free_symbols):
            return self._stripped(0, [self.ring.domain.from_sympy(e)])  # type: ignore[attr-defined]
        raise NoSeriesError(f"the coefficient `{e}` has no power series in h here")

    def _stripped(self, valuation: int, numbers: Sequence[Number]) -> Laurent:
        first = next((i for i, number in enumerate(numbers) if number), None)
        if first is None:
            return Laurent(0, ())
        return Laurent(valuation + first, tuple(numbers[first : first + self.terms]))

    def _sum(self, parts: Sequence[Laurent]) -> Laurent:
        parts = [part for part in parts if part.numbers]
        if not parts:
            return Laurent(0, ())
        low = min(part.valuation for part in parts)
        numbers = [self.ring.zero] * self.terms
        for part in parts:
            for index, number in enumerate(part.numbers, part.valuation - low):
                if index < self.terms:
                    numbers[index] += number
        return self._stripped(low, numbers)

    def _product(self, left: Laurent, right: Laurent) -> Laurent:
        numbers = [self.ring.zero] * min(
            self.terms, max(0, len(left.numbers) + len(right.numbers) - 1)
        )
        for i, a in enumerate(left.numbers):
            for j, b in enumerate(right.numbers[: max(0, self.terms - i)]):
                numbers[i + j] += a * b
        return self._stripped(left.valuation + right.valuation, numbers)

    def _power(self, base: Laurent, exponent: int) -> Laurent:
        if exponent < 0:
            base, exponent = self._inverse(base), -exponent
        result = Laurent(0, (self.ring.one,))
        for _ in range(exponent):
            result = self._product(result, base)
        return result

    def _inverse(self, base: Laurent) -> Laurent:
        if not base.numbers:
            raise NoSeriesError("a coefficient divides by zero")
        first = self.ring.inverse(base.numbers[0])
        numbers = [first]
        for n in range(1, self.terms):
            total = self.ring.zero
            for i in range(1, min(n, len(base.numbers) - 1) + 1):
                total += base.numbers[i] * numbers[n - i]
            numbers.append(self.ring.zero - total * first)
        if len(base.numbers) == 1:
            numbers = numbers[:1]
        return self._stripped(-base.valuation, numbers)

    def _exponential(self, e: sympy.Expr) -> Laurent:
        """Return ``exp(c + h r) = exp(c) sum_n (h r)^n / n!``; ``exp(c)`` must be a generator."""
        argument = self.series(e.args[0])
        if argument.numbers and argument.valuation < 1:
            raise NoSeriesError(f"`{e}` does not tend to 1 as h tends to 0")
        return self._entire(argument, 0)

    def _phi(self, index: int, argument: sympy.Expr) -> Laurent:
        """Return ``phi_k(z) = sum_n z^n / (n + k)!`` (Hochbruck, Ostermann 2010, eq. 2.11)."""
        z = self.series(argument)
        if z.numbers and z.valuation < 1:
            raise NoSeriesError(f"`phi{index}({argument})` does not expand in h")
        return self._entire(z, index)

    def _entire(self, z: Laurent, index: int) -> Laurent:
        parts = []
        power = Laurent(0, (self.ring.one,))
        for n in range(self.terms):
            factor = self.ring.rational(1, int(sympy.factorial(n + index)))
            parts.append(Laurent(power.valuation, tuple(c * factor for c in power.numbers)))
            power = self._product(power, z)
            if not power.numbers:
                break
        return self._sum(parts)

    def expression(self, number: Number) -> sympy.Expr:
        """Return a number as a sympy expression, factored where it has symbols."""
        return expression(self.ring, self.generators, number)

    def powers_of_scaled(self, number: Number) -> list[tuple[int, sympy.Expr]]:
        """Split a number by its total degree in the scaled symbols: ``[(degree, part), ..]``."""
        whole = self.expression(number)
        if not self.scaled:
            return [(0, whole)]
        symbols = [sympy.Symbol(name) for name in self.scaled]
        if set(symbols) & sympy.denom(sympy.together(whole)).free_symbols:
            raise NoSeriesError(
                f"`{whole}` divides by a symbol that is taken as h times a constant"
            )
        polynomial = sympy.Poly(sympy.together(whole), *symbols)
        parts: dict[int, sympy.Expr] = {}
        for exponents, coefficient in polynomial.terms():
            monomial = sympy.Mul(*[s**e for s, e in zip(symbols, exponents, strict=True)])
            degree = sum(exponents)
            parts[degree] = parts.get(degree, sympy.Integer(0)) + coefficient * monomial
        return sorted(parts.items())


def expression(ring: Ring, generators: Sequence[sympy.Expr], number: Number) -> sympy.Expr:
    """Return ``number`` of ``ring`` in terms of ``generators``, factored where it has symbols."""
    if isinstance(ring, Rationals):
        return sympy.Rational(int(number.p), int(number.q))
    if isinstance(number, Quotient):
        constant, top = _factored(number.numerator, generators)
        unit, bottom = _factored(number.denominator, generators)
        return _keep_coeff(constant / unit, top / bottom)
    domain = ring.domain  # type: ignore[attr-defined]
    result = domain.to_sympy(number)
    if generators:
        names = [sympy.Dummy() for _ in generators]
        result = result.subs(dict(zip(_stand_ins(len(generators)), names, strict=True)))
        result = result.xreplace(dict(zip(names, generators, strict=True)))
    return sympy.expand(result) if not generators else result


def _factored(polynomial: Any, generators: Sequence[sympy.Expr]) -> tuple[sympy.Expr, sympy.Expr]:
    constant, factors = polynomial.factor()
    result = sympy.Integer(1)
    for factor, power in factors:
        terms = []
        for exponents, c in factor.to_dict().items():
            monomial = [g ** int(e) for g, e in zip(generators, exponents, strict=True)]
            terms.append(sympy.Mul(sympy.Rational(int(c.p), int(c.q)), *monomial))
        result *= sympy.Add(*terms) ** power
    return sympy.Rational(int(constant.p), int(constant.q)), result


def _stand_ins(count: int) -> list[sympy.Symbol]:
    return [sympy.Symbol(f"_g{index}") for index in range(count)]


def _field(
    generators: Sequence[sympy.Expr], surds: Sequence[sympy.Expr]
) -> tuple[Ring, dict[sympy.Expr, Number]]:
    """Return the smallest field and the images of the generators in it."""
    if not surds:
        if not generators:
            return Rationals(), {}
        ring = RationalFunctions([f"g{index}" for index in range(len(generators))])
        return ring, {g: ring.generator(i) for i, g in enumerate(generators)}
    numbers = sympy.QQ.algebraic_field(*surds)
    if not generators:
        return SympyField(numbers), {}
    names = _stand_ins(len(generators))
    domain = numbers.frac_field(*names)
    return SympyField(domain), {
        g: domain.from_sympy(name) for g, name in zip(generators, names, strict=True)
    }


def _atoms(
    expressions: Sequence[sympy.Expr], scaled: Sequence[str]
) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """Return the generators (symbols, and a function that is free of h) and the surds, in order.

    A function of a symbol beside that symbol is transcendental over it; two functions may be related, so
    more than one is refused.
    """
    symbols: dict[str, sympy.Expr] = {}
    functions: dict[str, sympy.Expr] = {}
    surds: dict[str, sympy.Expr] = {}
    stack = list(expressions)
    while stack:
        e = stack.pop()
        if e.is_Symbol:
            if e != H:
                symbols[e.name] = e
        elif e.is_Rational:
            continue
        elif e.is_Pow and e.exp.is_Rational and not e.exp.is_Integer:
            if e.free_symbols:
                raise NoSeriesError(f"`{e}`, a root of a symbol, is not analysed yet")
            surds[str(e)] = e
        elif e.is_Add or e.is_Mul or (e.is_Pow and e.exp.is_Integer):
            stack.extend(e.args)
        elif isinstance(e, sympy.exp) or e.func.__name__ in PHI:
            if _vanishes_with_h(e.args[0], scaled):
                stack.extend(e.args)
            else:
                functions[str(e)] = e
        else:
            functions[str(e)] = e
    if len(functions) > 1:
        raise NoSeriesError(
            f"the functions {', '.join(f'`{name}`' for name in sorted(functions))} may be related"
        )
    for function in functions.values():
        if H in function.free_symbols or function.func.__name__ in ("Min", "Max", "Abs", "relu"):
            raise NoSeriesError(f"`{function}` has no power series in h here")
        for symbol in function.free_symbols:
            symbols[symbol.name] = symbol
    ordered = [*(symbols[n] for n in sorted(symbols)), *(functions[n] for n in sorted(functions))]
    return ordered, [surds[n] for n in sorted(surds)]


def _vanishes_with_h(argument: sympy.Expr, scaled: Sequence[str]) -> bool:
    """Say whether every term of ``argument`` has a factor ``h`` (or a scaled symbol)."""
    names = {"h", *scaled}
    return all(
        any(factor.is_Symbol and factor.name in names for factor in sympy.Mul.make_args(term))
        for term in sympy.Add.make_args(sympy.expand(argument))
    )
