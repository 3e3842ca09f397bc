"""Random draws of a step exactly: coefficients as polynomials in draws, their moments and joint cumulants.

A coefficient is split into ``sum_i c_i(eps) m_i`` with monomials m_i in the draws and power series c_i in the
expansion variable: ``eps = h``, or ``eps = sqrt(h)`` where a Wiener increment or a root of h occurs. A Wiener
increment is ``sqrt(h)`` times a standard normal draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

import sympy

from schemegen.analysis.coefficients import Coefficients, Laurent, NoSeriesError
from schemegen.scheme.model import Noise
from schemegen.scheme.moments import moment, moments_of
from schemegen.series import Number

__all__ = ["Draws", "Monomial", "Part", "in_root", "needs_root", "partitions"]

H = sympy.Symbol("h")
COMPONENT = {"element": 0, "channel": 1}  # parity of the classes of equal components
MOST_DEGREE = 12  # of a coefficient in the draws

Monomial = tuple[tuple[int, int], ...]
"""``((draw, exponent), ..)``, draws numbered as declared."""


@dataclass(frozen=True, slots=True)
class Part:
    """``factor(eps) * scalar * component``: monomials in draws that are one for the step, and one a component."""

    scalar: Monomial
    component: Monomial
    factor: Laurent


class Draws:
    """The draws of a program over the field of ``coefficients`` (whose variable h stands for eps)."""

    def __init__(
        self,
        noises: Sequence[Noise],
        expressions: Iterable[sympy.Expr],
        *,
        root: bool,
        terms: int,
        scaled: Sequence[str] = (),
    ) -> None:
        self.noises = tuple(noises)
        self.root = root
        self._scaled = tuple(scaled)
        self._symbols = [noise.symbol for noise in noises]
        raw = {e: self._split(e) for e in dict.fromkeys(expressions)}
        arguments = [a for noise in noises for a in noise.arguments]
        self.coefficients = Coefficients(
            [*(c for parts in raw.values() for _, c in parts), *map(self._rooted, arguments)],
            terms=terms,
            scaled=self._scaled,
        )
        self.ring = self.coefficients.ring
        self._parts = {e: self._expanded(parts) for e, parts in raw.items()}
        self.moment = cache(self._moment)
        self.cumulant = cache(self._cumulant)

    # --- coefficients -----------------------------------------------------------------------------
    def parts(self, expression: sympy.Expr) -> tuple[Part, ...]:
        """Return the parts of one of the expressions."""
        return self._parts[expression]

    def _rooted(self, expression: sympy.Expr) -> sympy.Expr:
        if not self.root:
            return expression
        rooted = in_root(expression)
        return rooted.xreplace({sympy.Symbol(n): H * sympy.Symbol(n) for n in self._scaled})

    def _split(self, expression: sympy.Expr) -> list[tuple[tuple[int, ...], sympy.Expr]]:
        """Return ``(exponents of all draws, coefficient)``, raises NoSeriesError where it is no polynomial."""
        size = len(self._symbols)
        parts = [((0,) * size, expression)]
        for index, noise in enumerate(self.noises):
            found: dict[tuple[int, ...], sympy.Expr] = {}
            for exponents, part in parts:
                for degree, coefficient in self._powers(part, noise):
                    key = (*exponents[:index], degree, *exponents[index + 1 :])
                    found[key] = found.get(key, sympy.Integer(0)) + coefficient
            parts = list(found.items())
        return [(exponents, self._rooted(part)) for exponents, part in parts]

    def _powers(self, expression: sympy.Expr, noise: Noise) -> list[tuple[int, sympy.Expr]]:
        """Return ``expression`` as a polynomial in one draw, a Wiener increment as sqrt(h) times a normal one."""
        powers = moments_of(expression, noise)
        if powers is None:
            raise NoSeriesError(f"`{expression}` is no polynomial in the noise `{noise.name}`")
        if max(powers, default=0) > MOST_DEGREE:
            raise NoSeriesError(f"`{expression}` has too high a power of `{noise.name}`")
        if noise.kind == "wiener":
            return [(degree, c * sympy.sqrt(H) ** degree) for degree, c in powers.items()]
        return list(powers.items())

    def _expanded(self, parts: list[tuple[tuple[int, ...], sympy.Expr]]) -> tuple[Part, ...]:
        found = []
        for exponents, expression in parts:
            factor = self.coefficients.series(expression)
            if not factor.numbers:
                continue
            used = [(i, e) for i, e in enumerate(exponents) if e]
            found.append(
                Part(
                    tuple(pair for pair in used if self.noises[pair[0]].scope not in COMPONENT),
                    tuple(pair for pair in used if self.noises[pair[0]].scope in COMPONENT),
                    factor,
                )
            )
        return tuple(found)

    # --- monomials --------------------------------------------------------------------------------
    def product(self, left: Monomial, right: Monomial) -> Monomial:
        """Return the product of two monomials: ``b^2 = b`` for Bernoulli draws, ``r^2 = 1`` for Rademacher's."""
        if not left or not right:
            return left or right
        exponents = dict(left)
        for draw, exponent in right:
            exponents[draw] = exponents.get(draw, 0) + exponent
        return tuple(
            sorted((d, e) for d, e in ((d, self.reduced(d, e)) for d, e in exponents.items()) if e)
        )

    def reduced(self, draw: int, exponent: int) -> int:
        """Return the exponent that a power of a draw comes down to."""
        kind = self.noises[draw].kind
        if kind == "bernoulli":
            return min(exponent, 1)
        return exponent % 2 if kind == "rademacher" else exponent

    def expectation(self, monomial: Monomial) -> Number:
        """Return the mean of a monomial: draws are independent."""
        result = self.ring.one
        for draw, exponent in monomial:
            result = result * self.moment(draw, exponent)
        return result

    # --- moments ----------------------------------------------------------------------------------
    def _moment(self, draw: int, power: int) -> Number:
        """Return ``E xi^power``; of a normal draw of variance 1 for a Wiener increment."""
        noise = self.noises[draw]
        value = moment(noise, power)
        if noise.kind == "wiener":
            value = value.xreplace({H: sympy.Integer(1)})
        series = self.coefficients.series(self._rooted(value))
        if series.numbers and (series.valuation or len(series.numbers) > 1):
            raise NoSeriesError(f"the noise `{noise.name}` depends on h")
        return series.numbers[0] if series.numbers else self.ring.zero

    def _cumulant(self, draw: int, exponents: tuple[int, ...]) -> Number:
        """Return the joint cumulant of ``xi^e`` for e in ``exponents``, one draw in all.

        ``kappa = sum over partitions (-1)^(|pi|-1) (|pi|-1)! prod E prod``.
        """
        total = self.ring.zero
        for partition in partitions(len(exponents)):
            blocks = len(partition)
            term = self.ring.rational((-1) ** (blocks - 1) * factorial(blocks - 1))
            for block in partition:
                term = term * self.moment(draw, sum(exponents[i] for i in block))
            total += term
        return total

    def third_cumulant(self, draw: int) -> Number:
        """Return ``E (xi - E xi)^3``."""
        return self.cumulant(draw, (1, 1, 1))


def in_root(expression: sympy.Expr) -> sympy.Expr:
    """Return ``expression`` with ``h = eps^2`` put in, the variable eps named h."""
    if expression == H:
        return H**2
    if expression.is_Pow and expression.base == H:
        if not (2 * expression.exp).is_Integer:
            raise NoSeriesError(f"`{expression}` is no power of sqrt(h)")
        return H ** (2 * expression.exp)
    if not expression.args:
        return expression
    return expression.func(*map(in_root, expression.args))


def needs_root(noises: Sequence[Noise], expressions: Iterable[sympy.Expr]) -> bool:
    """Say whether the step is a series in sqrt(h) rather than in h."""
    if any(noise.kind == "wiener" for noise in noises):
        return True
    return any(
        power.base == H and not power.exp.is_Integer
        for expression in expressions
        for power in expression.atoms(sympy.Pow)
    )


def partitions(size: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield the partitions of ``0 .. size-1`` into blocks: 1, 2, 5, 15, 52, .. of them."""
    if size == 0:
        yield ()
        return
    last = size - 1
    for partition in partitions(last):
        yield (*partition, (last,))
        for index, block in enumerate(partition):
            yield (*partition[:index], (*block, last), *partition[index + 1 :])
