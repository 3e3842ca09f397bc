"""Data sets as tensors in memory: shuffled and augmented by one seeded generator, without worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from schemegen.diagnostics import UsageError
from schemegen.scheme.network import NetworkSpec

__all__ = ["Data", "batches", "load_data"]


@dataclass(frozen=True, slots=True)
class Data:
    """Images as unsigned bytes ``(N, C, H, W)`` with labels ``(N,)``, for training and for testing.

    A pixel ``x`` enters a network as ``(x/peak - mean)/deviation``, mean and deviation per channel.
    Training images are shifted by up to ``shift`` pixels and mirrored with probability 1/2 where ``flip``.
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
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        deviation = torch.tensor(self.deviation, device=images.device).view(-1, 1, 1)
        return ((images.float() / self.peak - mean) / deviation).reshape(-1, *shape)


def load_data(name: str, folder: Path, network: NetworkSpec, *, download: bool = False) -> Data:
    """Return the data set ``name`` after checking that ``network`` fits it.

    Raises UsageError: E0803 for data that is not in ``folder``, a missing extra, another shape.
    """
    match name:
        case "digits":
            data = _digits()
        case "cifar10" | "cifar100":
            data = _cifar(name, folder, download)
        case "fake":
            return _fake(network)
        case _:
            raise UsageError(f"unknown data set `{name}`")
    if prod(data.shape) != prod(network.input_shape) or len(network.input_shape) not in (1, 3):
        raise UsageError(
            f"network `{network.name}` takes {_size(network.input_shape)}, {name} images are "
            f"{_size(data.shape)}",
            f"choose a network made for them, as in `--network {_NETWORKS[name]}`",
        )
    if data.classes != network.classes:
        raise UsageError(
            f"network `{network.name}` tells {network.classes} classes apart, {name} has {data.classes}",
            f"write `classes {data.classes}` in its `input` statement",
        )
    return data


_NETWORKS = {"digits": "digits", "cifar10": "cifar", "cifar100": "cifar"}


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _digits() -> Data:
    """The 1797 scanned digits of scikit-learn, split 1400 to 397 by one fixed permutation.

    Source: Alpaydin, Kaynak (1998), UCI optical recognition of handwritten digits.
    """
    try:
        from numpy.random import RandomState
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the digits come with scikit-learn, and `{error.name}` is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).long()
    shuffled = torch.from_numpy(RandomState(0).permutation(len(labels)))
    test, train = shuffled[:397], shuffled[397:]
    return Data(
        name="digits",
        classes=10,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        peak=16.0,
        mean=(0.3053,),
        deviation=(0.3760,),
        shift=1,
    )


def _cifar(name: str, folder: Path, download: bool) -> Data:
    """CIFAR-10 or CIFAR-100 through torchvision. Source: Krizhevsky (2009)."""
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if name == "cifar10" else CIFAR100
    title = "CIFAR-10" if name == "cifar10" else "CIFAR-100"
    try:
        parts = [kind(str(folder), train=train, download=download) for train in (True, False)]
    except OSError as error:
        raise UsageError(f"{title} could not be fetched: {error}", code="E0803") from error
    except RuntimeError as error:
        raise UsageError(
            f"no {title} in `{folder}/`", "add `--download`, or use `--data digits`", code="E0803"
        ) from error
    train, test = (_as_tensors(part) for part in parts)
    ten = name == "cifar10"
    return Data(
        name=name,
        classes=10 if ten else 100,
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        peak=255.0,
        mean=(0.4914, 0.4822, 0.4465) if ten else (0.5071, 0.4865, 0.4409),
        deviation=(0.2470, 0.2435, 0.2616) if ten else (0.2673, 0.2564, 0.2762),
        shift=4,
        flip=True,
    )


def _as_tensors(part: Any) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(part.targets)


def _fake(network: NetworkSpec) -> Data:
    """Random images of the network's own shape: 256 to train on, 64 to test on."""
    generator = torch.Generator().manual_seed(0)
    shape = network.input_shape if len(network.input_shape) == 3 else (1, 1, *network.input_shape)
    images = torch.randint(0, 256, (320, *shape), generator=generator).to(torch.uint8)
    labels = torch.randint(0, network.classes, (320,), generator=generator)
    return Data(
        name="fake",
        classes=network.classes,
        train_images=images[:256],
        train_labels=labels[:256],
        test_images=images[256:],
        test_labels=labels[256:],
        peak=255.0,
        mean=(0.5,) * shape[0],
        deviation=(0.29,) * shape[0],
    )


def batches(
    data: Data, size: int, shape: tuple[int, ...], generator: torch.Generator, *, augment: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one shuffled epoch of inputs ``(size, *shape)`` and labels.

    ``generator`` is a CPU generator, so that the order and the augmentation do not depend on the
    device. An incomplete last batch is left out, unless it is the only one.
    """
    count = len(data.train_labels)
    order = torch.randperm(count, generator=generator)
    whole = max(count - count % size, min(count, size))
    for start in range(0, whole, size):
        chosen = order[start : start + size].to(data.train_images.device)
        images = data.train_images[chosen]
        if augment and data.shift:
            images = _shifted(images, data.shift, generator)
        if augment and data.flip:
            images = _flipped(images, generator)
        yield data.normalised(images, shape), data.train_labels[chosen]


def _shifted(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Return each image moved by up to ``reach`` pixels in both directions, black moving in."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (reach,) * 4)
    moves = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator)
    rows = (moves[0] + torch.arange(height)).to(images.device)
    columns = (moves[1] + torch.arange(width)).to(images.device)
    which = torch.arange(count, device=images.device)
    cut = padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images, each mirrored left to right with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
