"""Attacks and noise as the released code of Yang et al. (2020) has them, to compare with its tables.

The code takes the last iterate, one start, and the plain cross-entropy. Its PGD first moves an image by U(-eps,
eps), perhaps out of [0, 1], and then projects around the moved image: the result can be 2*eps away. Sound
figures come from the other protocol. Its steps are written in normalised space with everything divided by the
deviations, which is the same as steps in pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from schemegen.training.robustness.gradients import Attack

__all__ = ["published"]


def published(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> Tensor:
    """Return FGSM, I-FGSM or PGD of the code; ``attack`` tells eps, steps, step size and the seed."""
    eps, length = float(attack.eps), float(attack.step_size)
    centre = x
    if attack.random_start:
        generator = torch.Generator().manual_seed(attack.seed)
        drawn = 2 * torch.rand(x.shape, generator=generator) - 1
        centre = x + eps * drawn.to(x.device)
    moved = centre
    for _ in range(attack.steps):
        moved = moved.detach().requires_grad_()
        loss = cross_entropy(model(moved), y, reduction="sum")
        (slope,) = torch.autograd.grad(loss, moved)
        way = (moved + length * slope.sign() - centre).clamp(-eps, eps)
        moved = (centre + way).clamp(0, 1)
    return moved.detach()
