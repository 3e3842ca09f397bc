"""An attack on a network from end to end: who stands, who does not, and whether to believe it."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from schemegen import __version__
from schemegen.diagnostics import Diagnostic, InternalError
from schemegen.training.proportions import share
from schemegen.training.robustness.checks import checked
from schemegen.training.robustness.gradients import Attack, perturbed
from schemegen.training.robustness.pixels import Pixels, random_outputs
from schemegen.training.robustness.published import published
from schemegen.training.robustness.strongest import autoattacked, version_of

__all__ = ["EOT", "Outcome", "run_attack", "versions"]

EOT = 20  # passes a gradient where noise is active, as AutoAttack's version `rand` has
_CHECKED = 256
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which of the images ``x`` are read rightly, as they are and after the attack, and the warnings."""

    attack: Attack
    clean: Tensor
    robust: Tensor
    moved: Tensor = field(repr=False)
    farthest: float
    random: bool
    batch_size: int
    warnings: tuple[Diagnostic, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values: the attack's settings, both accuracies with Wilson's intervals, the warnings."""
        attack = self.attack
        settings: dict[str, Any] = {"kind": attack.kind, "norm": attack.norm}
        settings |= {"eps": str(attack.eps), "eps_value": float(attack.eps)}
        if attack.kind == "autoattack":
            settings |= {"version": version_of(attack)}
        else:
            settings |= {
                "steps": attack.steps,
                "step_size": str(attack.step_size),
                "step_size_value": float(attack.step_size),
                "restarts": attack.restarts,
                "random_start": attack.random_start,
            }
        settings |= {"eot": attack.eot, "seed": attack.seed, "protocol": attack.protocol}
        return {
            "attack": settings,
            "n": len(self.clean),
            "clean": share(self.clean),
            "robust": share(self.robust),
            "farthest": self.farthest,
            "random_outputs": self.random,
            "batch_size": self.batch_size,
            "warnings": [{"code": item.code, "message": item.message} for item in self.warnings],
        }


def versions() -> dict[str, str]:
    """Return the versions that decide the digits."""
    found = {
        "schemegen": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    with suppress(metadata.PackageNotFoundError):
        found["pyautoattack"] = metadata.version("pyautoattack")
    return found


def run_attack(
    model: Pixels,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    batch_size: int = 250,
    checks: bool = True,
    eot_given: bool = False,
) -> Outcome:
    """Attack the images ``x`` in [0, 1] that are read rightly, and judge the result by fresh passes.

    Where outputs are random, gradients are averaged over :data:`EOT` passes unless ``eot_given`` says that the
    attack's own number is meant, and W0805 tells it. ``checks`` looks for masked gradients on the first 256
    images. The random states of torch are those of before when it returns.
    """
    with torch.random.fork_rng():
        torch.manual_seed(attack.seed)
        random = random_outputs(model, x[:batch_size])
        found = [_noisy(attack, eot_given)] if random else []
        if random and not eot_given:
            attack = replace(attack, eot=EOT)
        clean = _right(model, x, y, batch_size)
        moved, said = _moved(model, x, y, clean, attack, batch_size)
        _within(moved, x, attack)
        robust = _right(model, moved, y, batch_size)
        if attack.protocol == "sound":
            robust &= clean
        if checks:
            some = clean.nonzero()[:_CHECKED, 0]
            found += checked(model, x[some], y[some], moved[some], attack, random=random)
    way = (moved - x).flatten(1)
    far = way.abs().amax(1) if attack.norm == "Linf" else way.norm(dim=1)
    return Outcome(
        attack=attack,
        clean=clean.cpu(),
        robust=robust.cpu(),
        moved=moved,
        farthest=float(far.max()),
        random=random,
        batch_size=batch_size,
        warnings=tuple(dict.fromkeys([*found, *said])),
    )


def _moved(
    model: Pixels, x: Tensor, y: Tensor, clean: Tensor, attack: Attack, batch_size: int
) -> tuple[Tensor, list[Diagnostic]]:
    """Return the images after the attack, batch by batch, each with its own seed, and what was said on the way.

    Only images that are read rightly are attacked; the released code of the other protocol moves them all.
    """
    moved, sound = x.clone(), attack.protocol == "sound"
    chosen = clean.nonzero()[:, 0] if sound else torch.arange(len(x), device=x.device)
    if attack.kind == "autoattack":
        if not len(chosen):
            return moved, []
        moved[chosen], notes = autoattacked(model, x[chosen], y[chosen], attack, batch_size)
        return moved, [_square(note) for note in notes if "Square" in note]
    for number, some in enumerate(torch.split(chosen, batch_size)):
        own = replace(attack, seed=attack.seed + number)
        moved[some] = (perturbed if sound else published)(model, x[some], y[some], own)
    return moved, []


def _right(model: Pixels, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    with torch.no_grad():
        parts = [model(part).argmax(1) for part in torch.split(x, batch_size)]
    return torch.cat(parts) == y


def _within(moved: Tensor, x: Tensor, attack: Attack) -> None:
    """Check every attack, those of others too: an image outside the bound would be counted as broken."""
    way = (moved - x).flatten(1)
    far = way.abs().amax(1) if attack.norm == "Linf" else way.norm(dim=1)
    reach = 2 if attack.protocol == "yang2020" and attack.random_start else 1
    if not bool((far <= reach * float(attack.eps) + _ROUNDING).all()):
        raise InternalError(f"{attack.kind} left the bound: {float(far.max())} > {attack.eps}")
    if moved.min() < 0 or moved.max() > 1:
        raise InternalError(f"{attack.kind} left [0, 1]")


def _noisy(attack: Attack, given: bool) -> Diagnostic:
    passes = attack.eot if given else EOT
    return Diagnostic(
        "W0805",
        f"the network draws noise in evaluation: its gradients are averaged over {passes} passes",
        None,
        "accuracies are those of single draws; `--eot N` sets the passes",
    )


def _square(note: str) -> Diagnostic:
    share = note.partition("accuracy of")[2].split("%")[0].strip()
    return Diagnostic(
        "W0804",
        f"Square, which sees no gradient, breaks another {share} % of the images",
        None,
        "gradients are masked: an attack made for this network may break more",
    )
