"""``schemegen show``: the scheme again, in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.pipeline import examine, raise_errors
from schemegen.sources import read

if TYPE_CHECKING:
    from schemegen.scheme.model import Scheme

__all__ = ["command"]

FORMS = ["tableau", "equations", "scheme", "latex", "json", "python"]


@click.command("show")
@inputs(many=False)
@click.option("--as", "style", type=click.Choice(FORMS), default="tableau", show_default=True)
@common
@click.pass_obj
def command(console: Console, file: str, stdin_name: str, style: str) -> None:
    """Print the schemes of FILE (or a name of the zoo): coefficients, equations or another program's input."""
    checked, found = examine(read(file, stdin_name))
    raise_errors(found)
    if style == "json":
        from schemegen.report import analysis_json
        from schemegen.report.show import scheme_data

        data = [scheme_data(scheme) for scheme in checked.schemes]
        console.out(analysis_json(data[0] if len(data) == 1 else data))
        return
    texts = [shown(scheme, style, console) for scheme in checked.schemes]
    if len(texts) > 1 and style in ("tableau", "equations"):
        pairs = zip(checked.schemes, texts, strict=True)
        texts = [f"{scheme.name}\n{text}" for scheme, text in pairs]
    console.out("\n".join(texts))


def shown(scheme: Scheme, style: str, console: Console) -> str:
    """Return one scheme in a form other than JSON."""
    from schemegen.report import show
    from schemegen.report.notation import Script
    from schemegen.step import lower

    script = Script(console.unicode())
    match style:
        case "tableau":
            return show.coefficients(scheme, lower(scheme), script)
        case "equations":
            return show.equations(lower(scheme), script)
        case "latex":
            return show.scheme_latex(scheme, lower(scheme))
        case "python":
            return show.scheme_python(scheme)
        case _:
            return show.scheme_source(scheme)
