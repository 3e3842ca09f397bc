"""Strided projections of few channels: the numbers of torch's own, with and without channels last."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from schemegen.network.convolutions import StridedConv1x1, pointwise
from schemegen.network.layout import may_be_last


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_pixels_first_give_what_a_stride_gives(last: bool, stride: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = StridedConv1x1(4, 6, stride, groups).double()
    plain = nn.Conv2d(4, 6, 1, stride, groups=groups, bias=False).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 7, 10, dtype=torch.float64, requires_grad=True)
    given = x.contiguous(memory_format=torch.channels_last) if last else x
    wanted, found = plain(x), layer(given)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last) == last
    cotangent = torch.randn_like(wanted)
    own = torch.autograd.grad(found, [x, layer.weight], cotangent)
    true = torch.autograd.grad(wanted, [x, plain.weight], cotangent)
    for one, other in zip(own, true, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_which_projections_take_pixels_first() -> None:
    """Those that torch cannot pull back with channels last on every processor, and no others."""
    narrow, wide = pointwise(15, 32, 2), pointwise(16, 32, 2)
    assert type(narrow) is StridedConv1x1
    assert type(wide) is nn.Conv2d
    assert type(pointwise(4, 4)) is nn.Conv2d
    assert may_be_last(narrow)
    assert may_be_last(wide)
    assert not may_be_last(nn.Conv2d(4, 8, 1, 2))
    assert narrow.state_dict().keys() == wide.state_dict().keys() == {"weight"}
    many = pointwise(8, 4000, 2)
    assert float(many.weight.detach().std()) == pytest.approx((2 / 4000) ** 0.5, rel=0.02)
