"""Images as tensors in memory: shuffled and augmented by one seeded generator, without worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Data", "normalised"]


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
        self, size: int, generator: torch.Generator, *, augment: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one shuffled epoch of bytes ``(size, C, H, W)`` and labels.

        ``generator`` is a CPU generator, so that the order and the augmentation do not depend on the
        device. An incomplete last batch is left out, unless it is the only one.
        """
        count = len(self.train_labels)
        order = torch.randperm(count, generator=generator)
        whole = max(count - count % size, min(count, size))
        for start in range(0, whole, size):
            chosen = order[start : start + size].to(self.train_images.device)
            images = self.train_images[chosen]
            if augment and self.shift:
                images = _shifted(images, self.shift, generator, self.padding)
            if augment and self.flip:
                images = _flipped(images, generator)
            yield images, self.train_labels[chosen]

    def test_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test images in their order as bytes, and their labels."""
        for start in range(0, len(self.test_labels), size):
            stop = start + size
            yield self.test_images[start:stop], self.test_labels[start:stop]


def normalised(
    images: Tensor, peak: float, mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Tensor:
    """Return ``(x/peak - mean)/deviation``, mean and deviation per channel."""
    means = torch.tensor(mean, device=images.device).view(-1, 1, 1)
    deviations = torch.tensor(deviation, device=images.device).view(-1, 1, 1)
    return (images.float() / peak - means) / deviations


def _shifted(
    images: Tensor, reach: int, generator: torch.Generator, padding: str = "constant"
) -> Tensor:
    """Return each image moved by up to ``reach`` pixels in both directions."""
    count, _, height, width = images.shape
    padded = _padded(images, reach, padding)
    moves = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
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


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images, each mirrored left to right with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
