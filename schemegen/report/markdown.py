"""The report as Markdown, for a README or an issue."""

from __future__ import annotations

import re

from schemegen.analysis.model import Analysis
from schemegen.report.facts import facts, headline, kind_of
from schemegen.report.grid import draw
from schemegen.report.latex import field_latex, symbol
from schemegen.report.notation import Script
from schemegen.scheme.model import Scheme

__all__ = ["escape", "report_markdown"]

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$&])")


def escape(text: str) -> str:
    """Return a text of the user so that Markdown shows it as it is, HTML included."""
    return SPECIAL.sub(r"\\\1", text)


def report_markdown(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return head, tableau, a table of facts and the modified equation."""
    script = Script()
    lines = [f"### {escape(headline(analysis))}", "", escape(kind_of(analysis, scheme)), ""]
    if scheme is not None and (grid := draw(scheme, script)):
        lines += ["```text", *grid, "```", ""]
    lines += ["| | |", "|---|---|"]
    lines += [
        f"| {escape(fact.label)} | {escape('  '.join([fact.text, *fact.codes]))} |"
        for fact in facts(analysis, scheme, script)
    ]
    equation = analysis.modified_equation
    if equation is not None and equation.field is not None:
        lines += ["", "Modified equation:", ""]
        for state, terms in equation.field:
            lines += [
                f"$${symbol(state)}' = {field_latex(terms)} + O(h^{{{equation.truncation}}})$$"
            ]
    notes = [note for note in analysis.notes if note.code is None]
    if notes:
        lines += ["", "Notes:", ""]
        lines += [f"- {escape(note.key)}: {escape(note.text)}" for note in notes]
    return "\n".join(lines) + "\n"
