"""What a step runs under and is judged by: generators, autocast, and how far a carry is from the true one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = [
    "Autocast",
    "Carry",
    "Meter",
    "autocast",
    "autocast_of",
    "distance",
    "generators",
    "set_generators",
]

Carry = tuple[Tensor, ...]


class Meter:
    """How far carries that were reconstructed are from those of the first run, as relative error."""

    def __init__(self, bound: float | None = None) -> None:
        self.bound = bound
        self.error: Tensor | None = None
        self.warned = False

    def read(self, error: Tensor) -> None:
        """Note an error; its value is looked at when the network is called again."""
        if error.is_meta:
            return
        self.error = error if self.error is None else torch.maximum(self.error, error)

    def check(self) -> None:
        """Warn, once, where the error is beyond ten times the bound: the expectation is that exact."""
        if self.bound is None or self.warned or self.error is None:
            return
        error = float(self.error)
        if not error <= 10 * self.bound:
            self.warned = True
            message = (
                f"steps that ran backwards had the relative error {error:.1e}, far beyond the bound "
                f"{self.bound:.1e}: their gradients are wrong; use checkpoint=K"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def distance(carry: Carry, other: Carry) -> Tensor:
    """Return the relative difference of two carries, each taken as one vector."""
    total = carry[0].new_zeros((), dtype=torch.float64)
    size = total.clone()
    for value, true in zip(carry, other, strict=True):
        total += (value.double() - true.double()).square().sum()
        size += true.double().square().sum()
    return (total / size).sqrt().float()


def generators(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that steps on a device draw from."""
    states = [torch.get_rng_state()]
    if device.type not in ("cpu", "meta"):
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def set_generators(states: Sequence[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], device)


Autocast = tuple[str, bool, torch.dtype, bool]


def autocast_of(device: str) -> Autocast:
    device = "cpu" if device == "meta" else device
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return device, enabled, dtype, torch.is_autocast_cache_enabled()


@contextmanager
def autocast(state: Autocast) -> Iterator[None]:
    """Compute again in the precision of the first run, whatever holds in the backward pass."""
    device, enabled, dtype, cached = state
    with torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cached):
        yield
