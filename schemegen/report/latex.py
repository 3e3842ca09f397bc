"""The report as LaTeX (amsmath): a fragment to include, or a document that compiles by itself.

Every text of the file is escaped before it gets here. A fragment needs ``\\usepackage{amsmath}`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemegen.analysis.model import Analysis, OrderCondition
from schemegen.report import document as doc
from schemegen.report.latex_formulas import (
    coefficients_latex,
    derivative_rows,
    differential,
    exact,
    field_rows,
    polynomial,
    symbol,
)
from schemegen.report.latex_text import escape, prose
from schemegen.report.notation import Script, parse_tree
from schemegen.report.references import bibliography
from schemegen.scheme.model import Scheme, Tableaus

__all__ = ["block_latex", "document_latex", "formulas_latex", "report_latex"]

MOST_CELLS = 6  # stages of a tableau in the usual size of letters


def document_latex(reports: Sequence[tuple[Analysis, Scheme | None]]) -> str:
    """Return a whole document, a section a scheme, that pdfLaTeX compiles without other files."""
    lines = [
        r"\documentclass[11pt,a4paper]{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\setlength{\textwidth}{165mm}",
        r"\setlength{\oddsidemargin}{0mm}",
        r"\setlength{\textheight}{240mm}",
        r"\setlength{\topmargin}{-15mm}",
        r"\setlength{\emergencystretch}{3em}",
        r"\begin{document}",
        *(report_latex(analysis, scheme) for analysis, scheme in reports),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def report_latex(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return a fragment for a paper: head, then each section of the report with its sources."""
    report = doc.document(analysis, scheme, Script(unicode=False))
    lines = [rf"\section*{{{escape(report.title)}}}", f"{prose(report.kind)}.", ""]
    for section in report.sections:
        lines.append(rf"\subsection*{{{escape(section.title)}}}")
        if section.sources:
            cited = "; ".join(map(str, section.sources))
            lines.append(rf"\noindent\emph{{Source: {escape(cited)}.}}\par")
        for block in section.blocks:
            lines += _block(block)
    works = bibliography(report.sources)
    if works:
        lines += [r"\subsection*{References}", r"\begin{itemize}"]
        lines += [rf"\item {escape(work)}." for work in works]
        lines.append(r"\end{itemize}")
    return "\n".join(lines) + "\n"


def _block(block: doc.Block) -> Iterator[str]:
    match block:
        case doc.Coefficients(scheme):
            for item in coefficients_latex(scheme):
                yield from _coefficients(item, small=_stages(scheme) > MOST_CELLS)
        case doc.FactTable(rows):
            yield from _table(
                "lp{0.68\\linewidth}",
                [(escape(row.label), prose("  ".join([row.text, *row.codes]))) for row in rows],
            )
        case doc.Conditions(items, several):
            yield from _conditions(items, several=several)
        case doc.Quotient() | doc.Polynomial() | doc.Matrix():
            yield from _display(_function(block))
        case doc.FieldForm(state, terms, truncation):
            yield from _equation(field_rows(state, terms, truncation))
        case doc.DerivativeForm(state, field, terms):
            yield from _equation(derivative_rows(state, field, terms))
        case doc.Prose(text):
            yield prose(text)
        case doc.Notes(items):
            yield r"\begin{itemize}"
            for note in items:
                yield rf"\item \texttt{{{escape(note.key)}}}: {prose(note.text)}"
            yield r"\end{itemize}"


def block_latex(
    block: doc.Quotient | doc.Polynomial | doc.Matrix | doc.FieldForm | doc.DerivativeForm,
) -> tuple[str, ...]:
    """Return a formula without what opens and closes display mathematics."""
    match block:
        case doc.FieldForm(state, terms, truncation):
            return _aligned(field_rows(state, terms, truncation))
        case doc.DerivativeForm(state, field, terms):
            return _aligned(derivative_rows(state, field, terms))
        case _:
            return (_function(block),)


def _aligned(rows: Sequence[str]) -> tuple[str, ...]:
    return (r"\begin{aligned}", *" \\\\\n".join(rows).splitlines(), r"\end{aligned}")


def formulas_latex(analysis: Analysis) -> str:
    """Return the formulas of the report, one below the other, as a notebook shows them."""
    blocks = [
        block
        for section in doc.document(analysis, None, Script(unicode=False)).sections
        for block in section.blocks
        if isinstance(
            block,
            doc.Quotient | doc.Polynomial | doc.Matrix | doc.FieldForm | doc.DerivativeForm,
        )
    ]
    return "\n".join("\n".join(("$$", *block_latex(block), "$$")) for block in blocks)


def _stages(scheme: Scheme) -> int:
    match scheme.update:
        case Tableaus(parts=parts):
            return max(part.tableau.stages for part in parts)
        case _:
            return 0


def _coefficients(inner: str, *, small: bool) -> Iterator[str]:
    """Set a tableau with room between its fractions, a wide one in small letters."""
    yield (
        r"{\renewcommand{\arraystretch}{1.4}" + r"\scriptsize\setlength{\arraycolsep}{2pt}" * small
    )
    yield from _display(inner)
    yield "}"


def _display(inner: str) -> Iterator[str]:
    yield from (r"\[", inner, r"\]")


def _table(columns: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield rf"\par\noindent\begin{{tabular}}{{@{{}}{columns}@{{}}}}"
    yield from (" & ".join(row) + r" \\" for row in rows)
    yield r"\end{tabular}\par"


def _conditions(items: Sequence[OrderCondition], *, several: bool) -> Iterator[str]:
    failing = [item for item in items if item.residual != 0]
    held = len(items) - len(failing)
    yield f"{held} of the {len(items)} order conditions up to the next order hold."
    if not failing:
        return
    yield r"Those that fail miss by"
    rows = []
    for item in failing:
        left = differential(parse_tree(item.tree))
        if several:
            left = f"{symbol(item.state)}: {left}"
        rows.append(f"{left} &: {exact(item.residual)}")
    yield from _equation(rows)


def _equation(rows: Sequence[str]) -> Iterator[str]:
    yield r"\begin{align*}"
    yield " \\\\\n".join(rows)
    yield r"\end{align*}"


def _function(block: doc.Quotient | doc.Polynomial | doc.Matrix) -> str:
    left = f"{symbol(block.name)}({symbol(block.variable)}) = "
    match block:
        case doc.Quotient(_, variable, numerator, denominator):
            above = polynomial(numerator, symbol(variable))
            below = polynomial(denominator, symbol(variable))
            return left + (above if below == "1" else f"\\frac{{{above}}}{{{below}}}")
        case doc.Polynomial(_, variable, coefficients):
            return left + polynomial(coefficients, symbol(variable), descending=True)
        case doc.Matrix(_, _, rows):
            body = r" \\ ".join(" & ".join(exact(value) for value in row) for row in rows)
            return rf"{left}\begin{{pmatrix}} {body} \end{{pmatrix}}"
