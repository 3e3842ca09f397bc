"""Numbers of any kind for the interpreter: exact, symbolic, floating, multi-precision, tensors.

An :class:`Arithmetic` turns an exact coefficient into a number and combines values with numbers. Everything
else is Python's own ``+ - * /`` and ``**``, which sympy, mpmath, numpy and torch objects all have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import add, mul
from types import ModuleType
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from schemegen.diagnostics import InternalError
from schemegen.scheme.model import Coefficient

__all__ = ["KEPT", "Arithmetic", "Number", "exact", "floating", "functions_of", "real"]

Number = Any
Functions = Mapping[str, Callable[..., Number]]

KEPT = 4096
"""Numbers that are remembered: a step is run with the same few coefficients many times."""
SERIES = 24  # terms of phi_k for |z| < 1: the rest is below 1/24!


@lru_cache(KEPT)
def real(expression: Coefficient) -> float:
    """Return the nearest float to an exact number."""
    return float(expression.evalf(30))


def _phi(order: int, exp: Callable[[Number], Number]) -> Callable[[Number], Number]:
    """Return ``phi_k(z) = sum_j z^j/(j + k)!``, without cancellation near 0, also for arrays."""

    def phi(z: Number) -> Number:
        small = (abs(z) < 1) * 1.0
        near, far = z * small, z * (1.0 - small) + 2.0 * small
        term = 0 * near + 1
        for divisor in range(1, order + 1):
            term = term / divisor
        series = term
        for j in range(1, SERIES):
            term = term * near / (j + order)
            series = series + term
        closed = exp(far)
        for j in range(order):
            closed = (closed - 1.0 / math.factorial(j)) / far
        return small * series + (1.0 - small) * closed

    return phi


def functions_of(module: ModuleType) -> Functions:
    """Return the language's functions on the numbers of ``module`` (math, mpmath, numpy, torch)."""
    exp = module.exp
    return {
        **{name: getattr(module, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tanh")},
        **{f"phi{order}": _phi(order, exp) for order in (1, 2, 3)},
        **_ALGEBRAIC,
        "sigmoid": lambda z: 1 / (1 + exp(-z)),
        "softplus": lambda z: module.log(1 + exp(z)),
        "std": _deviation,
    }


def _deviation(z: Number) -> Number:
    """Return the sample standard deviation of all elements; a single number has none, so 0."""
    count = math.prod(getattr(z, "shape", ()))
    if count < 2:
        return 0 * z
    return (((z - z.mean()) ** 2).sum() / (count - 1)) ** 0.5


_ALGEBRAIC: Functions = {
    "relu": lambda z: (z + abs(z)) / 2,
    "max": lambda a, b: (a + b + abs(a - b)) / 2,
    "min": lambda a, b: (a + b - abs(a - b)) / 2,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
}

_EXACT: Functions = {
    **{name: getattr(sympy, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tanh")},
    **{f"phi{order}": sympy.Function(f"phi{order}") for order in (1, 2, 3)},
    **_ALGEBRAIC,
    "relu": lambda z: sympy.Max(0, z),
    "max": sympy.Max,
    "min": sympy.Min,
    "sigmoid": lambda z: 1 / (1 + sympy.exp(-z)),
    "softplus": lambda z: sympy.log(1 + sympy.exp(z)),
    "std": lambda z: 0 * z,
}


@dataclass(frozen=True)
class Arithmetic:
    """How to compute: ``number`` turns an exact constant into a number, ``symbols`` gives ``h``, params,
    schedules and noises their values, ``functions`` the language's functions.

    A symbol without a value goes to ``number``, which an exact arithmetic keeps and a float refuses.
    ``tidy`` is applied to every combined value (``sympy.cancel`` for rational functions).
    """

    number: Callable[[Coefficient], Number] = real
    symbols: Mapping[str, Number] = field(default_factory=dict)
    functions: Functions = field(default_factory=lambda: functions_of(math))
    tidy: Callable[[Number], Number] | None = None

    def coefficient(self, expression: Coefficient) -> Number:
        """Return the number that an exact coefficient stands for."""
        if not expression.free_symbols and not expression.has(AppliedUndef):
            return self.number(expression)
        if expression.is_Symbol:
            name = str(expression)
            return self.symbols[name] if name in self.symbols else self.number(expression)
        if expression.is_Pow:
            return self._power(*expression.as_base_exp())
        parts = [self.coefficient(item) for item in expression.args]
        if expression.is_Add:
            return reduce(add, parts)
        if expression.is_Mul:
            return reduce(mul, parts)
        name = type(expression).__name__.lower()
        if name not in self.functions:
            raise InternalError(f"no function {name} in a coefficient")
        function = self.functions[name]
        return reduce(function, parts) if name in ("min", "max") else function(*parts)

    def _power(self, base: Coefficient, exponent: Coefficient) -> Number:
        value = self.coefficient(base)
        if exponent.is_Integer:
            return value ** int(exponent)
        if exponent == sympy.Rational(1, 2):
            return self.functions["sqrt"](value)
        return value ** self.coefficient(exponent)

    def combine(self, terms: Sequence[tuple[Number, Number]], ones: Number) -> Number:
        """Return ``sum c*v``; ``ones`` has the shape that the sum of no terms takes."""
        total = reduce(add, (c * v for c, v in terms)) if terms else 0 * ones
        return total if self.tidy is None else self.tidy(total)

    def apply(self, function: str, arguments: Sequence[Number]) -> Number:
        """Return a pointwise function of values."""
        return self.functions[function](*arguments)

    def ones(self, like: Number) -> Number:
        """Return 1 everywhere, in the shape of ``like``."""
        return 0 * like + 1


def exact(
    symbols: Mapping[str, Number] | None = None,
    tidy: Callable[[Number], Number] | None = sympy.cancel,
) -> Arithmetic:
    """Return sympy's own numbers; symbols without a value stay symbols."""
    return Arithmetic(lambda expression: expression, symbols or {}, _EXACT, tidy)


def floating(symbols: Mapping[str, Number], module: ModuleType = math) -> Arithmetic:
    """Return floats, or arrays of ``module``."""
    return Arithmetic(real, symbols, functions_of(module))
