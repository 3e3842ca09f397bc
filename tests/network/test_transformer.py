"""Blocks of transformer encoders by themselves: strides, vectors, second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from schemegen.network.layers import ChannelNorm, Patch, Positions
from schemegen.network.transformer import Attention, Encoder, Feedforward


def image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_attention_is_the_written_out_sum() -> None:
    """Head by head and place by place, from the definition."""
    torch.manual_seed(0)
    block = Attention(6, 4, heads=2).double()
    x = image(1, 6, 2, 3)
    tokens = block.norm(x.flatten(2).transpose(1, 2))[0]
    query, key, value = block.inward(tokens).split(4, 1)
    parts = []
    for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        rows = []
        for place in range(6):
            scores = torch.stack([query[place, part] @ key[j, part] for j in range(6)]) / 2**0.5
            weights = scores.exp() / scores.exp().sum()
            rows.append(sum(weights[j] * value[j, part] for j in range(6)))
        parts.append(torch.stack(rows))
    wanted = block.outward(torch.cat(parts, 1)).T.reshape(1, 4, 2, 3)
    torch.testing.assert_close(block(x), wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", [Attention, Feedforward, Encoder])
def test_a_stride_keeps_every_other_place(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    block = kind(4, 8, 2).double()
    torch.manual_seed(0)
    plain = kind(4, 8).double()
    x = image(2, 4, 5, 4)
    torch.testing.assert_close(block(x), plain(x)[:, :, ::2, ::2])
    assert block(x).shape == (2, 8, 3, 2)


def test_feedforward_of_vectors_is_that_of_a_single_place() -> None:
    torch.manual_seed(0)
    block = Feedforward(4, 4, expansion=3).double()
    x = image(5, 4)
    torch.testing.assert_close(block(x), block(x[:, :, None, None])[:, :, 0, 0])


def test_attention_has_second_derivatives() -> None:
    torch.manual_seed(0)
    block = Attention(2, 2, heads=1).double()
    x = image(1, 2, 2, 1).requires_grad_()
    assert torch.autograd.gradgradcheck(block, (x,))


def test_heads_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
        Attention(8, 8, heads=3)


def test_layers_of_stems_and_heads() -> None:
    torch.manual_seed(0)
    x = image(3, 2, 4, 6)
    patch = Patch(2, 5, 2).double()
    squares = x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3)
    wanted = squares @ patch.weight.flatten(1).T + patch.bias
    torch.testing.assert_close(patch(x), wanted.permute(0, 3, 1, 2))
    places = Positions(2, 4, 6).double()
    torch.testing.assert_close(places(x) - x, places.weight.expand(3, -1, -1, -1))
    norm = ChannelNorm(2).double()
    centred = x - x.mean(1, keepdim=True)
    torch.testing.assert_close(norm(x), centred / (x.var(1, False, keepdim=True) + 1e-5).sqrt())
