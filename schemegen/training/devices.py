"""The device a run is on and the state of its random generators."""

from __future__ import annotations

import hashlib
import random

import torch
from torch import Tensor

from schemegen.diagnostics import UsageError

__all__ = [
    "choose_device",
    "random_state",
    "rank",
    "rank_seed",
    "restore_random_state",
    "seed_all",
]


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
    """Seed every generator that a block or a noise may draw from, differently on each data-parallel rank.

    Ranks that drew alike would drop the same branches for different samples: fewer independent draws than samples.
    Rank 0 has ``seed`` itself, so that a run of one process is one of one rank.
    """
    own = rank_seed(seed, rank())
    random.seed(own)
    torch.manual_seed(own)


def rank() -> int:
    """Return the number of this process in its process group, 0 without one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return int(torch.distributed.get_rank())
    return 0


def rank_seed(seed: int, rank: int) -> int:
    """Return the seed of a rank: ``seed`` for rank 0, for others a hash of both below 2^63.

    Neighbouring runs have neighbouring seeds, so a sum of seed and rank would repeat draws between them.
    """
    if rank == 0:
        return seed
    digest = hashlib.sha256(f"{seed} {rank}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def random_state() -> dict[str, Tensor]:
    """Return the states of the generators of this process: torch on the CPU and on its GPU, and Python's."""
    _, words, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([*words, gauss is not None], dtype=torch.int64),
        "gauss": torch.tensor(0.0 if gauss is None else gauss, dtype=torch.float64),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Tensor]) -> None:
    """Set the states that :func:`random_state` returned."""
    torch.set_rng_state(state["torch"])
    *words, held = state["python"].tolist()
    random.setstate((3, tuple(words), state["gauss"].item() if held else None))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
