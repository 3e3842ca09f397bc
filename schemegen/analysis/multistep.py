"""Linear stability of a multistep method from ``rho(zeta) - z sigma(zeta)`` with numbers as coefficients.

On the circle ``zeta = e^(i theta)``, with ``c = cos(theta)``, ``rho conj(sigma) = G(c) + i sin(theta) B(c)`` and
``|sigma|^2 = S(c)``: the boundary locus is ``z = (G + i sin B)/S``. All three are polynomials, so where the locus
meets an axis is decided exactly. Source: Hairer, Wanner (1996), V.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.intervals import End, interval_around_zero
from schemegen.analysis.one_step import boundary_angle
from schemegen.analysis.parameter_set import X, ascending, solution_set
from schemegen.analysis.reals import RealField, positive_until
from schemegen.analysis.root_condition import (
    Gaussian,
    is_schur,
    satisfies_root_condition,
)

__all__ = ["MultistepMethod"]

Element = Any
_C = sympy.Dummy("c")


@dataclass(frozen=True)
class MultistepMethod:
    """``rho`` and ``sigma``, ascending in zeta, of equal length, without a common factor zeta."""

    reals: RealField
    rho: tuple[Element, ...]
    sigma: tuple[Element, ...]

    @cached_property
    def _locus(self) -> tuple[sympy.Poly, sympy.Poly, sympy.Poly]:
        """G, B, S as polynomials in c, by Chebyshev's T and U."""
        domain = self.reals.domain
        zero = sympy.Poly(0, _C, domain=domain)
        g, b, s = zero, zero, zero
        for j, left in enumerate(self.rho):
            for k, right in enumerate(self.sigma):
                product = sympy.Poly([left * right], _C, domain=domain)
                g += product * _chebyshev(abs(j - k), domain)
                if j != k:
                    turn = product * _second_kind(abs(j - k) - 1, domain)
                    b += turn if j > k else -turn
        for j, left in enumerate(self.sigma):
            for k, right in enumerate(self.sigma):
                s += sympy.Poly([left * right], _C, domain=domain) * _chebyshev(abs(j - k), domain)
        return g, b, s

    @property
    def a_stable(self) -> bool:
        """The locus stays out of the open left half-plane and z = -1 is stable."""
        at_minus_one = [
            Gaussian(r + s, self.reals.domain.zero)
            for r, s in zip(self.rho, self.sigma, strict=True)
        ]
        if not at_minus_one[-1] or not is_schur(self.reals, at_minus_one):
            return False
        return positive_until(self.reals, self._on_half_line(self._locus[0])) is sympy.oo

    @property
    def l_stable(self) -> bool:
        """A-stable, and all roots tend to 0 as z tends to infinity: sigma = b zeta^k."""
        return bool(self.sigma[-1]) and not any(self.sigma[:-1]) and self.a_stable

    def _on_half_line(self, polynomial: sympy.Poly) -> list[Element]:
        """Put c = (1 - w)/(1 + w) times (1 + w)^n: [-1, 1] becomes w >= 0."""
        domain = self.reals.domain
        minus = sympy.Poly([-1, 1], _C, domain=domain)
        plus = sympy.Poly([1, 1], _C, domain=domain)
        n = max(polynomial.degree(), 0)
        total = sympy.Poly(0, _C, domain=domain)
        for power, coefficient in enumerate(polynomial.rep.to_list()[::-1]):
            scale = sympy.Poly([coefficient], _C, domain=domain)
            total += scale * minus**power * plus ** (n - power)
        return ascending(total)

    @property
    def real_interval(self) -> tuple[End, End] | None:
        domain = self.reals.domain
        g, b, s = self._locus
        x = sympy.Poly([domain.one, domain.zero], X, domain=domain)
        critical = [_meeting(b, g, s, x) if b else self._double_roots(imaginary=False)]
        for sign in (1, -1):
            point = domain.convert(sign)
            critical.append([self._at(self.rho, point), -self._at(self.sigma, point)])
        critical.append([self.rho[-1], -self.sigma[-1]])

        def decide(reals: RealField, value: Element) -> bool:
            return self._decide(reals, Gaussian(value, _zero(reals)))

        return interval_around_zero(solution_set(self.reals, _nonconstant(critical), decide))

    @property
    def imaginary_interval(self) -> tuple[End, End] | None:
        domain = self.reals.domain
        g, b, s = self._locus
        square = sympy.Poly([domain.one, domain.zero, domain.zero], X, domain=domain)
        if g:
            sine = sympy.Poly([-1, 0, 1], _C, domain=domain)
            critical = [_meeting(g, sine * b * b, s * s, square), [domain.zero, domain.one]]
        else:
            critical = [self._double_roots(imaginary=True), [domain.zero, domain.one]]
        critical.append([self.rho[-1] ** 2, domain.zero, self.sigma[-1] ** 2])

        def decide(reals: RealField, value: Element) -> bool:
            return self._decide(reals, Gaussian(_zero(reals), value))

        return interval_around_zero(solution_set(self.reals, _nonconstant(critical), decide))

    def _at(self, polynomial: Sequence[Element], point: Element) -> Element:
        return self.reals.value(polynomial, point)

    def _decide(self, reals: RealField, z: Gaussian) -> bool:
        zero = _zero(reals)
        total = []
        for r, s in zip(self.rho, self.sigma, strict=True):
            rho = Gaussian(self._lifted(reals, r), zero)
            total.append(rho - z * Gaussian(self._lifted(reals, s), zero))
        return bool(total[-1]) and satisfies_root_condition(reals, total)

    def _lifted(self, reals: RealField, element: Element) -> Element:
        if reals.domain == self.reals.domain:
            return element
        return reals.domain.from_sympy(self.reals.exact(element))

    def _double_roots(self, *, imaginary: bool) -> list[Element]:
        """Return a polynomial that vanishes where rho - z sigma has a double root, z = x or z = ix."""
        domain = self.reals.domain
        zeta = sympy.Dummy("zeta")
        ring = domain[X]
        whole = sympy.Poly(
            [
                ring.from_sympy(self.reals.exact(r) - X * self.reals.exact(s))
                for r, s in zip(self.rho[::-1], self.sigma[::-1], strict=True)
            ],
            zeta,
            domain=ring,
        )
        if whole.degree() < 2:
            return []
        found = sympy.Poly(whole.resultant(whole.diff(zeta)), X, domain=domain)
        coefficients = ascending(found)
        if not imaginary:
            return coefficients
        even = [
            c * (-1) ** (i // 2) if i % 2 == 0 else domain.zero for i, c in enumerate(coefficients)
        ]
        odd = [c * (-1) ** (i // 2) if i % 2 else domain.zero for i, c in enumerate(coefficients)]
        parts = [sympy.Poly(item[::-1], X, domain=domain) for item in (even, odd)]
        return ascending(parts[0] ** 2 + parts[1] ** 2)

    def a_alpha_degrees(self) -> float | None:
        """Return the largest alpha with A(alpha)-stability, to 1e-6 degrees; None where there is none."""
        minus_one = self.reals.domain.convert(-1)
        if not self._decide(self.reals, Gaussian(minus_one, self.reals.domain.zero)):
            return None
        interval = self.real_interval
        if interval is None or interval[0] != -sympy.oo:
            return None
        rho = [self.reals.number(c) for c in reversed(self.rho)]
        sigma = [self.reals.number(c) for c in reversed(self.sigma)]

        def boundary(theta: float) -> list[complex]:
            turn = complex(math.cos(theta), math.sin(theta))
            below = complex(np.polyval(sigma, turn))
            return [complex(np.polyval(rho, turn)) / below] if abs(below) > 1e-12 else []

        return boundary_angle(boundary)


def _zero(reals: RealField) -> Element:
    return reals.domain.zero


def _nonconstant(polynomials: Sequence[list[Element]]) -> list[list[Element]]:
    found = []
    for polynomial in polynomials:
        kept = list(polynomial)
        while kept and not kept[-1]:
            kept.pop()
        if len(kept) > 1:
            found.append(kept)
    return found


def _meeting(
    on: sympy.Poly, above: sympy.Poly, below: sympy.Poly, unknown: sympy.Poly
) -> list[Element]:
    """Eliminate c from ``on(c) = 0`` and ``unknown * below(c) = above(c)``."""
    domain = on.domain
    ring = domain[X]
    u = ring.from_sympy(unknown.as_expr())

    def lift(polynomial: sympy.Poly) -> sympy.Poly:
        return sympy.Poly(
            [ring.convert_from(c, domain) for c in polynomial.rep.to_list()], _C, domain=ring
        )

    whole = lift(below) * sympy.Poly([u], _C, domain=ring) - lift(above)
    if on.degree() < 1 or whole.degree() < 1:
        return []
    found = sympy.Poly(lift(on).resultant(whole), X, domain=domain)
    return ascending(found)


def _chebyshev(n: int, domain: Any) -> sympy.Poly:
    return sympy.Poly(sympy.chebyshevt_poly(n, _C), _C, domain=domain)


def _second_kind(n: int, domain: Any) -> sympy.Poly:
    return sympy.Poly(sympy.chebyshevu_poly(n, _C), _C, domain=domain)
