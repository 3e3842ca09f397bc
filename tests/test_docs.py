"""The pages under ``docs`` say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemegen.explanations import codes, explanation

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="there is no checkout")


def test_every_code_is_listed_with_its_title() -> None:
    page = DOCS / "diagnostics.md"
    head, _, listed = page.read_text(encoding="utf-8").partition("## All codes\n\n")
    titles = [explanation(code).splitlines()[0].removeprefix("# ") for code in codes()]
    rows = [f"- {title}" for title in titles]
    assert head
    assert listed.splitlines() == rows


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
