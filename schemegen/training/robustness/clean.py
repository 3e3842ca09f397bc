"""Accuracy on images as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from schemegen.training.proportions import share
from schemegen.training.robustness.pixels import Pixels

__all__ = ["accuracy"]


def accuracy(model: Pixels, x: Tensor, y: Tensor, *, batch_size: int = 500) -> dict[str, Any]:
    """Return accuracy, loss and the accuracy of each class on images in [0, 1], with Wilson's intervals."""
    loss, read = 0.0, []
    with torch.no_grad():
        for images, labels in zip(
            torch.split(x, batch_size), torch.split(y, batch_size), strict=True
        ):
            logits = model(images)
            loss += float(cross_entropy(logits, labels, reduction="sum"))
            read.append(logits.argmax(1) == labels)
    right = torch.cat(read)
    return {
        **share(right),
        "n": len(y),
        "loss": loss / len(y),
        "classes": [
            {"label": label, **share(right[y == label])} for label in torch.unique(y).tolist()
        ],
    }
