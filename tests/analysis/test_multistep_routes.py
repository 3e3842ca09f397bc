"""Two roads to the modified equation of a linear multistep method, and published constants.

The package puts ``u[n+j] = exp(j h f~) u[n]`` into the step. The road here starts from the operator: smooth
solutions obey ``rho(e^hD) u = h sigma(e^hD) f(u)``, so ``c_1 Du + c_2 h D^2 u + .. = f(u)`` with
``sum c_m X^m = rho(e^X)/sigma(e^X)``; D is the Lie derivative along f~, and each level gives f~ at once.
Source: Hairer, Norsett, Wanner (1993), III.2; Hairer, Lubich, Wanner (2006), XV.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial
from typing import Any

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from series_programs import H, Q, combine, evaluate, program, solve

from schemegen.analysis.expansion import read
from schemegen.pipeline import examine, study
from schemegen.selection import source_of
from schemegen.series import Flow, Rationals, Ring, VectorField, rooted_trees
from schemegen.series.rational_functions import RationalFunctions
from schemegen.step.program import Program

NODES = 8


def quotient(ring: Ring, rho: Sequence[Any], sigma: Sequence[Any], count: int) -> list[Any]:
    """Return the series of ``rho(e^X)/sigma(e^X)``, coefficients ascending in zeta."""

    def at_exponential(polynomial: Sequence[Any]) -> list[Any]:
        return [
            sum(
                (c * ring.rational(j**n, factorial(n)) for j, c in enumerate(polynomial)), ring.zero
            )
            for n in range(count)
        ]

    top, bottom = at_exponential(rho), at_exponential(sigma)
    scale = ring.inverse(bottom[0])
    result: list[Any] = []
    for n in range(count):
        known = sum((bottom[i] * result[n - i] for i in range(1, n + 1)), ring.zero)
        result.append((top[n] - known) * scale)
    return result


def field_by_operator(ring: Ring, rho: Sequence[Any], sigma: Sequence[Any]) -> list[Any]:
    """Solve ``sum c_m L_b^m u = h f(u)`` for b, level by level."""
    c = quotient(ring, rho, sigma, NODES + 1)
    assert not c[0]
    inverse = ring.inverse(c[1])
    trees = rooted_trees(NODES)
    field = VectorField(trees, ring)
    flow = Flow(field, [ring.one])
    for n in range(1, NODES + 1):
        field.open(n)
        level = trees.level(n)
        flow.open(n, [ring.zero] * len(level))
        found = []
        for tree in level:
            wanted = ring.one if n == 1 else ring.zero
            for m in range(2, n + 1):
                wanted = wanted - c[m] * ring.rational(factorial(m)) * flow.powers[m][tree]
            found.append(wanted * inverse)
        field.coefficients[0][level.start : level.stop] = found
        flow.settle_field(n, 0, found)
    return field.coefficients[0]


def multistep(
    a: Sequence[Any], b: Sequence[Any], ahead: Any = 0, params: Sequence[str] = ()
) -> Program:
    """``u[n+1] = sum a_j u[n-j] + h sum b_j f(u[n-j]) + h ahead f(u[n+1])``."""
    terms: list[tuple[Any, str]] = []
    inputs = []
    for j, (of_state, of_slope) in enumerate(zip(a, b, strict=True)):
        suffix = f"[n-{j}]" if j else "[n]"
        if j:
            inputs += [(f"u{suffix}", "u[n]", j), (f"f(u{suffix})", "f(u[n])", j)]
        terms += [(of_state, f"u{suffix}"), (H * of_slope, f"f(u{suffix})")]
    statements: list[Any] = [evaluate("f(u[n])", "f", "u[n]")]
    if ahead:
        update = combine("u[n+1]", *terms, (H * ahead, "k"))
        statements.append(solve(["u[n+1]"], [evaluate("k", "f", "u[n+1]"), update]))
    else:
        statements.append(combine("u[n+1]", *terms))
    return program(statements, inputs=inputs, params=params)


rationals = st.fractions(min_value=-2, max_value=2, max_denominator=6)


def in_sympy(number: Fraction) -> Any:
    return Q(number.numerator, number.denominator)


@settings(max_examples=25, deadline=None)
@given(
    a=st.lists(rationals, min_size=1, max_size=2),
    b=st.lists(rationals, min_size=3, max_size=3),
    ahead=st.one_of(st.just(Fraction(0)), rationals),
)
def test_both_routes_agree_to_order_8(
    a: list[Fraction], b: list[Fraction], ahead: Fraction
) -> None:
    a = [1 - sum(a), *a]
    b = b[: len(a)]
    ring = Rationals()
    rho = [ring.rational(-c.numerator, c.denominator) for c in reversed(a)] + [ring.one]
    sigma = [ring.rational(c.numerator, c.denominator) for c in [*reversed(b), ahead]]
    assume(sum(b) + ahead != 0)
    assume(len(a) - sum(j * c for j, c in enumerate(reversed(a))) != 0)
    source = multistep([*map(in_sympy, a)], [*map(in_sympy, b)], in_sympy(ahead))
    assert read(source, NODES).field.coefficients[0] == field_by_operator(ring, rho, sigma)


def test_both_routes_agree_with_symbols() -> None:
    """LM with a slope of its own weight: (1 - k) u[n] + k u[n-1] + h (b f(u[n]) + (1 - b) f(u[n-1]))."""
    k, b = sympy.symbols("k b")
    reading = read(multistep([1 - k, k], [b, 1 - b], params=["k", "b"]), NODES)
    ring = RationalFunctions(["g0", "g1"])
    of_b, of_k = ring.generator(0), ring.generator(1)
    assert [str(g) for g in reading.coefficients.generators] == ["b", "k"]
    rho = [-of_k, of_k - ring.one, ring.one]
    sigma = [ring.one - of_b, of_b, ring.zero]
    found = reading.field.coefficients[0]
    expected = field_by_operator(ring, rho, sigma)
    assert all(not x - y for x, y in zip(found, expected, strict=True))
    assert any(len(x.denominator.to_dict()) > 1 for x in found)


# --- published constants ------------------------------------------------------------------------

# Hairer, Norsett, Wanner (1993), III.1 tables 1.1 and 1.2 (gamma_k, gamma*_k), III.2 (BDF: -1/(k + 1)).
ERROR_CONSTANTS = {
    "ab2": Q(5, 12),
    "ab3": Q(3, 8),
    "ab4": Q(251, 720),
    "ab5": Q(95, 288),
    "am2": -Q(1, 24),
    "am3": -Q(19, 720),
    "am4": -Q(3, 160),
    "bdf2": -Q(1, 3),
    "bdf3": -Q(1, 4),
    "bdf4": -Q(1, 5),
    "bdf5": -Q(1, 6),
    "bdf6": -Q(1, 7),
}


def analysed(name: str) -> Any:
    checked, _ = examine(source_of(name))
    return study(checked.schemes[0]).analysis


@pytest.mark.parametrize("name", ERROR_CONSTANTS)
def test_error_constant(name: str) -> None:
    assert analysed(name).error_constant == ERROR_CONSTANTS[name]


def test_principal_error_norm_of_dormand_and_prince() -> None:
    """Dormand, Prince (1980): 3.99e-4 for the fifth-order formula."""
    _, value = analysed("dopri5").principal_error_norm
    assert value == pytest.approx(3.99e-4, rel=2e-3)
