"""Branches that depend on the time: one more channel, the time everywhere, before a convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["Ode", "Time", "TimeConv", "with_time", "without_time"]


class Time(nn.Module):
    """A layer ``time`` of a block: one more channel, which is the time everywhere."""

    def forward(self, x: Tensor, time: float | Tensor) -> Tensor:
        return with_time(x, time)


def with_time(x: Tensor, time: float | Tensor) -> Tensor:
    """Return ``(N, C, ..)`` as ``(N, C + 1, ..)``, the time in the last channel."""
    return torch.cat([x, torch.ones_like(x[:, :1]) * time], 1)


def without_time(gradient: Tensor) -> Tensor:
    """Return the gradient of ``x`` from that of ``with_time(x, time)``."""
    return gradient[:, :-1]


class TimeConv(nn.Module):
    """A convolution of 3x3 without bias over the channels and the time."""

    def __init__(self, in_width: int, out_width: int, stride: int = 1) -> None:
        super().__init__()
        self.time = Time()
        self.conv = nn.Conv2d(in_width + 1, out_width, 3, stride, padding=1, bias=False)
        nn.init.normal_(self.conv.weight, 0.0, (2.0 / (9 * out_width)) ** 0.5)

    def forward(self, x: Tensor, time: float | Tensor) -> Tensor:
        result: Tensor = self.conv(self.time(x, time))
        return result


class Ode(nn.Module):
    """GN-ReLU-conv(., t)-GN-ReLU-conv(., t)-GN, a field ``f(u, t)`` without batch statistics.

    Groups of at least one channel, 32 at most. Source: Chen et al. (2018), arXiv 1806.07366, sec. 3; as the
    drift of a stochastic equation Liu et al. (2019), arXiv 1906.02355.
    """

    timed = True

    def __init__(self, in_width: int, out_width: int, stride: int = 1, calls: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups(in_width), in_width)
        self.conv1 = TimeConv(in_width, out_width, stride)
        self.norm2 = nn.GroupNorm(groups(out_width), out_width)
        self.conv2 = TimeConv(out_width, out_width)
        self.norm3 = nn.GroupNorm(groups(out_width), out_width)

    def forward(self, x: Tensor, time: float | Tensor) -> Tensor:
        x = self.conv1(F.relu(self.norm1(x)), time)
        result: Tensor = self.norm3(self.conv2(F.relu(self.norm2(x)), time))
        return result


def groups(width: int) -> int:
    """Return the most groups, 32 at most, of which each has two channels or more if it can."""
    most = min(32, max(width // 2, 1))
    return next(count for count in range(most, 0, -1) if width % count == 0)
