"""``schemegen check``: every mistake of the files, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common, inputs
from schemegen.cli.policy import Policy, warnings_options
from schemegen.diagnostics import Diagnostic, Source, UsageError
from schemegen.sources import from_zoo, read

__all__ = ["command"]

FORMATS = ["full", "concise", "json", "github", "sarif"]


@click.command("check")
@inputs(many=True)
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    help="Write the diagnostics to stdout in this form; without it they go to stderr.",
)
@click.option("--fix", is_flag=True, help="Mend what has one sure edit, then check again.")
@click.option("--watch", "watching", is_flag=True, help="Check again whenever a file changes.")
@click.option("--pedantic", is_flag=True, help="Also say what papers leave out, such as W0313.")
@click.option(
    "--network",
    metavar="NAME",
    help="Fit schemes to this network only: of the file, of the zoo, or a path.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Imports may not leave this folder; the file's own where not given.",
)
@warnings_options
@common
@click.pass_obj
def command(
    console: Console,
    files: tuple[str, ...],
    stdin_name: str,
    style: str | None,
    fix: bool,
    watching: bool,
    pedantic: bool,
    network: str | None,
    root: Path | None,
    policy: Policy,
) -> int:
    """Report every mistake of FILE..., all at once.

    Exit code 1 where there is an error, a claim that fails, or a warning that is denied.
    """
    from schemegen.pipeline import diagnose

    if fix and ("-" in files or any(map(from_zoo, files))):
        raise UsageError("--fix changes files, it takes neither - nor the zoo", "copy it first")
    if watching:
        if fix or style is not None or "-" in files:
            raise UsageError("--watch takes files, and neither --fix nor --format")
        from schemegen.cli.watch import watch

        def again(file: str) -> tuple[Diagnostic, ...]:
            place = root or folder(file)
            found = diagnose(read(file, stdin_name), root=place, network=network, pedantic=pedantic)
            return tuple(policy.keep(found))

        watch(files, again, console)
    found: list[Diagnostic] = []
    for file in files:
        source = read(file, stdin_name)
        place = root or folder(file)

        def check(source: Source, place: Path = place) -> tuple[Diagnostic, ...]:
            return diagnose(source, root=place, network=network, pedantic=pedantic)

        diagnostics = check(source)
        if fix and any(is_sure(item) for item in diagnostics):
            source = mend(Path(file), source, diagnostics)
            diagnostics = check(source)
        found.extend(policy.keep(diagnostics))
    if style is None:
        console.show(found)
    else:
        console.out(written(found, style, console))
    console.say(summary(found, len(files), policy))
    return 1 if policy.fails(found) else 0


def folder(file: str) -> Path:
    """Return the folder that imports of ``file`` are resolved in."""
    return Path() if file == "-" else Path(file).parent


def is_sure(item: Diagnostic) -> bool:
    return item.fix is not None and item.fix.applicability == "machine"


def mend(path: Path, source: Source, diagnostics: Iterable[Diagnostic]) -> Source:
    """Apply the sure edits to the file and return its new text."""
    from schemegen.files import write_atomically
    from schemegen.render import apply_fixes

    mine = [item for item in diagnostics if item.span and item.span.source.name == source.name]
    text = apply_fixes(source, tuple(mine))
    if text != source.text:
        write_atomically(path, text)
    return Source(source.name, text)


def written(found: Iterable[Diagnostic], style: str, console: Console) -> str:
    """Return diagnostics in the form ``style``, as a result for stdout."""
    from schemegen import render

    items = tuple(found)
    match style:
        case "json":
            return render.render_json_lines(items)
        case "concise":
            return render.render_concise(items)
        case "github":
            return render.render_github(items)
        case "sarif":
            return render.render_sarif(items)
        case _:
            return render.render_text(
                items, color=console.colors(), unicode=console.unicode(), width=console.width()
            )


def summary(found: Iterable[Diagnostic], files: int, policy: Policy) -> str:
    """Return ``2 errors, 1 warning, 1 fixable with `--fix```."""
    items = tuple(found)
    errors = sum(item.is_error for item in items)
    denied = sum(policy.fails([item]) for item in items) - errors
    warnings = len(items) - errors
    parts = [
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    if denied:
        parts.append(f"{denied} denied")
    if fixable := sum(is_sure(item) for item in items):
        parts.append(f"{fixable} fixable with `--fix`")
    return ", ".join(parts) or f"{files} file{'s' * (files != 1)} checked, nothing to report"
