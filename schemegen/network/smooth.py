"""A branch whose weights change smoothly with depth: interpolated between knots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Smooth"]


class Smooth(nn.Module):
    """``f(x; theta(s))`` with ``theta`` linear between K equal blocks, the knots at ``s = 0, 1/(K-1), .., 1``.

    The step at depth s has the parameters ``(1 - w) theta_i + w theta_(i+1)``, ``i + w = s (K - 1)``; its
    batch-norm statistics are its own, in knot i. N steps of a stage so have weights that differ by O(1/N) from one
    to the next, which is what the limit of a differential equation asks for.
    Source: Sander, Ablin, Peyre (2022), arXiv 2205.14612.
    """

    def __init__(self, *knots: nn.Module) -> None:
        super().__init__()
        self.knots = nn.ModuleList(knots)

    def place(self, depth: float) -> tuple[int, float]:
        """Return the knot i below a depth and the share w of the one above it."""
        place = depth * (len(self.knots) - 1)
        first = min(int(place), len(self.knots) - 2)
        return first, place - first

    def forward(self, x: Tensor, depth: float, *told: float | Tensor) -> Tensor:
        first, share = self.place(depth)
        below = dict(self.knots[first].named_parameters())
        above = dict(self.knots[first + 1].named_parameters())
        between = {name: torch.lerp(item, above[name], share) for name, item in below.items()}
        result: Tensor = torch.func.functional_call(self.knots[first], between, (x, *told))
        return result
