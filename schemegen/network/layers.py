"""Layers that torch does not have, for ``seq [..]`` blocks, stems and heads."""

from __future__ import annotations

from torch import Tensor, nn

from schemegen.network.blocks import StageBatchNorm

__all__ = ["Flat", "Sequence"]


class Flat(nn.Module):
    """Mean over the image, ``(N, C, H, W)`` to ``(N, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Sequence(nn.Sequential):
    """Layers in a row; those with statistics of their own are told which evaluation it is.

    ``preactivate`` runs the layers before the first one with a kernel, ``transform`` the rest.
    """

    def _run(self, x: Tensor, first: int, last: int, call: tuple[int, ...]) -> Tensor:
        for index in range(first, last):
            layer = self[index]
            x = layer(x, *call) if isinstance(layer, StageBatchNorm) else layer(x)
        return x

    def _kernel(self) -> int:
        kinds = (nn.Conv2d, nn.Linear)
        return next((i for i in range(len(self)) if isinstance(self[i], kinds)), len(self))

    def preactivate(self, x: Tensor, *call: int) -> Tensor:
        return self._run(x, 0, self._kernel(), call)

    def transform(self, x: Tensor, *call: int) -> Tensor:
        return self._run(x, self._kernel(), len(self), call)

    def forward(self, x: Tensor, *call: int) -> Tensor:
        return self._run(x, 0, len(self), call)
