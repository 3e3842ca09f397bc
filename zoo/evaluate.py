"""Read the test images, clean and noisy, with a trained network: ``python zoo/evaluate.py runs/rk2``.

The work is in ``schemegen.training.robustness``; copy this file and change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemegen.cli.measured import script

if TYPE_CHECKING:
    from schemegen.trained import Trained


@script(
    click.option("--n", "count", type=click.IntRange(min=1), help="Test images, else all."),
    click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the noise."),
)
def main(subject: Trained, count: int | None, seed: int) -> str:
    """Print the accuracy on clean images and under each noise, the mean of its five severities.

    RUN is the folder of a run or a checkpoint.
    """
    from schemegen.training.robustness import accuracy, computed  # --help does not wait for torch

    network, (images, labels) = subject.pixels(), subject.images(count)
    found = [("clean", accuracy(network, images, labels))]
    noisy = computed(network, images, labels, seed=seed)
    found += [(part.name, part.as_json()) for part in noisy]
    lines = []
    for name, share in found:
        low, high = share["interval"]
        lines.append(f"{name:16} {share['accuracy']:.4f}  ({low:.4f} .. {high:.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
