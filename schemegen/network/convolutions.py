"""The convolutions of blocks, with their initial weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.network.functions import pixels

__all__ = ["StridedConv1x1", "conv", "pointwise"]


def conv(in_width: int, out_width: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a padded convolution without bias, weights N(0, 2 / (size^2 out_width))."""
    layer = nn.Conv2d(
        in_width, out_width, size, stride, padding=size // 2, groups=groups, bias=False
    )
    nn.init.normal_(layer.weight, 0.0, (2.0 / (size * size * out_width)) ** 0.5)
    return layer


class StridedConv1x1(nn.Conv2d):
    """A convolution of 1x1 with a stride that takes the pixels it reads first, weights N(0, 2 / out_width).

    For ``few`` channels: there the gradient of torch's own writes past its memory on a processor when channels
    come last (oneDNN issue 6035, in torch 2.14). ``few`` is what one of its instructions takes at most.
    """

    few = 16

    def __init__(self, in_width: int, out_width: int, stride: int, groups: int = 1) -> None:
        super().__init__(in_width, out_width, 1, stride, groups=groups, bias=False)
        nn.init.normal_(self.weight, 0.0, (2.0 / out_width) ** 0.5)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
        taken = pixels(input, (self.stride[0], self.stride[1]))
        return F.conv2d(taken, self.weight, groups=self.groups)


def pointwise(in_width: int, out_width: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution of 1x1 without bias, weights N(0, 2 / out_width)."""
    if stride > 1 and in_width < StridedConv1x1.few:
        return StridedConv1x1(in_width, out_width, stride, groups)
    return conv(in_width, out_width, 1, stride, groups)
