"""Tableaus as step programs, worked out by hand."""

from __future__ import annotations

import sympy
from schemes import (
    BS23,
    EULER,
    MIDPOINT,
    RK4,
    R,
    additive,
    drift,
    runge_kutta,
    scheme,
    solver,
    tableau,
)

from schemegen.step import dump, lower
from schemegen.step.program import Combine, Evaluate, Solve, walk


def body(text: str) -> list[str]:
    """Return the statements of a dump, without head and starter."""
    main = text.partition("\n  starter\n")[0]
    lines = [line[2:] for line in main.splitlines()[1:]]
    return [line for line in lines if not line.startswith(("state ", "drift ", "pointwise "))]


def lowered(*args: object, **kwargs: object) -> list[str]:
    return body(dump(lower(*args, **kwargs)))  # type: ignore[arg-type]


def test_a_first_stage_equal_to_u_is_no_statement() -> None:
    assert lowered(runge_kutta(*MIDPOINT)) == [
        "k1 := f(u[n])  # call 0, weights 0",
        "Y2 := (1)*u[n] + (h/2)*k1",
        "k2 := f(Y2)  # call 1, weights 0",
        "u[n+1] := (1)*u[n] + (h)*k2",
    ]


def test_rk4() -> None:
    assert lowered(runge_kutta(*RK4)) == [
        "k1 := f(u[n])  # call 0, weights 0",
        "Y2 := (1)*u[n] + (h/2)*k1",
        "k2 := f(Y2)  # call 1, weights 0",
        "Y3 := (1)*u[n] + (h/2)*k2",
        "k3 := f(Y3)  # call 2, weights 0",
        "Y4 := (1)*u[n] + (h)*k3",
        "k4 := f(Y4)  # call 3, weights 0",
        "u[n+1] := (1)*u[n] + (h/6)*k1 + (h/3)*k2 + (h/3)*k3 + (h/6)*k4",
    ]


def test_an_embedded_row_is_a_value_of_its_own() -> None:
    program = lower(runge_kutta(*BS23))
    assert program.embedded == (("u", "u_hat[n+1]"),)
    assert body(dump(program))[-3:] == [
        "u[n+1] := (1)*u[n] + (2*h/9)*k1 + (h/3)*k2 + (4*h/9)*k3",
        "u_hat[n+1] := (1)*u[n] + (7*h/24)*k1 + (h/4)*k2 + (h/3)*k3 + (h/8)*k4",
        "embedded u = u_hat[n+1]",
    ]


def test_weights_per_stage_and_per_call_number_the_stages() -> None:
    for mode in ("stage", "call"):
        program = lower(runge_kutta(*RK4, drifts=(drift(weights=mode),)))
        evaluations = [item for item in walk(program.statements) if isinstance(item, Evaluate)]
        assert [item.weights for item in evaluations] == [0, 1, 2, 3]
        assert [item.call for item in evaluations] == [0, 1, 2, 3]


def test_an_unused_stage_is_dropped_and_weights_have_no_gap() -> None:
    entries = ([[0, 0, 0], [1, 0, 0], [R(1, 2), 0, 0]], [R(1, 2), 0, R(1, 2)])
    assert lowered(runge_kutta(*entries, drifts=(drift(weights="stage"),))) == [
        "k1 := f(u[n])  # call 0, weights 0",
        "Y3 := (1)*u[n] + (h/2)*k1",
        "k3 := f(Y3)  # call 1, weights 1",
        "u[n+1] := (1)*u[n] + (h/2)*k1 + (h/2)*k3",
    ]


def test_backward_euler_solves_for_its_stage_and_evaluates_again() -> None:
    text = lowered(runge_kutta([[1]], [1], kind="dirk", solver=solver(iterations=3)))
    assert text == [
        "solve Y1 by fixed_point, 3 iterations",
        "  guess Y1 := (1)*u[n]",
        "  k1_sweep := f(Y1)  # call 0, weights 0",
        "  Y1 := (1)*u[n] + (h)*k1_sweep",
        "k1 := f(Y1)  # call 1, weights 0",
        "u[n+1] := (1)*u[n] + (h)*k1",
    ]


def test_dirk_stages_are_solved_one_after_another_with_surds() -> None:
    g = (2 - sympy.sqrt(2)) / 2
    text = lowered(runge_kutta([[g, 0], [1 - g, g]], [1 - g, g], kind="dirk", solver=solver()))
    assert text == [
        "solve Y1 by fixed_point, 4 iterations",
        "  guess Y1 := (1)*u[n]",
        "  k1_sweep := f(Y1)  # call 0, weights 0",
        "  Y1 := (1)*u[n] + (h*(1 - sqrt(2)/2))*k1_sweep",
        "k1 := f(Y1)  # call 1, weights 0",
        "solve Y2 by fixed_point, 4 iterations",
        "  guess Y2 := (1)*u[n]",
        "  k2_sweep := f(Y2)  # call 2, weights 0",
        "  Y2 := (1)*u[n] + (sqrt(2)*h/2)*k1 + (h*(1 - sqrt(2)/2))*k2_sweep",
        "k2 := f(Y2)  # call 3, weights 0",
        "u[n+1] := (1)*u[n] + (sqrt(2)*h/2)*k1 + (h*(1 - sqrt(2)/2))*k2",
    ]


def test_an_implicit_tableau_is_one_group_guessed_by_euler_steps() -> None:
    s = sympy.sqrt(3)
    a = [[R(1, 4), R(1, 4) - s / 6], [R(1, 4) + s / 6, R(1, 4)]]
    program = lower(
        runge_kutta(a, [R(1, 2)] * 2, kind="implicit", solver=solver(init="euler", iterations=5))
    )
    first, solve, *after = program.statements
    assert isinstance(first, Evaluate)
    assert (first.target, first.at) == ("k0", ("u[n]",))
    assert isinstance(solve, Solve)
    assert solve.targets == ("Y1", "Y2")
    h = sympy.Symbol("h")
    expected = [(1, h * (R(1, 2) - s / 6)), (1, h * (R(1, 2) + s / 6))]
    for terms, (old, slope) in zip(solve.guess, expected, strict=True):
        assert [term.value for term in terms] == ["u[n]", "k0"]
        assert terms[0].coefficient == old
        assert sympy.expand(terms[1].coefficient - slope) == 0
    assert [item.target for item in after] == ["k1", "k2", "u[n+1]"]


def test_an_explicit_first_stage_stays_outside_the_group() -> None:
    # Lobatto IIIA: the first row is zero, the second stage is implicit in itself alone
    text = lowered(
        runge_kutta([[0, 0], [R(1, 2)] * 2], [R(1, 2)] * 2, kind="implicit", solver=solver())
    )
    assert text[0] == "k1 := f(u[n])  # call 0, weights 0"
    assert text[1] == "solve Y2 by fixed_point, 4 iterations"
    assert text[-1] == "u[n+1] := (1)*u[n] + (h/2)*k1 + (h/2)*k2"


def test_additive_parts_share_their_stages() -> None:
    update = additive(f=tableau([[0, 0], [1, 0]], [1, 0]), g=tableau([[0, 0], [0, 1]], [0, 1]))
    program = lower(scheme(update, drifts=(drift("f"), drift("g")), solver=solver()))
    assert body(dump(program)) == [
        "k1_f := f(u[n])  # call 0, weights 0",
        "solve Y2 by fixed_point, 4 iterations",
        "  guess Y2 := (1)*u[n]",
        "  k2_g_sweep := g(Y2)  # call 0, weights 0",
        "  Y2 := (1)*u[n] + (h)*k1_f + (h)*k2_g_sweep",
        "k2_g := g(Y2)  # call 1, weights 0",
        "u[n+1] := (1)*u[n] + (h)*k1_f + (h)*k2_g",
    ]


def test_one_tableau_for_two_drifts_is_for_their_sum() -> None:
    update = additive(f=tableau(*MIDPOINT))
    part = update.parts[0]
    both = type(update)((type(part)(("f", "g"), part.tableau, part.span),))
    assert lowered(scheme(both, drifts=(drift("f"), drift("g")))) == [
        "k1_f := f(u[n])  # call 0, weights 0",
        "k1_g := g(u[n])  # call 0, weights 0",
        "Y2 := (1)*u[n] + (h/2)*k1_f + (h/2)*k1_g",
        "k2_f := f(Y2)  # call 1, weights 0",
        "k2_g := g(Y2)  # call 1, weights 0",
        "u[n+1] := (1)*u[n] + (h)*k2_f + (h)*k2_g",
    ]


def test_a_learnable_entry_stays_a_symbol() -> None:
    k = sympy.Symbol("k")
    a, b = [[0, 0], [1 / (2 * k), 0]], [1 - k, k]
    assert lowered(runge_kutta(a, b))[1:] == [
        "Y2 := (1)*u[n] + (h/(2*k))*k1",
        "k2 := f(Y2)  # call 1, weights 0",
        "u[n+1] := (1)*u[n] + (-h*k + h)*k1 + (h*k)*k2",
    ]


def test_origins_name_the_stage() -> None:
    program = lower(runge_kutta(*EULER))
    stages = [item.origin.stage for item in walk(program.statements)]
    assert stages == ["k1", "u[n+1]"]
    assert all(isinstance(item, (Combine, Evaluate)) for item in program.statements)
