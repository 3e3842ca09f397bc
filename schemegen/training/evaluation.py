"""Loss and accuracy on the test images, each looked at once, by one rank."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from schemegen.training.config import Config
from schemegen.training.data import Data, FolderData
from schemegen.training.engine import Engine, autocast
from schemegen.training.images import ALONE, Share
from schemegen.training.subject import Subject

__all__ = ["evaluate", "evaluate_together"]


def evaluate(
    subject: Subject, data: Data | FolderData, *, amp: bool = False, batch_size: int = 512
) -> tuple[float, float]:
    """Return the mean loss and the accuracy on the test images, in eval mode."""
    device = next(subject.model.parameters()).device
    context = autocast(device, Config(amp=amp))
    loss, right = _sums(subject, data, ALONE, batch_size, context)
    return loss / len(data.test_labels), right / len(data.test_labels)


def evaluate_together(
    subject: Subject, data: Data | FolderData, engine: Engine, batch_size: int = 512
) -> tuple[float, float]:
    """Return what :func:`evaluate` does, on every rank; each looks at its share of the images."""
    loss, right = _sums(subject, data, engine.share, batch_size, engine.autocast())
    dtype = torch.float32 if engine.device.type == "mps" else torch.float64
    sums = engine.total(torch.tensor([loss, right], dtype=dtype, device=engine.device)).wait()
    return sums[0] / len(data.test_labels), sums[1] / len(data.test_labels)


def _sums(
    subject: Subject,
    data: Data | FolderData,
    share: Share,
    size: int,
    context: torch.autocast,
) -> tuple[float, int]:
    """Return the summed losses and the right answers over a rank's share of the test images."""
    model = subject.model
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for images, labels in data.test_batches(size, share):
            with context:
                logits = model(data.normalised(images, subject.network.input_shape)).float()
            logits = logits[: len(labels)]
            total += cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
    return total, right
