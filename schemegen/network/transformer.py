"""Blocks of transformer encoders on states ``(N, width, ..)``: every place of the image is a token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["Attention", "Encoder", "Feedforward", "dense", "strided"]


def dense(in_width: int, out_width: int) -> nn.Linear:
    """Return a linear map with Glorot weights, a uniform law, and bias 0. Source: Dosovitskiy et al. (2021)."""
    layer = nn.Linear(in_width, out_width)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def strided(x: Tensor, stride: int) -> Tensor:
    """Return every ``stride``-th place of an image ``(N, width, height, width)``."""
    return x if stride == 1 else x[:, :, ::stride, ::stride]


class Attention(nn.Module):
    """LayerNorm, then softmax attention of every place to all places::

        a(x) = W concat_h( softmax(q_h k_h^T / sqrt(d)) v_h ),   (q, k, v) = V norm(x)

    Of the images only every ``stride``-th place asks. The fused kernels of torch have no second derivative, which
    curvature measures take, so the products are written out.
    Source: Vaswani et al. (2017), sec. 3.2, normalised first as in Xiong et al. (2020).
    """

    def __init__(
        self, in_width: int, out_width: int, stride: int = 1, calls: int = 1, *, heads: int = 4
    ) -> None:
        super().__init__()
        if out_width % heads:
            raise ValueError(f"{heads} heads do not divide {out_width} channels")
        self.heads = heads
        self.stride = stride
        self.widths = [out_width] * 3
        self.scale = (out_width // heads) ** 0.5
        self.norm = nn.LayerNorm(in_width)
        self.inward = dense(in_width, 3 * out_width)
        self.outward = dense(out_width, out_width)

    def split(self, x: Tensor) -> Tensor:
        """Return channels-last images as ``(N heads, places, width/heads)``."""
        places = torch.unflatten(torch.flatten(x, 1, 2), 2, (self.heads, -1))
        return torch.flatten(torch.transpose(places, 1, 2), 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        inward = self.inward(self.norm(x.movedim(1, -1)))
        asking, key, value = torch.split(inward, self.widths, -1)
        if self.stride > 1:
            asking = strided(asking.movedim(-1, 1), self.stride).movedim(1, -1)
        query, key, value = self.split(asking), self.split(key), self.split(value)
        weights = torch.softmax(query / self.scale @ torch.transpose(key, 1, 2), -1)
        heads = torch.unflatten(weights @ value, 0, (-1, self.heads))
        result: Tensor = self.outward(torch.transpose(heads, 1, 2).reshape_as(asking))
        return result.movedim(-1, 1)


class Feedforward(nn.Module):
    """LayerNorm-linear-GELU-linear at every place, ``expansion`` times as wide inside.

    Source: Vaswani et al. (2017), sec. 3.3, with the GELU of Dosovitskiy et al. (2021).
    """

    def __init__(
        self, in_width: int, out_width: int, stride: int = 1, calls: int = 1, *, expansion: int = 4
    ) -> None:
        super().__init__()
        self.stride = stride
        self.norm = nn.LayerNorm(in_width)
        self.linear1 = dense(in_width, expansion * out_width)
        self.linear2 = dense(expansion * out_width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(strided(x, self.stride).movedim(1, -1))
        result: Tensor = self.linear2(F.gelu(self.linear1(x)))
        return result.movedim(-1, 1)


class Encoder(nn.Module):
    """The sum ``a(x) + b(x)`` of attention and feed-forward, one drift for schemes that have one.

    Its Euler step is the parallel block of Dehghani et al. (2023), sec. 2.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        heads: int = 4,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        self.attention = Attention(in_width, out_width, stride, heads=heads)
        self.feedforward = Feedforward(in_width, out_width, stride, expansion=expansion)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.attention(x) + self.feedforward(x)
        return result
