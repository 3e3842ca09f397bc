"""The pages under ``docs`` say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

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


def test_the_gallery_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import runpy

    folder = tmp_path / "_gallery"
    runpy.run_path(str(DOCS / "gallery.py"))["write"](folder)
    page = (folder / "index.md").read_text(encoding="utf-8")
    shown = re.findall(r"\]\(_gallery/([^)]+)\)", page)
    assert sorted(shown) == sorted(path.name for path in folder.glob("*.svg"))
    assert len(shown) == len(set(shown)) > 15
    assert "{include} _gallery/index.md" in (DOCS / "gallery.md").read_text(encoding="utf-8")


def test_the_forms_that_are_described_are_those_there_are() -> None:
    from schemegen.cli import analyze, diff, plotting
    from schemegen.cli.compile import FORMS

    page = (DOCS / "output.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w[\w-]*)` \|", page, re.MULTILINE))
    assert described == {*analyze.FORMS, *plotting.KINDS, *plotting.TRAINED, *FORMS}
    assert "`text`, `json`, `md` and `html`" in page
    assert set(diff.FORMS) == {"text", "json", "md", "html"}


def test_the_parameters_of_the_backbones() -> None:
    """Every published backbone is in the table, with the parameters that it has under forward Euler."""
    import schemegen
    from schemegen.sources import zoo_names

    page = (DOCS / "backbones.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page, re.MULTILINE))
    assert {n for n in zoo_names("networks") if n.startswith(("cifar_", "imagenet_"))} <= set(rows)
    for name, count in rows.items():
        with torch.device("meta"):
            network = schemegen.build("resnet", network=name)
        assert f"{sum(item.numel() for item in network.parameters()):,}" == count, name


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_the_table_of_systems_is_that_of_the_networks_and_the_analysis(every: int) -> None:
    """``python docs/catalogue.py`` writes it; the number of parameters is the one expected."""
    import runpy

    from schemegen.systems import systems

    chosen = systems()[::every]
    text = runpy.run_path(str(DOCS / "catalogue.py"))["page"](chosen)
    page = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    assert set(text.splitlines()) <= set(page.splitlines())
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 30
    assert [name.removeprefix("| ") for name, *_ in rows] == [item.name for item in systems()]
    for name, _, _, expected, found, *_ in rows:
        assert expected == found, name
    assert every > 1 or page == text
