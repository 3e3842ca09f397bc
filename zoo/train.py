"""Train the network of a scheme: ``python zoo/train.py rk2``, or ``torchrun --nproc-per-node 2 zoo/train.py rk2``.

The options are those of ``schemegen train``. Copy this file and change what happens to the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemegen.cli.train import script

if TYPE_CHECKING:
    from schemegen.training import Config, Subject


@script
def main(subject: Subject, config: Config) -> str:
    """Train the network of the scheme FILE and print its test accuracy.

    FILE is a scheme of the zoo (rk2) or a path. What is left out is the data set's usual setting.
    """
    from schemegen.training import train  # here, so that --help does not wait for torch

    return train(subject, config).summary()


if __name__ == "__main__":
    main()
