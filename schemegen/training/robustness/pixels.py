"""A network seen from its pixels: attacks move images in [0, 1], and normalising belongs to the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from schemegen.training.data import Data, FolderData

__all__ = ["Pixels", "log_odds", "pixels_of", "random_outputs"]

_PASSES = 5
_LIKE = 1e-4


class Pixels(nn.Module):
    """``network((x - mean)/deviation)`` for images ``x`` in [0, 1] of shape ``(N, C, H, W)``, in eval mode.

    With normalising inside, a bound or a step in pixels is the same for every channel, and [0, 1] is where images
    may be. ``mean`` and ``deviation`` are those of the training images.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        network: nn.Module,
        shape: tuple[int, ...],
        mean: Sequence[float],
        deviation: Sequence[float],
    ) -> None:
        super().__init__()
        self.network = network
        self.shape = shape
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(-1, 1, 1))
        self.eval()

    @classmethod
    def of(cls, network: nn.Module, shape: tuple[int, ...], data: Data | FolderData) -> Pixels:
        """Return ``network``, which takes inputs of ``shape``, with the normalising of ``data``."""
        return cls(network, shape, data.mean, data.deviation)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(((x - self.mean) / self.deviation).reshape(-1, *self.shape))
        return logits.float()


def pixels_of(data: Data | FolderData, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the first ``count`` test images (all where None) in [0, 1] and their labels."""
    images, labels, have = [], [], 0
    for part, answer in data.test_batches(512):
        images.append(part.float() / data.peak)
        labels.append(answer)
        have += len(answer)
        if count is not None and have >= count:
            break
    return torch.cat(images)[:count], torch.cat(labels)[:count]


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``log((1 - p)/p)`` for the probability p of the label, that is ``logsumexp_{j != y} z_j - z_y``.

    Its gradient is that of the cross-entropy divided by ``1 - p``: the same direction, but never lost
    where p rounds to 1.
    """
    right = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], float("-inf"))
    return others.logsumexp(1) - right[:, 0]


def random_outputs(model: nn.Module, x: Tensor) -> bool:
    """Whether logits differ from pass to pass by 1e-4 of their norm. Source: AutoAttack's check for noise."""
    with torch.no_grad():
        passes = [model(x) for _ in range(_PASSES)]
    scaled = [logits / logits.norm(dim=1, keepdim=True).clamp_min(1e-10) for logits in passes]
    return any(bool(((one - scaled[0]).norm(dim=1) > _LIKE).any()) for one in scaled[1:])
