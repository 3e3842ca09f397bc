"""``schemegen zoo``: the schemes and networks that are shipped."""

from __future__ import annotations

import re
from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.diagnostics import UsageError
from schemegen.resources import resource_dir
from schemegen.sources import zoo_file, zoo_names

__all__ = ["command"]

HEAD = re.compile(r'^\s*(?:scheme|network)\s+(\w+)(?:\s+"([^"\n]*)")?\s*\{', re.MULTILINE)


@click.group("zoo", context_settings={"help_option_names": ["-h", "--help"]})
@common
def command() -> None:
    """List, show or copy the schemes that are shipped."""


@command.command("list")
@click.argument("words", nargs=-1)
@click.option("--networks", is_flag=True, help="The networks instead of the schemes.")
@common
@click.pass_obj
def list_command(console: Console, words: tuple[str, ...], networks: bool) -> None:
    """List the schemes whose name or title contains all WORDS."""
    kind = "networks" if networks else "schemes"
    rows = [(name, title(kind, name)) for name in zoo_names(kind)]
    chosen = [row for row in rows if all(word.lower() in " ".join(row).lower() for word in words)]
    if not chosen:
        raise UsageError(f"no {kind} match {' '.join(words)}", "schemegen zoo list")
    width = max(len(name) for name, _ in chosen)
    console.out("\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in chosen))


@command.command("show")
@click.argument("name")
@common
@click.pass_obj
def show_command(console: Console, name: str) -> None:
    """Print the file of the scheme or network NAME."""
    console.out(zoo_file(name).read_text(encoding="utf-8"))


@command.command("copy")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder to copy to; the current one where not given.",
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@common
@click.pass_obj
def copy_command(console: Console, names: tuple[str, ...], output: Path, force: bool) -> None:
    """Copy the files of NAME... to work on them."""
    from schemegen.files import write_atomically

    files = [zoo_file(name) for name in names]
    for file in files:
        if (output / file.name).exists() and not force:
            raise UsageError(f"{output / file.name} exists", "pass --force to replace it")
    output.mkdir(parents=True, exist_ok=True)
    for file in files:
        write_atomically(output / file.name, file.read_text(encoding="utf-8"))
        console.say(f"wrote {output / file.name}")


def title(kind: str, name: str) -> str:
    """Return the title that the file gives to what it is named after; no parser is needed for that."""
    text = (resource_dir("zoo") / kind / f"{name}.scheme").read_text(encoding="utf-8")
    titles = dict(HEAD.findall(text))
    return titles.get(name) or next(iter(titles.values()), "")
