"""Attack a trained network: ``python zoo/attack.py runs/rk2 --eps 8/255``.

RUN is the folder of a run or a checkpoint. The work is in ``schemegen.training.robustness``; copy this file and
change it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from schemegen.diagnostics import SchemeError, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the command line; numbers are exact, as 8/255."""
    new = argparse.ArgumentParser(prog="attack.py", description=__doc__.splitlines()[0])
    new.add_argument("run", type=Path, help="the folder of a run, or a checkpoint")
    new.add_argument("--attack", default="pgd", help="fgsm, ifgsm, pgd or autoattack")
    new.add_argument("--eps", type=Fraction, default=Fraction(8, 255))
    new.add_argument("--norm", default="Linf", help="Linf or L2")
    new.add_argument("--steps", type=int)
    new.add_argument("--step-size", type=Fraction, help="else eps/4")
    new.add_argument("--restarts", type=int)
    new.add_argument("--n", type=int, default=1000, help="test images")
    new.add_argument("--seed", type=int, default=0)
    new.add_argument("--data-dir", type=Path, default=Path("data"))
    new.add_argument("--device", default="auto")
    return new


def attack(arguments: argparse.Namespace) -> None:
    """Attack the first test images and print everything that was measured, as JSON."""
    from schemegen.trained import trained
    from schemegen.training.robustness import Attack, run_attack

    settings = ("eps", "norm", "steps", "step_size", "restarts", "seed")
    how = Attack.of(arguments.attack, **{name: getattr(arguments, name) for name in settings})
    subject = trained(arguments.run, data_dir=arguments.data_dir, device=arguments.device)
    outcome = run_attack(subject.pixels(), *subject.images(arguments.n), how)
    print(json.dumps({**subject.as_json(), **outcome.as_json()}, indent=2))


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a wrong scheme, 2 for a wrong command, 130 when interrupted."""
    arguments = parser().parse_args(argv)
    try:
        attack(arguments)
    except (SchemeError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, SchemeError) else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
