"""A diagnosis as text, Markdown and HTML."""

from __future__ import annotations

from html import escape

from schemegen.analysis.model import Analysis
from schemegen.diagnosis.model import Diagnosis
from schemegen.diagnosis.plots import KINDS, inline
from schemegen.diagnosis.tables import headline, tables
from schemegen.diagnostics import UsageError
from schemegen.report.notation import Script
from schemegen.report.tables import table_html, table_markdown, table_text

__all__ = ["diagnosis_html", "diagnosis_markdown", "diagnosis_text"]


def diagnosis_text(found: Diagnosis, *, width: int = 100, unicode: bool = True) -> str:
    """Return the tables one below the other."""
    lines = [headline(found), Script(unicode).rule * width]
    for table in tables(found):
        lines += [*table_text(table, width), ""]
    return "\n".join(lines).rstrip() + "\n"


def diagnosis_markdown(found: Diagnosis) -> str:
    """Return the tables under headings."""
    lines = [f"## {headline(found)}", ""]
    for table in tables(found):
        lines += table_markdown(table)
    return "\n".join(lines).rstrip() + "\n"


def diagnosis_html(found: Diagnosis, analysis: Analysis) -> str:
    """Return an article with the tables and, where matplotlib is installed, the pictures."""
    parts = [
        '<article class="schemegen-report mathjax_ignore tex2jax_ignore">',
        f"<header><h1>{escape(headline(found))}</h1></header>",
    ]
    for table in tables(found):
        parts += table_html(table)
    for kind in KINDS:
        try:
            drawing = inline(kind, found, analysis)
        except UsageError:
            continue  # no matplotlib, or no such picture of this scheme
        parts.append(f"<figure>{drawing}</figure>")
    return "\n".join([*parts, "</article>"])
