"""``schemegen lift``: a one-step scheme made reversible."""

from __future__ import annotations

from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.lifting import COUPLING, lifted_text
from schemegen.pipeline import examine, raise_errors
from schemegen.selection import choose_scheme
from schemegen.sources import read

__all__ = ["command"]


@click.command("lift")
@inputs(many=False)
@click.option("--scheme", "name", help="Which scheme, where FILE has several.")
@click.option(
    "--coupling",
    default=COUPLING,
    show_default=True,
    help="How much of u stays u, between 0 and 1.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write.")
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    stdin_name: str,
    name: str | None,
    coupling: str,
    output: Path | None,
) -> None:
    """Print the reversible lift of an explicit Runge-Kutta scheme of FILE (or zoo/NAME).

    Every step of it can be undone, so that `--backprop reversible` needs no activations.
    """
    checked, found = examine(read(file, stdin_name))
    raise_errors(found)
    text = lifted_text(choose_scheme(checked.schemes, name, file), coupling)
    if output is None:
        console.out(text)
        return
    from schemegen.files import write_atomically

    write_atomically(output, text)
    console.say(f"wrote {output}")
