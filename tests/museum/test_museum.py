"""Wrong tableaus of the kind that have been shipped: each is refused where it is wrong."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from schemegen.diagnostics import Source
from schemegen.pipeline import diagnose
from schemegen.render import render_text
from schemegen.sources import zoo_file, zoo_names

HERE = Path(__file__).parent
EXHIBITS = sorted(HERE.glob("*.scheme"))
# What each is refused with, and the text the first error or one of its labels points at.
POINTS = {
    "adams": ("E0401", "-55/24"),
    "bdf": ("E0404", "6/12"),
    "coupling": ("E0401", "expect order = 2"),
    "decimals": ("E0401", "expect order = 3"),
    "declared": ("E0401", "expect order = 4"),
    "digit": ("E0401", "729/2197"),
    "dropped": ("E0201", "2/9  1/3"),
    "embedded": ("E0406", "13525/55296"),
    "gamma": ("E0203", "(1 + sqrt(2)/2)"),
    "no_abscissae": ("E0401", "9/10"),
    "root_sign": ("E0203", "(1/2 - sqrt(3)/6)"),
    "row_sum": ("E0203", "3/5"),
    "sign": ("E0401", "212/729"),
    "swapped": ("E0401", "-1/3"),
    "transposed": ("E0205", "1/2"),
    "weights": ("E0204", "1/6  1/3  1/6  1/6"),
}
TABLE = re.compile(r"(?:tableau|multistep)[^{]*\{(.*?)\n  \}", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")


def read(path: Path) -> Source:
    return Source(path.name, path.read_text(encoding="utf-8"))


def test_each_exhibit_has_a_place() -> None:
    assert {path.stem for path in EXHIBITS} == set(POINTS)


@pytest.mark.parametrize("path", EXHIBITS, ids=lambda path: path.stem)
def test_the_mistake_is_refused_at_its_place(path: Path, update_golden: bool) -> None:
    found = diagnose(read(path), root=HERE)
    code, place = POINTS[path.stem]
    errors = [item for item in found if item.code == code]
    assert errors, [item.code for item in found]
    spans = [errors[0].span, *(label.span for label in errors[0].labels)]
    assert place in [span.text for span in spans]
    golden = path.with_suffix(".txt")
    text = render_text(found)
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("adams", ("0  55/24  -55/24", "0  55/24  -59/24")),
        ("bdf", ("6/12", "6/11")),
        ("digit", ("  729/2197", " 7296/2197")),
        ("embedded", ("13525/55296 18575/48384", "18575/48384 13525/55296")),
        ("no_abscissae", ("9/10", "9/40")),
        ("sign", (" 212/729", "-212/729")),
        ("swapped", ("  1  -1/3\n", "-1/3  1\n")),
    ],
)
def test_the_hint_names_the_correct_entry(name: str, mended: tuple[str, str]) -> None:
    """What a message proposes is what the source has: with it, nothing is wrong any more."""
    source = read(HERE / f"{name}.scheme")
    assert any("every condition up to order" in (item.help or "") for item in diagnose(source))
    text = source.text.replace(*mended)
    assert text != source.text
    assert not [item for item in diagnose(Source(source.name, text)) if item.is_error]


def with_table(name: str) -> bool:
    text = zoo_file(name).read_text(encoding="utf-8")
    table = TABLE.search(text)
    return table is not None and "expect order" in text and "param" not in text


def mutations(name: str, count: int) -> list[str]:
    """Return the text with one number of its table changed: a digit lost, changed or added."""
    text = zoo_file(name).read_text(encoding="utf-8")
    rng = random.Random(name)
    table = TABLE.search(text)
    assert table is not None
    body = "\n".join(line for line in table[1].split("\n") if "n+1" not in line)
    start = text.index(body) if body in text else table.start(1)
    places = [
        (start + item.start(), start + item.end())
        for item in NUMBER.finditer(text[start : table.end(1)])
    ]
    found: list[str] = []
    while len(found) < count:
        low, high = rng.choice(places)
        digits = text[low:high]
        place = rng.randrange(len(digits))
        changed = rng.choice(
            [
                digits[:place] + digits[place + 1 :],
                digits[:place]
                + str((int(digits[place]) + rng.randrange(1, 10)) % 10)
                + digits[place + 1 :],
                digits[:place] + digits[place] + digits[place:],
            ]
        )
        if changed and int(changed) != int(digits) and int(changed) > 0:
            found.append(text[:low] + changed + text[high:])
    return found


def check_mutations(name: str, count: int) -> None:
    for text in mutations(name, count):
        found = diagnose(Source(f"{name}.scheme", text))
        assert any(item.is_error for item in found), text


NAMES = [name for name in zoo_names() if with_table(name)]


@pytest.mark.parametrize("name", NAMES)
def test_no_changed_number_passes(name: str) -> None:
    check_mutations(name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_changed_number_passes_many(name: str) -> None:
    check_mutations(name, 30)
