"""For which values of its one symbol is a scheme A-stable, and L-stable?

One step: ``R = N/D``, ``E(w) = |D(iy)|^2 - |N(iy)|^2`` with ``w = y^2``. Whether E is negative somewhere and where
the poles lie can only change at real roots of the discriminant, leading and constant coefficients of E, the
resultant of N and D, and where a pole meets the imaginary axis or infinity. Several steps: the same with the
boundary locus in place of E. Between two such values one rational sample decides, at each of them the scheme is
decided in the field of that value. Source: Hairer, Wanner (1996), IV.3 and V.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from schemegen.analysis.linear import LinearStep, characteristic
from schemegen.analysis.linear_coefficients import Z_GENERATOR
from schemegen.analysis.multistep import MultistepMethod
from schemegen.analysis.one_step import lowest_terms
from schemegen.analysis.parameter_set import (
    ZETA,
    Cell,
    X,
    ascending,
    critical_polynomials,
    solution_set,
)
from schemegen.analysis.reals import RealField
from schemegen.analysis.root_condition import Gaussian, satisfies_root_condition

__all__ = ["StabilitySets", "stability_sets"]

Element = Any
W, C = sympy.Dummy("w"), sympy.Dummy("c")


@dataclass(frozen=True)
class StabilitySets:
    """The cells of the real line where the scheme is A-stable and L-stable; None with a reason."""

    symbol: sympy.Symbol | None = None
    a_stable: tuple[Cell, ...] | None = None
    l_stable: tuple[Cell, ...] | None = None
    reason: str | None = None


def stability_sets(step: LinearStep) -> StabilitySets:
    """Decide A- and L-stability for all real values of the symbol of a step with exactly one."""
    coefficients = step.coefficients
    if len(coefficients.field.gens) != 2 or not coefficients.symbols:
        return StabilitySets(reason="depends on several symbols, or on a function of one")
    scaled = step.scaled
    if scaled is None:
        return StabilitySets(reason="the step is no function of z = h*lambda alone")
    symbol = coefficients.symbols[0]
    if len(step.columns) == 1:
        problem: _OneStep | _Multistep = _one_step(scaled[0][0], coefficients.number_field)
    else:
        found = _multistep(step, scaled)
        if found is None:
            return StabilitySets(symbol, reason="not analysed yet for a matrix")
        problem = found
    critical = [ascending(item) for item in problem.critical() if item.degree() > 0]
    reals = coefficients.reals
    a_cells = solution_set(reals, critical, problem.a_stable)
    l_cells = solution_set(reals, critical, problem.l_stable)
    return StabilitySets(symbol, tuple(a_cells), tuple(l_cells))


def _split(polynomial: Any, domain: Any) -> list[sympy.Poly]:
    """Return the coefficients in z, ascending, as polynomials in X."""
    parts: list[dict[tuple[int], Any]] = [
        {} for _ in range(1 + max((m[0] for m in polynomial.monoms()), default=0))
    ]
    for (power, exponent), coefficient in polynomial.terms():
        parts[power][(exponent,)] = coefficient
    return [sympy.Poly(part or {(0,): domain.zero}, X, domain=domain) for part in parts]


def _numbers(polynomials: Sequence[sympy.Poly], reals: RealField, value: Element) -> list[Element]:
    found = []
    for polynomial in polynomials:
        own = [_moved(c, polynomial.domain, reals) for c in ascending(polynomial)]
        found.append(reals.value(own, value))
    return found


def _moved(element: Element, domain: Any, reals: RealField) -> Element:
    if domain == reals.domain:
        return element
    return reals.domain.from_sympy(domain.to_sympy(element))


def _trimmed(numbers: Sequence[Element]) -> list[Element]:
    found = list(numbers)
    while found and not found[-1]:
        found.pop()
    return found


def _as_poly(parts: Sequence[sympy.Poly], variable: sympy.Symbol, domain: Any) -> sympy.Poly:
    """Return ``sum_i parts[i] variable^i`` as a polynomial in (variable, X)."""
    terms = {
        (power, exponent): coefficient
        for power, part in enumerate(parts)
        for (exponent,), coefficient in part.rep.to_dict().items()
    }
    return sympy.Poly(terms or {(0, 0): domain.zero}, variable, X, domain=domain)


def _changes(polynomial: sympy.Poly, variable: sympy.Symbol, at: Sequence[int]) -> list[sympy.Poly]:
    """Return where real roots of a polynomial in ``variable`` can appear, meet, cross ``at`` or leave.

    Works factor by factor, so that a discriminant does not vanish identically.
    """
    domain = polynomial.domain
    found: list[sympy.Poly] = []
    main: list[sympy.Poly] = []
    for factor, _ in polynomial.factor_list()[1]:
        if factor.degree(variable) == 0:
            found.append(sympy.Poly(factor.as_expr(), X, domain=domain))
            continue
        inner = sympy.Poly(factor.as_expr(), variable, domain=domain[X])
        found.append(sympy.Poly(inner.LC(), X, domain=domain))
        if inner.degree() > 1:
            found.append(sympy.Poly(inner.resultant(inner.diff(variable)), X, domain=domain))
        found += [sympy.Poly(inner.eval(point), X, domain=domain) for point in at]
        found += [sympy.Poly(inner.resultant(other), X, domain=domain) for other in main]
        main.append(inner)
    return found


def _meeting(left: sympy.Poly, right: sympy.Poly, variable: sympy.Symbol) -> list[sympy.Poly]:
    """Return where a factor of ``left`` has a root in common with one of ``right``."""
    domain = left.domain
    found = []
    for p, _ in left.factor_list()[1]:
        for q, _ in right.factor_list()[1]:
            if p == q or not (p.degree(variable) and q.degree(variable)):
                continue
            a, b = (sympy.Poly(f.as_expr(), variable, domain=domain[X]) for f in (p, q))
            found.append(sympy.Poly(a.resultant(b), X, domain=domain))
    return found


def _on_axis(parts: Sequence[sympy.Poly]) -> tuple[list[sympy.Poly], list[sympy.Poly]]:
    """Return ``Re D(iy)`` and ``Im D(iy)/y``, ascending in w = y^2."""
    real = [c * (-1) ** i for i, c in enumerate(parts[0::2])]
    imaginary = [c * (-1) ** i for i, c in enumerate(parts[1::2])]
    return real, imaginary


@dataclass(frozen=True)
class _OneStep:
    above: list[sympy.Poly]
    below: list[sympy.Poly]
    domain: Any

    def critical(self) -> list[sympy.Poly]:
        found = [*self.above, *self.below]
        n, d = (_as_poly(p, W, self.domain) for p in (self.above, self.below))
        found += _meeting(n, d, W)
        parts = [_on_axis(p) for p in (self.below, self.above)]
        w = sympy.Poly(W, W, X, domain=self.domain)
        (dr, di), (nr, ni) = ([_as_poly(half, W, self.domain) for half in pair] for pair in parts)
        found += _changes(dr**2 + w * di**2 - nr**2 - w * ni**2, W, (0,))
        if dr and di:
            found += _meeting(dr, di, W)
        return found

    def function(self, reals: RealField, value: Element) -> Any:
        above, below = (_trimmed(_numbers(p, reals, value)) for p in (self.above, self.below))
        return lowest_terms(reals, above, below) if below else None

    def a_stable(self, reals: RealField, value: Element) -> bool:
        found = self.function(reals, value)
        return found is not None and bool(found.a_stable)

    def l_stable(self, reals: RealField, value: Element) -> bool:
        found = self.function(reals, value)
        return found is not None and bool(found.l_stable)


def _one_step(r: Element, domain: Any) -> _OneStep:
    return _OneStep(_split(r.numer, domain), _split(r.denom, domain), domain)


@dataclass(frozen=True)
class _Multistep:
    """``rho`` and ``sigma`` ascending in zeta, coefficients in X."""

    rho: list[sympy.Poly]
    sigma: list[sympy.Poly]
    domain: Any

    def critical(self) -> list[sympy.Poly]:
        found = [*self.rho, *self.sigma]
        rho, sigma = (_as_poly(p, ZETA, self.domain) for p in (self.rho, self.sigma))
        for polynomial in (rho, rho + sigma):
            for item in critical_polynomials(polynomial):
                found.append(sympy.Poly(item[::-1], X, domain=self.domain))
        found += _meeting(rho, sigma, ZETA)
        total = sympy.Poly(0, C, X, domain=self.domain)
        for j, left in enumerate(self.rho):
            for k, right in enumerate(self.sigma):
                turn = sympy.Poly(sympy.chebyshevt(abs(j - k), C), C, X, domain=self.domain)
                total += turn * _as_poly([left * right], C, self.domain)
        return found + _changes(total, C, (1, -1))

    def method(self, reals: RealField, value: Element) -> MultistepMethod | None:
        rho, sigma = (_numbers(p, reals, value) for p in (self.rho, self.sigma))
        while rho and not rho[0] and not sigma[0]:
            rho, sigma = rho[1:], sigma[1:]
        if not rho or not rho[-1]:
            return None
        zero = reals.domain.zero
        if not satisfies_root_condition(reals, [Gaussian(c, zero) for c in rho]):
            return None
        return MultistepMethod(reals, tuple(rho), tuple(sigma))

    def a_stable(self, reals: RealField, value: Element) -> bool:
        found = self.method(reals, value)
        return found is not None and found.a_stable

    def l_stable(self, reals: RealField, value: Element) -> bool:
        found = self.method(reals, value)
        return found is not None and found.l_stable


def _multistep(step: LinearStep, scaled: Sequence[Sequence[Element]]) -> _Multistep | None:
    """Return rho and sigma; None where the characteristic polynomial is not linear in z."""
    field, domain = step.coefficients.field, step.coefficients.number_field
    polynomial = characteristic(scaled, field)
    shared = field.ring.one
    for element in polynomial:
        shared = shared * element.denom.quo(shared.gcd(element.denom))
    whole = [element.numer * shared.quo(element.denom) for element in polynomial]
    while not whole[0]:
        whole = whole[1:]
    common = whole[0]
    for item in whole[1:]:
        common = common.gcd(item)
    z = common.ring.gens[0]
    assert common.ring.symbols[0] == Z_GENERATOR
    parts = [_split(item.quo(common), domain) for item in whole]
    if step.states != 1 or any(len(p) > 2 for p in parts) or common.degree(z) > 0:
        return None
    zero = sympy.Poly(0, X, domain=domain)
    return _Multistep([p[0] for p in parts], [-p[1] if len(p) > 1 else zero for p in parts], domain)
