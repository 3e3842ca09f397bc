"""``schemegen verify``: what the analysis claims, measured."""

from __future__ import annotations

import json

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.diagnostics import SchemeError
from schemegen.pipeline import examine, raise_errors, study
from schemegen.sources import read

__all__ = ["command"]


@click.command("verify")
@inputs(many=True)
@click.option(
    "--as",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the table.",
)
@common
@click.pass_obj
def command(console: Console, files: tuple[str, ...], stdin_name: str, style: str) -> int:
    """Measure what the analysis claims of the schemes in FILE: orders, modified equations, stability, structure.

    FILE may also be a name of the zoo. Test problems are built in and run in extended precision; exit code 1
    where a measurement contradicts a claim. JSON is a list with one object a scheme.
    """
    from schemegen.verification import verify
    from schemegen.verification.report import checks_data, checks_text

    results = []
    wrong = 0
    for name in files:
        checked, found = examine(read(name, stdin_name))
        try:
            raise_errors(found)
        except SchemeError as error:
            raise SchemeError(item for item in error.diagnostics if item.is_error) from None
        for scheme in checked.schemes:
            unit = study(scheme)
            checks = verify(unit.program, unit.analysis)
            data = checks_data(scheme.name, checks)
            wrong += data["contradicted"]
            results.append(data)
            if style == "text":
                table = checks_text(
                    scheme.name,
                    checks,
                    width=console.width(),
                    color=console.colors(),
                    unicode=console.unicode(),
                )
                console.out(table + "\n")
    agree, open_ = (sum(data[key] for data in results) for key in ("agree", "not_measured"))
    if style == "json":
        console.out(json.dumps(results, indent=1, ensure_ascii=False))
    else:
        count = len(results)
        schemes = f"{count} scheme{'s' * (count != 1)}"
        console.out(f"{schemes}: {agree} claims agree, {wrong} contradicted, {open_} not measured")
    return 1 if wrong else 0
