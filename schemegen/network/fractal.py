"""The fractal block: columns of convolutions joined by means, with drop-path."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["Fractal", "FractalUnit", "PathDraw"]


class PathDraw(nn.Module):
    """What all fractal blocks of a network share in one pass: a number r, uniform on ``[0, 1)``.

    Where r is below 1/2, drop-path is local; else it is global, and a block of C columns keeps column
    ``floor((2 r - 1) C)``. In evaluation nothing is drawn.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return torch.zeros((), device=x.device)
        return torch.rand((), device=x.device, dtype=torch.float32)


class FractalUnit(nn.Module):
    """conv3x3-BN-ReLU, the convolution of a fractal."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_width, out_width, 3, padding=1, bias=False)
        nn.init.normal_(self.conv.weight, 0.0, (2.0 / (9 * out_width)) ** 0.5)
        self.bn = nn.BatchNorm2d(out_width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Fractal(nn.Module):
    """``f_1 = unit``, ``f_(c+1) = mean(f_c o f_c, unit)``, with ``columns`` columns and no identity.

    Column c, counted from 0, is a row of ``2^c`` units; columns that end at the same depth are joined by their
    mean, which all of them go on from. A stride is a max-pooling before the block. In training, ``path``
    of :class:`PathDraw` says which drop-path there is: local (each input of a join is dropped with probability
    ``drop`` %, one at least is kept, drawn by each join for itself), or global (one column alone, that of all
    blocks of the network); every unit is evaluated all the same, so that batch statistics are those of all
    columns. In evaluation, and without ``path``, nothing is dropped; after ``block.only = c`` evaluation takes
    column c alone.
    Source: Larsson, Maire, Shakhnarovich (2017), arXiv 1605.07648, sec. 2 and 3.
    """

    draws = True

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        columns: int = 3,
        drop: int = 15,
    ) -> None:
        super().__init__()
        self.columns = nn.ModuleList(
            nn.ModuleList(
                FractalUnit(in_width if unit == 0 else out_width, out_width)
                for unit in range(2**column)
            )
            for column in range(columns)
        )
        self.drop = drop / 100
        self.stride = stride
        self.only: int | None = None

    def ending(self, depth: int) -> list[int]:
        """Return the columns that end a unit at ``depth`` (1, 2, .. of the deepest column)."""
        last = len(self.columns) - 1
        return [column for column in range(last + 1) if depth % 2 ** (last - column) == 0]

    def weights(self, x: Tensor, active: list[int], column: Tensor | None) -> Tensor:
        """Return which of the active columns a join keeps, 1 or 0 for each; ``column`` is from :meth:`chosen`."""
        if column is None:
            alone = self.only if self.only in active and not self.training else None
            return x.new_tensor([float(alone in (None, column)) for column in active])
        draw = torch.rand(len(active), device=x.device)
        local = (draw > self.drop) | (draw >= draw.max())
        single = torch.tensor(active, device=x.device) == column
        kept = torch.where(column < 0, local, single | ~single.any())
        return kept.to(x.dtype)

    def chosen(self, path: Tensor | None) -> Tensor | None:
        """Return the column of global drop-path, a negative number for local; None where nothing is dropped."""
        if not self.training or path is None:
            return None
        return torch.floor((2 * path - 1) * len(self.columns))

    def forward(self, x: Tensor, path: Tensor | None = None) -> Tensor:
        if self.stride > 1:
            x = F.max_pool2d(x, self.stride, ceil_mode=True)
        column = self.chosen(path)
        values = [x] * len(self.columns)
        units = [iter(column) for column in self.columns]  # type: ignore[call-overload]
        for depth in range(1, 2 ** (len(self.columns) - 1) + 1):
            active = self.ending(depth)
            found = [next(units[place])(values[place]) for place in active]
            kept = self.weights(found[0], active, column)
            total = sum(part * weight for part, weight in zip(found, kept, strict=True))
            for place in active:
                values[place] = total / kept.sum()
        return values[0]
