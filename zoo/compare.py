"""Compare schemes on the digits: ``python zoo/compare.py resnet lm_resnet half=lm_resnet@2 --seeds 3``.

The work is in ``schemegen.comparison``; copy this file and change it. ``schemegen compare`` has more options.
"""

from __future__ import annotations

from pathlib import Path

import click

from schemegen.cli.application import Program
from schemegen.cli.console import Console
from schemegen.cli.options import common


@click.command(cls=Program)
@click.argument("schemes", nargs=-1, required=True, metavar="[LABEL=]SCHEME[@STEPS]..")
@click.option("--network", default="tiny", help="A network of the zoo, or a path.")
@click.option("--data", default="digits")
@click.option("--seeds", type=click.IntRange(min=1), default=5)
@click.option("--epochs", type=click.IntRange(min=1), default=10)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Runs at a time.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/compare"))
@common
@click.pass_obj
def main(
    console: Console,
    schemes: tuple[str, ...],
    network: str,
    data: str,
    seeds: int,
    epochs: int,
    jobs: int,
    output: Path,
) -> None:
    """Train what is missing, print the table and write the page; the first scheme is the reference."""
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
        arms=tuple(arm_of(text) for text in schemes),
        networks=(network,),
        data=(data,),
        seeds=tuple(range(seeds)),
        settings={"epochs": epochs},
    )
    plan = planned(request)
    worker = Worker(output, request.data_dir)
    results = execute(worker, plan.runs, jobs, lambda run: console.say(f"{run.arm} {run.seed}"))
    found = comparison_of(plan, results)
    console.out(comparison_text(found))
    (output / "report.html").write_text(comparison_html(found), encoding="utf-8")


if __name__ == "__main__":
    main()
