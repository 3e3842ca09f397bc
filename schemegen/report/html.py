"""The report as HTML: a part for notebooks, or a whole page that needs no other file.

Formulas are MathML, trees and regions are drawings in the page itself. Every text of the file is escaped, and
nothing is fetched: no script, no font, no image from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from schemegen.analysis.model import Analysis, Note, OrderCondition
from schemegen.diagnostics import UsageError
from schemegen.report import document as doc
from schemegen.report import mathml
from schemegen.report.facts import headline
from schemegen.report.forest import sheet, sheet_svg
from schemegen.report.latex_formulas import coefficients_latex, stability_latex, symbol
from schemegen.report.notation import Script, parse_tree
from schemegen.report.references import bibliography
from schemegen.scheme.model import Multistep, Scheme, Tableaus

__all__ = [
    "coefficients_html",
    "page",
    "page_html",
    "prose",
    "report_html",
    "scheme_latex",
    "style",
]

SCRIPT = Script()
RELATIONS = {"<=": "≤", ">=": "≥", "!=": "≠"}
ROOT = re.compile(r"sqrt\((\d+)\)")

Report = tuple[Analysis, Scheme | None]


def page_html(reports: Sequence[Report], *, regions: bool = True, more: Sequence[str] = ()) -> str:
    """Return a page with the report of each scheme; without ``regions`` matplotlib is never asked for.

    ``more`` are articles of their own that follow.
    """
    titles = [headline(analysis) for analysis, _ in reports]
    articles = [_article(*report, place, regions=regions) for place, report in enumerate(reports)]
    return page(", ".join(titles), [*articles, *more])


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page around ``parts``; ``title`` is text."""
    head = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{style()}{PAGE}</style>",
        "</head>",
        "<body>",
        "<main>",
    )
    return "\n".join([*head, *parts, "</main>", "</body>", "</html>"]) + "\n"


PAGE = """body { margin: 0; background: Canvas; color: CanvasText; }
main { max-width: 56rem; margin: 0 auto; padding: 1.5rem; }
@page { margin: 18mm; }
"""


def style() -> str:
    """Return the rules of a report, for light and dark screens and for paper."""
    return files("schemegen.report").joinpath("report.css").read_text(encoding="utf-8")


def report_html(analysis: Analysis, scheme: Scheme | None = None, *, regions: bool = True) -> str:
    """Return the report as one element with its own rules, as a notebook shows it."""
    article = _article(analysis, scheme, 0, regions=regions)
    return f"<style>\n{style()}</style>\n{article}\n"


def _article(analysis: Analysis, scheme: Scheme | None, place: int, *, regions: bool) -> str:
    report = doc.document(analysis, scheme, SCRIPT)
    parts = [
        # A title is text: MathJax is told to leave its dollars alone.
        '<article class="schemegen-report mathjax_ignore tex2jax_ignore">',
        f"<header><h1>{escape(report.title)}</h1><p>{escape(report.kind)}</p></header>",
    ]
    for section in report.sections:
        parts.append(f'<section class="{section.key.replace("_", "-")}">')
        parts.append(f"<h2>{escape(section.title)}</h2>")
        for block in section.blocks:
            parts += _block(block)
        if section.key == "stability" and regions:
            parts += _region(analysis, scheme, place)
        if section.key == "modified_equation":
            parts += _trees(analysis)
        if section.sources:
            cited = "; ".join(escape(str(item)) for item in section.sources)
            parts.append(f'<p class="source">Source: {cited}</p>')
        parts.append("</section>")
    works = bibliography(report.sources)
    if works:
        items = "".join(f"<li>{escape(work)}</li>" for work in works)
        parts.append(f'<section class="references"><h2>References</h2><ul>{items}</ul></section>')
    return "\n".join([*parts, "</article>"])


def _block(block: doc.Block) -> Iterator[str]:
    match block:
        case doc.Coefficients(scheme):
            yield from coefficients_html(scheme)
        case doc.FactTable(rows):
            yield "<table>"
            for row in rows:
                codes = "".join(f' <code class="code">{escape(code)}</code>' for code in row.codes)
                yield (
                    f'<tr><th scope="row">{escape(row.label)}</th>'
                    f"<td>{_verdict(prose(row.text))}{codes}</td></tr>"
                )
            yield "</table>"
        case doc.Quotient(name, variable, numerator, denominator):
            yield _formula(mathml.quotient(name, variable, numerator, denominator))
        case doc.Polynomial(name, variable, coefficients):
            yield _formula(mathml.polynomial(name, variable, coefficients))
        case doc.Matrix(name, variable, rows):
            yield _formula(mathml.matrix(name, variable, rows))
        case doc.FieldForm(state, terms, truncation):
            yield _formula(mathml.field_form(state, terms, truncation))
        case doc.DerivativeForm(state, field, terms):
            yield _formula(mathml.derivative_form(state, field, terms))
        case doc.Conditions(items, several):
            yield from _conditions(items, several=several)
        case doc.Prose(text):
            yield f"<p>{prose(text)}</p>"
        case doc.Notes(items):
            yield from _notes(items)


def prose(text: str) -> str:
    """Return a text of a fact, escaped, with the signs of mathematics that plain text lacks."""
    for plain, sign in RELATIONS.items():
        text = text.replace(plain, sign)
    return escape(ROOT.sub(r"√\1", text))


def _verdict(text: str) -> str:
    """Mark ``(expected ..: holds)`` by its outcome."""
    pattern = r"\((expected[^()]*: (holds|fails|not decided))\)$"
    return re.sub(
        pattern,
        lambda match: f'<span class="{match.group(2).replace(" ", "-")}">{match.group(1)}</span>',
        text,
    )


def _formula(inner: str) -> str:
    return f'<div class="formula">{mathml.math(inner)}</div>'


def coefficients_html(scheme: Scheme) -> Iterator[str]:
    """Yield the tableaus or the multistep equation; nothing for a scheme that is written as equations."""
    match scheme.update:
        case Tableaus(parts=parts):
            for part in parts:
                if len(parts) > 1:
                    yield f"<p>for {escape(', '.join(part.drifts))}</p>"
                yield _formula(mathml.tableau(part.tableau))
        case Multistep() as update:
            yield _formula(mathml.multistep(update))
        case _:
            return


def _conditions(items: Sequence[OrderCondition], *, several: bool) -> Iterator[str]:
    held = sum(item.residual == 0 for item in items)
    yield (
        f"<details><summary>{held} of {len(items)} order conditions hold, "
        "up to the next order</summary>"
    )
    state = '<th scope="col">state</th>' if several else ""
    yield (
        f'<table class="grid"><tr>{state}<th scope="col">tree</th>'
        '<th scope="col">differential</th><th scope="col">misses by</th></tr>'
    )
    for item in items:
        own = f"<td>{escape(item.state)}</td>" if several else ""
        shown = mathml.math(mathml.tree(parse_tree(item.tree)), block=False)
        left = "holds"
        if item.residual != 0:
            left = mathml.math(mathml.exact(item.residual), block=False)
        yield f"<tr>{own}<td><code>{escape(item.tree)}</code></td><td>{shown}</td><td>{left}</td></tr>"
    yield "</table></details>"


def _notes(items: Sequence[Note]) -> Iterator[str]:
    yield "<dl>"
    for note in items:
        yield f"<dt><code>{escape(note.key)}</code></dt><dd>{prose(note.text)}</dd>"
    yield "</dl>"


def _region(analysis: Analysis, scheme: Scheme | None, place: int) -> Iterator[str]:
    """Yield the stability region as a drawing, where there is one and matplotlib is installed."""
    from schemegen.report.plots import inline

    try:
        drawing = inline("region", analysis, scheme, prefix=f"s{place}-")
    except UsageError:
        return
    yield f"<figure>{drawing}<figcaption>Stability region</figcaption></figure>"


def _trees(analysis: Analysis) -> Iterator[str]:
    equation = analysis.modified_equation
    if equation is None or equation.field is None:
        return
    drawing = sheet_svg(
        sheet(equation.field, analysis.states, analysis.fields), "Trees of the modified equation"
    )
    yield f"<figure>{drawing}<figcaption>Its trees, with their coefficients</figcaption></figure>"


def scheme_latex(scheme: Scheme, analysis: Analysis) -> str:
    """Return what a notebook shows of a scheme: its coefficients, order and R(z), in display math."""
    parts = list(coefficients_latex(scheme))
    if analysis.order is not None:
        parts.append(rf"\text{{order }} {analysis.order}")
    if function := stability_latex(analysis):
        parts.append(function)
    return "$\\displaystyle " + r" \qquad ".join(parts or [symbol(scheme.name)]) + "$"
