"""Reports of schemes with noise of every family: no text of a tree is misread, and the data keep to the schema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from schemegen.pipeline import study
from schemegen.report import analysis_data, report_schema
from schemegen.report.data import analysis_json
from schemegen.report.text import report_text
from schemegen.scheme.builders import from_text
from schemegen.verification import verify

CASES = {
    "additive noise in a memory": (
        "state u; drift f(u); noise dW: wiener, scope sample",
        "u[n+1] = u[n] + h*(3/2*f(u[n]) - 1/2*f(u[n-1])) + dW",
        "start: euler",
    ),
    "damping that noise multiplies": (
        "state u; drift f(u); noise b: bernoulli(9/10), scope channel\n"
        "  param lam: learnable, init 1/5, range [0, 1]; damping lam: explicit, gain (1 + lam)",
        "u[n+1] = u[n] + h*b*f(u[n])",
        "",
    ),
    "two states": (
        "state x; state v; drift f(x); drift g(v); noise b: bernoulli(1/3), scope element",
        "v[n+1] = v[n] + h*b*f(x[n]); x[n+1] = x[n] + h*g(v[n+1])",
        "",
    ),
    "always on": (
        "state u; drift f(u); noise dW: wiener, active always, eval sample",
        "u[n+1] = u[n] + h*f(u[n]) + dW",
        "",
    ),
    "powers of a draw": (
        "state u; drift f(u); noise xi: gaussian(1/2), scope element",
        "u[n+1] = u[n] + h*xi^4*f(u[n]) + h*xi^3",
        "",
    ),
    "no limit": (
        "state u; drift f(u); noise m: bernoulli(4/5), scope element",
        "u[n+1] = (m/(4/5))*u[n] + h*f(u[n])",
        "",
    ),
    "a function of a draw": (
        "state u; drift f(u); noise xi: gaussian(1/2), scope sample",
        "u[n+1] = u[n] + h*exp(xi)*f(u[n])",
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_report_of(name: str) -> None:
    head, step, tail = CASES[name]
    unit = study(from_text(f"scheme s {{\n  {head}\n  step {{ {step} }}\n  {tail}\n}}\n"))
    data = json.loads(analysis_json(analysis_data(unit.analysis, unit.scheme)))
    jsonschema.Draft202012Validator(report_schema()).validate(data)
    said = {note["key"] for note in data["notes"]}
    for key in ("modified_sde", "weak_order", "strong_order", "mean_square", "stationary_variance"):
        assert data[key] is not None or key in said
    for unicode in (True, False):
        text = report_text(unit.analysis, unit.scheme, full=True, unicode=unicode)
        assert ("modified SDE" in text) == (data["modified_sde"] is not None)
    assert [item for item in verify(unit.program, unit.analysis) if item.holds is False] == []
