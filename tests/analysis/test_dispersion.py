"""Dispersion and dissipation: published series, and the principal root computed in many digits."""

from __future__ import annotations

import mpmath
import pytest
import sympy

from schemegen.pipeline import analyze, load
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_names

R = sympy.Rational
k, theta = sympy.symbols("k theta")


def terms(found):
    return [(item.power, item.coefficient) for item in found]


@pytest.mark.parametrize(
    ("name", "dispersion", "dissipation"),
    [
        # van der Houwen, Sommeijer (1987), table 1: RK4 has phase error nu^5/120, |R| = 1 - nu^6/144
        ("rk4", (5, R(1, 120)), (6, R(1, 144))),
        # tan nu = nu + nu^3/3, so that arg(1 + i nu) = nu - nu^3/3; |R|^2 = 1 + nu^2
        ("euler", (3, R(1, 3)), (2, R(-1, 2))),
        ("backward_euler", (3, R(1, 3)), (2, R(1, 2))),
        # (1 + i nu/2)/(1 - i nu/2): 2 arctan(nu/2) = nu - nu^3/12, modulus 1
        ("trapezoid", (3, R(1, 12)), None),
        ("implicit_midpoint", (3, R(1, 12)), None),
        # sin phi = nu: phi = nu + nu^3/6
        ("leapfrog", (3, R(-1, 6)), None),
        # 2 sin(phi/2) = nu: phi = nu + nu^3/24
        ("stoermer_verlet", (3, R(-1, 24)), None),
        ("symplectic_euler", (3, R(-1, 24)), None),
        ("ssprk3", (5, R(-1, 30)), (4, R(1, 24))),
    ],
)
def test_published_leading_terms(name: str, dispersion, dissipation) -> None:
    found = analyze(name)
    assert terms(found.dispersion)[0] == dispersion
    assert (terms(found.dissipation)[0] if found.dissipation else None) == dissipation


def test_symbols_stay() -> None:
    """LM: zeta = exp(e_1 z + ..) of zeta^2 - (1 - k) zeta - k = z zeta."""
    found = analyze("lm_resnet")
    assert sympy.cancel(found.dissipation[0].coefficient - (k - 1) / (2 * (1 + k) ** 3)) == 0
    scheme = from_text(
        """scheme s { state u; drift f(u); param theta: learnable, init 1/2
        tableau implicit { theta | theta
        ---+---
           | 1 }
        solve: fixed_point, iterations 4 }"""
    )
    found = analyze(scheme)
    assert sympy.cancel(found.dissipation[0].coefficient - (theta - R(1, 2))) == 0


def test_no_principal_root_has_a_reason() -> None:
    found = analyze("plain_cnn")
    assert found.dispersion is None
    assert "no simple root" in next(n.text for n in found.notes if n.key == "dispersion")


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in zoo_names()
        if "param" not in load(n).source.text and "noise" not in load(n).source.text
    ],
)
def test_the_series_is_that_of_the_root(name: str) -> None:
    """Compare with the argument and the modulus of the claimed function's root at a small nu."""
    found = analyze(name)
    s = found.stability
    if found.dispersion is None or (s.numerator is None and s.rho is None):
        assert found.dispersion is None or s.matrix is not None
        return
    with mpmath.workdps(80):
        nu = mpmath.mpf(1) / 1000
        z = 1j * nu

        def value(coefficients, x):
            return sum(mpmath.mpf(str(c.evalf(90))) * x**i for i, c in enumerate(coefficients))

        if s.numerator is not None:
            root = value(s.numerator, z) / value(s.denominator, z)
        else:
            polynomial = [
                mpmath.mpf(str(a.evalf(90))) - z * mpmath.mpf(str(b.evalf(90)))
                for a, b in zip(s.rho, s.sigma, strict=True)
            ]
            root = mpmath.findroot(
                lambda x: sum(c * x**i for i, c in enumerate(polynomial)), mpmath.exp(z)
            )
        for series, measured in (
            (found.dispersion, _rate(found) * nu - mpmath.arg(root)),
            (found.dissipation, 1 - abs(root)),
        ):
            if series:
                power, coefficient = (
                    series[0].power,
                    mpmath.mpf(str(series[0].coefficient.evalf(40))),
                )
                assert abs(measured / nu**power / coefficient - 1) < 1e-3
            else:
                assert abs(measured) < mpmath.mpf(10) ** -36


def _rate(analysis) -> int:
    """Return s of the rescaled equation; the schemes without symbols here are consistent or scaled by a number."""
    if analysis.consistent is True or analysis.modified_equation is None:
        return 1
    field = analysis.modified_equation.field
    return mpmath.mpf(str(field[0][1][0].coefficient.evalf(90)))
