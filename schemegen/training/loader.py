"""Batches as a network takes them: one order and one augmentation for a seed, on any number of ranks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from schemegen.diagnostics import UsageError
from schemegen.training.data import Data, FolderData
from schemegen.training.images import ALONE, Share

__all__ = ["Loader"]


@dataclass(frozen=True, slots=True)
class Loader:
    """Epochs of training batches: ``size`` images a rank, an incomplete batch at the end left out."""

    data: Data | FolderData
    size: int
    shape: tuple[int, ...]
    seed: int
    augment: bool = True
    share: Share = ALONE
    channels_last: bool = False

    def __post_init__(self) -> None:
        count, world = len(self.data.train_labels), self.share.world
        if self.size * world > count:
            ranks = f" on {world} processes" if world > 1 else ""
            raise UsageError(
                f"a batch of {self.size} images{ranks} is larger than the {count} that {self.data.name} "
                "has to train on",
                f"at most `--batch-size {max(count // world, 1)}`",
            )

    def __len__(self) -> int:
        return len(self.data.train_labels) // (self.size * self.share.world)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs ``(size, *shape)`` and labels of this rank's batches in epoch ``number``."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        found = self.data.train_batches(
            self.size, generator, augment=self.augment, share=self.share
        )
        for images, labels in found:
            inputs = self.data.normalised(images, self.shape)
            if self.channels_last and inputs.dim() == 4:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            yield inputs, labels


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch, a hash of both below 2^63, so that a resumed run needs no state of it."""
    digest = hashlib.sha256(f"epoch {seed} {epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
