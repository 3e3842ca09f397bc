"""Options that every command takes, before or after its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from schemegen import cache
from schemegen.cli.console import Console

__all__ = ["common", "inputs"]

Function = TypeVar("Function", bound=Callable[..., Any])


def _set(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    console = ctx.find_object(Console)
    if console is not None and parameter.name is not None and value not in (None, False):
        setattr(console, parameter.name, value)


def _switch_off(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.with_resource(cache.switched_off())


def common(function: Function) -> Function:
    """Add ``--no-cache``, and ``--color``, ``--quiet`` and ``--verbose``, which the :class:`Console` keeps."""
    for option in (
        click.option(
            "--no-cache",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_switch_off,
            help="Calculate everything anew; keep nothing for the next run.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set,
            help="Say more; show the traceback of a crash.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set,
            help="Errors and results only.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            is_eager=True,
            callback=_set,
            help="Colours; auto needs a terminal and no NO_COLOR.",
        ),
    ):
        function = option(function)
    return function


def inputs(*, many: bool, required: bool = True) -> Callable[[Function], Function]:
    """Add the arguments ``FILE`` (``files`` where there may be several) and ``--stdin-name``."""

    def decorate(function: Function) -> Function:
        function = click.option(
            "--stdin-name",
            metavar="NAME",
            default="<stdin>",
            help="What messages call the file -.",
        )(function)
        name = "files" if many else "file"
        metavar = "FILE..." if many else "FILE"
        shown = metavar if required else f"[{metavar}]"
        return click.argument(name, nargs=-1 if many else 1, required=required, metavar=shown)(
            function
        )

    return decorate
