"""Diagnostics as caret blocks and as the forms that machines read."""

from __future__ import annotations

import json

from schemegen.diagnostics import Diagnostic, Edit, Fix, Label, Source, Span
from schemegen.render import (
    apply_fixes,
    render_concise,
    render_github,
    render_json_lines,
    render_sarif,
    render_text,
)

HEUN = Source("heun.scheme", "scheme heun {\n  tableau explicit {\n    1/3 |  1\n  }\n}\n")


def at(source: Source, text: str, offset: int = 0) -> Span:
    start = source.text.index(text, offset)
    return Span(source, start, start + len(text))


def row_sum() -> Diagnostic:
    place = at(HEUN, "1/3")
    return Diagnostic(
        "E0203",
        "c = 1/3 differs from the row sum 1",
        place,
        "write `1`, or leave c out",
        (Label(at(HEUN, "1", place.end), "row sum 1"),),
        "column c",
        Fix((Edit(place, "1"),)),
    )


def only(text: str, place: str, **options: object) -> list[str]:
    source = Source("a", text)
    item = Diagnostic("E0100", "no", at(source, place))
    return render_text([item], **options).splitlines()[3:5]  # type: ignore[arg-type]


def test_two_labels_on_one_line() -> None:
    assert render_text([row_sum()]) == (
        "error[E0203]: c = 1/3 differs from the row sum 1\n"
        "  --> heun.scheme:3:5\n"
        "   |\n"
        " 3 |     1/3 |  1\n"
        "   |     ^^^    - row sum 1\n"
        "   |     |\n"
        "   |     column c\n"
        "   |\n"
        "   = help: write `1`, or leave c out\n"
        "   = explain: schemegen explain E0203\n"
    )


def test_a_span_over_several_lines_and_no_place() -> None:
    whole = Diagnostic("W0409", "all", Span(HEUN, 0, len(HEUN.text)), text="here")
    assert render_text([whole, Diagnostic("E0802", "no device", None)]) == (
        "warning[W0409]: all\n  --> heun.scheme:1:1\n   |\n 1 | scheme heun {\n   | ^^^^^^^^^^^^^\n...\n"
        " 5 | }\n   | ^ here\n   |\n   = explain: schemegen explain W0409\n\n"
        "error[E0802]: no device\n   = explain: schemegen explain E0802\n"
    )


def test_tabs_wide_and_combining_characters() -> None:
    assert only("\tab x", "x") == [" 1 |     ab x", "   |        ^"]
    assert only("数e\u0301 x", "x") == [" 1 | 数e\u0301 x", "   |     ^"]
    assert only("数 x", "x", unicode=False) == [" 1 | \\u6570 x", "   |        ^"]
    assert only("\u202ea\x1b x", "x") == [" 1 | \\u202ea\\x1b x", "   |             ^"]


def test_long_lines_are_cut_around_the_carets() -> None:
    shown, carets = only("a" * 300 + " zz " + "b" * 300, "zz", width=60)
    assert len(shown) <= 60
    assert shown[carets.index("^") :].startswith("zz b")
    assert carets.endswith("^^")
    assert shown.startswith(" 1 | ...a")
    assert shown.endswith("b...")


def test_colors_only_where_asked() -> None:
    assert "\x1b[1;31m" in render_text([row_sum()], color=True)
    assert "\x1b" not in render_text([row_sum()])


def test_json_lines() -> None:
    record = json.loads(render_json_lines([row_sum()]))
    assert record["v"] == 1
    assert (record["line"], record["column"], record["end_line"], record["end_column"]) == (
        3,
        5,
        3,
        8,
    )
    assert record["labels"] == [
        {"line": 3, "column": 12, "end_line": 3, "end_column": 13, "text": "row sum 1"}
    ]
    edit = {"line": 3, "column": 5, "end_line": 3, "end_column": 8, "text": "1"}
    assert record["fix"] == {"applicability": "machine", "edits": [edit]}
    assert json.loads(render_json_lines([Diagnostic("E0802", "x", None)]))["file"] is None


def test_one_line_forms() -> None:
    assert render_concise([row_sum()]) == (
        "heun.scheme:3:5: E0203 c = 1/3 differs from the row sum 1\n"
    )
    assert render_github([row_sum()]) == (
        "::error file=heun.scheme,line=3,col=5,endColumn=8,endLine=3,title=E0203::"
        "c = 1/3 differs from the row sum 1%0Ahelp: write `1`, or leave c out\n"
    )
    evil = Diagnostic("E0100", "a\n::set-output 100%", None)
    assert render_github([evil]) == "::error title=E0100::a%0A::set-output 100%25\n"


def test_sarif() -> None:
    (run,) = json.loads(render_sarif([row_sum()]))["runs"]
    (result,) = run["results"]
    region = {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 8}
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "E0203"
    assert result["locations"][0]["physicalLocation"]["region"] == region
    change = result["fixes"][0]["artifactChanges"][0]
    assert change["replacements"][0]["insertedContent"]["text"] == "1"


def test_fixes_apply_whole_once_and_only_if_sure() -> None:
    source = Source("a", "a b c d")

    def fix(*edits: tuple[str, str], applicability: str = "machine") -> Diagnostic:
        changes = tuple(Edit(at(source, old), new) for old, new in edits)
        return Diagnostic("E0100", str(edits), changes[0].span, fix=Fix(changes, applicability))

    items = [fix(("a", "A")), fix(("b c", "X"), ("d", "D")), fix(("c", "Y")), fix(("a", "A"))]
    assert apply_fixes(source, items) == "A X D"
    assert apply_fixes(source, [fix(("a", "A"), applicability="maybe")]) == source.text
    assert apply_fixes(Source("b", "a b c d"), items) == source.text
