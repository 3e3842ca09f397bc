"""Optimisers, their parameter groups, the rate of every step, and averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from schemegen.training.config import Config

__all__ = ["Average", "load_state", "optimizer", "rate", "state_of"]


def optimizer(model: nn.Module, config: Config) -> Optimizer:
    """Return the optimiser over two groups: what weight decay applies to, and the coefficients with ``decay off``.

    A generated network tells of its coefficients in ``meta["coefficients"]``. Every other parameter
    decays, biases and normalisation included, as in Lu et al. (2018). ``momentum`` is the first moment's
    coefficient where an optimiser has one.
    """
    facts = getattr(model, "meta", {}).get("coefficients", {})
    chosen: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        chosen[facts.get(name, {}).get("decay", True)].append(parameter)
    groups = [
        {"params": chosen[True], "weight_decay": config.weight_decay},
        {"params": chosen[False], "weight_decay": 0.0},
    ]
    lr, momentum = config.lr, config.momentum
    match config.opt:
        case "adam":
            return Adam(groups, lr, betas=(momentum, 0.999))
        case "adamw":
            return AdamW(groups, lr, betas=(momentum, 0.999))
        case "rmsprop":
            return RMSprop(groups, lr, momentum=momentum)
        case other:
            return SGD(groups, lr, momentum=momentum, nesterov=other == "nesterov")


def rate(config: Config, step: int, steps: int) -> float:
    """Return the learning rate of ``step`` (from 0) with ``steps`` steps an epoch.

    Warm-up grows linearly to ``lr``; then, with ``x`` from 0 to 1 over the rest, ``lr (1 + cos(pi x))/2``
    (Loshchilov, Hutter, 2017), ``lr (1 - x)`` or ``lr``; or ``lr`` times 1, 1/10, 1/100 from 0, 1/2 and 3/4 of
    all epochs.
    """
    total, warm = config.epochs * steps, min(config.warmup_epochs, config.epochs - 1) * steps
    if step < warm:
        return config.lr * (step + 1) / warm
    done = (step - warm) / (total - warm)
    match config.sched:
        case "step":
            return float(config.lr * 0.1 ** ((2 * step >= total) + (4 * step >= 3 * total)))
        case "linear":
            return config.lr * (1 - done)
        case "constant":
            return config.lr
        case _:
            return config.lr * (1 + cos(pi * done)) / 2


def state_of(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return what the optimiser remembers, as ``optimizer.PARAMETER.WHAT``."""
    return {
        f"optimizer.{name}.{what}": value
        for name, parameter in model.named_parameters()
        for what, value in sorted(optimizer.state.get(parameter, {}).items())
        if isinstance(value, Tensor)
    }


def load_state(
    model: nn.Module, optimizer: Optimizer, state: dict[str, Tensor], *, force: bool
) -> None:
    """Set what :func:`state_of` returned; what does not fit is an error, or left out where ``force``.

    Counts of steps stay where optimisers keep them, on the CPU.
    """
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
        for what, value in own.items():
            if what == "step" and value.dim() == 0:
                optimizer.state[parameter][what] = value.clone()
            elif value.shape == parameter.shape:
                empty = torch.empty_like(parameter, requires_grad=False)
                optimizer.state[parameter][what] = put(empty, value)
            elif not force:
                raise ValueError(f"`{prefix}{what}` is of another shape")


def put(target: Tensor, value: Tensor) -> Tensor:
    """Copy a whole tensor into ``target``, of which a rank may hold a part only, and return it."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(target, DTensor):
        whole = value.to(target.device, target.dtype)
        value = distribute_tensor(whole, target.device_mesh, target.placements)
    with torch.no_grad():
        return target.copy_(value)


class Average:
    """An exponential moving average of parameters and buffers.

    ``a <- d a + (1 - d) w`` after every step ``n`` with ``d = min(decay, (1 + n)/(10 + n))``, so that the first
    weights are soon forgotten; integer buffers are copied. Source: Polyak, Juditsky (1992).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = model.state_dict(keep_vars=True)
        self.other = {key: value.detach().clone() for key, value in self.live.items()}

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in self.live.items():
                if value.is_floating_point():
                    self.other[key].lerp_(value.detach(), 1 - decay)
                else:
                    self.other[key].copy_(value)

    def buffers(self) -> Iterator[Tensor]:
        """Yield what is kept beside the model's buffers."""
        for key, value in self.live.items():
            if not isinstance(value, nn.Parameter):
                yield self.other[key]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model, and its own weights back at the end."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def exchange(self) -> None:
        """Swap the values of the model and those that are kept beside it."""
        with torch.no_grad():
            for key, value in self.live.items():
                held = value.detach().clone()
                value.copy_(self.other[key])
                self.other[key].copy_(held)
