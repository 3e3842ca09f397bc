"""``schemegen train``: train the network of a scheme. The options are those of a script, too."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemegen.cli.application import Program
from schemegen.cli.console import Console
from schemegen.cli.options import common
from schemegen.cli.settings import configured, python_blocks, settings
from schemegen.diagnostics import UsageError
from schemegen.pipeline import Unit, emit, prepare
from schemegen.selection import source_of
from schemegen.sources import read

if TYPE_CHECKING:
    from schemegen.training import Config, Subject

__all__ = ["command", "script"]

POSITIVE, COUNT = click.IntRange(min=1), click.IntRange(min=0)
PATH = click.Path(path_type=Path)

OPTIONS = (
    click.option("--network", metavar="NAME", help="A network of the file or the zoo, or a path."),
    click.option("--set", "values", multiple=True, metavar="K=NUMBER", callback=settings,
                 help="Replace a param by an exact number. May be repeated."),
    click.option("--block", "blocks", multiple=True, metavar="NAME=MODULE:CLASS", callback=python_blocks,
                 help="A block written in Python. May be repeated."),
    click.option("--data", help="digits (usual), glyphs, glyphs36, glyphs62, cifar10, cifar100, folder, fake."),
    click.option("--recipe", metavar="NAME", help="A paper's settings, as lu2018-cifar10."),
    click.option("--data-dir", type=PATH, default=Path("data")),
    click.option("--download", is_flag=True, help="Fetch the data set if it is missing."),
    click.option("--augment/--no-augment", default=None, help="Shift and mirror the images, or not."),
    click.option("--workers", type=COUNT, help="Processes that decode the images of a folder."),
    click.option("--config", is_eager=True, expose_value=False, callback=configured, type=PATH, metavar="FILE",
                 help="Take options from a TOML file or from a run's run.json; those given here win."),
    click.option("-o", "--output", type=PATH, help="Folder to write to, else runs/NAME."),
    click.option("--resume", is_flag=False, flag_value="last", metavar="[last|best|PATH]",
                 help="Continue from a checkpoint, the last one if none is named."),
    click.option("--force", is_flag=True, help="Resume from another scheme's checkpoint."),
    click.option("--test-only", is_flag=True, help="Only test the checkpoint that --resume names."),
    click.option("--keep", type=COUNT, metavar="N", help="Keep the checkpoints of the N best epochs."),
    click.option("--log", multiple=True, metavar="tensorboard", help="Write a log for TensorBoard as well."),
    click.option("--log-interval", type=COUNT, metavar="STEPS", help="Tell of every so many steps."),
    click.option("--epochs", type=POSITIVE),
    click.option("-b", "--batch-size", type=POSITIVE, help="Images a process looks at in one go."),
    click.option("--grad-accum-steps", type=POSITIVE, metavar="N", help="Batches that make one step."),
    click.option("--opt", help="sgd, nesterov, adam, adamw or rmsprop."),
    click.option("--lr", type=float),
    click.option("--momentum", type=float),
    click.option("--weight-decay", type=float),
    click.option("--clip-grad", type=float, metavar="NORM", help="The largest norm of a gradient."),
    click.option("--sched", help="cosine, step, linear or constant."),
    click.option("--warmup-epochs", type=COUNT, metavar="N", help="Epochs in which the rate grows."),
    click.option("--model-ema", is_flag=True, help="Test and keep an average of the weights."),
    click.option("--model-ema-decay", type=float, metavar="D"),
    click.option("--seed", type=COUNT, default=0, show_default=True),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
    click.option("--amp", is_flag=True, help="Autocast to --amp-dtype."),
    click.option("--amp-dtype", help="bfloat16 or float16."),
    click.option("--channels-last", is_flag=True, help="Keep the channels of images together."),
    click.option("--torchcompile", is_flag=True, help="torch.compile the network."),
    click.option("--optimize", is_flag=True, help="Train the network's faster form, equal up to rounding."),
    click.option("--sync-bn", is_flag=True, help="Batch norm over the batches of all processes."),
    click.option("--fsdp", is_flag=True, help="Shard weights and optimiser over the processes."),
    click.option("--backprop", metavar="HOW", default="store", show_default=True,
                 help="What the backward pass keeps: store, checkpoint=K, reversible, memory=MIB or auto."),
    click.option("--deterministic", is_flag=True, help="Repeatable kernels on every device."),
)  # fmt: skip

Work = Callable[["Subject", "Config"], str]


def script(work: Work) -> click.Command:
    """Return a command with the options of ``schemegen train`` that hands ``work`` a network and its settings.

    ``work(subject, config)`` returns the line to print; its docstring is the help. Failures end as those of
    ``schemegen`` do, with a message and an exit code.
    """

    @functools.wraps(work)
    def run(
        console: Console,
        /,
        file: str,
        network: str | None,
        values: dict[str, str],
        blocks: dict[str, str],
        backprop: str,
        output: Path | None,
        log: tuple[str, ...],
        **given: Any,
    ) -> None:
        import torch

        from schemegen.backends import with_batch
        from schemegen.training import NETWORKS, Subject, recipe
        from schemegen.training.devices import rank

        test_only = given.pop("test_only")
        config = recipe(**given, progress=not console.quiet)
        unit = only(file, network or NETWORKS.get(config.data), values, blocks)
        folder = output or Path("runs") / unit.scheme.name
        config = replace(config, output=folder, log=log)
        if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
            console.show(unit.diagnostics)
        assert unit.network is not None
        how = with_batch(backprop, config.batch_size)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.amp):
            model = emit(unit, seed=config.seed, backprop=how)
        subject = Subject(model, unit.scheme, unit.network)
        line = (tested if test_only else work)(subject, config)
        if rank() == 0:
            console.out(line)

    made: Callable[..., None] = click.pass_obj(run)
    for option in reversed(OPTIONS):
        made = option(made)
    decorate = click.command("train", cls=Program, help=work.__doc__)
    return decorate(common(click.argument("file")(made)))


def tested(subject: Subject, config: Config) -> str:
    from schemegen.training import evaluate_checkpoint

    return evaluate_checkpoint(subject, config).summary()


@script
def command(subject: Subject, config: Config) -> str:
    """Train the network of the scheme FILE (or a name of the zoo) and print its test accuracy.

    What is left out is the data set's usual setting. On several processes: torchrun zoo/train.py FILE ..
    """
    from schemegen.training import train

    return train(subject, config).summary()


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
