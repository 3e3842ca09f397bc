"""Images as tensors in memory: shuffled, shared out over ranks and augmented by one seeded generator.

What is random is drawn for the batch of all ranks together, on the CPU and in order, so that neither the device
nor the number of ranks changes which image is moved where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ALONE", "Data", "Share", "normalised"]


@dataclass(frozen=True, slots=True)
class Share:
    """The part of every batch that a process takes: ``rank`` of ``world``."""

    rank: int = 0
    world: int = 1

    def of(self, size: int) -> slice:
        """Return the places of this rank's ``size`` items among those of all ranks."""
        return slice(self.rank * size, (self.rank + 1) * size)


ALONE = Share()


@dataclass(frozen=True, slots=True)
class Data:
    """Images as unsigned bytes ``(N, C, H, W)`` with labels ``(N,)``, for training and for testing.

    A pixel ``x`` enters a network as ``(x/peak - mean)/deviation``, mean and deviation per channel.
    Training images are shifted by up to ``shift`` pixels, what moves in being black or, where ``padding``
    is ``reflect``, mirrored, and turned left to right with probability 1/2 where ``flip``.
    """

    name: str
    classes: int
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    peak: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    shift: int = 0
    flip: bool = False
    padding: str = "constant"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.train_images.shape[1:])

    def to(self, device: torch.device) -> Data:
        """Return the same data on ``device``."""
        return replace(
            self,
            train_images=self.train_images.to(device),
            train_labels=self.train_labels.to(device),
            test_images=self.test_images.to(device),
            test_labels=self.test_labels.to(device),
        )

    def normalised(self, images: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return bytes as the network's float input, each image reshaped to ``shape``."""
        return normalised(images, self.peak, self.mean, self.deviation).reshape(-1, *shape)

    def train_batches(
        self, size: int, generator: torch.Generator, *, augment: bool, share: Share = ALONE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one shuffled epoch of bytes ``(size, C, H, W)`` and labels, this rank's ``share`` of each batch.

        ``generator`` is a CPU generator, so that the order and the augmentation do not depend on the
        device. An incomplete last batch is left out.
        """
        count, whole, own = len(self.train_labels), size * share.world, share.of(size)
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - whole + 1, whole):
            chosen = order[start : start + whole][own].to(self.train_images.device)
            images = self.train_images[chosen]
            if augment and self.shift:
                moves = torch.randint(0, 2 * self.shift + 1, (2, whole, 1), generator=generator)
                images = _shifted(images, self.shift, moves[:, own], self.padding)
            if augment and self.flip:
                mirrored = torch.rand(whole, generator=generator)[own] < 0.5
                images = _flipped(images, mirrored)
            yield images, self.train_labels[chosen]

    def test_batches(self, size: int, share: Share = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test images of a ``share`` in their order as bytes, and their labels.

        Every rank gets as many batches, as a sharded network needs; one that has no image left gets the first
        one, without a label.
        """
        count, own = len(self.test_labels), share.of(size)
        for start in range(0, count, size * share.world):
            used = slice(start + own.start, min(start + own.stop, count))
            labels = self.test_labels[used]
            yield (self.test_images[used] if len(labels) else self.test_images[:1]), labels


def normalised(
    images: Tensor, peak: float, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Tensor:
    """Return ``(x/peak - mean)/deviation``, mean and deviation per channel."""
    means = torch.tensor(mean, device=images.device).view(-1, 1, 1)
    deviations = torch.tensor(deviation, device=images.device).view(-1, 1, 1)
    return (images.float() / peak - means) / deviations


def _shifted(images: Tensor, reach: int, moves: Tensor, padding: str = "constant") -> Tensor:
    """Return each image cut out of one with a margin of ``reach``, at row and column ``moves`` (2, N, 1)."""
    count, _, height, width = images.shape
    padded = _padded(images, reach, padding)
    rows = (moves[0] + torch.arange(height)).to(images.device)
    columns = (moves[1] + torch.arange(width)).to(images.device)
    which = torch.arange(count, device=images.device)
    cut = padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def _padded(images: Tensor, reach: int, padding: str) -> Tensor:
    """Return the images with a margin of ``reach``: black, or mirrored at the outermost pixels."""
    if padding == "constant":
        return functional.pad(images, (reach,) * 4)
    rows, columns = (_mirrored(size, reach, images.device) for size in images.shape[2:])
    return images[:, :, rows[:, None], columns]


def _mirrored(size: int, reach: int, device: torch.device) -> Tensor:
    places = torch.arange(-reach, size + reach, device=device).abs()
    return torch.where(places < size, places, 2 * (size - 1) - places)


def _flipped(images: Tensor, mirrored: Tensor) -> Tensor:
    """Return the images, those of ``mirrored`` turned left to right."""
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
