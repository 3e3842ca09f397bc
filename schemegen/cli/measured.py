"""What the commands that measure a trained network share: the checkpoint, its data, and where figures go."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from schemegen.cli.application import Program
from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.cli.settings import python_blocks

if TYPE_CHECKING:
    from schemegen.trained import Trained

__all__ = ["JSON", "Function", "Load", "exact", "of_a_run", "percent", "script", "write_json"]

Function = TypeVar("Function", bound=Callable[..., Any])
Load = Callable[[], "Trained"]

JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write everything that was measured, and of what.",
)
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?(/[1-9][0-9]{0,8})?\Z", re.ASCII)


def of_a_run(work: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument RUN and the options of its data; ``work`` gets ``load``, which reads the network."""

    @functools.wraps(work)
    def function(
        *,
        run: Path,
        data: str | None,
        data_dir: Path,
        download: bool,
        device: str,
        blocks: dict[str, str],
        **given: Any,
    ) -> Any:
        def load() -> Trained:
            from schemegen.trained import trained

            return trained(
                run, data=data, data_dir=data_dir, download=download, device=device, blocks=blocks
            )

        return work(load=load, **given)

    for option in (
        click.option(
            "--block",
            "blocks",
            multiple=True,
            metavar="NAME=MODULE:CLASS",
            callback=python_blocks,
            help="A block written in Python. May be repeated.",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
        click.option("--download", is_flag=True, help="Fetch the data set if it is missing."),
        click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data")),
        click.option("--data", help="Another data set than the run was trained on."),
        click.argument("run", type=click.Path(path_type=Path)),
    ):
        function = option(function)
    return function


def script(
    *options: Callable[[Function], Function],
) -> Callable[[Callable[..., str]], click.Command]:
    """Return what makes a program of ``work(subject, **values of the options)``, which returns what to print.

    The program takes a RUN, whose trained network is the subject; the docstring of ``work`` is its help. Failures
    end as those of ``schemegen`` do, with a message and an exit code.
    """

    def decorate(work: Callable[..., str]) -> click.Command:
        @functools.wraps(work)
        def run(console: Console, /, load: Load, **given: Any) -> None:
            console.out(work(load(), **given))

        made: Callable[..., None] = click.pass_obj(run)
        for option in reversed(options):
            made = option(made)
        return click.command(cls=Program, help=work.__doc__)(common(of_a_run(made)))

    return decorate


def exact(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    """Read a number that is written as ``8/255`` or ``0.03``, exactly."""
    if value is None:
        return None
    text = value.strip()
    if not NUMBER.match(text):
        raise click.BadParameter(f"{value!r} is not of the form 8/255 or 0.03", ctx, parameter)
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or "1")


def percent(share: Mapping[str, Any]) -> str:
    """Return an accuracy and its interval, as ``97.50 % (94.3 .. 98.9)``."""
    low, high = share["interval"]
    return f"{100 * share['accuracy']:.2f} % ({100 * low:.1f} .. {100 * high:.1f})"


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write one object with sorted keys, all of it or nothing; ``path`` None writes nothing."""
    from schemegen.files import write_atomically

    if path is not None:
        write_atomically(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
