"""Programs at the edge of what has a small-step expansion: facts where there are any, never a crash."""

from __future__ import annotations

import pytest
import sympy
from series_programs import H, Q, combine, evaluate, program, runge_kutta

from schemegen.analysis.expansion import expand
from schemegen.diagnostics import Source
from schemegen.pipeline import diagnose
from schemegen.resources import resource_dir
from schemegen.step.program import Program

K = sympy.Symbol("k")
EULER_SLOPE = evaluate("k1", "f", "u[n]")


def step(*pairs: tuple[object, str]) -> Program:
    return program([EULER_SLOPE, combine("u[n+1]", *pairs)], params=["k"])


@pytest.mark.parametrize(
    "scheme",
    [
        step((2, "u[n]")),
        step(),
        step((1, "u[n]"), (1, "k1")),
        step((1 - K, "u[n]"), (H / K, "k1")),
        step((1, "u[n]"), (1 / H, "k1")),
        program(
            [combine("v[n+1]", (1, "x[n]")), combine("x[n+1]", (1, "v[n]"))], states=("x", "v")
        ),
    ],
)
def test_no_limit(scheme: Program) -> None:
    result = expand(scheme)
    assert not result.small_step_limit
    assert (result.order, result.consistent, result.modified_equation) == (None, None, None)
    assert [note.code for note in result.notes] == ["W0409"]


@pytest.mark.parametrize(
    "scheme",
    [
        step((1, "u[n]"), (sympy.sin(H), "k1")),
        runge_kutta([[0], [sympy.sqrt(K)]], [1 - K, K]),
        runge_kutta([[0], [sympy.Max(0, K)]], [1 - K, K]),
        runge_kutta([[0], [sympy.exp(K)]], [1 - sympy.tanh(K), sympy.tanh(K)]),
        program(
            [evaluate("k1", "f", "x[n]", "x[n]"), combine("x[n+1]", (1, "x[n]"), (H, "k1"))],
            states=("x",),
            fields=(("f", ("x", "v")),),
        ),
    ],
)
def test_no_series(scheme: Program) -> None:
    result = expand(scheme)
    assert not result.is_series
    assert (result.order, result.consistent, result.modified_equation) == (None, None, None)
    assert result.notes[0].text


def test_a_step_that_does_nothing() -> None:
    result = expand(program([combine("u[n+1]", (1, "u[n]"))]))
    assert result.consistent is False
    assert result.order is None


def test_a_constant_field() -> None:
    result = expand(step((1, "u[n]"), (H, "k1"), (H * K, "1")))
    assert result.order == 1
    assert dict(result.limit)["u"] == (("f", 1), ("1", K))


def test_surds_beside_symbols() -> None:
    """b2 c2 = 1/2 at k = sqrt(2)/2 with c2 = k sqrt(2)/2, b2 = k."""
    failure = expand(runge_kutta([[0], [sympy.sqrt(2) / 2 * K]], [1 - K, K])).failure
    assert failure is not None
    assert failure.tree == "f[f]"
    assert sympy.expand(failure.weight - sympy.sqrt(2) / 2 * K**2) == 0


def test_a_function_of_a_symbol_is_a_number_of_its_own() -> None:
    failure = expand(runge_kutta([[0], [sympy.exp(K)]], [1 - K, K])).failure
    assert failure is not None
    assert sympy.expand(failure.weight - K * sympy.exp(K)) == 0


def test_the_family_of_second_order_methods_of_two_stages() -> None:
    """b = (1 - 1/(2c), 1/(2c)): order 2 for every c; HNW II.1, eq. 1.7."""
    assert expand(runge_kutta([[0], [K]], [1 - 1 / (2 * K), 1 / (2 * K)])).order == 2


def test_position_and_velocity_are_fields_of_one_another() -> None:
    """x' = v, v' = f(x), by symplectic Euler with the new velocity: x' = v + h/2 f - h^2/6 f'v + .."""
    scheme = program(
        [
            evaluate("k1", "f", "x[n]"),
            combine("v[n+1]", (1, "v[n]"), (H, "k1")),
            combine("x[n+1]", (1, "x[n]"), (H, "v[n+1]")),
        ],
        states=("x", "v"),
        fields=(("f", ("x",)),),
    )
    result = expand(scheme, 3)
    assert (result.order, result.consistent) == (1, True)
    assert result.modified_equation is not None
    assert result.modified_equation.field is not None
    fields = {
        state: {(t.tree, t.h_power): t.coefficient for t in terms if t.h_power < 3}
        for state, terms in result.modified_equation.field
    }
    assert fields["x"] == {("v", 0): 1, ("f", 1): Q(1, 2), ("f[v]", 2): -Q(1, 6)}
    assert fields["v"] == {
        ("f", 0): 1,
        ("f[v]", 1): -Q(1, 2),
        ("f[f]", 2): -Q(1, 6),
        ("f[v,v]", 2): Q(1, 12),
    }


def test_a_field_of_two_states() -> None:
    """x' = f(x, v), v' = g(x, v) by Euler: -h/2 (f_x f + f_v g)."""
    scheme = program(
        [
            evaluate("k1", "f", "x[n]", "v[n]"),
            evaluate("l1", "g", "x[n]", "v[n]"),
            combine("x[n+1]", (1, "x[n]"), (H, "k1")),
            combine("v[n+1]", (1, "v[n]"), (H, "l1")),
        ],
        states=("x", "v"),
        fields=(("f", ("x", "v")), ("g", ("x", "v"))),
    )
    result = expand(scheme, 2)
    assert result.modified_equation is not None
    assert result.modified_equation.field is not None
    state, terms = result.modified_equation.field[0]
    assert state == "x"
    assert {t.tree: t.coefficient for t in terms} == {
        "f": 1,
        "f[f]": -Q(1, 2),
        "f[g]": -Q(1, 2),
    }


@pytest.mark.parametrize(
    ("name", "rescaled"),
    [("in_resnet", False), ("exp_euler", False), ("hamiltonian", False), ("fractal3", True)],
)
def test_linear_terms_and_signs_are_meant_and_factors_are_named(name: str, rescaled: bool) -> None:
    path = f"schemes/{name}.scheme"
    text = (resource_dir("zoo") / path).read_text(encoding="utf-8")
    codes = {diagnostic.code for diagnostic in diagnose(Source(path, text))}
    assert "W0403" not in codes
    assert ("W0404" in codes) == rescaled
