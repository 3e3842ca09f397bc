"""Exact moments of the declared noises, and the mean of a coefficient that holds them."""

from __future__ import annotations

from math import prod

import sympy

from schemegen.scheme.model import Coefficient, Noise

__all__ = ["TWO_VALUED", "mean", "moment", "moments_of", "off"]

H = sympy.Symbol("h")
TWO_VALUED = {"bernoulli": (0, 1), "rademacher": (-1, 1)}


def moment(noise: Noise, power: int) -> Coefficient:
    """Return ``E xi^power``, of N(0, h) for ``wiener`` and of N(0, s^2) for ``gaussian``.

    Source: Johnson, Kotz, Balakrishnan (1994, 1995), Continuous Univariate Distributions, chapters 13 and 26.
    """
    if power == 0:
        return sympy.Integer(1)
    match noise.kind:
        case "bernoulli":
            return noise.arguments[0]
        case "rademacher":
            return sympy.Integer(1 - power % 2)
        case "uniform":
            low, high = noise.arguments
            total = sympy.Add(*(low**i * high ** (power - i) for i in range(power + 1)))
            return total / (power + 1)
        case _:
            variance = H if noise.kind == "wiener" else noise.arguments[0] ** 2
            if power % 2:
                return sympy.Integer(0)
            return variance ** (power // 2) * prod(range(power - 1, 0, -2))


def mean(noise: Noise) -> Coefficient:
    """Return the mean of a noise."""
    return moment(noise, 1)


def off(noise: Noise) -> Coefficient:
    """Return what stands for a noise with ``eval off``: 1 for a factor, its mean 0 for a summand."""
    if noise.kind == "bernoulli":
        return sympy.Integer(1)
    return mean(noise)


def moments_of(coefficient: Coefficient, noise: Noise) -> dict[int, Coefficient] | None:
    """Return ``coefficient`` as a polynomial in a noise, by powers; None where it is none.

    In a draw of two values every function is linear.
    """
    symbol = noise.symbol
    if symbol not in coefficient.free_symbols:
        return {0: coefficient}
    if noise.kind in TWO_VALUED:
        low, high = (
            coefficient.xreplace({symbol: sympy.Integer(v)}) for v in TWO_VALUED[noise.kind]
        )
        if any(value.has(sympy.zoo, sympy.nan) for value in (low, high)):
            return None
        if noise.kind == "bernoulli":
            return {0: low, 1: high - low}
        return {0: (low + high) / 2, 1: (high - low) / 2}
    try:
        polynomial = sympy.Poly(sympy.expand(coefficient), symbol)
    except sympy.PolynomialError:
        return None
    return {degree: c for (degree,), c in polynomial.terms()}
