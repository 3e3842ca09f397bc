"""Barriers that are attained, G-stability, and the growth of parasitic solutions: values from the books."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from schemegen.pipeline import analyze
from schemegen.sources import zoo_names

R = sympy.Rational


def test_g_of_bdf2() -> None:
    """Hairer, Wanner (1996), V.6, example 6.5: G = 1/4 [[1, -2], [-2, 5]]."""
    assert analyze("bdf2").stability.g_matrix == ((R(1, 4), -R(1, 2)), (-R(1, 2), R(5, 4)))


@pytest.mark.parametrize("name", ["bdf3", "ab2", "leapfrog", "rk4"])
def test_no_g_without_a_stability(name: str) -> None:
    assert analyze(name).stability.g_matrix is None


def test_the_g_identity_holds_on_random_numbers() -> None:
    found = analyze("bdf2").stability
    rho, sigma = ([float(c) for c in row] for row in (found.rho, found.sigma))
    total = sum(sigma)
    g = np.array([[float(v) for v in row] for row in found.g_matrix])
    random = np.random.default_rng(0)
    for y in random.normal(size=(20, 3)):
        left = np.dot(rho, y) * np.dot(sigma, y) / total**2
        defect = left - (y[1:] @ g @ y[1:] - y[:2] @ g @ y[:2])
        assert defect == pytest.approx((y[0] - 2 * y[1] + y[2]) ** 2 / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "growth"),
    [
        ("leapfrog", {"-1": "-1"}),  # zeta = -(1 - z), grows where Re z < 0: the weak instability
        ("milne_simpson", {"-1": "-1/3"}),  # Hairer, Norsett, Wanner (1993), III.9
        ("lm_resnet", {"-k": "-1/(1 + k)"}),
        ("ab2", {"0": None}),
        ("bdf2", {"1/3": None}),
    ],
)
def test_growth_parameters(name: str, growth: dict[str, str | None]) -> None:
    g = analyze(name).geometry
    found = dict(zip(g.parasitic_roots, g.parasitic_growth, strict=True))
    for root, expected in growth.items():
        assert root in found
        if name != "bdf2":
            assert found[root] == expected
    if name == "bdf2":  # sigma = (2/3) zeta^2, rho' = 2 zeta - 4/3: w = (2/27)/((1/3)(-2/3)) = -1/3
        assert found["1/3"] == "-1/3"


@pytest.mark.parametrize("name", [n for n in zoo_names() if analyze(n).geometry.parasitic_growth])
def test_growth_is_that_of_the_roots(name: str) -> None:
    """Follow each root of rho - z sigma from z = 0 to a small z."""
    found = analyze(name)
    s, g = found.stability, found.geometry
    if any(c.free_symbols for c in (*s.rho, *s.sigma)):
        return
    z = 1e-6
    moved = np.roots([complex(a - z * b) for a, b in zip(s.rho[::-1], s.sigma[::-1], strict=True)])
    for root, w in zip(g.parasitic_roots, g.parasitic_growth, strict=True):
        if w is None:
            continue
        start = complex(sympy.sympify(root.replace("^", "**")))
        rate = complex(sympy.sympify(w.replace("^", "**")))
        nearest = min(moved, key=lambda item: abs(item - start))
        assert (nearest / start - 1) / z == pytest.approx(rate, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "barriers"),
    [
        ("rk4", []),
        ("kutta5", ["Butcher"]),
        ("butcher6", ["Butcher"]),
        ("dopri5", []),
        ("gauss2", ["Gauss"]),
        ("crouzeix3", ["diagonally implicit order"]),
        ("ab4", ["first Dahlquist barrier"]),
        ("milne_simpson", ["first Dahlquist barrier"]),
        ("bdf2", ["second Dahlquist barrier"]),
        ("bdf3", []),
        ("radau_iia2", []),
        ("lm_resnet", []),
    ],
)
def test_barriers(name: str, barriers: list[str]) -> None:
    assert [item.name for item in analyze(name).stability.barriers] == barriers
