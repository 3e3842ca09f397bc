"""Zero is decided in a field: identities that structural comparison misses, and near misses that are not zero."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational, exp, root, sqrt, symbols

from schemegen import exact

k, h, lam = symbols("k h lam")


def phi(order: int, argument: sympy.Expr) -> sympy.Expr:
    return exact.phi(order, argument)


@pytest.mark.parametrize(
    "expression",
    [
        -Rational(1, 2) + (1 - sqrt(2) / 2) / (2 - sqrt(2)),
        sqrt(2) * sqrt(3) - sqrt(6),
        sqrt(2 + sqrt(2)) ** 2 - 2 - sqrt(2),
        sqrt(3 + 2 * sqrt(2)) - 1 - sqrt(2),
        root(2, 3) ** 3 - 2,
        (1 - k**2) / (1 - k) - 1 - k,
        sqrt(k) ** 2 - k,
        exp(-h * lam) - exp(-h * lam / 2) ** 2,
        exp(h * k) * exp(-h * k) - 1,
        phi(1, -h * lam) * (-h * lam) + 1 - exp(-h * lam),
        phi(2, h * k) * (h * k) ** 2 - exp(h * k) + 1 + h * k,
        (sqrt(2) * k + 1) * (sqrt(2) * k - 1) - 2 * k**2 + 1,
    ],
    ids=str,
)
def test_zero(expression: sympy.Expr) -> None:
    assert exact.is_zero(expression)


@pytest.mark.parametrize(
    "expression",
    [
        sqrt(2) + sqrt(3) - Rational(31462643699, 10**10),
        Rational(1, 3) - Rational(333333333333333333, 10**18),
        exp(-h * lam) - 1 + h * lam,
        phi(1, h) - phi(2, h),
        sqrt(k) - k,
    ],
    ids=str,
)
def test_not_zero(expression: sympy.Expr) -> None:
    assert not exact.is_zero(expression)


def test_phi_at_zero_is_its_limit() -> None:
    assert [exact.phi(order, sympy.Integer(0)) for order in (1, 2, 3)] == [
        1,
        Rational(1, 2),
        Rational(1, 6),
    ]


numbers = st.fractions(max_denominator=50, min_value=-20, max_value=20)


def surd(rational: Fraction, first: Fraction, second: Fraction) -> sympy.Expr:
    parts = (Rational(item.numerator, item.denominator) for item in (rational, first, second))
    return sum(
        (part * base for part, base in zip(parts, (1, sqrt(2), sqrt(5)), strict=True)), sympy.S.Zero
    )


triples = st.tuples(numbers, numbers, numbers)


@given(triples, triples)
def test_equal_forms_share_their_canonical_form(
    first: tuple[Fraction, Fraction, Fraction], second: tuple[Fraction, Fraction, Fraction]
) -> None:
    left, right = surd(*first), surd(*second)
    product = sympy.Mul(left, right, evaluate=False)
    assert exact.canonical(product) == exact.canonical(sympy.expand(left * right))
    assert exact.equal(product - product + left, left)
    assert exact.is_zero(left) == (first == (0, 0, 0))


@given(numbers, numbers)
def test_rational_functions_cancel(first: Fraction, second: Fraction) -> None:
    a, b = (Rational(item.numerator, item.denominator) for item in (first, second))
    numerator = sympy.expand((k - a) * (k - b))
    assert exact.canonical(numerator / (k - a)) == exact.canonical(k - b)


def test_division_by_a_hidden_zero_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        exact.is_zero(1 / (sqrt(3 + 2 * sqrt(2)) - 1 - sqrt(2)))
