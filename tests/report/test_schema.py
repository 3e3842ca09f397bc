"""The JSON Schema describes every report: each key is there, filled or null with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from schemegen.cli.application import cli
from schemegen.pipeline import load, study
from schemegen.report import analysis_data, report_schema
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_names

# The keys that other programs are built on.
CONTRACT = {
    "": """v scheme title states fields params kind consistent order stage_order embedded_order strong_order
    weak_order order_special order_conditions principal_error principal_error_norm error_constant
    modified_equation modified_sde stability geometry dispersion dissipation limits contraction cost expect
    notes""",
    "stability": """function at_infinity A L A_alpha_degrees I zero_stable real_interval imaginary_interval ssp
    linear_monotonicity""",
    "geometry": """symplectic symmetric algebraically_stable conserves_quadratic energy_preserving_to symplectic_to
    reversible parasitic_roots fsal""",
    "cost": "evaluations storage combination_flops",
}
ADD = "describe it in schemegen/report/schema.json and in docs"


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(report_schema())


def nulls(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if value is None:
            yield prefix + key
        elif isinstance(value, dict):
            yield from nulls(value, f"{prefix}{key}.")


def check(data: dict[str, Any]) -> None:
    errors = [f"{item.json_path}: {item.message}" for item in validator().iter_errors(data)]
    assert not errors, (errors, ADD)
    for where, keys in CONTRACT.items():
        part = data[where] if where else data
        assert set(keys.split()) <= part.keys()
    said = {note["key"]: note["text"] for note in data["notes"]}
    for path in nulls(data):
        if path.startswith("params"):
            continue
        ancestors = [path.rsplit(".", n)[0] for n in range(path.count(".") + 1)]
        reasons = [said[item] for item in ancestors if item in said]
        reasons += [text for key, text in said.items() if key == path.rpartition(".")[2]]
        assert reasons, f"{path} is null without a reason"
        assert all(len(text) > 10 for text in reasons)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("name", zoo_names())
def test_every_report_of_the_zoo_is_described(name: str) -> None:
    unit = study(load(name))
    check(json.loads(json.dumps(analysis_data(unit.analysis, unit.scheme))))


HARD = {
    "pointwise": "state u; drift f(u); step { u[n+1] = u[n] + h*tanh(f(u[n])) }",
    "no limit": "state u; drift f(u); step { u[n+1] = 2*u[n] + h*f(u[n]) }",
    "many symbols": """state u; drift f(u); param a, b, c, d: learnable, init 1/4
      step { u[n+1] = a*u[n] + b*u[n-1] + c*h*f(u[n]) + d*h*f(u[n-1]) }""",
    "noise": """state u; drift f(u); noise b: bernoulli(1/2); noise a: rademacher, active always
      step { u[n+1] = u[n] + h*b*a*f(u[n]) }""",
    "two fields": """state x, y; drift f(x, y); drift g(x, y)
      step { x[n+1] = x[n] + h*f(x[n], y[n]); y[n+1] = y[n] + h*g(x[n+1], y[n]) }""",
}


@pytest.mark.parametrize("name", HARD)
def test_what_cannot_be_analysed_is_described_too(name: str) -> None:
    unit = study(from_text(f"scheme hard {{ {HARD[name]} }}"))
    check(json.loads(json.dumps(analysis_data(unit.analysis, unit.scheme))))


def test_a_key_that_is_not_described_is_noticed() -> None:
    unit = study(load("rk2"))
    data = analysis_data(unit.analysis, unit.scheme)
    assert validator().is_valid(json.loads(json.dumps(data)))
    for wrong in ({"new": 1}, {"order": "2"}, {"v": 2}, {"kind": "other"}):
        assert not validator().is_valid(json.loads(json.dumps(data | wrong)))
    data["stability"] = data["stability"] | {"new": 1}
    assert not validator().is_valid(json.loads(json.dumps(data)))


def test_the_command_prints_it() -> None:
    done = CliRunner().invoke(cli, ["schema"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == report_schema()
