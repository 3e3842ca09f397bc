"""How many bytes of tensors a piece of work holds at most, counted storage by storage.

Counted is what tensors of Python and of autograd keep alive, on any device, ``meta`` included, where nothing is
computed. Work space inside one kernel is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["MIB", "Bytes", "size_of", "training_step"]

MIB = 2**20


class Bytes(TorchDispatchMode):
    """Counts the storages that are made while it is active: ``now`` and at most (``peak``).

    Those of ``given`` tensors are there already and do not count.
    """

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.given = list(given)
        self.known = {item.untyped_storage()._cdata for item in self.given}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in tree_leaves(result):
            if isinstance(item, Tensor):
                self.count(item.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place not in self.known:
            self.known.add(place)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.free, place, size)

    def free(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size

    def reset(self) -> int:
        """Start a new peak; return what is held now."""
        self.peak = self.now
        return self.now


def size_of(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the storages of tensors, each counted once."""
    found: Mapping[int, int] = {
        item.untyped_storage()._cdata: item.untyped_storage().nbytes() for item in tensors
    }
    return sum(found.values())


def training_step(module: nn.Module, x: Tensor) -> int:
    """Return the peak of one forward and backward pass: parameters, buffers, input, activations and gradients."""
    parameters = [item for item in module.parameters() if item.requires_grad]
    own = [*module.parameters(), *module.buffers(), x]
    with Bytes(own) as bytes_:
        gradients = torch.autograd.grad(module(x).square().mean(), parameters, allow_unused=True)
        del gradients
    peak: int = bytes_.peak
    return size_of(own) + peak
