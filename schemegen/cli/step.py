"""``schemegen step``: one step, value by value."""

from __future__ import annotations

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.cli.settings import settings
from schemegen.pipeline import examine, raise_errors
from schemegen.sources import read

__all__ = ["command"]

PROBLEMS = ["decay", "logistic", "oscillator", "vdp"]


@click.command("step")
@inputs(many=False)
@click.option("--problem", type=click.Choice(PROBLEMS), default="decay", show_default=True)
@click.option("--h", "step_size", default="1/10", show_default=True, help="The step size, exact.")
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="K=NUMBER",
    callback=settings,
    help="Replace a param by an exact number. May be repeated.",
)
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    stdin_name: str,
    problem: str,
    step_size: str,
    values: dict[str, str],
) -> None:
    """Print every value of one step of FILE (or a name of the zoo) on a test problem, exactly and in float64."""
    checked, found = examine(read(file, stdin_name), values=values)
    raise_errors(found)
    from schemegen.step import lower
    from schemegen.walk import PROBLEMS as TEXTS
    from schemegen.walk import step_size_of, walk

    h = step_size_of(step_size)
    for scheme in checked.schemes:
        assumptions, rows = walk(scheme, lower(scheme), problem, h)
        console.out(f"{scheme.name} on {problem}: {TEXTS[problem].text}, h = {step_size}")
        for assumption in assumptions:
            console.out(f"   with {assumption}")
        table = [("value", "exact", "float64")]
        table += [(row.name, row.exact or "-", row.number) for row in rows]
        name, exact = (max(len(row[column]) for row in table) for column in (0, 1))
        for row in table:
            console.out(f"   {row[0]:<{name}}  {row[1]:<{exact}}  {row[2]}")
