"""An analysis as text, JSON, LaTeX, Markdown or HTML."""

from __future__ import annotations

from schemegen.report.data import analysis_data, analysis_json
from schemegen.report.html import page_html, report_html, scheme_latex
from schemegen.report.latex import document_latex, report_latex
from schemegen.report.markdown import report_markdown
from schemegen.report.network import NetworkSummary
from schemegen.report.schema import report_schema
from schemegen.report.text import report_text

__all__ = [
    "NetworkSummary",
    "analysis_data",
    "analysis_json",
    "document_latex",
    "page_html",
    "report_html",
    "report_latex",
    "report_markdown",
    "report_schema",
    "report_text",
    "scheme_latex",
]
