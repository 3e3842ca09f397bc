"""Signs that an attack failed rather than a network held: Carlini et al. (2019), Athalye et al. (2018)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from schemegen.diagnostics import Diagnostic
from schemegen.training.robustness.gradients import Attack, perturbed, projected
from schemegen.training.robustness.pixels import log_odds

__all__ = ["checked"]

_DRAWS = 20
_FEW = 0.01
_SOME = 0.02  # steps of a random start may miss a few that one long step hits


def checked(
    model: nn.Module, x: Tensor, y: Tensor, moved: Tensor, attack: Attack, *, random: bool
) -> tuple[Diagnostic, ...]:
    """Return a warning for each sign that ``moved`` understates what is possible within the bound.

    ``x`` are images that are read rightly, ``moved`` is what the attack made of them. Where outputs are ``random``
    images change sides from pass to pass, so that comparing two attacks on them shows nothing.
    """
    if not len(x):
        return ()
    found = [_probabilities(model(x[:8]).detach()), _flat(model, x, y)]
    if not random:
        held = _right(model, moved, y)
        if attack.kind in ("ifgsm", "pgd"):
            found += [_single_step(model, x, y, held, attack), _larger(model, x, y, held, attack)]
        found.append(_noise(model, x, y, held, attack))
    return tuple(item for item in found if item is not None)


def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        right: Tensor = model(x).argmax(1) == y
    return right


def _probabilities(logits: Tensor) -> Diagnostic | None:
    sums = (logits.sum(1) - 1).abs().max()
    if logits.min() < 0 or sums > 1e-5:
        return None
    return Diagnostic(
        "W0806",
        "the outputs are probabilities, whose gradients vanish where one is near 1",
        None,
        "attack the logits: leave the softmax to the loss",
    )


def _flat(model: nn.Module, x: Tensor, y: Tensor) -> Diagnostic | None:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value = log_odds(model(x), y).sum()
    (slope,) = torch.autograd.grad(value, x)
    flat = int((slope.flatten(1).abs().amax(1) == 0).sum())
    if not flat:
        return None
    return Diagnostic(
        "W0801",
        f"the gradient is zero at {flat} of {len(x)} images",
        None,
        "an attack that follows gradients says nothing of them; look for saturated or rounded values",
    )


def _single_step(
    model: nn.Module, x: Tensor, y: Tensor, held: Tensor, attack: Attack
) -> Diagnostic | None:
    once = replace(attack, kind="fgsm", steps=1, step_size=attack.eps, restarts=1, protocol="sound")
    broken = int((held & ~_right(model, perturbed(model, x, y, once), y)).sum())
    if broken <= _SOME * len(x):
        return None
    return Diagnostic(
        "W0802",
        f"one step of length eps breaks {broken} of {len(x)} images that "
        f"{attack.steps} steps left alone",
        None,
        "take more or other steps: `--steps`, `--step-size`",
    )


def _larger(
    model: nn.Module, x: Tensor, y: Tensor, held: Tensor, attack: Attack
) -> Diagnostic | None:
    """Twice the bound must break more, unless nothing or everything is broken already."""
    count = int(held.sum())
    if not _FEW * len(x) < count < (1 - _FEW) * len(x):
        return None
    wider = replace(attack.with_eps(2 * attack.eps), protocol="sound")
    still = int(_right(model, perturbed(model, x, y, wider), y).sum())
    if still < count:
        return None
    return Diagnostic(
        "W0803",
        f"twice the bound leaves {still} of {len(x)} images standing, the bound itself {count}",
        None,
        "a stronger attack cannot break fewer: gradients do not lead to the images that are misread",
    )


def _noise(
    model: nn.Module, x: Tensor, y: Tensor, held: Tensor, attack: Attack
) -> Diagnostic | None:
    """Random points at the rim of the ball see no gradient; what they break an attack should have broken."""
    generator = torch.Generator().manual_seed(attack.seed)
    stands = held.clone()
    for _ in range(_DRAWS):
        drawn = torch.randn(x.shape, generator=generator).to(x.device)
        if attack.norm == "Linf":
            way = drawn.sign() * float(attack.eps)
        else:
            way = drawn * (float(attack.eps) / drawn.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
        stands &= _right(model, projected(x + way, x, attack), y)
    broken = int((held & ~stands).sum())
    if broken <= _FEW * len(x):
        return None
    return Diagnostic(
        "W0804",
        f"random noise of the same size breaks {broken} of {len(x)} images that the attack left alone",
        None,
        "gradients are masked; try `--attack autoattack`",
    )
