"""Compare schemes on the digits: ``python zoo/compare.py resnet lm_resnet half=lm_resnet@2 --seeds 3``.

The work is in ``schemegen.comparison``; copy this file and change it. ``schemegen compare`` has more options.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from schemegen.diagnostics import SchemeError, UsageError


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    new = argparse.ArgumentParser(prog="compare.py", description=__doc__.splitlines()[0])
    new.add_argument("schemes", nargs="+", help="[LABEL=]SCHEME[@STEPS], the reference first")
    new.add_argument("--network", default="tiny", help="a network of the zoo, or a path")
    new.add_argument("--data", default="digits")
    new.add_argument("--seeds", type=int, default=5)
    new.add_argument("--epochs", type=int, default=10)
    new.add_argument("--jobs", type=int, default=1, help="runs at a time")
    new.add_argument("--output", type=Path, default=Path("runs/compare"))
    return new


def compare(arguments: argparse.Namespace) -> None:
    """Train what is missing, print the table and write the page."""
    from schemegen.comparison import (
        Request,
        Worker,
        arm_of,
        comparison_html,
        comparison_of,
        comparison_text,
        execute,
        planned,
    )

    request = Request(
        arms=tuple(arm_of(text) for text in arguments.schemes),
        networks=(arguments.network,),
        data=(arguments.data,),
        seeds=tuple(range(arguments.seeds)),
        settings={"epochs": arguments.epochs},
    )
    plan = planned(request)
    worker = Worker(arguments.output, request.data_dir)
    results = execute(worker, plan.runs, arguments.jobs, lambda run: print(run.arm, run.seed))
    found = comparison_of(plan, results)
    print(comparison_text(found))
    (arguments.output / "report.html").write_text(comparison_html(found), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a wrong scheme, 2 for a wrong command, 130 when interrupted."""
    try:
        compare(parser().parse_args(argv))
    except SchemeError as error:
        from schemegen.render import render_text

        print(render_text(error.diagnostics), file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
