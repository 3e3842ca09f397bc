"""Signs and real roots of polynomials over a real number field, decided exactly.

Coefficients are elements of ``QQ`` or of ``QQ<alpha>`` in its real embedding. An element is zero by the
arithmetic of its field; the sign of another one is read from a ball of sufficient precision. Roots are
isolated by Sturm sequences, so no tolerance enters a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import flint
import sympy
from sympy.polys.domains.domain import Domain
from sympy.polys.euclidtools import dup_gcd
from sympy.polys.factortools import dup_factor_list
from sympy.polys.rootisolation import dup_sturm

__all__ = [
    "Element",
    "Polynomial",
    "RealField",
    "Root",
    "common",
    "distinct_roots",
    "positive_until",
]

Element = Any
Polynomial = list[Element]
"""Dense coefficients, ascending, without zeros at the end."""


@lru_cache(maxsize=64)
def _generator(domain: Domain, precision: int) -> Any:
    """Return a ball around the real number that generates the field."""
    number = sympy.N(domain.ext.as_expr(), precision // 3 + 12)
    return flint.arb(str(number), 2.0 ** (2 - precision) * (1 + abs(float(number))))


@dataclass(frozen=True)
class RealField:
    """``QQ`` or a real ``QQ<alpha>``."""

    domain: Domain

    def sign(self, element: Element) -> int:
        if not element:
            return 0
        if self.domain.is_QQ:
            return 1 if element > 0 else -1
        precision = 64
        while True:
            ball = self.ball(element, precision)
            if ball > 0:
                return 1
            if ball < 0:
                return -1
            precision *= 2

    def ball(self, element: Element, precision: int) -> Any:
        """Return an interval around the element, about ``2**-precision`` wide."""
        old = flint.ctx.prec
        flint.ctx.prec = precision
        try:
            if self.domain.is_QQ:
                return flint.arb(flint.fmpq(int(element.numerator), int(element.denominator)))
            alpha = _generator(self.domain, precision)
            total = flint.arb(0)
            for part in element.to_list():
                total = total * alpha + flint.fmpq(int(part.numerator), int(part.denominator))
            return total
        finally:
            flint.ctx.prec = old

    def number(self, element: Element) -> float:
        return float(self.ball(element, 128).mid())

    def exact(self, element: Element) -> sympy.Expr:
        return self.domain.to_sympy(element)

    def value(self, polynomial: Sequence[Element], at: Element) -> Element:
        """Return the polynomial's value by Horner's rule."""
        total = self.domain.zero
        for coefficient in reversed(polynomial):
            total = total * at + coefficient
        return total


@dataclass(frozen=True)
class Root:
    """The one root of an irreducible ``polynomial`` in ``(low, high)``, or ``low`` itself where equal.

    Ends are rational; ``multiplicity`` is that in the polynomial the root was asked of.
    """

    reals: RealField
    polynomial: tuple[Element, ...]
    low: Any
    high: Any
    multiplicity: int = 1

    @property
    def is_rational(self) -> bool:
        return bool(self.low == self.high)

    def refined(self) -> Root:
        """Return the root with its interval halved."""
        if self.is_rational:
            return self
        middle = (self.low + self.high) / 2
        sign = self.reals.sign
        at = self.reals.value(self.polynomial, self.reals.domain.convert(middle))
        low = self.reals.value(self.polynomial, self.reals.domain.convert(self.low))
        if sign(at) == sign(low):
            return Root(self.reals, self.polynomial, middle, self.high, self.multiplicity)
        return Root(self.reals, self.polynomial, self.low, middle, self.multiplicity)

    def number(self) -> float:
        root = self
        while root.high - root.low > abs(root.low) * sympy.QQ(1, 2**60) + sympy.QQ(1, 2**80):
            root = root.refined()
        return float(sympy.QQ.to_sympy((root.low + root.high) / 2))

    def exact(self) -> sympy.Expr | None:
        """Return the root in radicals where its degree is at most 2, else None."""
        domain = self.reals.domain
        if self.is_rational:
            return sympy.QQ.to_sympy(self.low)
        if len(self.polynomial) == 2:
            return sympy.radsimp(domain.to_sympy(-self.polynomial[0] / self.polynomial[1]))
        if len(self.polynomial) != 3 or not domain.is_QQ:
            return None
        c, b, a = (domain.to_sympy(item) for item in self.polynomial)
        radical = sympy.sqrt(b * b - 4 * a * c)
        for candidate in ((-b - radical) / (2 * a), (-b + radical) / (2 * a)):
            if abs(float(candidate) - self.number()) < abs(float(radical / a)) / 4:
                return sympy.expand(candidate)
        return None

    def named(self) -> sympy.Expr | float:
        """Return the exact root where it has a short name, else the number."""
        exact = self.exact()
        return self.number() if exact is None else exact


def _variations(reals: RealField, chain: list[Polynomial], at: Any) -> int:
    point = reals.domain.convert(at)
    signs = [reals.sign(reals.value(item[::-1], point)) for item in chain]
    signs = [item for item in signs if item]
    return sum(a != b for a, b in pairwise(signs))


def _bound(reals: RealField, polynomial: Sequence[Element]) -> Any:
    """Return a rational above the modulus of every root (Cauchy)."""
    leading = reals.ball(polynomial[-1], 64).abs_lower()
    largest = max(
        (float((reals.ball(item, 64).abs_upper() / leading).upper()) for item in polynomial[:-1]),
        default=0.0,
    )
    return sympy.QQ(int(largest) + 2)


def _isolated(reals: RealField, polynomial: Sequence[Element], multiplicity: int) -> list[Root]:
    """Isolate the real roots of an irreducible polynomial; no end of an interval is a root of it."""
    if len(polynomial) == 2:
        root = -polynomial[0] / polynomial[1]
        rational = root if reals.domain.is_QQ else _as_rational(root)
        if rational is not None:
            return [Root(reals, tuple(polynomial), rational, rational, multiplicity)]
    chain = dup_sturm(list(polynomial)[::-1], reals.domain)
    bound = _bound(reals, polynomial)
    found: list[Root] = []
    pending = [(-bound, bound, _variations(reals, chain, -bound), _variations(reals, chain, bound))]
    while pending:
        low, high, at_low, at_high = pending.pop()
        if at_low == at_high:
            continue
        if at_low - at_high == 1:
            root = Root(reals, tuple(polynomial), low, high, multiplicity)
            found.append(_cut_at_zero(root) if low < 0 < high else root)
            continue
        middle = (low + high) / 2
        at_middle = _variations(reals, chain, middle)
        pending += [(middle, high, at_middle, at_high), (low, middle, at_low, at_middle)]
    return found


def _as_rational(element: Element) -> Any:
    parts = element.to_list()
    if len(parts) > 1:
        return None
    return parts[0] if parts else sympy.QQ(0)


def _cut_at_zero(root: Root) -> Root:
    sign = root.reals.sign
    low = root.reals.value(root.polynomial, root.reals.domain.convert(root.low))
    zero = sympy.QQ(0)
    if sign(root.polynomial[0]) == sign(low):
        return Root(root.reals, root.polynomial, zero, root.high, root.multiplicity)
    return Root(root.reals, root.polynomial, root.low, zero, root.multiplicity)


def _factors(reals: RealField, polynomial: Sequence[Element]) -> list[tuple[list[Element], int]]:
    _, factors = dup_factor_list(list(polynomial)[::-1], reals.domain)
    return [(list(item)[::-1], power) for item, power in factors]


def distinct_roots(reals: RealField, polynomials: Iterable[Sequence[Element]]) -> list[Root]:
    """Return the real roots of all polynomials, each once, ascending, in disjoint intervals."""
    seen: dict[tuple[Element, ...], int] = {}
    for polynomial in polynomials:
        for factor, power in _factors(reals, polynomial):
            seen[tuple(factor)] = max(power, seen.get(tuple(factor), 0))
    roots = [root for factor, power in seen.items() for root in _isolated(reals, factor, power)]
    while True:
        roots.sort(key=lambda root: (root.low, root.high))
        for i in range(len(roots) - 1):
            if roots[i].high >= roots[i + 1].low and not (
                roots[i].high == roots[i + 1].low
                and not (roots[i].is_rational or roots[i + 1].is_rational)
            ):
                roots[i], roots[i + 1] = roots[i].refined(), roots[i + 1].refined()
                break
        else:
            return roots


def positive_until(reals: RealField, polynomial: Sequence[Element]) -> Root | sympy.Expr:
    """Return the largest c with ``polynomial >= 0`` on ``[0, c]``: a root, 0 or infinity.

    The constant term may vanish; then the first sign to the right of 0 counts.
    """
    lowest = next((item for item in polynomial if item), None)
    if lowest is None:
        return sympy.oo
    if reals.sign(lowest) < 0:
        return sympy.Integer(0)
    crossings = [
        root
        for root in distinct_roots(reals, [polynomial])
        if root.multiplicity % 2 and root.high > 0 and root.low >= 0
    ]
    return crossings[0] if crossings else sympy.oo


def common(reals: RealField, a: Sequence[Element], b: Sequence[Element]) -> list[Element]:
    """Return the monic greatest common divisor, ascending."""
    return list(dup_gcd(list(a)[::-1], list(b)[::-1], reals.domain))[::-1]
