"""Diagnostics for programs: JSON lines, one line each, GitHub annotations, a SARIF 2.1.0 log.

Lines and columns count from 1, columns in code points, ends are exclusive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from schemegen.diagnostics import Diagnostic, Edit, Source, Span
from schemegen.render.characters import escaped

__all__ = ["render_concise", "render_github", "render_json_lines", "render_sarif"]

Object = dict[str, Any]


def _region(span: Span) -> Object:
    return {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def _place(span: Span, home: Span | None) -> Object:
    """Return a region, with its file where that is not the file of the diagnostic."""
    other = home is None or span.source.name != home.source.name
    return {**({"file": span.source.name} if other else {}), **_region(span)}


def as_object(item: Diagnostic) -> Object:
    """Return a diagnostic as the object of the JSON form."""
    missing = dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    record: Object = {
        "v": 1,
        "code": item.code,
        "severity": item.severity,
        "message": item.message,
        **(missing if item.span is None else {"file": item.span.source.name, **_region(item.span)}),
    }
    if item.text:
        record["text"] = item.text
    record["labels"] = [
        {**_place(label.span, item.span), "text": label.text} for label in item.labels
    ]
    record["help"] = item.help
    record["fix"] = item.fix and {
        "applicability": item.fix.applicability,
        "edits": [{**_place(edit.span, item.span), "text": edit.text} for edit in item.fix.edits],
    }
    return record


def render_json_lines(diagnostics: Iterable[Diagnostic]) -> str:
    """Return one JSON object a line."""
    return "".join(
        json.dumps(as_object(item), separators=(",", ":")) + "\n" for item in diagnostics
    )


def render_concise(diagnostics: Iterable[Diagnostic]) -> str:
    """Return ``file:line:column: code message``, one line each."""
    lines = []
    for item in diagnostics:
        where = ""
        if (span := item.span) is not None:
            where = f"{span.source.name}:{span.line}:{span.column}: "
        lines.append(escaped(f"{where}{item.code} {item.message}") + "\n")
    return "".join(lines)


def _data(text: str) -> str:
    return escaped(text, keep="\n").replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Return workflow commands that annotate the lines of a pull request."""
    lines = []
    for item in diagnostics:
        properties = [f"title={item.code}"]
        if (span := item.span) is not None:
            properties = [
                f"file={_property(span.source.name)}",
                f"line={span.line}",
                f"endLine={span.end_line}",
                *properties,
            ]
            if span.line == span.end_line:  # columns of several lines are refused
                properties[2:2] = [f"col={span.column}", f"endColumn={span.end_column}"]
        message = item.message + (f"\nhelp: {item.help}" if item.help else "")
        lines.append(f"::{item.severity} {','.join(properties)}::{_data(message)}\n")
    return "".join(lines)


def render_sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """Return a SARIF 2.1.0 log with one run. Source: OASIS standard, 27 March 2020."""
    items = tuple(diagnostics)
    rules = sorted({item.code for item in items})
    run = {
        "tool": {"driver": {"name": "schemegen", "rules": [{"id": code} for code in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(item, rules.index(item.code)) for item in items],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2) + "\n"


def _sarif_result(item: Diagnostic, rule: int) -> Object:
    text = item.message + (f"\nhelp: {item.help}" if item.help else "")
    result: Object = {
        "ruleId": item.code,
        "ruleIndex": rule,
        "level": item.severity,
        "message": {"text": text},
    }
    if item.span is not None:
        result["locations"] = [{"physicalLocation": _sarif_location(item.span)}]
    if item.labels:
        result["relatedLocations"] = [
            {
                "physicalLocation": _sarif_location(label.span),
                "message": {"text": label.text},
            }
            for label in item.labels
        ]
    if item.fix is not None:
        changes = [
            {
                "artifactLocation": _sarif_file(spans[0]),
                "replacements": [
                    {
                        "deletedRegion": _sarif_region(edit.span),
                        "insertedContent": {"text": edit.text},
                    }
                    for edit in item.fix.edits
                    if edit.span.source == spans[0].source
                ],
            }
            for spans in _by_source(item.fix.edits)
        ]
        result["fixes"] = [{"artifactChanges": changes}]
    return result


def _by_source(edits: Iterable[Edit]) -> list[list[Span]]:
    groups: dict[Source, list[Span]] = {}
    for edit in edits:
        groups.setdefault(edit.span.source, []).append(edit.span)
    return list(groups.values())


def _sarif_region(span: Span) -> Object:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _sarif_file(span: Span) -> Object:
    from urllib.parse import quote

    return {"uri": quote(span.source.name.replace("\\", "/"), safe="/", errors="replace")}


def _sarif_location(span: Span) -> Object:
    return {"artifactLocation": _sarif_file(span), "region": _sarif_region(span)}
