"""CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from schemegen.diagnostics import UsageError
from schemegen.training.images import Data

__all__ = ["cifar"]


def cifar(name: str, folder: Path, download: bool) -> Data:
    """Return ``cifar10`` or ``cifar100``. Source: Krizhevsky (2009). Errors: UsageError with E0803."""
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if name == "cifar10" else CIFAR100
    title = "CIFAR-10" if name == "cifar10" else "CIFAR-100"
    try:
        parts = [kind(str(folder), train=train, download=download) for train in (True, False)]
    except OSError as error:
        raise UsageError(f"{title} could not be fetched: {error}", code="E0803") from error
    except RuntimeError as error:
        raise UsageError(
            f"no {title} in `{folder}/`", "add `--download`, or use `--data glyphs`", code="E0803"
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
