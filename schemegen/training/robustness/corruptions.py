"""Accuracy under noise: computed on the fly, or from a folder of CIFAR-10-C or CIFAR-100-C."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemegen.diagnostics import UsageError
from schemegen.training.proportions import clustered, share
from schemegen.training.robustness.noise import CORRUPTIONS, SEVERITIES, corrupted
from schemegen.training.robustness.pixels import Pixels

__all__ = ["Corrupted", "computed", "from_folder"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Corrupted:
    """Which images a network reads under one corruption, ``right`` ``(severities, images)``."""

    name: str
    right: Tensor

    @property
    def accuracy(self) -> float:
        """The share over all severities."""
        return float(self.right.double().mean())

    def as_json(self) -> dict[str, Any]:
        """Return plain values; the interval over all severities knows that their images are the same."""
        return {
            "corruption": self.name,
            "accuracy": self.accuracy,
            "interval": list(clustered(self.right)),
            "n": self.right.shape[1],
            "severities": [
                {"severity": level, **share(right)}
                for level, right in zip(SEVERITIES, self.right, strict=True)
            ],
        }


def computed(
    model: Pixels,
    x: Tensor,
    y: Tensor,
    names: tuple[str, ...] = CORRUPTIONS,
    *,
    seed: int = 0,
    own_statistics: bool = False,
) -> Iterator[Corrupted]:
    """Yield the accuracy under each corruption of the images ``x`` in [0, 1].

    ``own_statistics`` normalises by mean and deviation of all severities of a corruption together, as the released
    code of Yang et al. (2020) does file by file; otherwise the network is given what it was trained with.
    """
    for name in names:
        levels = [corrupted(x, name, severity, seed) for severity in SEVERITIES]
        judge = _fitted(model, levels) if own_statistics else model
        yield Corrupted(name, torch.stack([_right(judge, level, y) for level in levels]))


def from_folder(
    model: Pixels,
    folder: Path,
    names: tuple[str, ...] = CORRUPTIONS,
    *,
    count: int | None = None,
    own_statistics: bool = False,
) -> Iterator[Corrupted]:
    """Yield the accuracy on the first ``count`` images of each severity of the files of ``folder``.

    A file holds bytes ``(5 n, H, W, C)``, severity by severity, and ``labels.npy`` their labels. Errors:
    UsageError, E0803 for a file that is missing or of another shape.
    """
    answers = _array(folder / "labels.npy")
    for name in names:
        images = _array(folder / f"{name}.npy")
        _fitting(images, answers, model.shape, folder / f"{name}.npy")
        n = len(images) // len(SEVERITIES)
        used = n if count is None else min(count, n)
        starts = [index * n for index in range(len(SEVERITIES))]
        levels = [_pixels(images[start : start + used]) for start in starts]
        labels = [
            torch.from_numpy(answers[start : start + used].astype(np.int64)) for start in starts
        ]
        judge = _fitted(model, levels) if own_statistics else model
        read = [_right(judge, *level) for level in zip(levels, labels, strict=True)]
        yield Corrupted(name, torch.stack(read))


def _array(path: Path) -> NDArray[np.uint8]:
    try:
        found: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(
            f"no {path.name} in `{path.parent}/`",
            "`--folder` names an unpacked CIFAR-10-C or CIFAR-100-C",
            code="E0803",
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"`{path}` is no array of numpy: {error}", code="E0803") from error
    return found


def _fitting(
    images: NDArray[np.uint8], answers: NDArray[np.uint8], shape: tuple[int, ...], path: Path
) -> None:
    wanted = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    whole = len(images) and len(images) % len(SEVERITIES) == 0 and len(images) == len(answers)
    if images.dtype != np.uint8 or images.shape[1:] != wanted or not whole:
        raise UsageError(
            f"`{path}` holds {images.dtype} of shape {images.shape} with {len(answers)} labels, "
            f"the network takes bytes of shape (5 n, {', '.join(map(str, wanted))})",
            code="E0803",
        )


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


def _fitted(model: Pixels, levels: list[Tensor]) -> Pixels:
    """Return the network with mean and deviation of the given images, each channel's over all of them."""
    pixels = torch.cat([level.transpose(0, 1).flatten(1) for level in levels], dim=1).double()
    deviation = pixels.std(1, correction=0).clamp_min(1e-12)
    return Pixels(model.network, model.shape, pixels.mean(1).tolist(), deviation.tolist()).to(
        model.mean.device
    )


def _right(model: Pixels, x: Tensor, y: Tensor) -> Tensor:
    device, read = model.mean.device, []
    with torch.no_grad():
        for images in torch.split(x, _AT_ONCE):
            read.append(model(images.to(device)).argmax(1).cpu())
    return torch.cat(read) == y.cpu()
