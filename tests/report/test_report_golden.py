"""Reports of whole schemes, as text and as JSON, against what was reviewed.

``--update-golden`` writes them anew; read the diff.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemegen.pipeline import examine, study
from schemegen.report import (
    NetworkSummary,
    analysis_data,
    analysis_json,
    report_html,
    report_latex,
    report_markdown,
    report_text,
)
from schemegen.selection import source_of

GOLDEN = Path(__file__).parent / "golden"

NAMES = (
    "rk2",
    "heun21",
    "rk4",
    "sdirk2",
    "ab2",
    "bdf2",
    "leapfrog",
    "lm_resnet",
    "revnet",
    "ars222",
    "in_resnet",
    "euler_maruyama",
    "fractal2",
)

KEYS = {
    *("v", "scheme", "title", "states", "fields", "params", "kind", "consistent", "order"),
    *("stage_order", "embedded_order", "strong_order", "weak_order", "order_special"),
    *("order_conditions", "principal_error", "principal_error_norm", "error_constant"),
    *(
        "modified_equation",
        "modifying_equation",
        "modified_sde",
        "stability",
        "geometry",
        "dispersion",
        "dissipation",
    ),
    *("limits", "contraction", "cost", "expect", "notes"),
}

DIGITS = NetworkSummary("digits", (1, 8, 8), 10, (16, 32), (3, 3), 32, 66138, 0)


def unit(name: str):  # type: ignore[no-untyped-def]  # a Unit; sympy is untyped
    checked, _ = examine(source_of(name))
    return study(checked.schemes[0])


def compare(name: str, text: str, update: bool) -> None:
    path = GOLDEN / name
    if update:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str, update_golden: bool) -> None:
    it = unit(name)
    compare(f"{name}.txt", report_text(it.analysis, it.scheme, DIGITS, width=92), update_golden)


@pytest.mark.parametrize("name", NAMES)
def test_json(name: str, update_golden: bool) -> None:
    it = unit(name)
    text = analysis_json(analysis_data(it.analysis, it.scheme))
    compare(f"{name}.json", text, update_golden)


@pytest.mark.parametrize("name", ["rk2", "lm_resnet", "ab2"])
def test_full_ascii_narrow(name: str, update_golden: bool) -> None:
    it = unit(name)
    text = report_text(it.analysis, it.scheme, DIGITS, width=60, unicode=False, full=True)
    assert text.isascii()
    compare(f"{name}.narrow.txt", text, update_golden)


@pytest.mark.parametrize("name", ["rk2", "lm_resnet", "ab2"])
def test_other_forms(name: str, update_golden: bool) -> None:
    it = unit(name)
    compare(f"{name}.tex", report_latex(it.analysis, it.scheme), update_golden)
    compare(f"{name}.md", report_markdown(it.analysis, it.scheme), update_golden)
    # A region is drawn by matplotlib, whose lines differ from version to version.
    page = report_html(it.analysis, it.scheme, regions=False)
    compare(f"{name}.html", page, update_golden)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 160])
@pytest.mark.parametrize("name", ["rk4", "gauss3", "dopri5", "lm_resnet", "in_resnet", "fractal3"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    it = unit(name)
    wide = {
        line
        for line in report_text(it.analysis, it.scheme, DIGITS, width=width).splitlines()
        if len(line) > width
    }
    # A tableau is not broken; it may be as wide as its coefficients.
    assert all("│" in line or "─" in line for line in wide)


def test_colour_only_adds_escape_codes() -> None:
    from rich.text import Text

    it = unit("rk2")
    plain = report_text(it.analysis, it.scheme, DIGITS)
    colored = report_text(it.analysis, it.scheme, DIGITS, color=True)
    assert "\x1b[32m(expected 2: holds)" in colored
    assert Text.from_ansi(colored).plain.strip() == plain.strip()


def test_json_has_every_key_and_a_reason_for_each_null() -> None:
    for name in NAMES:
        it = unit(name)
        data = json.loads(analysis_json(analysis_data(it.analysis, it.scheme)))
        assert data.keys() >= KEYS
        assert data["v"] == 1
        named = {note["key"] for note in data["notes"]}
        named |= {key.rpartition(".")[2] for key in named} | {
            key.partition(".")[0] for key in named
        }
        for key, value in data.items():
            assert value is not None or key in named, (name, key)
        for group in ("stability", "geometry"):
            for key, value in data[group].items():
                assert value is not None or {key, group} & named, (name, group, key)


def test_known_mathematics_of_rk2() -> None:
    """Explicit midpoint: GNI, example IX.1.4; the numbers of the report, from the literature."""
    it = unit("rk2")
    data = analysis_data(it.analysis, it.scheme)
    field = {term["tree"]: term["coefficient"] for term in data["modified_equation"]["field"]["u"]}
    assert field == {
        "f": "1",
        "f[f[f]]": "-1/6",
        "f[f,f]": "-1/24",
        "f[f[f[f]]]": "1/8",
        "f[f[f,f]]": "1/16",
    }
    assert data["stability"]["function"] == {
        "numerator": ["1", "1", "1/2"],
        "denominator": ["1"],
    }
    assert data["stability"]["real_interval"] == ["-2", "0"]
    assert data["expect"] == [{"claim": "order = 2", "holds": True, "found": "2"}]
