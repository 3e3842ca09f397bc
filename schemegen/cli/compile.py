"""``schemegen compile``: check, analyse, print the report, write a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from schemegen.artifacts import Build, artifacts, require
from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.cli.policy import Policy, warnings_options
from schemegen.cli.settings import listed, python_blocks, settings
from schemegen.diagnostics import SchemeError, UsageError
from schemegen.files import write_folder
from schemegen.pipeline import EMIT, Unit, finish, prepare
from schemegen.sources import display, read

__all__ = ["command"]

FORMS = [
    "fx", "python", "json", "latex", "dot", "svg", "step-dot", "step-svg", "export", "aoti", "onnx",
]  # fmt: skip


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
    "--backprop",
    metavar="HOW",
    default="store",
    show_default=True,
    help="What the backward pass keeps: store, checkpoint=K, reversible, memory=MIB,batch=N or auto.",
)
@click.option(
    "--dump",
    metavar="FORMS",
    default="",
    callback=listed(["ast", "step", "fx"]),
    help="Print ast, step or fx instead of the report.",
)
@click.option("--order", type=click.IntRange(1), help="The largest tree that is kept; 10 at most.")
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
    backprop: str,
    dump: tuple[str, ...],
    order: int | None,
    no_report: bool,
    policy: Policy,
) -> int:
    """Analyse every scheme of FILE... and write its network.

    FILE may also be a name of the zoo. Nothing is written for a file that has a mistake. What is written is the
    network as its graph; schemegen.optimize makes its faster form in Python, train --optimize in training.
    """
    if output == "-" and len(emit) != 1:
        raise UsageError("-o - writes one form", "for example --emit json -o -")
    require(emit)
    if blocks:
        sys.path.insert(0, str(Path.cwd()))
    failed = False
    folders: dict[Path, str] = {}
    for file in files:
        source = read(file, stdin_name)
        try:
            units = prepare(source, network=network, order=order, values=values, blocks=blocks)
            builds = _built(units, policy, console, backprop)
            outputs = [artifacts(build, emit) for build in builds]
        except SchemeError as error:
            console.show(policy.keep(error.diagnostics))
            failed = True
            continue
        failed = failed or not builds
        for build, content in zip(builds, outputs, strict=True):
            folder = Path(output) / build.scheme.name
            if output == "-":
                console.out(_one(content))
                continue
            if folder in folders:
                raise UsageError(f"{folders[folder]} and {source.name} both declare {folder.name}")
            folders[folder] = source.name
            write_folder(folder, content)
            if dump or not no_report:
                console.out(_printed(build, dump, console))
            console.say(f"wrote {display(folder)}/  {'  '.join(content)}")
    return 1 if failed else 0


def _built(units: tuple[Unit, ...], policy: Policy, console: Console, backprop: str) -> list[Build]:
    """Show the warnings of a file and generate its networks; none where a warning is denied."""
    shown = [policy.keep(unit.diagnostics) for unit in units]
    for diagnostics in shown:
        console.show(diagnostics)
    if any(map(policy.fails, shown)):
        return []
    return [finish(unit, backprop=backprop) for unit in units]


def _printed(build: Build, dump: tuple[str, ...], console: Console) -> str:
    """Return the report, or the forms that are asked for instead."""
    from schemegen.artifacts import dumps, summary
    from schemegen.report import report_text

    if dump:
        return "\n".join(dumps(build, what) for what in dump)
    return report_text(
        build.analysis,
        build.scheme,
        summary(build),
        width=console.width(),
        color=console.colors(),
        unicode=console.unicode(),
    )


def _one(files: dict[str, str | bytes]) -> str:
    content = next(iter(files.values()))
    if isinstance(content, bytes):
        raise UsageError("a binary form cannot go to a terminal", "write it with -o DIR")
    return content
