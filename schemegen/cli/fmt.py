"""``schemegen fmt``: align bars and columns, keep comments."""

from __future__ import annotations

from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.diagnostics import Diagnostic, SchemeError, Source
from schemegen.sources import read, read_file

__all__ = ["command"]


@click.command("fmt")
@inputs(many=True)
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@common
@click.pass_obj
def command(
    console: Console, files: tuple[str, ...], stdin_name: str, check: bool, diff: bool
) -> int:
    """Format FILE... in place; for - print the result."""
    from schemegen.language import format_source

    would_change, mistakes = [], list[Diagnostic]()
    for file in files:
        source = read(file, stdin_name) if file == "-" else read_file(Path(file))
        try:
            text = format_source(source)
        except SchemeError as error:
            mistakes.extend(error.diagnostics)
            continue
        if text != source.text:
            would_change.append(source.name)
        if diff:
            console.out(difference(source, text))
        elif file == "-" and not check:
            console.out(text)
        elif text != source.text and not check:
            from schemegen.files import write_atomically

            write_atomically(Path(file), text)
            console.say(f"formatted {source.name}")
    if check:
        for name in would_change:
            console.say(f"would change {name}")
    if mistakes:
        raise SchemeError(mistakes)
    return 1 if would_change and (check or diff) else 0


def difference(source: Source, text: str) -> str:
    """Return a unified diff from the file to its formatted text."""
    import difflib

    lines = difflib.unified_diff(
        source.text.splitlines(), text.splitlines(), source.name, source.name, lineterm=""
    )
    return "\n".join(lines)
