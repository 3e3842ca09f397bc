"""Weights that change with depth: the term they add, by hand and measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy

from schemegen.analysis.expansion import expand
from schemegen.pipeline import analyze, load
from schemegen.step import lower
from schemegen.verification.problem import LONG
from schemegen.verification.subject import subject_of

k = sympy.Symbol("k")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("euler", sympy.Rational(-1, 2)),
        ("rk4", sympy.Rational(-1, 2)),
        ("gauss2", sympy.Rational(-1, 2)),
        # g = f/(1 + k): -(h/2) c g_t, c = (1 - k)/(1 + k); Lu et al. (2018) with frozen k
        ("lm_resnet", -(1 - k) / (2 * (1 + k) ** 2)),
        # explicit multistep methods take each slope with the weights of its own step
        ("ab2", sympy.Integer(0)),
        ("ab4", sympy.Integer(0)),
        ("leapfrog", sympy.Integer(0)),
    ],
)
def test_by_hand(name: str, expected) -> None:
    assert sympy.cancel(analyze(name).depth_term - expected) == 0


@pytest.mark.parametrize("name", ["revnet", "shake_shake", "fractal2"])
def test_no_term_has_a_reason(name: str) -> None:
    found = analyze(name)
    if found.depth_term is None:
        assert any(note.key == "depth_term" and len(note.text) > 20 for note in found.notes)


@pytest.mark.parametrize(
    "name", ["euler", "rk2", "rk4", "lm_resnet", "ab2", "bdf2", "am2", "zerosnet"]
)
def test_measured(name: str) -> None:
    """On f = cos(3 t), which does not depend on u, the step follows c f + h B f_t with an error of h^2."""
    program = lower(load(name))
    subject = subject_of(program, expand(program), solved=True)
    values = {sympy.Symbol(n): v for n, v in subject.numbers.items()}
    coefficient = float(analyze(name).depth_term.subs(values))
    fields = analyze(name).modified_equation.field
    c = float(fields[0][1][0].coefficient.subs(values))

    def exact(t: float, h: float) -> float:
        return c * math.sin(3 * t) / 3 + h * coefficient * math.cos(3 * t)

    errors = []
    for steps in (64, 128):
        h = 1.0 / steps
        state = LONG(exact(0, h))
        past = [
            {"u[n]": LONG(exact(-lag * h, h)), "slope": LONG(math.cos(-3 * lag * h))}
            for lag in range(1, program.history + 1)
        ]
        for n in range(steps):
            given = {"u[n]": state}
            for item in program.inputs:
                held = past[item.lag - 1]
                given[item.name] = held["u[n]"] if item.of == "u[n]" else held["slope"]
            slope = LONG(math.cos(3 * n * h))
            result = subject.step(given, {"f": lambda u, slope=slope: slope + 0 * u}, LONG(h))
            past = [{"u[n]": state, "slope": slope}, *past][: program.history]
            state = result["u[n+1]"]
        errors.append(abs(float(state) - exact(1.0, h)))
    assert np.log2(errors[0] / errors[1]) > 1.8
