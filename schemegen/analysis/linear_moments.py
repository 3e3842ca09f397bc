"""A step with noise on linear problems: how the moments of its state go on, exactly.

Every drift is a number times its state, ``f(u) = lambda u``, so a step is ``y' = M y + c`` with M and c
polynomials in the draws, y the states and what the step remembers. The means of all monomials of degree d in y'
are linear in the monomials of degree up to d in y.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import sympy

from schemegen.scheme.model import Coefficient, Noise
from schemegen.scheme.moments import moment, moments_of
from schemegen.step.arithmetic import exact
from schemegen.step.interpret import run
from schemegen.step.program import Program

__all__ = ["LinearStepWithNoise", "NoLinearMomentsError", "expectation", "linear_step_with_noise"]

H = sympy.Symbol("h")
MOST_VALUES = 4  # states and remembered values
MOST_TERMS = 4000


class NoLinearMomentsError(Exception):
    """The step has no moments on linear problems that are found here; the text says why."""


@dataclass(frozen=True, slots=True)
class LinearStepWithNoise:
    """``values`` y, and ``rows`` of y' as expressions in them, the draws, h and the numbers of the fields.

    ``rates`` names the number lambda of each field, ``states`` tells how many of the values are states.
    """

    values: tuple[sympy.Symbol, ...]
    rows: tuple[sympy.Expr, ...]
    rates: Mapping[str, sympy.Symbol]
    noises: tuple[Noise, ...]
    states: int

    def monomials(self, degree: int) -> list[sympy.Expr]:
        """Return the monomials of exactly this degree, in a fixed order."""
        return [sympy.Mul(*chosen) for chosen in combinations_with_replacement(self.values, degree)]

    def map(self, degree: int) -> list[dict[sympy.Expr, sympy.Expr]]:
        """Return, for each monomial of the degree, its mean after a step by monomials before it."""
        result = []
        for chosen in combinations_with_replacement(range(len(self.values)), degree):
            product = sympy.Mul(*(self.rows[i] for i in chosen))
            polynomial = sympy.Poly(sympy.expand(product), *self.values)
            if len(polynomial.terms()) > MOST_TERMS:
                raise NoLinearMomentsError("the moments of the step have too many terms")
            image: dict[sympy.Expr, sympy.Expr] = {}
            for exponents, coefficient in polynomial.terms():
                monomial = sympy.Mul(*(v**e for v, e in zip(self.values, exponents, strict=True)))
                image[monomial] = expectation(coefficient, self.noises)
            result.append(image)
        return result

    def matrix(self, degree: int) -> sympy.Matrix:
        """Return the part of :meth:`map` that keeps the degree: the mean of the d-fold symmetric power of M."""
        basis = self.monomials(degree)
        rows = [[image.get(m, sympy.Integer(0)) for m in basis] for image in self.map(degree)]
        return sympy.Matrix(rows)


def expectation(coefficient: Coefficient, noises: Sequence[Noise]) -> Coefficient:
    """Return the mean over independent draws of a polynomial in them."""
    for noise in noises:
        powers = moments_of(coefficient, noise)
        if powers is None:
            raise NoLinearMomentsError(f"a step is no polynomial in the noise `{noise.name}`")
        coefficient = sympy.Add(*(c * moment(noise, power) for power, c in powers.items()))
    return coefficient


def linear_step_with_noise(
    program: Program, rates: Mapping[str, sympy.Expr] | None = None
) -> LinearStepWithNoise:
    """Run ``program`` on ``f(u) = lambda_f u`` for every drift f; ``rates`` puts expressions for the lambdas."""
    if any(field.kind != "drift" or len(field.states) != 1 for field in program.fields):
        raise NoLinearMomentsError("a field of several states, or a function, has no linear test")
    names = {field.name: sympy.Symbol(f"lambda_{field.name}") for field in program.fields}
    longest: dict[str, int] = {}
    for item in program.inputs:
        longest[item.of] = max(item.lag, longest.get(item.of, 0))
    remembered = [(of, lag) for of in sorted(longest) for lag in range(1, longest[of] + 1)]
    places = [f"{state.name}[n]" for state in program.states]
    symbols = tuple(sympy.Symbol(f"y{i}") for i in range(len(places) + len(remembered)))
    if len(symbols) > MOST_VALUES:
        raise NoLinearMomentsError("the step remembers too many values")
    known = dict(zip(places, symbols, strict=False))
    held = dict(zip(remembered, symbols[len(places) :], strict=True))
    known |= {item.name: held[item.of, item.lag] for item in program.inputs}
    chosen = {name: (rates or {}).get(name, symbol) for name, symbol in names.items()}
    fields = {name: _times(rate) for name, rate in chosen.items()}
    found = run(program, known, fields, exact(), implicit="exact")
    rows = [found[f"{state.name}[n+1]"] for state in program.states]
    rows += [found[of] if lag == 1 else held[of, lag - 1] for of, lag in remembered]
    return LinearStepWithNoise(
        symbols, tuple(sympy.Integer(0) + row for row in rows), names, program.noises, len(places)
    )


def _times(rate: sympy.Expr):  # type: ignore[no-untyped-def]
    return lambda value: rate * value
