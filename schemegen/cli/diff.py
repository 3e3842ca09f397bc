"""``schemegen diff``: two schemes side by side."""

from __future__ import annotations

import difflib
from textwrap import wrap

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.diagnostics import SchemeError
from schemegen.pipeline import Unit, examine, raise_errors, study
from schemegen.selection import choose_scheme, source_of
from schemegen.sources import read

__all__ = ["command"]


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--order", type=click.IntRange(1, 8), help="The largest tree that is kept.")
@common
@click.pass_obj
def command(console: Console, a: str, b: str, order: int | None) -> int:
    """Compare the schemes A and B: facts that differ, then their step programs.

    Each is a file, or a name of the zoo. Exit code 1 where they differ.
    """
    left, right = (one(item, order) for item in (a, b))
    lines = [*facts_that_differ(left, right, console), *programs(left, right)]
    if lines:
        console.out("\n".join(lines))
    else:
        console.say(f"{left.scheme.name} and {right.scheme.name} are the same scheme")
    return 1 if lines else 0


def one(what: str, order: int | None) -> Unit:
    """Return the only scheme of a file or zoo name, analysed; claims that fail do not matter here."""
    source = read(what) if what == "-" else source_of(what)
    checked, found = examine(source)
    try:
        raise_errors(found)
    except SchemeError as error:
        raise SchemeError(item for item in error.diagnostics if item.is_error) from None
    return study(choose_scheme(checked.schemes, None, source.name), order=order)


def facts_that_differ(left: Unit, right: Unit, console: Console) -> list[str]:
    """Return a table of the facts whose texts differ, a column for each scheme."""
    from schemegen.report.facts import facts, kind_of
    from schemegen.report.notation import Script

    script = Script(console.unicode())
    columns = []
    for unit in (left, right):
        rows = {"": unit.scheme.name, "kind": kind_of(unit.analysis, unit.scheme)}
        for fact in facts(unit.analysis, unit.scheme, script):
            if fact.key != "update":
                rows[fact.label] = fact.text.partition("   (")[0]
        columns.append(rows)
    labels = list(dict.fromkeys([*columns[0], *columns[1]]))
    differing = [
        label for label in labels if label and columns[0].get(label) != columns[1].get(label)
    ]
    if not differing:
        return []
    head = max(len(label) for label in differing) + 2
    half = max((console.width() - head - 3) // 2, 20)
    lines = []
    for label in ["", *differing]:
        cells = [wrap(column.get(label, "-"), half) or ["-"] for column in columns]
        for position in range(max(map(len, cells))):
            first, second = (cell[position] if position < len(cell) else "" for cell in cells)
            name = label if position == 0 else ""
            lines.append(f"{name:<{head}}{first:<{half}}   {second}".rstrip())
    return lines


def programs(left: Unit, right: Unit) -> list[str]:
    """Return a unified diff of the step programs, names of schemes left out."""
    from schemegen.step import dump

    before, after = (dump(unit.program).splitlines()[1:] for unit in (left, right))
    names = left.scheme.name, right.scheme.name
    lines = list(difflib.unified_diff(before, after, *names, lineterm="", n=99))
    return ["", *lines] if lines else []
