"""Powers of a noise as values of their own, so that evaluation can put the mean of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from schemegen.scheme.model import Coefficient, Noise
from schemegen.scheme.moments import moments_of

__all__ = ["in_powers", "power_symbol", "powers_in"]


def power_symbol(noise: Noise, power: int) -> sympy.Symbol:
    """Return the symbol that stands for a power of a draw; no name of a file has such a sign."""
    return noise.symbol if power == 1 else sympy.Symbol(f"{noise.name}^{power}")


def in_powers(coefficient: Coefficient, noises: Sequence[Noise]) -> Coefficient:
    """Return ``coefficient`` linear in powers of each noise whose mean stands for it in evaluation.

    ``(dW^2 - h)/2`` has the mean 0 where ``dW^2`` is put as h; the square of the mean of dW would give -h/2.
    """
    for noise in noises:
        if noise.evaluation != "mean" or _linear(coefficient, noise):
            continue
        powers = moments_of(coefficient, noise)
        if powers is not None:
            coefficient = sympy.Add(
                *(
                    c * (power_symbol(noise, power) if power else 1)
                    for power, c in sorted(powers.items())
                )
            )
    return coefficient


def powers_in(coefficient: Coefficient, noise: Noise) -> Iterator[int]:
    """Yield the powers of a noise, beyond the first, that occur in a coefficient."""
    for symbol in sorted(coefficient.free_symbols, key=str):
        name, sign, power = str(symbol).partition("^")
        if sign and name == noise.name:
            yield int(power)


def _linear(coefficient: Coefficient, noise: Noise) -> bool:
    if noise.symbol not in coefficient.free_symbols:
        return True
    return bool(sympy.expand(coefficient).diff(noise.symbol, 2) == 0)
