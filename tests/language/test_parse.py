"""Spans, recovery and limits: what ``parse`` says of right, wrong and hostile texts."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemegen.diagnostics import Source
from schemegen.language import Parsed, nodes, parse
from schemegen.render import apply_fixes
from schemegen.resources import resource_dir

ZOO = sorted((resource_dir("zoo") / "schemes").glob("*.scheme"))


def read(text: str) -> Parsed:
    return parse(Source("a.scheme", text))


def codes(text: str) -> list[str]:
    return [item.code for item in read(text).diagnostics]


def scheme(text: str) -> nodes.SchemeNode:
    parsed = read(text)
    assert not parsed.diagnostics
    (item,) = parsed.file.items
    assert isinstance(item, nodes.SchemeNode)
    return item


def test_spans_are_what_was_written() -> None:
    step = scheme("\ufeffscheme a {\r\n step { u[n+1] = (1 - k)*u[n] # c\r\n }\r\n}").statements[0]
    assert isinstance(step, nodes.StepBlock)
    (equation,) = step.assignments
    assert equation.target.span.text == "u[n+1]"
    assert equation.value.span.text == "(1 - k)*u[n]"
    assert isinstance(equation.value, nodes.Binary)
    assert equation.value.left.span.text == "(1 - k)"
    assert step.span.text.startswith("step {")


def test_cells_are_products_and_calls_touch() -> None:
    block = scheme(
        "scheme a { tableau dirk {\n1 | 1 -1/2 g (1-g) s(2)\n--+--\n| 1\n} }"
    ).statements[0]
    assert isinstance(block, nodes.TableauBlock)
    texts = [cell.span.text for cell in block.rows[0].cells]
    assert texts == ["1", "-1/2", "g", "(1-g)", "s(2)"]


MANY = """\
scheme a {
  state u; drift f (u): block preact
  param k learnable
  step {
    z == 2h*f(u[n])
    y = u[n]**2 \u2212 3 k
    u_{n+1} = (u[n] + h*z
    v = h*f (u[n])
  }
  tableau explicit {
    0 |
    1/2 1/2
    | 1
  expect order = 1
}
"""


def test_all_mistakes_of_a_file_at_once() -> None:
    assert codes(MANY) == [
        "E0103", "E0101", "E0105", "E0107", "E0104", "E0106", "E0107", "E0108", "E0110", "E0103",
        "E0113", "E0111", "E0112",
    ]  # fmt: skip


def test_mended_statements_are_kept_and_dropped_ones_are_told() -> None:
    parsed = read(MANY)
    (item,) = parsed.file.items
    assert isinstance(item, nodes.SchemeNode)
    words = [node.keyword.id for node in item.statements if isinstance(node, nodes.Declaration)]
    assert words == ["state", "drift", "param"]
    step = next(node for node in item.statements if isinstance(node, nodes.StepBlock))
    assert [node.target.span.text for node in step.assignments] == ["z", "y", "v"]
    assert "u" in parsed.poisoned
    assert {item.span.start, step.span.start} <= parsed.damaged


def test_fixes_lead_to_a_text_without_these_mistakes() -> None:
    source = Source("a.scheme", MANY)
    text = apply_fixes(source, parse(source).diagnostics)
    text = apply_fixes(Source("a.scheme", text), read(text).diagnostics)
    assert codes(text) == ["E0110", "E0113", "E0111", "E0112"]
    assert "drift f(u)" in text
    assert "z = 2*h*f(u[n])" in text
    assert "u[n]^2 - 3*k" in text


def test_more_than_twenty_errors() -> None:
    found = codes("scheme a {\n" + "const = 1\n" * 30 + "}\n")
    assert found == ["E0100"] * 20 + ["E0129"]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("1" * 41, "has 41 digits, the limit is 40"),
        ("1e309", "beyond the limit of 308"),
        ("2^65", "beyond the limit of 64"),
        ("-" * 3000 + "1", "deeper than 200 levels"),
        ("(" * 65 + "1" + ")" * 65, "deeper than 64 levels"),
        ("1+" * 250 + "1", "deeper than 200 levels"),
        ("a" * 65, "has 65 characters, the limit is 64"),
    ],
)
def test_limits(inside: str, message: str) -> None:
    found = read(f"scheme a {{ const b = {inside} }}").diagnostics
    assert [item.code for item in found] == ["E0118"]
    assert message in found[0].message


@pytest.mark.parametrize("inside", ["1" * 40, "1e308", "2^64", "-" * 199 + "1", "a" * 64])
def test_up_to_the_limits(inside: str) -> None:
    assert codes(f"scheme a {{ const b = {inside} }}") == []


def test_a_row_of_cells_is_not_split_by_a_limit() -> None:
    text = "scheme a { tableau explicit {\n0 | " + "1" * 41 + "\n--+--\n| 1\n} }"
    assert codes(text) == ["E0118"]


def test_large_files_and_many_statements() -> None:
    assert codes("#" * 65536) == []
    assert codes("#" * 65537) == ["E0118"]
    assert codes("scheme a {\n" + "state u\n" * 1999 + "}") == []
    assert "E0118" in codes("scheme a {\n" + "state u\n" * 2001 + "}")


HOSTILE = {
    "parentheses": "(" * 30000, "minus": "scheme a { const b = " + "-" * 3000, "braces": "{" * 65000,
    "closing": "}" * 65000, "nul": "\0" * 60000, "surrogates": "\ud800" * 20000, "power": "9^9^9",
    "words": "a " * 32000, "quotes": '"\n' * 32000, "backslashes": "\\" * 65000, "stars": "**" * 32000,
    "digits": "9" * 65000, "returns": "\r" * 65000, "unclosed": "scheme a { step {\n" + "y = (\n" * 9000,
    "lines": "scheme a { step { y = (\n" + "u\n" * 30000,
}  # fmt: skip


def work(text: str) -> int:
    """Return how many calls it takes to answer a text, by which no other process can be delayed."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        read(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_answered_soon(name: str) -> None:
    text = HOSTILE[name]
    assert codes(text)
    quarter = text[: len(text) // 4]
    found, half = work(quarter), work(quarter[: len(quarter) // 2])
    assert found < 200 * len(quarter) + 2000
    assert found < 2.2 * half + 2000


FRAGMENTS = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|",
    "--",
    "\n",
    ";",
    '"',
    "#",
    "==",
    "**",
    "2h",
    "f (",
    "\\",
    "=",
]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_raises(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(ZOO)).read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        until = min(len(text), at + data.draw(st.sampled_from([0, 1, 5, 30])))
        text = (
            text[:at] + data.draw(st.sampled_from(FRAGMENTS) | st.text(max_size=3)) + text[until:]
        )
    for item in read(text).diagnostics:
        assert item.span is not None
        assert 0 <= item.span.start <= item.span.end <= len(text)
