"""``schemegen corrupt``: how well a trained network reads noisy images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from schemegen.cli.console import Console
from schemegen.cli.measured import JSON, Load, of_a_run, percent, write_json
from schemegen.cli.options import common
from schemegen.cli.settings import listed

__all__ = ["command"]

# As in schemegen.training.robustness, which --help must not import.
CORRUPTIONS = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")


@click.command("corrupt")
@of_a_run
@click.option(
    "--corruptions",
    default=",".join(CORRUPTIONS),
    show_default=True,
    callback=listed(CORRUPTIONS),
    metavar="NAME,..",
)
@click.option("--folder", type=click.Path(path_type=Path),
              help="An unpacked CIFAR-10-C or CIFAR-100-C, instead of computing the noise.")  # fmt: skip
@click.option(
    "--protocol",
    type=click.Choice(["sound", "yang2020"]),
    default="sound",
    show_default=True,
    help="yang2020 normalises by the noisy images' own mean and deviation.",
)
@click.option("--n", "count", type=click.IntRange(min=1), help="Images a severity.  [default: all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@JSON
@common
@click.pass_obj
def command(
    console: Console,
    /,
    load: Load,
    corruptions: tuple[str, ...],
    folder: Path | None,
    protocol: str,
    count: int | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Read the test images of a RUN under noise of five severities and print a table.

    The noise is that of CIFAR-10-C, for any data set.
    """
    from schemegen.training.robustness import computed, from_folder

    subject = load()
    own = protocol == "yang2020"
    if folder is None:
        images, labels = subject.images(count)
        parts = computed(
            subject.pixels(), images, labels, corruptions, seed=seed, own_statistics=own
        )
    else:
        parts = from_folder(subject.pixels(), folder, corruptions, count=count, own_statistics=own)
    console.out(
        f"{'severity':16}" + "".join(f"{level:>9}" for level in range(1, 6)) + "   all, 95 %"
    )
    found = []
    for part in parts:
        found.append(part.as_json())
        console.out(_row(found[-1]))
    mean = sum(item["accuracy"] for item in found) / len(found)
    console.out(f"mean of all {100 * mean:.2f} %, {found[0]['n']} images a severity")
    content = {
        "format": "schemegen-corrupt-1",
        "corruptions": found,
        "mean": mean,
        "protocol": protocol,
        "source": "computed" if folder is None else "folder",
        "seed": seed if folder is None else None,
    }
    write_json(json_file, {**subject.as_json(), **content})


def _row(found: dict[str, Any]) -> str:
    levels = "".join(f"{100 * item['accuracy']:9.2f}" for item in found["severities"])
    return f"{found['corruption']:16}{levels}   {percent(found)}"
