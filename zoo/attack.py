"""Attack a trained network: ``python zoo/attack.py runs/rk2 --eps 8/255``.

The options are those of ``schemegen attack``. The work is in ``schemegen.training.robustness``; copy this file and
change it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from schemegen.cli.attack import COUNT, how
from schemegen.cli.measured import script

if TYPE_CHECKING:
    from schemegen.trained import Trained


@script(how, COUNT)
def main(subject: Trained, kind: str, count: int, **settings: Any) -> str:
    """Attack the first test images and print everything that was measured, as JSON.

    RUN is the folder of a run or a checkpoint. Numbers are exact, as 8/255.
    """
    from schemegen.training.robustness import Attack, run_attack  # --help does not wait for torch

    attack = Attack.of(kind, **settings)
    outcome = run_attack(subject.pixels(), *subject.images(count), attack)
    return json.dumps({**subject.as_json(), **outcome.as_json()}, indent=2)


if __name__ == "__main__":
    main()
