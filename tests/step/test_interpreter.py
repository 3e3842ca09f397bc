"""The interpreter against loops from the textbook, written here; and programs that verification refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from schemegen.diagnostics import InternalError
from schemegen.pipeline import load
from schemegen.scheme.builders import from_butcher, from_multistep
from schemegen.step import lower, passes
from schemegen.step.arithmetic import exact, floating, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Combine, Evaluate, Program, Term
from schemegen.step.trajectory import trajectory
from schemegen.step.verify import verify

small = st.fractions(min_value=-2, max_value=2, max_denominator=6)


def field(u: Fraction) -> Fraction:
    """A nonlinear field that stays rational."""
    return u * u - u / 3 + 1


def rational(value: sympy.Expr) -> Fraction:
    return Fraction(int(value.p), int(value.q))


@st.composite
def explicit_tableaus(draw: st.DrawFn) -> tuple[list[list[Fraction]], list[Fraction]]:
    stages = draw(st.integers(1, 4))
    a = [[draw(small) if j < i else Fraction(0) for j in range(stages)] for i in range(stages)]
    b = [draw(small) for _ in range(stages - 1)]
    return a, [*b, 1 - sum(b, Fraction(0))]


def textbook_step(
    a: list[list[Fraction]],
    b: list[Fraction],
    f: Callable[[Fraction], Fraction],
    h: Fraction,
    u: Fraction,
) -> Fraction:
    slopes: list[Fraction] = []
    for row in a:
        slopes.append(
            f(u + h * sum((x * k for x, k in zip(row, slopes, strict=False)), Fraction(0)))
        )
    return u + h * sum((x * k for x, k in zip(b, slopes, strict=True)), Fraction(0))


@given(explicit_tableaus(), small)
@settings(max_examples=40)
def test_random_explicit_tableaus(
    tableau: tuple[list[list[Fraction]], list[Fraction]], start: Fraction
) -> None:
    a, b = tableau
    program = lower(from_butcher(a, b))
    h = Fraction(1, 3)
    arithmetic = exact({"h": sympy.Rational(1, 3)}, tidy=None)
    begin = sympy.Rational(start.numerator, start.denominator)
    found = run(program, {"u[n]": begin}, {"f": lambda u: u**2 - u / 3 + 1}, arithmetic)
    assert rational(found["u[n+1]"]) == textbook_step(a, b, field, h, start)


@given(st.lists(small, min_size=1, max_size=3), st.lists(small, min_size=2, max_size=4), small)
@settings(max_examples=40)
def test_random_multistep_methods(
    alpha: list[Fraction], beta: list[Fraction], start: Fraction
) -> None:
    steps = max(len(alpha) + 1, len(beta))
    alpha = alpha + [Fraction(0)] * (steps - 1 - len(alpha))
    coefficients = [
        Fraction(1),
        *(-1 - sum(alpha, Fraction(0)) if i == 0 else alpha[i - 1] for i in range(steps)),
    ]
    coefficients = coefficients[: steps + 1]
    coefficients[1] = -1 - sum(coefficients[2:], Fraction(0))
    slopes = [Fraction(0), *beta, *[Fraction(0)] * (steps - len(beta))][: steps + 1]
    program = lower(from_multistep(coefficients, slopes, start="copy"))
    h = Fraction(1, 5)
    arithmetic = exact({"h": sympy.Rational(1, 5)}, tidy=None)
    begin = sympy.Rational(start.numerator, start.denominator)
    path = trajectory(
        program, {"u": begin}, 3, fields={"f": lambda u: u / 3 - 1}, arithmetic=arithmetic
    )
    past = [start] * (steps + 1)  # newest first: a copied start is a constant history
    for step in path[1:]:
        new = -sum((c * u for c, u in zip(coefficients[1:], past, strict=False)), Fraction(0))
        new += h * sum(
            (b * (u / 3 - 1) for b, u in zip(slopes[1:], past, strict=False)), Fraction(0)
        )
        past = [new, *past]
        assert rational(step["u"]) == new


def test_implicit_midpoint_is_solved_to_its_fixed_point() -> None:
    scheme = from_butcher([[0.5]], [1], solve="fixed_point, iterations 80")
    found = run(lower(scheme), {"u[n]": 1.0}, {"f": lambda u: -u}, floating({"h": 0.1}))
    assert found["u[n+1]"] == pytest.approx((1 - 0.05) / (1 + 0.05), rel=1e-14)


def test_newton_and_anderson_agree_with_the_exact_solution() -> None:
    for solve in ("newton_krylov, iterations 20", "anderson, iterations 40"):
        program = lower(from_butcher([[0.25, 0], [0.5, 0.25]], [0.5, 0.5], solve=solve))
        field_ = {"f": lambda u: -2 * u}
        iterated = run(program, {"u[n]": 1.0}, field_, floating({"h": 0.2}))["u[n+1]"]
        solved = run(
            program,
            {"u[n]": sympy.Integer(1)},
            field_,
            exact({"h": sympy.Rational(1, 5)}),
            implicit="exact",
        )["u[n+1]"]
        assert iterated == pytest.approx(float(solved), rel=1e-11)


def test_phi_functions_are_smooth_where_their_formulas_cancel() -> None:
    table = functions_of(math)
    for order, formula in (
        (1, lambda z: math.expm1(z) / z),
        (2, lambda z: (math.expm1(z) - z) / z**2),
    ):
        for z in (-30.0, -1.0001, -0.9999, 0.9999, 1.0001, 3.0):
            assert table[f"phi{order}"](z) == pytest.approx(formula(z), rel=1e-12)
        assert table[f"phi{order}"](0.0) == 1 / math.factorial(order)
        assert table[f"phi{order}"](1e-9) == pytest.approx(1 / math.factorial(order), rel=1e-8)


@pytest.mark.parametrize("name", ["rk4", "bs23", "lm_resnet", "revnet", "ars222", "gauss2"])
def test_passes_change_no_value(name: str) -> None:
    """A program that computes one evaluation twice, and one for nothing, is tidied to the one it was."""
    program = lower(load(name))
    first = next(item for item in program.statements if isinstance(item, Evaluate))
    again = replace(first, target="again", call=first.call + 100)
    unused = replace(first, target="unused", call=first.call + 101)
    doubled = []
    for statement in program.statements:
        if isinstance(statement, Combine) and statement.target.endswith("[n+1]"):
            terms = tuple(
                piece
                for term in statement.terms
                for piece in (
                    (Term(term.coefficient / 2, term.value), Term(term.coefficient / 2, "again"))
                    if term.value == first.target
                    else (term,)
                )
            )
            doubled.append(replace(statement, terms=terms))
        else:
            doubled.append(statement)
        if statement is first:
            doubled += [again, unused]
    noisy = replace(program, statements=tuple(doubled))
    tidied = passes.tidy(noisy)
    assert sum(isinstance(item, Evaluate) for item in tidied.statements) == sum(
        isinstance(item, Evaluate) for item in program.statements
    )
    values = {f"{state.name}[n]": 0.3 + index for index, state in enumerate(program.states)}
    values |= {item.name: 0.7 for item in program.inputs}
    fields = {item.name: (lambda *u: math.sin(sum(u))) for item in program.fields}
    arithmetic = floating({"h": 0.1, "k": 0.2})
    before, after = (run(item, values, fields, arithmetic) for item in (noisy, tidied))
    for state in program.states:
        assert after[f"{state.name}[n+1]"] == pytest.approx(before[f"{state.name}[n+1]"], rel=1e-14)


def broken(name: str, change: Callable[[Program], Program]) -> Program:
    return change(lower(load(name)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, statements=p.statements[:-1]), "never set"),
        (lambda p: replace(p, statements=p.statements[1:]), "reads k1 too early"),
        (lambda p: replace(p, statements=(*p.statements, p.statements[-1])), "is set twice"),
        (
            lambda p: replace(
                p,
                statements=(
                    *p.statements[:-1],
                    replace(
                        p.statements[-1],
                        terms=(*p.statements[-1].terms, Term(sympy.Integer(0), "u[n]")),
                    ),
                ),
            ),
            "has the coefficient 0",
        ),
    ],
    ids=["state not set", "use before definition", "set twice", "zero coefficient"],
)
def test_verification_refuses(change: Callable[[Program], Program], message: str) -> None:
    verify(lower(load("rk4")))
    with pytest.raises(InternalError, match=message):
        verify(broken("rk4", change))
