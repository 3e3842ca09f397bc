"""``schemegen attack``: how many test images a trained network still reads when an attack may change them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemegen.cli.console import Console
from schemegen.cli.measured import JSON, Function, Load, exact, of_a_run, percent, write_json
from schemegen.cli.options import common
from schemegen.cli.plotting import plot_file
from schemegen.diagnostics import UsageError

if TYPE_CHECKING:
    from schemegen.trained import Trained
    from schemegen.training.robustness import Outcome

__all__ = ["command"]


# What decides an attack.
HOW = (
    click.option("--attack", "kind", type=click.Choice(["fgsm", "ifgsm", "pgd", "autoattack"]),
                 default="pgd", show_default=True),
    click.option("--eps", default="8/255", show_default=True, callback=exact, help="How far a pixel, "
                 "or for L2 an image, may move; pixels are in [0, 1]."),
    click.option("--norm", type=click.Choice(["Linf", "L2"]), default="Linf", show_default=True),
    click.option("--steps", type=click.IntRange(min=1), help="Steps of ifgsm and pgd.  [default: 20]"),
    click.option("--step-size", callback=exact, help="Length of a step.  [default: eps/4]"),
    click.option("--restarts", type=click.IntRange(min=1), help="Random starts of pgd.  [default: 1]"),
    click.option("--protocol", type=click.Choice(["sound", "yang2020"]), default="sound", show_default=True,
                 help="yang2020 repeats the released code of that paper, oddities included."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
)  # fmt: skip
COUNT = click.option(
    "--n",
    "count",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Test images, from the first on.",
)


def how(function: Function) -> Function:
    """Add the options that decide an attack."""
    for option in reversed(HOW):
        function = option(function)
    return function


@click.command("attack")
@of_a_run
@how
@click.option("--eot", type=click.IntRange(min=1), help="Passes a gradient is averaged over.  "
              "[default: 1, or 20 where outputs are random]")  # fmt: skip
@COUNT
@click.option("--batch-size", type=click.IntRange(min=1), default=250, show_default=True)
@click.option("--no-checks", is_flag=True, help="Do not look for masked gradients.")
@click.option("--surface", callback=plot_file, metavar="FILE",
              help="Draw the loss around images along the attack: .svg, .png or .pdf.")  # fmt: skip
@JSON
@common
@click.pass_obj
def command(
    console: Console,
    /,
    load: Load,
    kind: str,
    eps: Fraction,
    eot: int | None,
    count: int,
    batch_size: int,
    no_checks: bool,
    surface: Path | None,
    json_file: Path | None,
    **settings: Any,
) -> None:
    """Attack the network of a RUN's folder or of a checkpoint and print how many images it still reads.

    Bounds and steps are exact numbers, as 8/255. Warnings tell of signs that the attack failed rather than that
    the network held.
    """
    from schemegen.training.robustness import Attack, run_attack

    if surface is not None:
        from schemegen.report.plots import require

        require()
    attack = Attack.of(kind, eps=eps, eot=eot, **settings)
    subject = load()
    images, labels = subject.images(count)
    outcome = run_attack(
        subject.pixels(),
        images,
        labels,
        attack,
        batch_size=batch_size,
        checks=not no_checks,
        eot_given=eot is not None,
    )
    found = outcome.as_json()
    console.show(outcome.warnings)
    console.out(_text(found))
    write_json(json_file, {"format": "schemegen-attack-1", **subject.as_json(), **found})
    if surface is not None:
        _draw(surface, subject, outcome, images, labels)


def _text(found: dict[str, Any]) -> str:
    """Return the three lines that say what was done and what came of it."""
    attack = found["attack"]
    how = f"{attack['kind']}, {attack['norm']}, eps {attack['eps']}"
    if "steps" in attack:
        steps = attack["steps"]
        how += f", {steps} step{'s' * (steps > 1)} of {attack['step_size']}"
        if attack["restarts"] > 1:
            how += f", {attack['restarts']} starts"
    if attack["eot"] > 1:
        how += f", {attack['eot']} passes a gradient"
    if attack["protocol"] != "sound":
        how += f", protocol {attack['protocol']}"
    return (
        f"attack  {how}\nclean   {percent(found['clean'])}\n"
        f"robust  {percent(found['robust'])}   {found['n']} images, 95 % intervals"
    )


def _draw(path: Path, subject: Trained, outcome: Outcome, images: Any, labels: Any) -> None:
    """Draw the mean loss around at most a hundred images that were read rightly and that the attack moved."""
    from schemegen.files import write_atomically
    from schemegen.report.plots.surface import loss_picture
    from schemegen.training.robustness import loss_surface

    changed = (outcome.moved != images).flatten(1).any(1) & outcome.clean.to(images.device)
    some = changed.nonzero()[:100, 0]
    if not len(some):
        raise UsageError("the attack moved no image, so that there is no loss along it to draw")
    found = loss_surface(
        subject.pixels(), images[some], labels[some], outcome.moved[some], outcome.attack
    )
    attack = outcome.attack
    title = f"{subject.subject.scheme.name}: {attack.kind}, {attack.norm}, eps {attack.eps}"
    picture = loss_picture(
        title, found.along, found.across, found.loss, found.right, found.n, path.suffix[1:].lower()
    )
    write_atomically(path, picture)
