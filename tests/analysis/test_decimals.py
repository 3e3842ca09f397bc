"""Methods that are only published in decimals: read exactly, and what they are meant to be is named."""

from __future__ import annotations

import pytest

from schemegen.diagnostics import Source
from schemegen.pipeline import analyze, diagnose, study
from schemegen.report import analysis_data, report_text
from schemegen.scheme.builders import from_text
from schemegen.verification import verify

# Spiteri, Ruuth (2002), SIAM J. Numer. Anal. 40, 469-491; digits: Gottlieb, Ketcheson, Shu (2011), sec. 2.4.1.
# The last digit of the fourth weight is the one that makes the weights of u[n+1] add up to 1.
SSPRK54 = """scheme ssprk54 "SSPRK(5,4)" {
  state u
  drift f(u)
  step {
    a = u[n] + 0.391752226571890*h*f(u[n])
    b = 0.444370493651235*u[n] + 0.555629506348765*a + 0.368410593050371*h*f(a)
    c = 0.620101851488403*u[n] + 0.379898148511597*b + 0.251891774271694*h*f(b)
    d = 0.178079954393132*u[n] + 0.821920045606868*c + 0.544974750228521*h*f(c)
    e = 0.063692468666290*h*f(c) + 0.226007483236906*h*f(d)
    u[n+1] = 0.517231671970585*b + 0.096059710526147*c + 0.386708617503268*d + e
  }
  EXPECT
}"""


def scheme(claim: str = ""):
    return from_text(SSPRK54.replace("EXPECT", claim))


def test_the_ssp_coefficient_is_the_published_one() -> None:
    """C = 1.5082 (Gottlieb, Ketcheson, Shu 2011, table 2.1), and not the 1.5065 of rounder tableaus."""
    found = analyze(scheme())
    assert float(found.stability.ssp) == pytest.approx(1.50818, abs=5e-6)


def test_the_order_is_that_of_the_digits_and_the_meant_one_is_named() -> None:
    unit = study(scheme())
    assert unit.analysis.order == 1
    near = unit.analysis.order_nearly
    assert near is not None
    assert near.order == 4
    assert 0 < near.within < 1e-14
    assert analysis_data(unit.analysis, unit.scheme)["order_nearly"]["order"] == 4
    text = report_text(unit.analysis, unit.scheme, width=100, color=False, unicode=True, full=True)
    assert "1 as written; 4 to within" in text
    assert all(len(word) < 60 for word in text.split() if set(word) != {"─"})


def test_a_claim_of_the_meant_order_is_refused_with_its_reason() -> None:
    found = [
        item
        for item in diagnose(Source("s.scheme", SSPRK54.replace("EXPECT", "expect order = 4")))
        if item.is_error
    ]
    assert [item.code for item in found] == ["E0401"]
    assert "hold to within" in (found[0].help or "")
    assert all(len(word) < 60 for word in found[0].message.split())


def test_the_measured_order_is_the_meant_one() -> None:
    unit = study(scheme())
    checks = {item.key: item for item in verify(unit.program, unit.analysis)}
    assert checks["order_nearly"].holds
    assert not [item for item in checks.values() if item.holds is False]


def test_exact_methods_have_no_other_order() -> None:
    for name in ("rk4", "gauss2", "ssprk104", "fehlberg45"):
        assert analyze(name).order_nearly is None


def test_a_coarse_decimal_is_no_rounding() -> None:
    """0.333 for 1/3 is a mistake and not a rounding."""
    found = analyze(
        from_text(
            """scheme s { state u; drift f(u)
            tableau explicit { |
            | 0.333333
            | 0 0.666667
            -+--------
            | 0.25 0 0.75 } }"""
        )
    )
    assert found.order_nearly is None or found.order_nearly.within < 1e-6
