"""From exact coefficients of a program to elements of one field.

The field is ``K(z, params, ..)``: ``K`` is ``QQ`` or ``QQ<alpha>`` for the roots that occur; params, schedules and
values such as ``exp(-h*lam)`` are independent symbols. The step size is kept apart as a power.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.polys.domains.domain import Domain

from schemegen.analysis.reals import RealField
from schemegen.step.program import Combine, Evaluate, H, Program, Solve

__all__ = ["CoefficientField", "NotRationalError", "coefficient_field", "coefficients_of", "number"]

Element = Any
Z = sympy.Symbol("z")


class NotRationalError(Exception):
    """A coefficient has no place in the field; the text says which."""


def coefficients_of(program: Program) -> list[sympy.Expr]:
    """Return every coefficient of the program, those of guesses included."""
    found: list[sympy.Expr] = []
    for statement in program.statements:
        match statement:
            case Combine():
                found += [term.coefficient for term in statement.terms]
            case Evaluate(time=time) if time != 0:
                found.append(time)
            case Solve():
                for inner in statement.statements:
                    if isinstance(inner, Combine):
                        found += [term.coefficient for term in inner.terms]
                    elif inner.time != 0:
                        found.append(inner.time)
            case _:
                pass
    return found


def _is_radical(expr: sympy.Expr) -> bool:
    return bool(expr.is_Pow and expr.exp.is_Rational and not expr.exp.is_Integer)


def _atoms(expr: sympy.Expr, radicals: set[sympy.Expr], opaque: set[sympy.Expr]) -> None:
    if expr.is_Rational or expr.is_Symbol:
        return
    if _is_radical(expr):
        if expr.free_symbols:
            opaque.add(expr)
        else:
            radicals.add(expr)
        return
    if expr.is_Add or expr.is_Mul or (expr.is_Pow and expr.exp.is_Integer):
        for part in expr.args:
            _atoms(part, radicals, opaque)
        return
    if expr.is_Function or isinstance(expr, sympy.exp) or expr is sympy.E or expr.is_Pow:
        opaque.add(expr)
        return
    raise NotRationalError(f"the coefficient `{expr}` is not algebraic")


@dataclass(frozen=True)
class CoefficientField:
    """``F = K(z, symbols, opaque values)`` with its conversions."""

    number_field: Domain
    field: Any
    symbols: tuple[sympy.Symbol, ...]
    opaque: tuple[sympy.Expr, ...]
    replaced: Mapping[sympy.Symbol, sympy.Expr] = field(default_factory=dict)

    @property
    def reals(self) -> RealField:
        return RealField(self.number_field)

    @property
    def z(self) -> Element:
        return self.field.gens[0]

    @property
    def has_parameters(self) -> bool:
        return len(self.field.gens) > 1

    def split(self, expr: sympy.Expr) -> dict[int, Element]:
        """Return the coefficient as ``{power of h: element}``."""
        if self.replaced:
            expr = expr.xreplace(self.replaced)
        return self._split(expr)

    def _split(self, expr: sympy.Expr) -> dict[int, Element]:
        if expr == H:
            return {1: self.field.one}
        if expr.is_Rational or _is_radical(expr) or expr.is_Symbol or expr in self.opaque:
            return {0: self._atom(expr)}
        if expr.is_Add:
            total: dict[int, Element] = {}
            for part in expr.args:
                for power, element in self._split(part).items():
                    total[power] = total.get(power, self.field.zero) + element
            return {power: element for power, element in total.items() if element}
        if expr.is_Mul:
            product = {0: self.field.one}
            for part in expr.args:
                product = laurent_product(product, self._split(part), self.field.zero)
            return product
        if expr.is_Pow and expr.exp.is_Integer:
            return self._power(self._split(expr.base), int(expr.exp))
        raise NotRationalError(f"the coefficient `{expr}` is not algebraic")

    def _power(self, base: dict[int, Element], exponent: int) -> dict[int, Element]:
        if len(base) == 1:
            ((power, element),) = base.items()
            return {power * exponent: element**exponent}
        if exponent < 0:
            raise NotRationalError("a coefficient is no polynomial in `h`")
        product = {0: self.field.one}
        for _ in range(exponent):
            product = laurent_product(product, base, self.field.zero)
        return product

    def _atom(self, expr: sympy.Expr) -> Element:
        if expr in self.opaque:
            return self.field.gens[1 + len(self.symbols) + self.opaque.index(expr)]
        if expr.is_Symbol:
            return self.field.gens[1 + self.symbols.index(expr)]
        return self.field.ground_new(self.number_field.from_sympy(expr))

    def expr(self, element: Element) -> sympy.Expr:
        """Return an element as an expression in its symbols, reduced to lowest terms."""
        return element.as_expr().xreplace(dict(zip(self._names, self.opaque, strict=True)))

    @property
    def _names(self) -> tuple[sympy.Symbol, ...]:
        return tuple(self.field.symbols[1 + len(self.symbols) :])

    def parameter_name(self, index: int) -> sympy.Expr:
        """Return what generator ``index`` (1 is the first after z) stands for."""
        if index <= len(self.symbols):
            return self.symbols[index - 1]
        return self.opaque[index - 1 - len(self.symbols)]


def laurent_product(
    a: Mapping[int, Element], b: Mapping[int, Element], zero: Element
) -> dict[int, Element]:
    """Multiply two ``{power of h: element}``."""
    product: dict[int, Element] = {}
    for i, left in a.items():
        for j, right in b.items():
            product[i + j] = product.get(i + j, zero) + left * right
    return {power: element for power, element in product.items() if element}


def number(element: Element) -> Element:
    """Return an element that holds no symbol as an element of the number field."""
    domain = element.field.domain
    above = element.numer.coeff(1) if element.numer else domain.zero
    return above / element.denom.coeff(1)


def coefficient_field(
    coefficients: Iterable[sympy.Expr], replaced: Mapping[sympy.Symbol, sympy.Expr]
) -> CoefficientField:
    """Build the smallest field for these coefficients.

    Errors: :class:`NotRationalError` where a coefficient is none of number, root, symbol, ``exp``, ``phi_k``.
    """
    radicals: set[sympy.Expr] = set()
    opaque: set[sympy.Expr] = set()
    symbols: set[sympy.Symbol] = set()
    for coefficient in coefficients:
        expr = coefficient.xreplace(replaced) if replaced else coefficient
        _atoms(expr, radicals, opaque)
        symbols |= _plain_symbols(expr, opaque)
    roots = sorted(radicals, key=sympy.default_sort_key)
    number_field = sympy.QQ.algebraic_field(*roots) if roots else sympy.QQ
    ordered = tuple(sorted(symbols - {H}, key=lambda item: item.name))
    values = tuple(sorted(opaque, key=sympy.default_sort_key))
    names = tuple(sympy.Dummy(f"value{i}") for i in range(len(values)))
    fractions = number_field.frac_field(Z_GENERATOR, *ordered, *names).field
    return CoefficientField(number_field, fractions, ordered, values, dict(replaced))


Z_GENERATOR = sympy.Dummy("z")


def _plain_symbols(expr: sympy.Expr, opaque: set[sympy.Expr]) -> set[sympy.Symbol]:
    if expr in opaque:
        return set()
    if expr.is_Symbol:
        return {expr}
    found: set[sympy.Symbol] = set()
    for part in expr.args:
        found |= _plain_symbols(part, opaque)
    return found
