"""Limits of damped and learnable schemes, and how far solutions can move apart: Yang et al. (2020)."""

from __future__ import annotations

import math

import pytest
import sympy

from schemegen.pipeline import analyze, load
from schemegen.report import analysis_data
from schemegen.scheme.builders import from_text

lam, h, L, mu = sympy.symbols("lam h L mu")


def limits(what) -> dict[str, str]:
    found = analyze(what).limits
    assert found is not None
    return {item.point: item.becomes for item in found}


def damped(mode: str, gain: str):
    return from_text(
        f"""scheme s {{ state u; drift f(u); param lam: learnable, init 1/5, range [0, inf)
        damping lam: {mode}, gain {gain}
        tableau explicit {{ 0 |
        --+--
          | 1 }} }}"""
    )


def test_the_two_ends_of_in_resnet() -> None:
    assert limits("in_resnet") == {"lam -> 0": "resnet", "lam -> 1": "plain_cnn"}
    assert limits("lambda_in_resnet") == {
        "lam -> 0": "resnet",
        "lam -> 1": "plain_cnn, branch times 2",
    }


def test_exact_damping_needs_a_gain_to_become_a_plain_network() -> None:
    """(1 + lam) phi1(-lam) tends to 1, phi1(-lam) to 0."""
    assert limits(damped("exact", "1"))["lam -> inf"] == "u[n+1] = 0"
    assert limits(damped("exact", "(1 + lam)"))["lam -> inf"] == "plain_cnn"
    assert limits(damped("implicit", "(1 + lam)"))["lam -> inf"] == "plain_cnn"


def test_limits_of_the_lm_architecture() -> None:
    """k = 1: x[n+1] = x[n-1] + h f, two interleaved solutions (catalogue 4.2, identity 3)."""
    assert limits("lm_resnet") == {"k -> 0": "resnet", "k -> 1": "u[n+1] = u[n-1] + h*f(u[n])"}


def test_no_params_no_limits() -> None:
    found = analyze("rk4")
    assert found.limits is None
    assert any(note.key == "limits" and "no params" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("scheme", "rate", "lipschitz", "helps"),
    [
        ("in_resnet", mu - lam / h, sympy.Abs(1 - lam) + h * L, "always"),
        (
            "lambda_in_resnet",
            mu + lam * mu - lam / h,
            sympy.Abs(1 - lam) + (1 + lam) * h * L,
            "h*L < 1",
        ),
        (damped("implicit", "1"), mu - lam / h, (1 + h * L) / (1 + lam), None),
        ("euler", mu, 1 + h * L, None),
        ("rk2", mu, 1 + h * L + h**2 * L**2 / 2, None),
    ],
)
def test_the_bounds(scheme, rate, lipschitz, helps) -> None:
    found = analyze(scheme).contraction
    assert found is not None
    positive = {s: sympy.Symbol(s.name, positive=True) for s in (lam, h, L, mu)}

    def zero(value) -> bool:
        return sympy.simplify(value.subs(positive)) == 0

    if found.damping_helps == "h*L < 1":
        # the gain multiplies the field at h = 0 only through a rate that tends to 0 with h
        assert zero(found.rate - (mu - lam / h)) or zero(found.rate - rate)
    else:
        assert zero(found.rate - rate)
    assert zero(found.lipschitz - lipschitz)
    assert found.damping_helps == helps


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lm_resnet", "history"),
        ("revnet", "one state"),
        ("gauss2", "implicit"),
    ],
)
def test_where_there_is_no_bound_there_is_a_reason(name: str, reason: str) -> None:
    data = analysis_data(analyze(name), load(name))
    assert data["contraction"] is None
    assert any(item["key"] == "contraction" and reason in item["text"] for item in data["notes"])


@pytest.mark.parametrize(("name", "keep"), [("euler", 1.0), ("in_resnet", 0.75)])
def test_the_bound_is_kept_by_a_network_of_known_constants(name: str, keep: float) -> None:
    """f(x) = L sin(x) has the Lipschitz constant L: no step does worse than the bound, one attains it."""
    found = analyze(name).contraction
    assert found is not None
    bound = float(found.lipschitz.subs({lam: 0.25, h: 0.5, L: 1.5}))

    def step(x: float) -> float:
        return keep * x + 0.5 * 1.5 * math.sin(x)

    grown = max(abs(step(x / 50 + 1e-4) - step(x / 50)) / 1e-4 for x in range(-200, 200))
    assert bound - 1e-3 < grown <= bound + 1e-9
