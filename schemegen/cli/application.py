"""The group of all commands; each is imported when it is called, so ``--help`` starts in a blink."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from schemegen import __version__
from schemegen.cli.console import ClosedPipeError, Console
from schemegen.cli.failures import CLOSED_PIPE, exit_code
from schemegen.cli.options import common

__all__ = ["COMMANDS", "Program", "cli"]

COMMANDS = {
    "compile": "Analyse a scheme and write its network.",
    "check": "Report every mistake of the files; no torch.",
    "analyze": "Print everything that is known of a scheme.",
    "show": "Print a scheme as tableau, equations, LaTeX, JSON or Python.",
    "fmt": "Align bars and columns; comments stay.",
    "diff": "Two schemes side by side: coefficients, orders, cost.",
    "lift": "Make a one-step scheme reversible.",
    "verify": "Measure what the analysis claims; exit 1 on a contradiction.",
    "step": "Follow one step, value by value, on a test problem.",
    "compare": "Train schemes with equal seeds on equal data, and say which differ.",
    "train": "Train a network of a scheme.",
    "eval": "Print the test accuracy of a trained network.",
    "attack": "Count the images that a trained network reads under attack.",
    "corrupt": "Count the images that a trained network reads under noise.",
    "new": "Write a commented scheme to start from.",
    "zoo": "List, show or copy the schemes that are shipped.",
    "explain": "Explain a diagnostic code, with a bad and a good file.",
    "schema": "Print the JSON Schema of the machine-readable report.",
    "doctor": "Print versions, devices and extras.",
    "completion": "Print the completion script of a shell.",
}


class Ending(click.Command):
    """A command that turns what ends it into the exit code that belongs to it."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and leave with the exit code that belongs to what happened."""
        arguments = list(sys.argv[1:] if args is None else args)
        console = Console()
        extra.setdefault("obj", console)
        try:
            try:
                result = super().main(arguments, prog_name, complete_var, False, **extra)
                code = result if isinstance(result, int) else 0
            except (Exception, KeyboardInterrupt) as failure:
                code = exit_code(failure, console, arguments)
        except ClosedPipeError:  # stderr has closed while a failure was told
            code = CLOSED_PIPE
        if code == CLOSED_PIPE:
            _drop_stdout()
        sys.exit(code)


class Program(Ending):
    """A command that is a program of its own, as a script is."""


class Application(Ending, click.Group):
    """A group that imports a command's module on first use and turns failures into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"schemegen.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" A similar command exists: {near[0]}." if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _drop_stdout() -> None:
    """Send what is still buffered nowhere, or Python complains about the closed pipe at its end."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@click.group(
    cls=Application,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SCHEMEGEN",
        "max_content_width": 100,
    },
    epilog="A file named - is standard input. `schemegen new rk2` writes a scheme to start from.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@common
def cli() -> None:
    """Numerical schemes in, exact analysis and trainable networks out."""
