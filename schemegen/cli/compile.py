"""``schemegen compile``: check, analyse, print the report, write a folder."""

from __future__ import annotations

from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.cli.policy import Policy, warnings_options
from schemegen.cli.settings import listed, python_blocks, settings
from schemegen.diagnostics import UsageError
from schemegen.pipeline import EMIT, finish, prepare
from schemegen.sources import display, read

__all__ = ["command"]

FORMS = ["fx", "python", "json", "latex", "dot", "onnx"]


@click.command("compile")
@inputs(many=True)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    default="build",
    show_default=True,
    help="Write DIR/NAME/ for every scheme; - writes what --emit names to stdout.",
)
@click.option(
    "--emit",
    metavar="FORMS",
    default=",".join(EMIT),
    show_default=True,
    callback=listed(FORMS),
    help=f"What to write, separated by commas: {', '.join(FORMS)}.",
)
@click.option("--network", metavar="NAME", help="A network of the file or the zoo, or a path.")
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="K=NUMBER",
    callback=settings,
    help="Replace a param by an exact number. May be repeated.",
)
@click.option(
    "--block",
    "blocks",
    multiple=True,
    metavar="NAME=MODULE:CLASS",
    callback=python_blocks,
    help="A block written in Python. May be repeated.",
)
@click.option(
    "--dump",
    metavar="FORMS",
    default="",
    callback=listed(["ast", "step", "fx"]),
    help="Print ast, step or fx instead of the report.",
)
@click.option("--order", type=click.IntRange(1, 8), help="The largest tree that is kept.")
@click.option("--no-report", is_flag=True, help="Write the folder only.")
@warnings_options
@common
@click.pass_obj
def command(
    console: Console,
    files: tuple[str, ...],
    stdin_name: str,
    output: str,
    emit: tuple[str, ...],
    network: str | None,
    values: dict[str, str],
    blocks: dict[str, str],
    dump: tuple[str, ...],
    order: int | None,
    no_report: bool,
    policy: Policy,
) -> int:
    """Analyse every scheme of FILE... and write its network.

    FILE may also be zoo/NAME. Nothing is written for a file that has a mistake.
    """
    from schemegen.artifacts import artifacts, dumps, summary
    from schemegen.files import write_folder
    from schemegen.report import report_text

    if output == "-" and len(emit) != 1:
        raise UsageError("-o - writes one form", "for example --emit json -o -")
    failed = False
    for file in files:
        units = prepare(
            read(file, stdin_name), network=network, order=order, values=values, blocks=blocks
        )
        for unit in units:
            shown = policy.keep(unit.diagnostics)
            console.show(shown)
            if policy.fails(shown):
                failed = True
                continue
            build = finish(unit)
            files_of = artifacts(build, emit)
            if output == "-":
                console.out(_one(files_of))
                continue
            if dump:
                for what in dump:
                    console.out(dumps(build, what))
            elif not no_report:
                text = report_text(
                    unit.analysis,
                    unit.scheme,
                    summary(build),
                    width=console.width(),
                    color=console.colors(),
                    unicode=console.unicode(),
                )
                console.out(text)
            folder = Path(output) / unit.scheme.name
            write_folder(folder, files_of)
            console.say(f"wrote {display(folder)}/  {'  '.join(files_of)}")
    return 1 if failed else 0


def _one(files: dict[str, str | bytes]) -> str:
    content = next(iter(files.values()))
    if isinstance(content, bytes):
        raise UsageError("a binary form cannot go to a terminal", "write it with -o DIR")
    return content
