"""Exact sets of parameter values, against the literature and against the same scheme with numbers.

Sources: Hairer, Norsett, Wanner (1993), II.1 and III.3; Hairer, Wanner (1996), IV.6 (SDIRK, table 6.3 and
exercise 6) and V.1.
"""

from __future__ import annotations

from random import Random

import pytest
import sympy
from schemes_in_symbols import HEAD, SOLVE, TEXTS, analysed, at, history, holds, loaded, params
from sympy import Rational

from schemegen.analysis.analyze import analyze
from schemegen.analysis.expansion import expand
from schemegen.analysis.linear import LinearStep, NotLinearError, linear_step
from schemegen.analysis.model import Admissible, Analysis, OrderSet
from schemegen.analysis.order_sets import Orders, symbols_of
from schemegen.analysis.polynomial_systems import Family
from schemegen.analysis.special_orders import substituted
from schemegen.exact import is_zero
from schemegen.step.program import Program

HALF = sympy.Rational(1, 2)
THREE_STAGES = (
    HEAD
    + params("a21", "a31", "a32", "b1", "b2", "b3")
    + "tableau explicit {\n0 |\na21 | a21\n(a31 + a32) | a31 a32\n---+---\n| b1 b2 b3\n}\n}"
)
ADDITIVE = (
    "scheme s {\n  state u; drift f(u), g(u)\n"
    + params("a", "b", "c")
    + "  step {\n Y = u[n] + h*a*f(u[n]) + h*b*g(u[n])\n"
    + " u[n+1] = u[n] + h*(c*f(Y) + (1 - c)*f(u[n])) + h*g(Y)\n }\n}"
)


def sets(name: str) -> Admissible:
    found = analysed(name).admissible
    assert found is not None
    return found


def orders(items: tuple[OrderSet, ...] | None) -> dict[int, bool | str | None]:
    assert items is not None
    return {item.order: item.when for item in items}


def test_two_stages() -> None:
    found = sets("rk2")
    assert found.consistent == "b1 = 1 - b2"
    assert orders(found.order) == {
        1: "b1 = 1 - b2",
        2: "a21 = 1/(2*b2), b1 = 1 - b2, b2 != 0",
        3: False,
    }
    assert found.order is not None
    assert found.order[1].conditions == ("a21*b2 = 1/2",)
    assert found.order_rescaled is None


def test_three_stages_of_order_three_split_into_cases() -> None:
    """The one-parameter case b2 = 0, c3 = 2/3 stands apart. Source: Butcher (2016), sec. 233, case II/III."""
    found = analyze(*loaded(THREE_STAGES)).admissible
    assert found is not None
    assert found.order is not None
    third = found.order[2]
    assert (
        "a21 = 2/(9*a32), a31 = 2/3 - a32, b1 = 1/4, b2 = 0, b3 = 3/4, a32 != 0" in third.families
    )
    assert orders(found.order)[4] is False


def test_the_two_step_family() -> None:
    """Order 3 of an explicit two-step method is unique, and not zero-stable (HNW III.3, eq. 3.3)."""
    found = orders(sets("family").order)
    assert found == {
        1: "a1 = 2 - b1 - b0, a2 = -1 + b1 + b0, b0 + b1 != 0",
        2: "a1 = -2*b1, a2 = 1 + 2*b1, b0 = 2 + b1, b1 != -1",
        3: "a1 = -4, a2 = 5, b0 = 4, b1 = 2",
        4: False,
    }
    special = at("family", a1=-4, a2=5, b0=4, b1=2)
    assert special.order == 3
    assert special.stability.zero_stable is False


def test_orders_for_the_limit_of_the_scheme_itself() -> None:
    found = sets("two_step")
    assert orders(found.order) == {1: "k = 0", 2: False}
    assert orders(found.order_rescaled) == {1: "k != -1", 2: "k = 1", 3: False}
    assert found.zero_stable == "-1 < k <= 1"


def test_heavy_ball() -> None:
    found = sets("heavy_ball")
    assert orders(found.order) == {1: "beta = 1 - s, s != 0", 2: "beta = -1, s = 2", 3: False}
    assert orders(found.order_rescaled) == {
        1: "beta != 1, s != 0",
        2: "beta = -1, s != 0",
        3: False,
    }


@pytest.mark.parametrize(
    ("name", "a_stable", "l_stable"),
    [
        ("theta", "theta >= 1/2", "theta = 1"),
        ("sdirk", "gamma >= 1/4", "gamma = 1 - sqrt(2)/2 or gamma = 1 + sqrt(2)/2"),
        (
            "stiffly_accurate",
            "1 - sqrt(2)/2 <= g <= 1 + sqrt(2)/2",
            "1 - sqrt(2)/2 <= g <= 1 + sqrt(2)/2",
        ),
        ("implicit_two_step", "-1/3 <= k <= 1", "-1/3 <= k <= 1"),
        ("two_step", False, False),
    ],
)
def test_a_and_l_stable(name: str, a_stable: bool | str, l_stable: bool | str) -> None:
    found = sets(name)
    assert (found.a_stable, found.l_stable) == (a_stable, l_stable)


def test_sdirk_of_order_three() -> None:
    assert orders(sets("sdirk").order) == {
        1: True,
        2: True,
        3: "gamma = 1/2 - sqrt(3)/6 or gamma = 1/2 + sqrt(3)/6",
        4: False,
    }


# --- the same scheme with numbers ----------------------------------------------------------------------

STEP = sympy.Rational(1, 10**6)


@pytest.mark.parametrize(
    ("name", "symbol", "ends"),
    [
        ("theta", "theta", [HALF, sympy.Integer(1)]),
        ("sdirk", "gamma", [sympy.Rational(1, 4), 1 - sympy.sqrt(2) / 2, 1 + sympy.sqrt(2) / 2]),
        ("stiffly_accurate", "g", [1 - sympy.sqrt(2) / 2, 1 + sympy.sqrt(2) / 2, sympy.Integer(0)]),
        ("implicit_two_step", "k", [sympy.Rational(-1, 3), sympy.Integer(1), sympy.Integer(-1)]),
    ],
)
def test_the_ends_of_a_set_with_numbers(name: str, symbol: str, ends: list[sympy.Expr]) -> None:
    """At each end, just below and just above it, the scheme with that number is as the set says."""
    found = sets(name)
    for end in ends:
        near = sympy.Rational(str(sympy.N(end, 12)))
        for value in (end, near - STEP, near + STEP, near - 1, near + 3):
            special = at(name, **{symbol: value}).stability
            for text, verdict in (
                (found.a_stable, special.a_stable),
                (found.l_stable, special.l_stable),
            ):
                assert isinstance(text, str)
                assert verdict == holds(text, {symbol: value}), (name, value, text)


def order_at(text: str, values: dict[str, sympy.Expr]) -> int:
    """Return the order for ``u' = f`` with these numbers, 0 where the scheme solves another equation."""
    _, program = loaded(text)
    numbers = {sympy.Symbol(key): value for key, value in values.items()}
    found = expand(substituted(program, numbers))
    return (found.order or found.order_at_least) if found.consistent is True else 0


@pytest.mark.parametrize(
    "text",
    [TEXTS["rk2"], TEXTS["family"], TEXTS["heavy_ball"], TEXTS["sdirk"], THREE_STAGES, ADDITIVE],
    ids=["rk2", "family", "heavy_ball", "sdirk", "three_stages", "additive"],
)
def test_orders_at_points_of_the_families_and_beside_them(text: str) -> None:
    _, program = loaded(text)
    orders_ = Orders(program, linear_step_or_none(program), symbols_of(program))
    orders_.find()
    rng = Random(text)
    for level in orders_.plain:
        for family in level.families:
            for _ in range(4):
                free = {s: Rational(rng.randint(1, 9), rng.randint(1, 4)) for s in orders_.symbols}
                values = {**free, **{s: e.subs(free) for s, e in family.values}}
                kept = [family.space.expression(q).subs(values) for q in family.excluded]
                rest = [family.space.expression(q).subs(values) for q in family.rest]
                if any(value == 0 for value in kept) or any(value != 0 for value in rest):
                    continue
                named = {s.name: v for s, v in values.items()}
                assert order_at(text, named) >= level.order
                moved = {**named, rng.choice(sorted(named)): Rational(rng.randint(1, 9), 5)}
                inside = any(contains(other, moved) for other in level.families)
                assert (order_at(text, moved) >= level.order) == inside


def contains(family: Family, values: dict[str, sympy.Expr]) -> bool:
    point = {s: values[s.name] for s in family.space.symbols}
    number = {s: e.subs(point) for s, e in family.values}
    return (
        all(is_zero(value - point[s]) for s, value in number.items() if value.is_finite)
        and all(value.is_finite for value in number.values())
        and all(family.space.expression(q).subs(point) != 0 for q in family.excluded)
        and all(family.space.expression(q).subs(point) == 0 for q in family.rest)
    )


def linear_step_or_none(program: Program) -> LinearStep | None:
    try:
        return linear_step(program)
    except NotLinearError:
        return None


def test_gauss_is_the_only_method_of_order_four_with_two_stages() -> None:
    """Source: Hairer, Norsett, Wanner (1993), II.7, table 7.3; Butcher (1964)."""
    text = HEAD + params("a11", "a12", "a21", "a22", "b1", "b2") + "tableau implicit {\n"
    text += "(a11 + a12) | a11 a12\n(a21 + a22) | a21 a22\n---+---\n| b1 b2\n}\n" + SOLVE + "}"
    found = analyze(*loaded(text)).admissible
    assert found is not None
    assert found.order is not None
    assert set(found.order[3].families) == {
        "a11 = 1/4, a12 = 1/4 - sqrt(3)/6, a21 = sqrt(3)/6 + 1/4, a22 = 1/4, b1 = 1/2, b2 = 1/2",
        "a11 = 1/4, a12 = sqrt(3)/6 + 1/4, a21 = 1/4 - sqrt(3)/6, a22 = 1/4, b1 = 1/2, b2 = 1/2",
    }
    assert orders(found.order)[5] is False


def test_a_symmetric_composition() -> None:
    """The triple jump: order 4 iff 2 c^3 + (1 - 2 c)^3 = 0 (Hairer, Lubich, Wanner 2006, II.4.2)."""
    text = "scheme s {\n  state q, p; drift f(p), g(q)\n" + params("c") + "  step {\n"
    text += "q1 = q[n] + h*c/2*f(p[n])\np1 = p[n] + h*c*g(q1)\nq2 = q1 + h*(1 - c)/2*f(p1)\n"
    text += "p2 = p1 + h*(1 - 2*c)*g(q2)\nq3 = q2 + h*(1 - c)/2*f(p2)\np[n+1] = p2 + h*c*g(q3)\n"
    text += "q[n+1] = q3 + h*c/2*f(p[n+1])\n}\n}"
    found = analyze(*loaded(text)).admissible
    assert found is not None
    root = "c - 2*c^2 + c^3 = 1/6 (c near 1.35120719)"  # 1/(2 - 2^(1/3))
    assert orders(found.order) == {1: True, 2: True, 3: root, 4: root, 5: False}


# --- ranges ------------------------------------------------------------------------------------------


def ranged(name: str, **ranges: str) -> Analysis:
    text = TEXTS[name]
    for param, values in ranges.items():
        text = text.replace(f"param {param}: learnable, per network", f"param {param}: {values}")
    return analyze(*loaded(text))


def claims(found: Analysis) -> dict[str, tuple[str, str]]:
    assert found.admissible is not None
    return {item.claim: (item.range, item.set) for item in found.admissible.proofs}


def codes(found: Analysis) -> set[str]:
    return {item.code for item in found.diagnostics}


@pytest.mark.parametrize(
    ("values", "proved"),
    [
        ("learnable, per network, init 3/4, range [1/2, 1]", {"A_stable"}),
        ("learnable, per network, init 3/4, range [1/2, inf)", {"A_stable"}),
        ("learnable, per network, init 3/4, range [49/100, 1]", set()),
        ("fixed, per network, init 1", {"A_stable", "L_stable"}),
        ("fixed, per network, init 1/2", {"A_stable", "order >= 2"}),
        ("learnable, per network, init 3/4, via sigmoid(raw)", set()),
        ("learnable, per network, init 3/4", set()),
    ],
)
def test_what_a_range_of_theta_proves(values: str, proved: set[str]) -> None:
    assert claims(ranged("theta", theta=values)).keys() == proved


def test_the_lines_of_a_proof() -> None:
    found = ranged("two_step", k="learnable, per network, init 0, range [0, 1]")
    assert claims(found) == {"zero_stable": ("0 <= k <= 1", "-1 < k <= 1")}
    assert "W0402" not in codes(found)
    assert "W0402" in codes(ranged("two_step", k="learnable, per network, init 0, range [-1, 1]"))


def test_a_fixed_value_that_makes_the_scheme_consistent_is_not_warned_of() -> None:
    assert "W0404" not in codes(ranged("two_step", k="fixed, per network, init 0"))
    assert "W0404" in codes(ranged("two_step", k="fixed, per network, init 1/2"))


@pytest.mark.parametrize(("values", "holds_"), [("[1/2, 1]", True), ("[0, 1]", None)])
def test_a_claim_that_the_range_proves(values: str, holds_: bool | None) -> None:
    text = TEXTS["theta"][:-1] + "  expect A_stable\n}"
    text = text.replace(
        "param theta: learnable, per network",
        f"param theta: learnable, per network, init 3/4, range {values}",
    )
    (verdict,) = analyze(*loaded(text)).verdicts
    assert verdict.holds is holds_


# --- hostile sizes -----------------------------------------------------------------------------------


def test_ten_symbols_and_a_general_tableau_of_four_stages() -> None:
    rows = "0 |\na21 | a21\n(a31 + a32) | a31 a32\n(a41 + a42 + a43) | a41 a42 a43\n"
    names = ["a21", "a31", "a32", "a41", "a42", "a43", "b1", "b2", "b3", "b4"]
    text = HEAD + params(*names) + "tableau explicit {\n" + rows + "---+---\n| b1 b2 b3 b4\n}\n}"
    scheme, program = loaded(text)
    found = analyze(scheme, program)
    assert found.order is not None
    assert found.admissible is not None
    assert found.admissible.order is not None
    first, second = found.admissible.order[:2]
    assert first.conditions == ("b1 + b2 + b3 + b4 = 1",)
    assert isinstance(second.when, str)
    assert any(note.key == "admissible.order" for note in found.notes)


def test_a_long_memory_with_ten_symbols() -> None:
    names = [f"a{i}" for i in range(10)]
    found = analyze(*loaded(history(names, names)))
    assert found.admissible is not None
    assert found.admissible.zero_stable is None
    assert any(note.key == "stability.zero_stable" for note in found.notes)


def test_high_powers_of_a_symbol() -> None:
    found = analyze(*loaded(history(["k"], ["1 - k^40", "k^40"]))).admissible
    assert found is not None
    assert found.zero_stable == "-1 <= k <= 1"
    assert orders(found.order) == {1: "k = 0", 2: False}
