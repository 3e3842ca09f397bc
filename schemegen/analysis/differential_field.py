"""Exact calculus with elementary functions: a field of fractions whose generators know their derivatives.

Variables, symbols and each function that occurs (``sin(x)``, ``exp(x*y)``, ..) are generators over the rationals;
the chain rule closes them under differentiation. ``sin(u)^2`` is ``1 - cos(u)^2``, so that polynomials in them
are canonical.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.polys.domains import QQ
from sympy.polys.fields import FracField
from sympy.polys.orderings import lex

__all__ = ["Calculus", "NotElementaryError"]

Element = Any


class NotElementaryError(Exception):
    """An expression holds a function without a derivative here; the text says which."""


class Calculus:
    """Elements of ``QQ(variables, symbols, functions)`` and their partial derivatives."""

    def __init__(
        self, variables: Sequence[sympy.Symbol], expressions: Sequence[sympy.Expr]
    ) -> None:
        self.variables = tuple(variables)
        functions: dict[sympy.Expr, sympy.Dummy] = {}
        for expression in expressions:
            self._collect(expression, functions)
        self.functions = functions
        free = set().union(*(e.free_symbols for e in expressions), variables)
        symbols = sorted(free - set(self.variables), key=str)
        self.generators = (*self.variables, *symbols, *functions.values())
        self.field = FracField(self.generators, QQ, lex)
        self._back = {dummy: value for value, dummy in functions.items()}
        self._rates = [
            [self._rate(generator, variable) for generator in self.generators]
            for variable in self.variables
        ]
        self._squares = [
            (
                self.generators.index(self.functions[sympy.sin(u)]),
                self.generators.index(self.functions[sympy.cos(u)]),
            )
            for u in {value.args[0] for value in functions if value.func in (sympy.sin, sympy.cos)}
        ]

    def _collect(self, expression: sympy.Expr, functions: dict[sympy.Expr, sympy.Dummy]) -> None:
        """Enter the functions of an expression, inner ones first, and what their derivatives need."""
        for part in sympy.postorder_traversal(expression):
            if part.is_Pow and not part.exp.is_Integer:
                functions.setdefault(part, sympy.Dummy("r"))
            elif isinstance(part, sympy.exp) or part.is_Function:
                functions.setdefault(part, sympy.Dummy("w"))
                for partner in _partners(part):
                    functions.setdefault(partner, sympy.Dummy("w"))

    def element(self, expression: sympy.Expr) -> Element:
        """Return an expression as an element."""
        return self.field.from_expr(self._replaced(expression))

    def _replaced(self, expression: sympy.Expr) -> sympy.Expr:
        if expression in self.functions:
            return self.functions[expression]
        if not expression.args:
            return expression
        return expression.func(*(self._replaced(item) for item in expression.args))

    def expression(self, element: Element) -> sympy.Expr:
        """Return an element as an expression, with the functions put back from the outermost in."""
        value = self._reduced(element).as_expr()
        return value.xreplace(self._back)

    def _reduced(self, element: Element) -> Element:
        """Put ``1 - cos^2`` for ``sin^2`` in numerator and denominator."""
        ring = self.field.ring
        parts = []
        for part in (element.numer, element.denom):
            polynomial = part
            for sine, cosine in self._squares:
                square = ring.one - ring.gens[cosine] ** 2
                total = ring.zero
                for monomial, c in polynomial.terms():
                    power = monomial[sine]
                    low = list(monomial)
                    low[sine] = power % 2
                    total += ring.from_dict({tuple(low): c}) * square ** (power // 2)
                polynomial = total
            parts.append(polynomial)
        return self.field.new(*parts) if parts[1] != ring.one else self.field.new(parts[0])

    def is_zero(self, element: Element) -> bool:
        """Return whether an element vanishes, sines and cosines of one argument taken together."""
        return not self._reduced(element)

    def derivative(self, element: Element, index: int) -> Element:
        """Return the partial derivative by variable number ``index``."""
        total = self.field.zero
        for generator, rate in zip(self.field.gens, self._rates[index], strict=True):
            if rate:
                slope = element.diff(generator)
                if slope:
                    total += slope * rate
        return total

    def _rate(self, generator: sympy.Symbol, variable: sympy.Symbol) -> Element:
        if generator in self._back:
            value = self._back[generator]
            return self.element(_derivative(value, variable))
        return self.field.one if generator == variable else self.field.zero


def _partners(value: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Return the functions that the derivative of one leads to."""
    u = value.args[0]
    if value.func in (sympy.sin, sympy.cos):
        return (sympy.sin(u), sympy.cos(u))
    return ()


def _derivative(value: sympy.Expr, variable: sympy.Symbol) -> sympy.Expr:
    """Return the derivative of a function or root by a variable, in the functions that were collected."""
    if value.is_Pow and not isinstance(value, sympy.exp):
        if value.exp.free_symbols:
            raise NotElementaryError(f"`{value}` has a variable in its exponent; write exp(..)")
        return value.exp * value / value.base * value.base.diff(variable)
    inner = value.args[0].diff(variable)
    u = value.args[0]
    slopes = {
        "sin": lambda: sympy.cos(u),
        "cos": lambda: -sympy.sin(u),
        "exp": lambda: value,
        "tanh": lambda: 1 - value**2,
        "log": lambda: 1 / u,
        "sigmoid": lambda: value * (1 - value),
    }
    name = value.func.__name__
    if name not in slopes:
        raise NotElementaryError(f"`{name}` has no derivative here")
    return slopes[name]() * inner
