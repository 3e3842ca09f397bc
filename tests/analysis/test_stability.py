"""Stability functions, intervals and angles against the literature.

Sources: Hairer, Wanner, Solving ODEs II (1996), IV.2-3, V.1-2; Hairer, Norsett, Wanner (1993), III.3.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hand_programs import combine, evaluate, h, multistep, program, runge_kutta

from schemegen.analysis.model import Stability
from schemegen.analysis.stability import linear_analysis
from schemegen.step.program import Program

RK4 = runge_kutta(
    [[], [Fraction(1, 2)], [0, Fraction(1, 2)], [0, 0, 1]],
    [Fraction(1, 6), Fraction(1, 3), Fraction(1, 3), Fraction(1, 6)],
)
ROOT3 = sympy.sqrt(3)
QUARTER = sympy.Rational(1, 4)
GAUSS2 = runge_kutta(
    [[QUARTER, QUARTER - ROOT3 / 6], [QUARTER + ROOT3 / 6, QUARTER]],
    [Fraction(1, 2), Fraction(1, 2)],
)


def stability(item: Program) -> Stability:
    return linear_analysis(item).stability


def numbers(items: object) -> list[Fraction]:
    assert isinstance(items, tuple)
    return [Fraction(int(x.p), int(x.q)) for x in items]


BDF = {
    3: [Fraction(11, 6), -3, Fraction(3, 2), Fraction(-1, 3)],
    4: [Fraction(25, 12), -4, 3, Fraction(-4, 3), Fraction(1, 4)],
    5: [Fraction(137, 60), -5, 5, Fraction(-10, 3), Fraction(5, 4), Fraction(-1, 5)],
    6: [
        Fraction(147, 60),
        -6,
        Fraction(15, 2),
        Fraction(-20, 3),
        Fraction(15, 4),
        Fraction(-6, 5),
        Fraction(1, 6),
    ],
    7: [
        Fraction(363, 140),
        -7,
        Fraction(21, 2),
        Fraction(-35, 3),
        Fraction(35, 4),
        Fraction(-21, 5),
        Fraction(7, 6),
        Fraction(-1, 7),
    ],
}


def test_rk4() -> None:
    found = stability(RK4)
    assert numbers(found.numerator) == [1, 1, Fraction(1, 2), Fraction(1, 6), Fraction(1, 24)]
    assert found.at_infinity == sympy.oo
    assert (found.a_stable, found.zero_stable) == (False, True)
    assert found.real_interval is not None
    assert float(found.real_interval[0]) == pytest.approx(-2.785293563405282, abs=1e-14)
    assert found.imaginary_interval == (-2 * sympy.sqrt(2), 2 * sympy.sqrt(2))


def test_explicit_midpoint_is_stable_from_minus_two_and_nowhere_on_the_imaginary_axis() -> None:
    found = stability(runge_kutta([[], [Fraction(1, 2)]], [0, 1]))
    assert found.real_interval == (-2, 0)
    assert found.imaginary_interval == (0, 0)


def test_kutta3_imaginary_end_is_root_three() -> None:
    found = stability(
        runge_kutta(
            [[], [Fraction(1, 2)], [-1, 2]], [Fraction(1, 6), Fraction(2, 3), Fraction(1, 6)]
        )
    )
    assert found.imaginary_interval == (-ROOT3, ROOT3)


def test_trapezoid_is_a_stable_but_not_l_stable() -> None:
    found = stability(
        runge_kutta([[], [Fraction(1, 2), Fraction(1, 2)]], [Fraction(1, 2), Fraction(1, 2)])
    )
    assert (found.a_stable, found.l_stable, found.i_stable) == (True, False, True)
    assert found.at_infinity == -1


def test_backward_euler_is_l_stable() -> None:
    found = stability(runge_kutta([[1]], [1]))
    assert (found.a_stable, found.l_stable) == (True, True)
    assert numbers(found.denominator) == [1, -1]


def test_gauss2_has_the_diagonal_pade_approximation() -> None:
    found = stability(GAUSS2)
    assert numbers(found.numerator) == [1, Fraction(1, 2), Fraction(1, 12)]
    assert numbers(found.denominator) == [1, Fraction(-1, 2), Fraction(1, 12)]
    assert (found.a_stable, found.l_stable, found.at_infinity) == (True, False, 1)


def test_radau_iia2_is_l_stable() -> None:
    found = stability(
        runge_kutta(
            [[Fraction(5, 12), Fraction(-1, 12)], [Fraction(3, 4), Fraction(1, 4)]],
            [Fraction(3, 4), Fraction(1, 4)],
        )
    )
    assert numbers(found.numerator) == [1, Fraction(1, 3)]
    assert numbers(found.denominator) == [1, Fraction(-2, 3), Fraction(1, 6)]
    assert found.l_stable is True


@pytest.mark.parametrize("sign", [-1, 1])
def test_sdirk2_is_l_stable_for_both_roots(sign: int) -> None:
    g = 1 + sign * sympy.sqrt(2) / 2
    found = stability(runge_kutta([[g], [1 - g, g]], [1 - g, g]))
    assert found.l_stable is True


def test_sdirk_with_a_small_diagonal_is_not_a_stable() -> None:
    """gamma = 1/5 is below 1/4, where the two-stage SDIRK of order 2 loses A-stability."""
    g = Fraction(1, 5)
    found = stability(runge_kutta([[g], [1 - 2 * g, g]], [Fraction(1, 2), Fraction(1, 2)]))
    assert found.a_stable is False


def test_adams_bashforth() -> None:
    two = stability(multistep([1, -1, 0], [0, Fraction(3, 2), Fraction(-1, 2)]))
    assert two.real_interval == (-1, 0)
    assert two.imaginary_interval == (0, 0)
    assert numbers(two.rho) == [0, -1, 1]
    assert numbers(two.sigma) == [Fraction(-1, 2), Fraction(3, 2), 0]
    three = stability(
        multistep([1, -1, 0, 0], [0, Fraction(23, 12), Fraction(-16, 12), Fraction(5, 12)])
    )
    assert three.real_interval == (sympy.Rational(-6, 11), 0)
    assert three.imaginary_interval is not None
    assert float(three.imaginary_interval[1]) == pytest.approx(0.7236, abs=1e-4)


def test_leapfrog_is_stable_on_the_imaginary_axis_only() -> None:
    found = stability(multistep([1, 0, -1], [0, 2, 0]))
    assert found.zero_stable is True
    assert found.imaginary_interval == (-1, 1)
    assert found.real_interval == (0, 0)


def test_bdf1_and_bdf2_are_a_stable() -> None:
    assert stability(multistep([1, -1], [1, 0])).l_stable is True
    found = stability(multistep([Fraction(3, 2), -2, Fraction(1, 2)], [1, 0, 0]))
    assert (found.a_stable, found.l_stable, found.zero_stable) == (True, True, True)


@pytest.mark.parametrize(
    ("steps", "degrees"), [(3, 86.03236686), (4, 73.35167047), (5, 51.83975584), (6, 17.83977779)]
)
def test_bdf_angles(steps: int, degrees: float) -> None:
    found = stability(multistep(BDF[steps], [1] + [0] * steps))
    assert found.zero_stable is True
    assert found.a_stable is False
    assert found.a_alpha_degrees == pytest.approx(degrees, abs=1e-6)


def test_bdf7_is_not_zero_stable() -> None:
    assert stability(multistep(BDF[7], [1] + [0] * 7)).zero_stable is False


@pytest.mark.parametrize("steps", [5, 6])
def test_imaginary_intervals_of_bdf_against_root_moduli(steps: int) -> None:
    found = stability(multistep(BDF[steps], [1] + [0] * steps))
    assert found.imaginary_interval is not None
    end = float(found.imaginary_interval[1])

    def radius(y: float) -> float:
        polynomial = [complex(c) for c in BDF[steps]]
        polynomial[0] -= 1j * y
        return float(max(abs(np.roots(polynomial))))

    assert radius(0.999 * end) <= 1 + 1e-9
    assert radius(0.5 * end) <= 1 + 1e-9
    assert radius(1.001 * end) > 1 + 1e-9


def test_unstable_two_step_method_of_order_three() -> None:
    """u[n+1] = -4 u[n] + 5 u[n-1] + h (4 f_n + 2 f_{n-1}): root -5 (Hairer, Norsett, Wanner, III.3)."""
    assert stability(multistep([1, 4, -5], [0, 4, 2])).zero_stable is False


def test_double_root_on_the_circle_is_not_zero_stable() -> None:
    assert stability(multistep([1, -2, 1], [0, 1, 0])).zero_stable is False


def test_lm_is_zero_stable_on_a_half_open_interval() -> None:
    k = sympy.Symbol("k")
    found = stability(multistep([1, -(1 - k), -k], [0, 1, 0]))
    assert found.zero_stable == "-1 < k <= 1"
    assert found.rho == (-k, k - 1, 1)
    assert found.sigma == (0, 1, 0)


def test_zerosnet_family() -> None:
    q = sympy.Symbol("q")
    alpha = [1, -3 * (q + 1) / (4 * q), 1 / q, -(q + 1) / (4 * q)]
    found = stability(multistep(alpha, [0, (3 * q - 1) / (2 * q), 0, 0]))
    assert found.zero_stable == "q <= -1 or q > 1/3"


def test_symplectic_euler_has_a_matrix() -> None:
    z = sympy.Symbol("z")
    item = program(
        evaluate("k1", "v[n]"),
        combine("x[n+1]", (1, "x[n]"), (h, "k1")),
        evaluate("l1", "x[n+1]", field="g"),
        combine("v[n+1]", (1, "v[n]"), (h, "l1")),
        states=("x", "v"),
        fields=(("f", "v"), ("g", "x")),
    )
    found = stability(item)
    assert found.matrix == ((1, z), (z, z**2 + 1))
    assert found.zero_stable is True


def test_coefficients_with_roots_are_analysed_like_rational_ones() -> None:
    from schemegen.pipeline import analyze, load

    text = (
        "scheme s {{\nstate u; drift f(u)\nmultistep {{\n| n+1 n n-1\n--\nu | 1 -1 0\n"
        "f | 0 {0} (1 - {0})\n}}\nstart: euler\n}}\n"
    )
    surd = analyze(load(text.format("sqrt(9/4)"))).stability
    plain = analyze(load(text.format("3/2"))).stability
    assert surd.real_interval == plain.real_interval
    found = analyze(load(text.format("sqrt(2)"))).stability.real_interval
    assert found is not None
    low = found[0]
    assert sympy.Integer(0) == found[1]
    assert float(low) == pytest.approx(-2 / (2 * 2**0.5 - 1), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        # linear test of the LM architecture: stable iff -2 (1 - k) <= z <= 0 for -1 < k <= 1
        ("lm_resnet", "-2*(1 - k)", "0"),
        # |1 - lam + alpha z| <= 1 iff -(2 - lam)/alpha <= z <= lam/alpha, alpha = 1 and 1 + lam
        ("in_resnet", "-(2 - lam)", "lam"),
        ("lambda_in_resnet", "-(2 - lam)/(1 + lam)", "lam/(1 + lam)"),
        ("in_resnet_implicit", None, None),
    ],
)
def test_real_intervals_with_symbols(name: str, low: str | None, high: str | None) -> None:
    """Yang et al. (2020), Lu et al. (2018); by hand from the amplification factor."""
    from schemegen.pipeline import analyze

    found = analyze(name).stability.real_interval
    if low is None:
        assert found is None or all(end.free_symbols for end in found)
        return
    k, lam = sympy.symbols("k lam")
    expected = {
        "-2*(1 - k)": -2 * (1 - k),
        "0": sympy.Integer(0),
        "-(2 - lam)": lam - 2,
        "lam": lam,
        "-(2 - lam)/(1 + lam)": (lam - 2) / (1 + lam),
        "lam/(1 + lam)": lam / (1 + lam),
    }
    assert found is not None
    assert sympy.cancel(found[0] - expected[low]) == 0
    assert sympy.cancel(found[1] - expected[high]) == 0


@pytest.mark.parametrize(
    ("name", "real", "imaginary"),
    [
        # Hairer, Lubich, Wanner (2006), I.5 and XIII: the oscillator is stable for h omega <= 2
        ("stoermer_verlet", (0, 0), (-2, 2)),
        ("symplectic_euler", (0, 0), (-2, 2)),
        ("revnet", (0, 0), (-2, 2)),
    ],
)
def test_intervals_of_a_step_of_two_values(name: str, real, imaginary) -> None:
    from schemegen.pipeline import analyze

    found = analyze(name).stability
    assert found.real_interval == real
    assert found.imaginary_interval == imaginary
    assert found.i_stable is False


def test_intervals_of_random_steps_of_two_values() -> None:
    """The exact ends against spectral radii on both sides of them."""
    import random

    import numpy as np

    from schemegen.analysis.matrix_intervals import imaginary_interval, real_interval
    from schemegen.analysis.reals import RealField

    reals = RealField(sympy.QQ)
    rng = random.Random(3)
    seen = 0
    for _ in range(60):
        q = [sympy.QQ(rng.choice((1, 1, 0)), rng.choice((1, 2)))]
        q += [sympy.QQ(0), sympy.QQ(rng.randint(-2, 2), 4)]
        p = [sympy.QQ(rng.choice((-2, -1, 0)), 1), sympy.QQ(0), sympy.QQ(rng.randint(-4, 4), 4)]
        p += [sympy.QQ(0), sympy.QQ(rng.randint(-1, 1), 8)]

        def radius(z: complex, p=p, q=q) -> float:
            def value(terms) -> complex:
                return complex(np.polyval([complex(c) for c in terms[::-1]], z))

            return float(max(abs(np.roots([1, value(p), value(q)]))))

        for interval, unit in (
            (real_interval(reals, q, p), 1),
            (imaginary_interval(reals, q, p), 1j),
        ):
            if interval is None:
                assert radius(0) > 1 or any(row[i] for row in (p, q) for i in range(1, len(row), 2))
                continue
            high = float(interval[1])
            if 0 < high < 1e6:
                seen += 1
                assert radius(unit * high * 0.5) <= 1 + 1e-7
                assert radius(unit * high * (1 - 1e-6)) <= 1 + 1e-7
                assert radius(unit * high * (1 + 1e-3)) > 1
    assert seen > 10
