"""Every diagnostic has a bad file with its message, and an explanation whose examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import schemegen
from schemegen.diagnostics import Diagnostic, Source
from schemegen.explanations import codes, explanation
from schemegen.pipeline import diagnose
from schemegen.render import render_text

BAD = Path(__file__).parent / "bad"
FILES = sorted(BAD.glob("*.scheme"))
BLOCK = re.compile(r"```scheme (bad|good)\n(.*?)```", re.DOTALL)
LITERAL = re.compile(r'"([EW]0[0-9]{3})"')
# A text alone cannot cause these: they come from a command, a checkpoint, a device or a network.
NEEDS_MORE_THAN_A_TEXT = re.compile(r"[EW]08|W0607")
NEEDS_A_FILE = re.compile(r"E0[123467]|W0[23456]")


def said_of(source: Source) -> tuple[Diagnostic, ...]:
    return diagnose(source, root=BAD, pedantic=True)


def emitted() -> dict[str, str]:
    """Return every code that stands in quotes in the sources, and where."""
    package = Path(schemegen.__file__).parent
    return {
        code: path.name
        for path in sorted(package.rglob("*.py"))
        for code in LITERAL.findall(path.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_message_of_a_bad_file(path: Path, update_golden: bool) -> None:
    with path.open(encoding="utf-8", newline="") as stream:
        source = Source(path.name, stream.read())
    found = said_of(source)
    assert path.stem[:5] in {item.code for item in found}
    text = render_text(found)
    golden = path.with_suffix(".txt")
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", codes())
def test_the_examples_of_an_explanation(code: str) -> None:
    text = explanation(code)
    assert text.startswith(f"# {code}: ")
    examples = dict(BLOCK.findall(text))
    if NEEDS_MORE_THAN_A_TEXT.match(code):
        return
    assert examples.keys() == {"bad", "good"}
    assert code in {item.code for item in said_of(Source("bad.scheme", examples["bad"]))}
    good = said_of(Source("good.scheme", examples["good"]))
    assert code not in {item.code for item in good}
    assert not [item.message for item in good if item.is_error]


def test_every_code_in_the_sources_is_explained() -> None:
    assert len(emitted()) > 50
    assert not {code: place for code, place in emitted().items() if code not in codes()}


def test_every_code_has_a_bad_file() -> None:
    have = {path.stem[:5] for path in FILES}
    wanted = {
        code
        for code in emitted()
        if NEEDS_A_FILE.match(code) and not NEEDS_MORE_THAN_A_TEXT.match(code)
    }
    assert not sorted(wanted - have)


def test_every_golden_message_has_its_file() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in FILES}
