"""A generated network tried on random inputs, without a trace: how exactly its steps run backwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from schemegen.backends.execution import SchemeNetwork
from schemegen.network.conditions import Carry, distance
from schemegen.network.replay import Chain
from schemegen.network.rerun import Run

__all__ = ["Probe", "untouched"]


class Probe:
    """The carries of one run in training mode, on a few inputs with normal entries.

    Runs in the precision of the autocast around it.
    """

    def __init__(self, module: SchemeNetwork, chain: Chain, shape: tuple[int, ...]) -> None:
        found: list[tuple[Any, ...]] = []
        hook = chain.register_forward_pre_hook(lambda _module, given: found.append(given))
        some = next(item for item in module.parameters() if item.is_floating_point())
        size = 2 if len(shape) == 3 else 16
        draws = torch.Generator().manual_seed(0)
        x = torch.randn(size, *shape, generator=draws).to(some)
        torch.clear_autocast_cache()  # of weights that shape propagation cast without values
        try:
            with untouched(module):
                module(x)
                carry, owners = found[0]
                self.run = Run(list(chain.forms), chain.calls, owners)
                self.carries: list[Carry] = [carry]
                for index in range(len(chain.calls)):
                    self.carries.append(self.run.bare(index, self.carries[-1], {}))
        finally:
            hook.remove()
        self.module = module

    def errors(self, start: int, stop: int) -> list[float]:
        """Return the relative error of the carry after undoing steps ``stop - 1``, .. ``start``."""
        carry = self.carries[stop]
        result: list[float] = []
        with untouched(self.module):
            for index in reversed(range(start, stop)):
                carry = self.run.bare(index, carry, {}, undo=True)
                error = float(distance(carry, self.carries[index]))
                result.append(float("inf") if isnan(error) else error)
        return result


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Run in training mode without gradients; put modes, buffers and generators back."""
    modes = [(item, item.training) for item in module.modules()]
    buffers: list[tuple[Tensor, Tensor]] = [(item, item.clone()) for item in module.buffers()]
    module.train()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            yield
    finally:
        for item, mode in modes:
            item.training = mode
        for buffer, value in buffers:
            buffer.data.copy_(value)
