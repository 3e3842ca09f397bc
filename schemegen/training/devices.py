"""The device a run is on and the state of its random generators."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from schemegen.diagnostics import UsageError

__all__ = ["choose_device", "random_state", "restore_random_state", "seed_all"]


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes an accelerator where one is visible (E0802)."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device `{name}`", "devices: auto, cpu, cuda, mps") from error
    visible = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}
    if device.type not in visible:
        raise UsageError(f"unknown device `{name}`", "devices: auto, cpu, cuda, mps")
    if (device.index or 0) >= visible[device.type]:
        kind = {"cuda": "CUDA", "mps": "Metal"}.get(device.type, device.type)
        missing = f"no {kind} device" if not visible[device.type] else "no such device"
        raise UsageError(
            f"`--device {name}`: {missing} is visible",
            "leave `--device` out to use the best one there is",
            code="E0802",
        )
    return device


def seed_all(seed: int) -> None:
    """Seed every generator that a block or a noise may draw from."""
    random.seed(seed)
    torch.manual_seed(seed)


def random_state(order: torch.Generator) -> dict[str, Tensor]:
    """Return the states that a resumed run continues from: data order, CPU noise, CUDA noise."""
    state = {"random.order": order.get_state(), "random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Tensor], order: torch.Generator) -> None:
    """Set the states that :func:`random_state` returned."""
    order.set_state(state["random.order"])
    torch.set_rng_state(state["random.cpu"])
    if "random.cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random.cuda"])
