"""The loss around images, along the way an attack took and along a random one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from schemegen.training.robustness.gradients import Attack
from schemegen.training.robustness.pixels import log_odds

__all__ = ["Surface", "loss_surface"]


@dataclass(frozen=True, slots=True)
class Surface:
    """Means over ``n`` images: ``loss[i][j]`` at ``x + across[i] r + along[j] d``, d the attack, r a random way.

    Both ways are of equal length in the attack's norm; the loss is the log-odds against the label. ``right`` is
    the share of images that are read rightly.
    """

    along: tuple[float, ...]
    across: tuple[float, ...]
    loss: tuple[tuple[float, ...], ...]
    right: tuple[tuple[float, ...], ...]
    n: int


def loss_surface(
    model: nn.Module, x: Tensor, y: Tensor, moved: Tensor, attack: Attack, *, points: int = 21
) -> Surface:
    """Evaluate the loss at ``points**2`` places, from -1/2 to 3/2 along the attack and from -1 to 1 across.

    Pixels stay in [0, 1]. A smooth slope that leads to ``d`` is what gradients can follow; a ragged one, or a peak
    elsewhere, is what masked gradients look like. Source: Athalye et al. (2018); Qin et al. (2019).
    """
    along = torch.linspace(-0.5, 1.5, points)
    across = torch.linspace(-1, 1, points)
    way, other = moved - x, _across(x, moved - x, attack)
    losses, rights = [], []
    with torch.no_grad():
        for b in across.tolist():
            rows = [_at(model, (x + a * way + b * other).clamp(0, 1), y) for a in along.tolist()]
            losses.append(tuple(loss for loss, _ in rows))
            rights.append(tuple(right for _, right in rows))
    return Surface(
        tuple(along.tolist()), tuple(across.tolist()), tuple(losses), tuple(rights), len(x)
    )


def _across(x: Tensor, way: Tensor, attack: Attack) -> Tensor:
    """Return random ways as long as ``way`` and, for L2, at right angles to it."""
    generator = torch.Generator().manual_seed(attack.seed)
    drawn = torch.randn(x.shape, generator=generator).to(x.device)
    if attack.norm == "Linf":
        return drawn.sign() * way.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
    flat, ways = drawn.flatten(1), way.flatten(1)
    length = ways.norm(dim=1, keepdim=True)
    unit = ways / length.clamp_min(1e-12)
    flat = flat - (flat * unit).sum(1, keepdim=True) * unit
    across: Tensor = flat / flat.norm(dim=1, keepdim=True) * length
    return across.reshape(x.shape)


def _at(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    logits = model(x)
    return float(log_odds(logits, y).mean()), float((logits.argmax(1) == y).float().mean())
