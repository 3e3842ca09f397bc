"""Folders of image files, as ImageNet has them: decoded by worker processes while the network computes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from schemegen.diagnostics import UsageError
from schemegen.scheme.network import NetworkSpec
from schemegen.training.images import ALONE, Share, normalised

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder

__all__ = ["FolderData", "folder_data"]

TESTED = ("val", "test")
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class FolderData:
    """Two folders of images, read when they are needed; labels are the places of the class folders by name.

    Training images are a random part of 8 to 100 % of the area, scaled to the network's size and mirrored with
    probability 1/2; others have their shorter side scaled to 8/7 of the size and are cut in the middle.
    What is drawn for an image depends on the generator and on its place in the epoch, not on the workers.
    Source: Szegedy et al. (2015), sec. 6; the references of torchvision.
    """

    name: str
    classes: int
    shape: tuple[int, ...]
    train: ImageFolder
    test: ImageFolder
    train_labels: Tensor
    test_labels: Tensor
    peak: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    device: torch.device
    workers: int

    def to(self, device: torch.device) -> FolderData:
        """Return the same data, its batches on ``device``."""
        return replace(self, device=device)

    def normalised(self, images: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return bytes as the network's float input, each image reshaped to ``shape``."""
        return normalised(images, self.peak, self.mean, self.deviation).reshape(-1, *shape)

    def train_batches(
        self, size: int, generator: torch.Generator, *, augment: bool, share: Share = ALONE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one shuffled epoch of bytes, a ``share`` of each batch; an incomplete last one is left out."""
        count, whole, own = len(self.train_labels), size * share.world, share.of(size)
        order = torch.randperm(count, generator=generator).tolist()
        seed = int(torch.randint(0, 2**62, (), generator=generator))
        places = [
            place
            for start in range(0, count - whole + 1, whole)
            for place in range(start + own.start, start + own.stop)
        ]
        chosen = [(place, order[place]) for place in places]
        return self._loaded(_Read(self.train, chosen, self.shape, seed if augment else None), size)

    def test_batches(self, size: int, share: Share = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test images of a ``share`` in their order as bytes, and their labels.

        Every rank gets as many batches; one that has no image left gets the first one, without a label.
        """
        count, whole, own = len(self.test_labels), size * share.world, share.of(size)
        starts = range(0, count, whole)
        parts = [range(s + own.start, max(min(s + own.stop, count), s + own.start)) for s in starts]
        chosen = [(place, place) for part in parts for place in part]
        yield from self._loaded(_Read(self.test, chosen, self.shape, None), size)
        for part in parts:
            if not part:
                read = _Read(self.test, [(0, 0)], self.shape, None)
                for images, labels in self._loaded(read, 1):
                    yield images, labels[:0]

    def _loaded(self, images: _Read, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator of its own, or the loader would draw from the network's noise.
        loader = DataLoader(
            images,
            batch_size=size,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator().manual_seed(0),
        )
        for read, labels in loader:
            images.readable(labels)
            yield (
                read.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )


class _Read(Dataset[tuple[Tensor, int]]):
    """Images of a folder by their ``(place in the epoch, number)``; ``seed`` None only changes their size."""

    def __init__(
        self,
        images: ImageFolder,
        chosen: list[tuple[int, int]],
        shape: tuple[int, ...],
        seed: int | None,
    ) -> None:
        self.images = images
        self.chosen = chosen
        self.shape = shape
        self.seed = seed

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        place, number = self.chosen[index]
        path, label = self.images.samples[number]
        try:
            image = _decoded(path, self.shape[0])
        except UsageError:
            # An exception of a worker reaches the user wrapped in its traceback; `readable` raises it again.
            return torch.zeros(self.shape, dtype=torch.uint8), -1 - number
        if self.seed is None:
            return _bytes(_middle(image, self.shape[1:])), label
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mixed(self.seed, place))
            return _bytes(_part(image, self.shape[1:])), label

    def readable(self, labels: Tensor) -> None:
        """Raise what is wrong with the first image that could not be decoded, E0803."""
        for label in labels[labels < 0].tolist():
            _decoded(self.images.samples[-1 - label][0], self.shape[0])


def _mixed(seed: int, place: int) -> int:
    digest = hashlib.sha256(f"{seed} {place}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _decoded(path: str, channels: int) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            return file.convert("RGB" if channels == 3 else "L")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"the image {path} cannot be read: {error}", "remove it or put it right", code="E0803"
        ) from error


def _part(image: Any, size: tuple[int, ...]) -> Any:
    from torchvision.transforms import RandomHorizontalFlip, RandomResizedCrop

    return RandomHorizontalFlip()(RandomResizedCrop(list(size))(image))


def _middle(image: Any, size: tuple[int, ...]) -> Any:
    from torchvision.transforms.functional import center_crop, resize

    return center_crop(resize(image, [max(size) * 8 // 7]), list(size))


def _bytes(image: Any) -> Tensor:
    from torchvision.transforms.functional import pil_to_tensor

    tensor: Tensor = pil_to_tensor(image)
    return tensor


def folder_data(folder: Path, network: NetworkSpec, *, workers: int | None = None) -> FolderData:
    """Return the images under ``folder``: ``train/CLASS/..`` and ``val/CLASS/..`` (or ``test``).

    ``workers`` None is one process fewer than there are processors, eight at most. Errors: UsageError, E0803
    where a folder is missing, empty, or the two have other classes.
    """
    shape = network.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(
            f"network `{network.name}` takes {' x '.join(map(str, shape))}, images of a folder have "
            "1 or 3 channels, rows and columns",
            "choose a network made for images",
        )
    tested = next((name for name in TESTED if (folder / name).is_dir()), "val")
    train, test = _opened(folder / "train"), _opened(folder / tested)
    if train.classes != test.classes:
        lonely = sorted(set(train.classes) ^ set(test.classes))
        raise UsageError(
            f"`train` and `{tested}` in `{folder}/` have other classes: {', '.join(lonely[:5])}",
            "each class is a folder of the same name in both",
            code="E0803",
        )
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return FolderData(
        name="folder",
        classes=len(train.classes),
        shape=shape,
        train=train,
        test=test,
        train_labels=torch.tensor(train.targets),
        test_labels=torch.tensor(test.targets),
        peak=255.0,
        mean=_MEAN if shape[0] == 3 else (0.449,),
        deviation=_DEVIATION if shape[0] == 3 else (0.226,),
        device=torch.device("cpu"),
        workers=min(max(processors - 1, 1), 8) if workers is None else workers,
    )


def _opened(path: Path) -> ImageFolder:
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(path))
    except FileNotFoundError as error:
        raise UsageError(
            f"no images in `{path}/`",
            "`--data-dir` names a folder with train/CLASS/.. and val/CLASS/..",
            code="E0803",
        ) from error
