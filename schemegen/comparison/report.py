"""A comparison as text and as a page that needs no other file."""

from __future__ import annotations

from html import escape
from textwrap import wrap

from schemegen.comparison.drawings import panels
from schemegen.comparison.summary import Comparison
from schemegen.comparison.tables import headline, tables
from schemegen.report.html import page
from schemegen.report.notation import Script
from schemegen.report.plots.canvas import embedded, rendered
from schemegen.report.plots.curves import curves
from schemegen.report.tables import table_html, table_text

__all__ = ["comparison_html", "comparison_text", "pictures"]

CAPTIONS = {
    "learning": "Accuracy on the test images by epoch: mean and one standard deviation over the seeds.",
    "depth": "Accuracy over the number of steps, with 95 % intervals.",
    "perturbation": "Accuracy under attack and noise, with 95 % intervals.",
}
READING = (
    "Means over seeds with Student's intervals. Differences to the reference are paired by seed: p is that of the "
    "paired t test, exact that of all signs of the differences, ranks Wilcoxon's, Holm the t test's corrected for "
    "the number of schemes. The verdict is open where that is not below 5 %: no difference is shown."
)


def comparison_text(found: Comparison, *, width: int = 100, unicode: bool = True) -> str:
    """Return the tables one below the other."""
    lines = [headline(found), Script(unicode).rule * width]
    for table in tables(found):
        lines += [*table_text(table, width), ""]
    lines += [*wrap(READING, width), ""]
    if found.missing:
        lines.append(f"{found.missing} of {len(found.plan.runs)} runs are missing")
    return "\n".join(lines).rstrip() + "\n"


def comparison_html(found: Comparison) -> str:
    """Return the page: tables, every severity among them, and the pictures in it."""
    parts = [
        '<article class="schemegen-report mathjax_ignore tex2jax_ignore">',
        f"<header><h1>{escape(headline(found))}</h1></header>",
        f"<p>{escape(READING)}</p>",
    ]
    for name, (title, shown) in panels(found).items():
        drawing = embedded(curves(title, shown), CAPTIONS[name], f"{name}-")
        parts.append(f"<figure>{drawing}<figcaption>{escape(CAPTIONS[name])}</figcaption></figure>")
    for table in tables(found, severities=True):
        parts += table_html(table)
    settings = ", ".join(f"{key} {value}" for key, value in found.plan.runs[0].settings)
    parts.append(f"<section><h2>Training</h2><p>{escape(settings)}</p></section></article>")
    return page(f"schemegen compare: {headline(found)}", parts)


def pictures(found: Comparison, form: str = "svg") -> dict[str, bytes]:
    """Return the pictures by the names of their files."""
    return {
        f"{name}.{form}": rendered(curves(title, shown), form)
        for name, (title, shown) in panels(found).items()
    }
