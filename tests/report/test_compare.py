"""Two schemes side by side: terms aligned, names matched by place, every form."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy

from schemegen.pipeline import load, study
from schemegen.report import analysis_json
from schemegen.report.compare import Comparison, Side, compare, comparison_data
from schemegen.report.notation import Script
from schemegen.report.sides import comparison_html, comparison_markdown, comparison_text

GOLDEN = Path(__file__).parent / "golden"


def side(name: str) -> Side:
    it = study(load(name))
    return Side(it.scheme, it.program, it.analysis)


def compared(a: str, b: str, *, unicode: bool = True) -> Comparison:
    return compare(side(a), side(b), Script(unicode))


@pytest.mark.parametrize(
    ("a", "b"), [("rk2", "heun2"), ("leapfrog", "lm_resnet"), ("revnet", "stoermer_verlet")]
)
def test_every_form(a: str, b: str, update_golden: bool) -> None:
    found = compared(a, b)
    texts = {
        "txt": comparison_text(found, Script(), 100),
        "md": comparison_markdown(found),
        "json": analysis_json(comparison_data(found)),
    }
    for ending, text in texts.items():
        path = GOLDEN / f"{a}-{b}.{ending}"
        if update_golden:
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


def test_terms_are_aligned_and_missing_ones_are_zero() -> None:
    """Explicit midpoint and Heun: GNI, example IX.1.4 and its like; f''(f, f'f) is only in Heun's."""
    found = compared("rk2", "heun2")
    rows = {row.tree: (row.left, row.right, row.same) for row in found.terms}
    assert rows["f"] == (1, 1, True)
    assert rows["f[f,f]"] == (-sympy.Rational(1, 24), sympy.Rational(1, 12), False)
    assert rows["f[f,f[f]]"][0] == 0
    assert rows["f[f,f[f]]"][1] != 0
    assert [row.h_power for row in found.terms] == sorted(row.h_power for row in found.terms)


def test_terms_beyond_the_smaller_truncation_are_not_compared() -> None:
    found = compared("euler", "rk4")
    assert found.truncation == 4
    assert max(row.h_power for row in found.terms) == 3
    assert all(row.right == 0 for row in found.terms if row.h_power)


def test_names_make_no_difference() -> None:
    other = (
        "scheme p { state x; drift g(x); tableau explicit { 0 | ; 1/2 | 1/2 ; ---+--- ; | 0 1 } }\n"
    )
    found = compared("rk2", other)
    assert found.terms
    assert all(row.same for row in found.terms)
    assert {row.tree for row in found.terms} >= {"f", "f[f,f]"}


def test_the_same_scheme_is_the_same() -> None:
    found = compared("bdf3", "bdf3")
    assert found.same
    assert not found.program
    assert all(row.same for group in found.groups for row in group.rows)


def test_schemes_that_cannot_be_compared_term_by_term() -> None:
    found = compared("rk2", "revnet")
    assert (found.terms, found.truncation) == ((), None)
    assert "modified equation" not in comparison_text(found, Script(), 100)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_columns_fit(width: int) -> None:
    text = comparison_text(compared("rk4", "lm_resnet", unicode=False), Script(False), width)
    assert text.isascii()
    facts = text.split("step programs")[0].split("\nscheme\n")[1]
    assert all(len(line) <= width for line in facts.splitlines())
    assert "\n! " in facts


def test_page_shows_both_and_fetches_nothing() -> None:
    page = comparison_html(compared("rk2", "heun2"), regions=False)
    assert page.count('class="tableau"') == 2
    assert "src=" not in page
    assert "<script" not in page
    assert 'class="differs"' in page


def test_page_with_regions() -> None:
    pytest.importorskip("matplotlib")
    page = comparison_html(compared("rk2", "ars222"))
    assert page.count("<title>region of") == 1
