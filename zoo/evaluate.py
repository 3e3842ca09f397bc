"""Read the test images, clean and noisy, with a trained network: ``python zoo/evaluate.py runs/rk2``.

RUN is the folder of a run or a checkpoint. The work is in ``schemegen.training.robustness``; copy this file and
change it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schemegen.diagnostics import SchemeError, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    new = argparse.ArgumentParser(prog="evaluate.py", description=__doc__.splitlines()[0])
    new.add_argument("run", type=Path, help="the folder of a run, or a checkpoint")
    new.add_argument("--n", type=int, help="test images, else all")
    new.add_argument("--seed", type=int, default=0, help="of the noise")
    new.add_argument("--data-dir", type=Path, default=Path("data"))
    new.add_argument("--device", default="auto")
    return new


def evaluate(arguments: argparse.Namespace) -> None:
    """Print the accuracy on clean images and under each noise, the mean of its five severities."""
    from schemegen.trained import trained
    from schemegen.training.robustness import accuracy, computed

    subject = trained(arguments.run, data_dir=arguments.data_dir, device=arguments.device)
    network, (images, labels) = subject.pixels(), subject.images(arguments.n)
    found = [("clean", accuracy(network, images, labels))]
    noisy = computed(network, images, labels, seed=arguments.seed)
    found += [(part.name, part.as_json()) for part in noisy]
    for name, share in found:
        low, high = share["interval"]
        print(f"{name:16} {share['accuracy']:.4f}  ({low:.4f} .. {high:.4f})")


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a wrong scheme, 2 for a wrong command, 130 when interrupted."""
    arguments = parser().parse_args(argv)
    try:
        evaluate(arguments)
    except (SchemeError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, SchemeError) else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
