"""``schemegen eval``: the test accuracy of a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from schemegen.cli.console import Console
from schemegen.cli.measured import JSON, Load, of_a_run, percent, write_json
from schemegen.cli.options import common

__all__ = ["command"]


@click.command("eval")
@of_a_run
@click.option("--n", "count", type=click.IntRange(min=1), help="Test images.  [default: all]")
@click.option("--batch-size", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--classes", is_flag=True, help="The accuracy of each class as well.")
@JSON
@common
@click.pass_obj
def command(
    console: Console,
    /,
    load: Load,
    count: int | None,
    batch_size: int,
    classes: bool,
    json_file: Path | None,
) -> None:
    """Read the test images with the network of a RUN's folder or of a checkpoint."""
    from schemegen.training.robustness import accuracy

    subject = load()
    found = accuracy(subject.pixels(), *subject.images(count), batch_size=batch_size)
    console.out(
        f"test accuracy {percent(found)}, loss {found['loss']:.4f}   {found['n']} images, 95 % interval"
    )
    if classes:
        console.out(
            "\n".join(f"class {item['label']:<4} {percent(item)}" for item in found["classes"])
        )
    write_json(json_file, {"format": "schemegen-eval-1", **subject.as_json(), **found})
