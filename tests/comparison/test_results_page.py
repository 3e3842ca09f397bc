"""The page of results holds what its raw numbers say."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from schemegen.comparison.statistics import difference, holm, spread

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="there is no checkout")


def results() -> list[dict[str, Any]]:
    files = sorted((DOCS / "results").glob("*.json"))
    claims = {path.stem for path in (DOCS.parent / "zoo" / "claims").glob("*.toml")}
    assert {path.stem for path in files} == claims
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def test_the_page_is_that_of_the_numbers() -> None:
    page = runpy.run_path(str(DOCS / "results.py"))["page"]()
    assert page == (DOCS / "results.md").read_text(encoding="utf-8")


def test_the_tables_follow_from_the_runs() -> None:
    for found in results():
        assert len(found["seeds"]) >= 5
        for measure in {cell["measure"] for cell in found["table"]}:
            cells = {c["arm"]: c for c in found["table"] if c["measure"] == measure}
            own = {
                arm: [run["measures"][measure] for run in found["runs"] if run["arm"] == arm]
                for arm in cells
            }
            tested = [arm for arm in cells if arm != found["reference"]]
            gaps = {arm: difference(own[arm], own[found["reference"]]) for arm in tested}
            corrected = holm([gaps[arm].p_t or 0.0 for arm in tested])
            for arm, p in zip(tested, corrected, strict=True):
                against = cells[arm]["against"]
                assert against["mean"] == pytest.approx(gaps[arm].mean, abs=1e-9)
                assert against["p_holm"] == pytest.approx(p, abs=1e-8)
            for arm, cell in cells.items():
                assert cell["spread"]["low"] == pytest.approx(spread(own[arm]).low, abs=1e-9)
