"""The report as Markdown, for a README or an issue: tables, and formulas between lines of two dollars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from schemegen.analysis.model import Analysis, OrderCondition
from schemegen.report import document as doc
from schemegen.report.grid import draw
from schemegen.report.latex import block_latex
from schemegen.report.notation import Script
from schemegen.report.references import bibliography
from schemegen.scheme.model import Scheme

__all__ = ["escape", "report_markdown"]

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$&])")
SCRIPT = Script()


def escape(text: str) -> str:
    """Return a text of the user so that Markdown shows it as it is, HTML included."""
    return SPECIAL.sub(r"\\\1", text)


def report_markdown(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return the sections of the report, each with its sources."""
    report = doc.document(analysis, scheme, SCRIPT)
    lines = [f"### {escape(report.title)}", "", escape(report.kind), ""]
    for section in report.sections:
        lines += [f"#### {escape(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
        if section.sources:
            cited = "; ".join(escape(str(item)) for item in section.sources)
            lines += [f"Source: {cited}", ""]
    works = bibliography(report.sources)
    if works:
        lines += ["#### References", "", *(f"- {escape(work)}" for work in works)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(block: doc.Block) -> Iterator[str]:
    match block:
        case doc.Coefficients(scheme):
            yield from ("```text", *draw(scheme, SCRIPT), "```")
        case doc.FactTable(rows):
            yield from ("| | |", "|---|---|")
            for row in rows:
                text = escape("  ".join([row.text, *row.codes]))
                yield f"| {escape(row.label)} | {text} |"
        case doc.Conditions(items, several):
            yield from _conditions(items, several=several)
        case doc.Prose(text):
            yield escape(text)
        case doc.Notes(items):
            yield from (f"- {escape(note.key)}: {escape(note.text)}" for note in items)
        case _:
            yield from ("$$", *block_latex(block), "$$")


def _conditions(items: Sequence[OrderCondition], *, several: bool) -> Iterator[str]:
    """Yield the conditions that fail, as a table; the others are counted."""
    failing = [item for item in items if item.residual != 0]
    held = len(items) - len(failing)
    yield f"{held} of {len(items)} order conditions hold, up to the next order\\."
    if not failing:
        return
    yield from ("", "| tree | misses by |", "|---|---|")
    for item in failing:
        tree = f"{item.state}: {item.tree}" if several else item.tree
        yield f"| {escape(tree)} | {escape(SCRIPT.exact(item.residual))} |"
