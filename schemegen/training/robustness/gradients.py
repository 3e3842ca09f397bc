"""FGSM, I-FGSM and PGD, for the norms L-infinity and L2, averaged over draws where a network is random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from schemegen.diagnostics import UsageError
from schemegen.training.robustness.pixels import log_odds

__all__ = ["KINDS", "NORMS", "Attack", "perturbed", "projected", "start"]

KINDS = ("fgsm", "ifgsm", "pgd", "autoattack")
NORMS = ("Linf", "L2")
PROTOCOLS = ("sound", "yang2020")


@dataclass(frozen=True, slots=True)
class Attack:
    """What may be done to an image ``x`` in [0, 1]: ``|x' - x| <= eps`` in ``norm``, and how it is sought.

    ``fgsm`` is one step of length eps along the gradient's sign (Goodfellow et al., 2015); ``ifgsm`` takes
    ``steps`` steps of ``step_size`` and projects after each (Kurakin et al., 2017); ``pgd`` also starts at
    random, ``restarts`` times (Madry et al., 2018). ``autoattack`` has no settings of its own (Croce, Hein,
    2020). ``eot`` passes are averaged where a network is random (Athalye et al., 2018). Lengths are in pixels
    of [0, 1] and exact.
    """

    kind: str = "pgd"
    norm: str = "Linf"
    eps: Fraction = Fraction(8, 255)
    steps: int = 20
    step_size: Fraction = Fraction(2, 255)
    restarts: int = 1
    eot: int = 1
    seed: int = 0
    protocol: str = "sound"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("attack", self.kind, KINDS),
            ("norm", self.norm, NORMS),
            ("protocol", self.protocol, PROTOCOLS),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} `{value}`", f"one of {', '.join(known)}")
        for name in ("steps", "restarts", "eot"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1")
        if self.eps <= 0 or self.step_size <= 0:
            raise UsageError("eps and the step size must be positive")
        if self.protocol == "yang2020" and (self.norm != "Linf" or self.kind == "autoattack"):
            raise UsageError(
                "the protocol yang2020 is FGSM, I-FGSM and PGD in the norm Linf",
                "leave `--protocol` out",
            )

    @classmethod
    def of(cls, kind: str, **settings: Any) -> Attack:
        """Return an attack; where it is not given the step is eps/4, and eps for one step.

        Under ``yang2020`` it is 20 steps of 1/255. Settings that are None are left out.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        if kind == "fgsm":
            if not {"steps", "step_size", "restarts"}.isdisjoint(given):
                raise UsageError(
                    "fgsm is one step of length eps", "`--attack ifgsm` takes steps of any length"
                )
            given |= {"steps": 1, "step_size": given.get("eps", cls.eps_usual())}
        if given.get("protocol") == "yang2020":
            given = {"steps": 20, "step_size": Fraction(1, 255)} | given
        if "step_size" not in given:
            given["step_size"] = given.get("eps", cls.eps_usual()) / 4
        return cls(kind, **given)

    @staticmethod
    def eps_usual() -> Fraction:
        return Fraction(8, 255)

    @property
    def random_start(self) -> bool:
        return self.kind == "pgd"

    def with_eps(self, eps: Fraction) -> Attack:
        """Return the attack with another bound and the step in proportion."""
        return replace(self, eps=eps, step_size=self.step_size * eps / self.eps)


def perturbed(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> Tensor:
    """Return the strongest images found: the first of each that is misread, else that of the largest loss.

    Only iterates count, the start among them; images that are misread already are not moved on.
    """
    generator = torch.Generator().manual_seed(attack.seed)
    best, most = x.clone(), torch.full((len(x),), float("-inf"), device=x.device)
    broken = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(attack.restarts):
        left = (~broken).nonzero()[:, 0]
        moved = start(x, attack, generator)[left]
        for step in range(attack.steps + 1):
            if not len(left):
                return best
            loss, wrong, slope = _slope(model, moved, y[left], attack.eot)
            better = wrong | (loss > most[left])
            best[left[better]], most[left[better]] = moved[better], loss[better]
            broken[left[wrong]] = True
            left, moved, slope = left[~wrong], moved[~wrong], slope[~wrong]
            if step < attack.steps:
                length = float(attack.step_size)
                moved = projected(moved + length * _unit(slope, attack.norm), x[left], attack)
    return best


def start(x: Tensor, attack: Attack, generator: torch.Generator) -> Tensor:
    """Return the images, or for a random start a point drawn evenly from each ball, within [0, 1]."""
    if not attack.random_start:
        return x
    eps = float(attack.eps)
    if attack.norm == "Linf":
        drawn = 2 * torch.rand(x.shape, generator=generator) - 1
        return (x + eps * drawn.to(x.device)).clamp(0, 1)
    direction = torch.randn(x.shape, generator=generator)
    radius = torch.rand(len(x), generator=generator) ** (1 / x[0].numel())
    drawn = _unit(direction, "L2") * radius.view(-1, 1, 1, 1)
    return (x + eps * drawn.to(x.device)).clamp(0, 1)


def _slope(model: nn.Module, x: Tensor, y: Tensor, eot: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, whether images are misread, and the loss's gradient, each the mean of ``eot`` passes."""
    x = x.detach().requires_grad_()
    loss, logits, slope = (torch.zeros((), device=x.device) for _ in range(3))
    for _ in range(eot):
        with torch.enable_grad():
            output = model(x)
            value = log_odds(output, y)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        loss, logits = loss + value.detach() / eot, logits + output.detach() / eot
        slope = slope + gradient.nan_to_num(0.0) / eot
    return loss, logits.argmax(1) != y, slope


def _unit(slope: Tensor, norm: str) -> Tensor:
    """Return the direction of steepest ascent of length 1: signs for Linf, the normed gradient for L2."""
    if norm == "Linf":
        return slope.sign()
    length = slope.flatten(1).norm(dim=1).clamp_min(torch.finfo(slope.dtype).tiny)
    unit: Tensor = slope / length.view(-1, 1, 1, 1)
    return unit


def projected(moved: Tensor, x: Tensor, attack: Attack) -> Tensor:
    """Return the nearest points of the balls around ``x``, then of [0, 1], which leads none out of its ball."""
    eps, way = float(attack.eps), moved - x
    if attack.norm == "Linf":
        way = way.clamp(-eps, eps)
    else:
        length = way.flatten(1).norm(dim=1).clamp_min(eps)
        way = way * (eps / length).view(-1, 1, 1, 1)
    return (x + way).clamp(0, 1)
