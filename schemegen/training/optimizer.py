"""SGD with momentum, its parameter groups and the rate of every step."""

from __future__ import annotations

from math import cos, pi

import torch
from torch import Tensor, nn
from torch.optim import SGD

from schemegen.training.config import Config

__all__ = ["load_momentum", "momentum_state", "rate", "sgd"]


def sgd(model: nn.Module, config: Config) -> SGD:
    """Return SGD over two groups: what weight decay applies to, and the coefficients with ``decay off``.

    A generated network tells of its coefficients in ``meta["coefficients"]``. Every other parameter
    decays, biases and normalisation included, as in Lu et al. (2018).
    """
    facts = getattr(model, "meta", {}).get("coefficients", {})
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups[facts.get(name, {}).get("decay", True)].append(parameter)
    return SGD(
        [
            {"params": groups[True], "weight_decay": config.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=config.lr,
        momentum=config.momentum,
        nesterov=config.nesterov,
    )


def rate(config: Config, step: int, steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) with ``steps`` steps an epoch.

    Warm-up grows linearly to ``lr``; then ``lr (1 + cos(pi x))/2`` with ``x`` from 0 to 1 over the rest, or
    ``lr`` times 1, 1/10, 1/100 from 0, 1/2 and 3/4 of all epochs. Source: Loshchilov, Hutter (2017).
    """
    total, warm = config.epochs * steps, min(config.warmup, config.epochs - 1) * steps
    if step < warm:
        return config.lr * (step + 1) / warm
    if config.schedule == "step":
        return float(config.lr * 0.1 ** ((2 * step >= total) + (4 * step >= 3 * total)))
    return config.lr * (1 + cos(pi * (step - warm) / (total - warm))) / 2


def momentum_state(model: nn.Module, optimizer: SGD) -> dict[str, Tensor]:
    """Return the momentum buffers by the name of their parameter."""
    found = {}
    for name, parameter in model.named_parameters():
        buffer = optimizer.state[parameter].get("momentum_buffer")
        if buffer is not None:
            found[f"momentum.{name}"] = buffer
    return found


def load_momentum(model: nn.Module, optimizer: SGD, state: dict[str, Tensor]) -> None:
    """Set the buffers that :func:`momentum_state` returned."""
    for name, parameter in model.named_parameters():
        buffer = state.get(f"momentum.{name}")
        if buffer is not None:
            copied = torch.empty_like(parameter).copy_(buffer)
            optimizer.state[parameter]["momentum_buffer"] = copied
