"""``schemegen diff``: two schemes side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemegen.cli.console import Console
from schemegen.cli.forms import Forms
from schemegen.cli.options import common
from schemegen.diagnostics import SchemeError
from schemegen.pipeline import examine, raise_errors, study
from schemegen.selection import choose_scheme, source_of
from schemegen.sources import read

if TYPE_CHECKING:
    from schemegen.report.compare import Comparison, Side

__all__ = ["command"]

FORMS = ("text", "json", "html", "md")


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--order", type=click.IntRange(1), help="The largest tree that is kept; 10 at most.")
@click.option(
    "--as",
    "style",
    type=Forms(FORMS),
    default="text",
    show_default=True,
    help="The form of the comparison.",
)
@common
@click.pass_obj
def command(console: Console, a: str, b: str, order: int | None, style: str) -> int:
    """Put the schemes A and B side by side: coefficients, order, stability, modified equation, cost.

    Each is a file, or a name of the zoo. Rows that differ are marked. Exit code 1 where the schemes differ.
    """
    from schemegen.report.compare import compare
    from schemegen.report.notation import Script

    left, right = (one(item, order) for item in (a, b))
    unicode = console.unicode() or style != "text"
    found = compare(left, right, Script(unicode))
    if found.same and style == "text":
        console.say(f"{left.scheme.name} and {right.scheme.name} are the same scheme")
    else:
        console.out(written(found, style, console))
    return 0 if found.same else 1


def one(what: str, order: int | None) -> Side:
    """Return the only scheme of a file or zoo name, analysed; claims that fail do not matter here."""
    from schemegen.report.compare import Side

    source = read(what) if what == "-" else source_of(what)
    checked, found = examine(source)
    try:
        raise_errors(found)
    except SchemeError as error:
        raise SchemeError(item for item in error.diagnostics if item.is_error) from None
    unit = study(choose_scheme(checked.schemes, None, source.name), order=order)
    return Side(unit.scheme, unit.program, unit.analysis)


def written(found: Comparison, style: str, console: Console) -> str:
    """Return the comparison in the form ``style``."""
    from schemegen.report import analysis_json
    from schemegen.report.compare import comparison_data
    from schemegen.report.notation import Script
    from schemegen.report.sides import comparison_html, comparison_markdown, comparison_text

    match style:
        case "json":
            return analysis_json(comparison_data(found))
        case "html":
            return comparison_html(found)
        case "md":
            return comparison_markdown(found)
        case _:
            return comparison_text(found, Script(console.unicode()), console.width())
