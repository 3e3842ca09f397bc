"""The pages under ``docs`` say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemegen.explanations import codes

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="there is no checkout")


def test_every_family_of_codes_is_described() -> None:
    page = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
    families = set(re.findall(r"^\| (\d\d)\.\. \|", page, re.MULTILINE))
    assert families >= {code[1:3] for code in codes()}


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
