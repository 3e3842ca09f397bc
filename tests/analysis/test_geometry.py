"""Structure and strong stability against the literature.

Sources: Hairer, Lubich, Wanner (2006), IV.2 and V.2; Hairer, Wanner (1996), IV.12;
Gottlieb, Ketcheson, Shu (2011).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
from hand_programs import combine, evaluate, h, multistep, program, runge_kutta

from schemegen.analysis.geometry import geometry
from schemegen.analysis.model import Geometry
from schemegen.analysis.monotonicity import monotonicity
from schemegen.analysis.stability import linear_analysis
from schemegen.step.program import Program

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
ROOT3 = sympy.sqrt(3)
QUARTER = sympy.Rational(1, 4)
GAUSS2 = runge_kutta([[QUARTER, QUARTER - ROOT3 / 6], [QUARTER + ROOT3 / 6, QUARTER]], [HALF, HALF])
EULER = runge_kutta([[]], [1])
RK4 = runge_kutta([[], [HALF], [0, HALF], [0, 0, 1]], [THIRD / 2, THIRD, THIRD, THIRD / 2])
TRAPEZOID = runge_kutta([[], [HALF, HALF]], [HALF, HALF])
LOBATTO_IIIB2 = runge_kutta([[HALF, 0], [HALF, 0]], [HALF, HALF])
RADAU_IIA2 = runge_kutta(
    [[Fraction(5, 12), Fraction(-1, 12)], [Fraction(3, 4), Fraction(1, 4)]],
    [Fraction(3, 4), Fraction(1, 4)],
)
PARTITIONED: dict[str, Any] = {"states": ("x", "v"), "fields": (("f", "v"), ("g", "x"))}
SYMPLECTIC_EULER = program(
    evaluate("k1", "v[n]"),
    combine("x[n+1]", (1, "x[n]"), (h, "k1")),
    evaluate("l1", "x[n+1]", field="g"),
    combine("v[n+1]", (1, "v[n]"), (h, "l1")),
    **PARTITIONED,
)
VERLET = program(
    evaluate("k1", "v[n]"),
    combine("x1", (1, "x[n]"), (h / 2, "k1")),
    evaluate("l1", "x1", field="g"),
    combine("v[n+1]", (1, "v[n]"), (h, "l1")),
    evaluate("k2", "v[n+1]", 1),
    combine("x[n+1]", (1, "x1"), (h / 2, "k2")),
    **PARTITIONED,
)
JACOBI = program(
    evaluate("k1", "v[n]"),
    combine("x[n+1]", (1, "x[n]"), (h, "k1")),
    evaluate("l1", "x[n]", field="g"),
    combine("v[n+1]", (1, "v[n]"), (h, "l1")),
    **PARTITIONED,
)


def structure(item: Program) -> Geometry:
    return geometry(item, linear_analysis(item))[0]


def test_gauss_is_symplectic_symmetric_and_algebraically_stable() -> None:
    found = structure(GAUSS2)
    assert (found.symplectic, found.symmetric, found.algebraically_stable) == (True, True, True)
    assert found.conserves_quadratic is True


@pytest.mark.parametrize("item", [EULER, RK4])
def test_explicit_methods_preserve_nothing(item: Program) -> None:
    found = structure(item)
    assert (found.symplectic, found.symmetric, found.algebraically_stable) == (False, False, False)
    assert found.reversible is False


def test_trapezoid_is_symmetric_only() -> None:
    found = structure(TRAPEZOID)
    assert (found.symplectic, found.symmetric, found.algebraically_stable) == (False, True, False)
    assert found.fsal is True


def test_radau_iia_is_algebraically_stable_and_not_symmetric() -> None:
    found = structure(RADAU_IIA2)
    assert (found.algebraically_stable, found.symmetric, found.symplectic) == (True, False, False)


def test_equal_stages_are_one_stage() -> None:
    """Both stages of Lobatto IIIB(2) are u + h/2 k1: for autonomous f it is the implicit midpoint rule."""
    found = structure(LOBATTO_IIIB2)
    assert (found.symmetric, found.symplectic, found.algebraically_stable) == (True, True, True)


def test_symplectic_euler() -> None:
    found = structure(SYMPLECTIC_EULER)
    assert (found.symplectic, found.symmetric, found.reversible) == (True, False, True)


def test_verlet() -> None:
    found = structure(VERLET)
    assert (found.symplectic, found.symmetric, found.reversible) == (True, True, True)
    assert found.fsal is True


def test_jacobi_form_loses_everything() -> None:
    found = structure(JACOBI)
    assert (found.symplectic, found.symmetric, found.reversible) == (False, False, False)


def test_leapfrog() -> None:
    found = structure(multistep([1, 0, -1], [0, 2, 0]))
    assert (found.symmetric, found.reversible, found.parasitic_roots) == (True, True, ("-1",))


def test_adams_bashforth_is_neither() -> None:
    found = structure(multistep([1, -1, 0], [0, Fraction(3, 2), -HALF]))
    assert (found.symmetric, found.reversible, found.parasitic_roots) == (False, False, ("0",))


def test_lm_is_reversible_unless_k_vanishes() -> None:
    k = sympy.Symbol("k")
    item = multistep([1, -(1 - k), -k], [0, 1, 0])
    found, notes = geometry(item, linear_analysis(item))
    assert found.reversible is True
    assert found.parasitic_roots == ("-k",)
    assert ("geometry.reversible", "for k != 0") in [(n.key, n.text) for n in notes]


def test_momentum_is_reversible_unless_gamma_vanishes() -> None:
    gamma = sympy.Symbol("gamma")
    item = program(
        evaluate("k1", "x[n]"),
        combine("v[n+1]", (gamma, "v[n]"), (1 - gamma, "k1")),
        combine("x[n+1]", (1, "x[n]"), (h, "v[n+1]")),
        states=("x", "v"),
        fields=(("f", "x"),),
    )
    found, notes = geometry(item, linear_analysis(item))
    assert found.reversible is True
    assert ("geometry.reversible", "for gamma != 0") in [(n.key, n.text) for n in notes]


SSPRK2 = runge_kutta([[], [1]], [HALF, HALF])
SSPRK3 = runge_kutta([[], [1], [HALF / 2, HALF / 2]], [THIRD / 2, THIRD / 2, 2 * THIRD])
SSPRK43 = runge_kutta(
    [[], [HALF], [HALF, HALF], [THIRD / 2, THIRD / 2, THIRD / 2]],
    [THIRD / 2, THIRD / 2, THIRD / 2, HALF],
)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (EULER, 1),
        (SSPRK2, 1),
        (SSPRK3, 1),
        (SSPRK43, 2),
        (RK4, 0),
        (runge_kutta([[1]], [1]), sympy.oo),
        (runge_kutta([[HALF]], [1]), 2),
        (TRAPEZOID, 2),
    ],
)
def test_ssp_coefficients(item: Program, expected: object) -> None:
    assert monotonicity(item, linear_analysis(item))[0] == expected


@pytest.mark.parametrize(("item", "expected"), [(EULER, 1), (SSPRK3, 1), (RK4, 1)])
def test_threshold_factor_of_p_stages_of_order_p_is_one(item: Program, expected: object) -> None:
    assert monotonicity(item, linear_analysis(item))[1] == expected


def test_ssprk54_to_the_digits_of_its_tableau() -> None:
    """Spiteri and Ruuth (2002): C = 1.508, here from the Butcher form of its Shu-Osher coefficients."""
    alpha = [
        ["1"],
        ["0.444370493651235", "0.555629506348765"],
        ["0.620101851488403", "0", "0.379898148511597"],
        ["0.178079954393132", "0", "0", "0.821920045606868"],
        ["0", "0", "0.517231671970585", "0.096059710526147", "0.386708617503268"],
    ]
    beta = [
        ["0.391752226571890"],
        ["0", "0.368410593050371"],
        ["0", "0", "0.251891774271694"],
        ["0", "0", "0", "0.544974750228521"],
        ["0", "0", "0", "0.063692468666290", "0.226007483236906"],
    ]
    rows: list[list[Fraction]] = [[]]
    for alphas, betas in zip(alpha, beta, strict=True):
        row = [Fraction(0)] * 5
        total = sum(Fraction(x) for x in alphas)
        for k, (a, b) in enumerate(zip(alphas, betas, strict=True)):
            row[k] += Fraction(b)
            for j, value in enumerate(rows[k]):
                row[j] += Fraction(a) / total * value
        rows.append(row)
    item = runge_kutta(rows[:5], rows[5])
    found = monotonicity(item, linear_analysis(item))[0]
    assert found is not None
    assert float(found) == pytest.approx(1.508, abs=1e-3)
