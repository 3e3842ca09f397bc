"""Multistep rows as step programs, worked out by hand."""

from __future__ import annotations

from schemes import R, drift, multistep, scheme, solver
from test_tableau_lowering import body, lowered

from schemegen.scheme.model import Multistep
from schemegen.step import dump, lower
from schemegen.step.program import Input


def test_adams_bashforth_keeps_its_slope() -> None:
    program = lower(multistep([1, -1, 0], [0, R(3, 2), R(-1, 2)]))
    assert program.inputs == (Input("f(u[n-1])", "f(u[n])", 1),)
    assert program.history == 1
    assert body(dump(program))[1:] == [
        "f(u[n]) := f(u[n])  # call 0, weights 0",
        "u[n+1] := (1)*u[n] + (3*h/2)*f(u[n]) + (-h/2)*f(u[n-1])",
    ]


def test_a_slope_that_only_later_steps_use_is_still_evaluated() -> None:
    program = lower(multistep([1, -1, 0], [0, 0, 1]))
    assert body(dump(program)) == [
        "input f(u[n-1]) = f(u[n]), 1 step ago",
        "f(u[n]) := f(u[n])  # call 0, weights 0",
        "u[n+1] := (1)*u[n] + (h)*f(u[n-1])",
    ]


def test_bdf_divides_by_its_leading_coefficient() -> None:
    text = lowered(multistep([R(3, 2), -2, R(1, 2)], [1, 0, 0], solver=solver(iterations=2)))
    assert text == [
        "input u[n-1] = u[n], 1 step ago",
        "solve u[n+1] by fixed_point, 2 iterations",
        "  guess u[n+1] := (1)*u[n]",
        "  f(u[n+1])_sweep := f(u[n+1])  # call 0, weights 0",
        "  u[n+1] := (4/3)*u[n] + (-1/3)*u[n-1] + (2*h/3)*f(u[n+1])_sweep",
    ]


def test_adams_moulton_solves_for_the_new_state_with_kept_slopes() -> None:
    beta = [R(5, 12), R(8, 12), R(-1, 12)]
    text = lowered(multistep([1, -1, 0], beta, solver=solver(init="euler")))
    assert text == [
        "input f(u[n-1]) = f(u[n]), 1 step ago",
        "f(u[n]) := f(u[n])  # call 0, weights 0",
        "solve u[n+1] by fixed_point, 4 iterations",
        "  guess u[n+1] := (1)*u[n] + (h)*f(u[n])",
        "  f(u[n+1])_sweep := f(u[n+1])  # call 1, weights 0",
        "  u[n+1] := (1)*u[n] + (5*h/12)*f(u[n+1])_sweep + (2*h/3)*f(u[n]) + (-h/12)*f(u[n-1])",
    ]


def test_two_drifts_have_rows_of_their_own() -> None:
    update = Multistep(
        "u",
        (R(1), R(-1), R(0)),
        (("f", (R(0), R(3, 2), R(-1, 2))), ("g", (R(1), R(0), R(0)))),
        multistep([1], [0]).span,
    )
    text = lowered(scheme(update, drifts=(drift("f"), drift("g")), solver=solver()))
    assert text[0] == "input f(u[n-1]) = f(u[n]), 1 step ago"
    assert text[-2:] == [
        "  g(u[n+1])_sweep := g(u[n+1])  # call 0, weights 0",
        "  u[n+1] := (1)*u[n] + (3*h/2)*f(u[n]) + (-h/2)*f(u[n-1]) + (h)*g(u[n+1])_sweep",
    ]


def test_new_and_old_slopes_are_two_stages() -> None:
    drifts = (drift(weights="stage"),)
    program = lower(multistep([1, -1], [R(1, 2), R(1, 2)], drifts=drifts, solver=solver()))
    assert [item.weights for item in program.statements if hasattr(item, "weights")] == [0]
    assert "f(u[n+1])_sweep := f(u[n+1])  # call 1, weights 1" in dump(program)
