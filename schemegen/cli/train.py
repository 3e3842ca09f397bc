"""``schemegen train``: train the network of a scheme."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.cli.settings import python_blocks, settings
from schemegen.diagnostics import UsageError
from schemegen.pipeline import Unit, emit, prepare
from schemegen.selection import source_of
from schemegen.sources import read

__all__ = ["command"]


@click.command("train")
@click.argument("file")
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
    "--data", help="digits (usual), glyphs, glyphs36, glyphs62, cifar10, cifar100, folder, fake."
)
@click.option("--recipe", metavar="NAME", help="A paper's settings, as lu2018-cifar10.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("data"))
@click.option("--download", is_flag=True, help="Fetch the data set if it is missing.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder to write to, else runs/NAME."
)
@click.option("--resume", type=click.Choice(["last"]), help="Continue from the last checkpoint.")
@click.option("--force", is_flag=True, help="Resume from another scheme's checkpoint.")
@click.option("--epochs", type=click.IntRange(min=1))
@click.option("--batch-size", type=click.IntRange(min=1))
@click.option("--lr", type=float)
@click.option("--momentum", type=float)
@click.option("--weight-decay", type=float)
@click.option("--schedule", type=click.Choice(["cosine", "step"]))
@click.option("--warmup", type=click.IntRange(min=0), metavar="EPOCHS")
@click.option("--no-augment", is_flag=True, help="Train on the images as they are.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--amp", is_flag=True, help="bfloat16 autocast.")
@click.option("--compile", "compiled", is_flag=True, help="torch.compile the network.")
@click.option(
    "--backprop",
    metavar="HOW",
    default="store",
    show_default=True,
    help="What the backward pass keeps: store, checkpoint=K, reversible, memory=MIB or auto.",
)
@click.option("--deterministic", is_flag=True, help="Repeatable kernels on every device.")
@common
@click.pass_obj
def command(
    console: Console,
    /,
    file: str,
    network: str | None,
    values: dict[str, str],
    blocks: dict[str, str],
    output: Path | None,
    resume: str | None,
    no_augment: bool,
    compiled: bool,
    backprop: str,
    **given: Any,
) -> None:
    """Train the network of the scheme FILE (or zoo/NAME) and print its test accuracy.

    What is left out is the data set's usual setting.
    """
    import torch

    from schemegen.backends import with_batch
    from schemegen.training import NETWORKS, Subject, recipe, train

    config = recipe(
        **given,
        resume=resume is not None,
        augment=False if no_augment else None,
        compile=compiled or None,
        progress=not console.quiet,
    )
    unit = only(file, network or NETWORKS.get(config.data), values, blocks)
    config = replace(config, output=output or Path("runs") / unit.scheme.name)
    console.show(unit.diagnostics)
    assert unit.network is not None
    how = with_batch(backprop, config.batch_size)
    with torch.autocast("cpu", torch.bfloat16, enabled=config.amp):
        model = emit(unit, seed=config.seed, backprop=how)
    result = train(Subject(model, unit.scheme, unit.network), config)
    console.out(result.summary())


def only(file: str, network: str | None, values: dict[str, str], blocks: dict[str, str]) -> Unit:
    """Return the file's scheme; a run trains one."""
    source = read(file) if file == "-" else source_of(file)
    units = prepare(source, network=network, values=values, blocks=blocks)
    if len(units) != 1:
        names = ", ".join(unit.scheme.name for unit in units)
        raise UsageError(
            f"{source.name} declares {len(units)} schemes: {names}", "keep one in the file"
        )
    return units[0]
