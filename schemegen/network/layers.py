"""Layers that torch does not have, for ``seq [..]`` blocks, stems and heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from schemegen.network.blocks import StageBatchNorm
from schemegen.network.timed import Time

__all__ = ["ChannelNorm", "Flat", "Patch", "Positions", "Sequence"]


class Flat(nn.Module):
    """Mean over the image, ``(N, C, H, W)`` to ``(N, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Patch(nn.Conv2d):
    """Cut an image into squares of ``size`` and map each to ``out_width`` channels, weights N(0, 1/inputs).

    Source: Dosovitskiy et al. (2021), sec. 3.1.
    """

    def __init__(self, in_width: int, out_width: int, size: int) -> None:
        super().__init__(in_width, out_width, size, size)
        nn.init.normal_(self.weight, 0.0, (in_width * size * size) ** -0.5)
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class Positions(nn.Module):
    """Add a learned tensor of the image's own shape, at first N(0, 1) as in ``torch.nn.Embedding``.

    Source: Dosovitskiy et al. (2021), who start at 0.02; small networks then take long to tell places apart.
    """

    def __init__(self, width: int, *size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, *size))
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(N, C, H, W)``, at each place on its own."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Sequence(nn.Sequential):
    """Layers in a row; those with statistics of their own are told which evaluation it is, ``time`` the time.

    ``preactivate`` runs the layers before the first one with a kernel, ``transform`` the rest.
    """

    def _run(self, x: Tensor, first: int, last: int, told: tuple[float, ...]) -> Tensor:
        timed = any(isinstance(layer, Time) for layer in self)
        call = told[:-1] if timed else told
        for index in range(first, last):
            layer = self[index]
            if isinstance(layer, Time):
                x = layer(x, told[-1])
            else:
                x = layer(x, *call) if isinstance(layer, StageBatchNorm) else layer(x)
        return x

    def _kernel(self) -> int:
        kinds = (nn.Conv2d, nn.Linear)
        return next((i for i in range(len(self)) if isinstance(self[i], kinds)), len(self))

    def preactivate(self, x: Tensor, *told: float) -> Tensor:
        return self._run(x, 0, self._kernel(), told)

    def transform(self, x: Tensor, *told: float) -> Tensor:
        return self._run(x, self._kernel(), len(self), told)

    def forward(self, x: Tensor, *told: float) -> Tensor:
        return self._run(x, 0, len(self), told)
