"""Zero-stability: the powers of the step's matrix stay bounded as h tends to 0 with lambda fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from schemegen.analysis.linear import Laurent, LinearStep, characteristic
from schemegen.analysis.parameter_set import (
    ZETA,
    Cell,
    X,
    critical_polynomials,
    solution_set,
    spelled,
)
from schemegen.analysis.reals import RealField
from schemegen.analysis.root_condition import Gaussian, is_power_bounded

__all__ = ["ZeroStability", "generators_in", "limit_matrix", "specialised", "zero_stability"]

Element = Any


def _series(element: Element, count: int) -> list[Element] | None:
    """Return Taylor coefficients in z of a rational function, as elements free of z; None at a pole."""
    ring = element.field.ring
    field = element.field

    def split(polynomial: Any) -> dict[int, Any]:
        parts: dict[int, Any] = {}
        for monomial, coefficient in polynomial.terms():
            rest = ring.from_dict({(0, *monomial[1:]): coefficient})
            parts[monomial[0]] = parts.get(monomial[0], ring.zero) + rest
        return {power: part for power, part in parts.items() if part}

    above, below = split(element.numer), split(element.denom)
    if 0 not in below:
        return None
    found: list[Element] = []
    for k in range(count):
        total = field.new(above.get(k, ring.zero))
        for j in range(1, k + 1):
            if j in below:
                total -= field.new(below[j]) * found[k - j]
        found.append(total / field.new(below[0]))
    return found


def _limit(entry: Laurent, field: Any) -> Element | None:
    """Return the value at h = 0 with z = h lambda, lambda = 1, or None where there is none."""
    total = field.zero
    for power, element in entry.items():
        if power > 0:
            continue
        series = _series(element, 1 - power)
        if series is None or any(series[:-1]):
            return None
        total += series[-1]
    return total


def _opaque_limits(step: LinearStep) -> dict[int, Any] | None:
    """Return the numbers that ``exp(h ..)`` and ``phi_k(h ..)`` tend to; None where one has no limit."""
    found: dict[int, Any] = {}
    offset = 1 + len(step.coefficients.symbols)
    for index, expr in enumerate(step.coefficients.opaque):
        argument = expr.args[0] if expr.is_Function or isinstance(expr, sympy.exp) else None
        if argument is None or not _vanishes_with_h(argument):
            return None
        order = expr.func.__name__.removeprefix("phi") if expr.func.__name__ != "exp" else "0"
        if not order.isdigit():
            return None
        found[offset + index] = sympy.QQ(1, int(sympy.factorial(int(order))))
    return found


def _vanishes_with_h(argument: sympy.Expr) -> bool:
    h = sympy.Symbol("h")
    return bool(argument.is_Mul and h in argument.args) or argument == h


def limit_matrix(step: LinearStep) -> list[list[Element]] | None:
    """Return the matrix at h = 0, or None where it has no limit."""
    field = step.coefficients.field
    limits = _opaque_limits(step) if step.coefficients.opaque else {}
    if limits is None:
        return None
    rows: list[list[Element]] = []
    for row in step.matrix:
        found = [_limit(entry, field) for entry in row]
        if any(item is None for item in found):
            return None
        rows.append([_with(item, limits) for item in found])
    return rows


def _with(element: Element, values: Mapping[int, Any]) -> Element:
    """Replace generators by numbers."""
    if not values:
        return element
    field = element.field

    def replaced(polynomial: Any) -> Any:
        parts = field.ring.zero
        for monomial, coefficient in polynomial.terms():
            scale = coefficient
            rest = list(monomial)
            for index, number in values.items():
                scale = scale * field.domain.convert(number) ** rest[index]
                rest[index] = 0
            parts += field.ring.from_dict({tuple(rest): scale})
        return parts

    return field.new(replaced(element.numer)) / field.new(replaced(element.denom))


def generators_in(elements: Sequence[Element]) -> set[int]:
    """Return the indices of the generators that occur."""
    return {
        index
        for element in elements
        for polynomial in (element.numer, element.denom)
        for monomial in polynomial.monoms()
        for index, power in enumerate(monomial)
        if power
    }


def specialised(
    matrix: Sequence[Sequence[Element]], reals: RealField, values: Mapping[int, Gaussian]
) -> list[list[Gaussian]] | None:
    """Put numbers for generators; None where an entry has a pole there."""
    zero, one = reals.domain.zero, reals.domain.one

    def at(polynomial: Any) -> Gaussian:
        total = Gaussian(zero, zero)
        for monomial, coefficient in polynomial.terms():
            term = Gaussian(_converted(reals, coefficient, polynomial.ring.domain), zero)
            for index, power in enumerate(monomial):
                for _ in range(power):
                    term = term * values[index]
            total = total + term
        return total

    rows: list[list[Gaussian]] = []
    for row in matrix:
        numbers: list[Gaussian] = []
        for element in row:
            below = at(element.denom) if element.denom != 1 else Gaussian(one, zero)
            if not below:
                return None
            numbers.append(at(element.numer) / below)
        rows.append(numbers)
    return rows


def _converted(reals: RealField, coefficient: Any, domain: Any) -> Any:
    if reals.domain == domain:
        return coefficient
    return reals.domain.from_sympy(domain.to_sympy(coefficient))


def characteristic_poly(
    matrix: Sequence[Sequence[Element]], step: LinearStep, variable: int
) -> sympy.Poly:
    """Return the characteristic polynomial in (ZETA, X), cleared of denominators."""
    field = step.coefficients.field
    coefficients = characteristic(matrix, field)
    common = field.ring.one
    for element in coefficients:
        common = common * element.denom.quo(common.gcd(element.denom))
    terms: dict[tuple[int, int], Any] = {}
    for degree, element in enumerate(coefficients):
        whole = element.numer * common.quo(element.denom)
        for monomial, coefficient in whole.terms():
            terms[degree, monomial[variable]] = coefficient
    return sympy.Poly(terms, ZETA, X, domain=step.coefficients.number_field)


@dataclass(frozen=True)
class ZeroStability:
    """The verdict, or the set of the one symbol it depends on with its cells; None with a reason."""

    holds: bool | str | None
    reason: str | None = None
    symbol: str | None = None
    cells: tuple[Cell, ...] = ()


def zero_stability(step: LinearStep, print_exact: Callable[[sympy.Expr], str]) -> ZeroStability:
    """Decide whether the powers of the matrix at h = 0 stay bounded."""
    matrix = limit_matrix(step)
    if matrix is None:
        return ZeroStability(None, "the step's matrix has no limit known here as h tends to 0")
    reals = step.coefficients.reals
    present = generators_in([element for row in matrix for element in row])
    if not present:
        numbers = specialised(matrix, reals, {})
        return ZeroStability(numbers is not None and is_power_bounded(reals, numbers))
    if len(present) > 1:
        names = ", ".join(str(step.coefficients.parameter_name(i)) for i in sorted(present))
        return ZeroStability(None, f"depends on several symbols: {names}")
    (variable,) = present
    name = step.coefficients.parameter_name(variable)
    if not isinstance(name, sympy.Symbol):
        return ZeroStability(None, f"depends on `{print_exact(name)}`")

    def decide(field: RealField, value: Element) -> bool:
        point = {variable: Gaussian(value, field.domain.zero)}
        numbers = specialised(matrix, field, point)
        return numbers is not None and is_power_bounded(field, numbers)

    critical = critical_polynomials(characteristic_poly(matrix, step, variable))
    for row in matrix:
        critical += [_in_variable(e.denom, variable) for e in row if not e.denom.is_ground]
    cells = tuple(solution_set(reals, critical, decide))
    text = spelled(cells, name.name, print_exact)
    reason = "an end of the set is no short radical" if text is None else None
    return ZeroStability(text, reason, name.name, cells)


def _in_variable(polynomial: Any, variable: int) -> list[Element]:
    found = [polynomial.ring.domain.zero] * (polynomial.degree(polynomial.ring.gens[variable]) + 1)
    for monomial, coefficient in polynomial.terms():
        found[monomial[variable]] = coefficient
    return found
