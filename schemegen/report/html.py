"""The report as HTML, as a notebook shows it; mathematics is left to MathJax."""

from __future__ import annotations

from html import escape

from schemegen.analysis.model import Analysis
from schemegen.report.facts import facts, headline, kind_of
from schemegen.report.grid import draw
from schemegen.report.latex import coefficients_latex, field_latex, stability_latex, symbol
from schemegen.report.notation import Script
from schemegen.scheme.model import Scheme

__all__ = ["report_html", "scheme_latex"]

LEVELS = 2


def report_html(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return a table of facts with the modified equation below it."""
    script = Script()
    parts = [
        '<div class="schemegen-report">',
        # A title is text: MathJax is told to leave its dollars alone.
        f'<p class="mathjax_ignore tex2jax_ignore"><b>{escape(headline(analysis))}</b><br>'
        f"{escape(kind_of(analysis, scheme))}</p>",
    ]
    if scheme is not None and (grid := draw(scheme, script)):
        parts.append(f"<pre>{escape(chr(10).join(grid))}</pre>")
    parts.append("<table>")
    parts += [
        f"<tr><th>{escape(fact.label)}</th>"
        f"<td>{escape('  '.join([fact.text, *fact.codes]))}</td></tr>"
        for fact in facts(analysis, scheme, script)
    ]
    parts.append("</table>")
    equation = analysis.modified_equation
    if equation is not None and equation.field is not None:
        parts += [
            f"<p>$${escape(f'{symbol(state)}' + chr(39) + ' = ' + field_latex(terms, LEVELS))}"
            " + \\cdots$$</p>"
            for state, terms in equation.field
        ]
    notes = [note for note in analysis.notes if note.code is None]
    if notes:
        items = "".join(f"<li>{escape(note.key)}: {escape(note.text)}</li>" for note in notes)
        parts.append(f"<ul>{items}</ul>")
    parts.append("</div>")
    return "\n".join(parts)


def scheme_latex(scheme: Scheme, analysis: Analysis) -> str:
    """Return what a notebook shows of a scheme: its coefficients, order and R(z), in display math."""
    parts = list(coefficients_latex(scheme))
    if analysis.order is not None:
        parts.append(rf"\text{{order }} {analysis.order}")
    if function := stability_latex(analysis):
        parts.append(function)
    return "$\\displaystyle " + r" \qquad ".join(parts or [symbol(scheme.name)]) + "$"
