"""``schemegen completion``: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.diagnostics import InternalError

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; for bash: eval "$(schemegen completion bash)"."""
    script = get_completion_class(shell)
    if script is None:
        raise InternalError(f"click knows no completion for {shell}")
    console = ctx.find_object(Console) or Console()
    program = script(ctx.find_root().command, {}, "schemegen", "_SCHEMEGEN_COMPLETE")
    console.out(program.source())
