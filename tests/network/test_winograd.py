"""Convolutions by minimal filtering: the identity exactly, the images to rounding."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from schemegen.network.winograd import POINTS, TAPS, convolved, matrices, transformed

NUMBERS = st.fractions(min_value=-9, max_value=9, max_denominator=9)


@given(st.data())
def test_the_filter_is_exact_for_any_points(data: st.DataObject) -> None:
    taps = data.draw(st.integers(1, 5))
    points = data.draw(st.lists(NUMBERS, min_size=taps, max_size=6, unique=True))
    inputs, kernel, outputs = matrices(points, taps)
    size = len(points) + 1
    d = data.draw(st.lists(NUMBERS, min_size=size, max_size=size))
    g = data.draw(st.lists(NUMBERS, min_size=taps, max_size=taps))

    def applied(matrix: tuple[tuple[Fraction, ...], ...], vector: list[Fraction]) -> list[Fraction]:
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]  # type: ignore[misc]

    products = [a * b for a, b in zip(applied(kernel, g), applied(inputs, d), strict=True)]
    wanted = [sum(d[j + k] * g[k] for k in range(taps)) for j in range(size + 1 - taps)]
    assert applied(outputs, products) == wanted


def test_four_outputs_take_six_products() -> None:
    inputs, kernel, outputs = matrices(POINTS, TAPS)
    assert (len(inputs), len(kernel), len(outputs)) == (6, 6, 4)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (8, 8), (9, 14), (7, 5)])
@pytest.mark.parametrize("last", [True, False])
def test_convolution_is_that_of_torch(size: tuple[int, int], last: bool) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.double)
    weight = torch.randn(5, 3, 3, 3, dtype=torch.double)
    bias = torch.randn(5, dtype=torch.double)
    given = x.to(memory_format=torch.channels_last) if last else x
    found = convolved(given, transformed(weight), bias)
    torch.testing.assert_close(found, F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)
    without = convolved(given, transformed(weight))
    torch.testing.assert_close(without, F.conv2d(x, weight, padding=1), rtol=0, atol=1e-12)


def test_errors_in_single_precision_are_a_few_times_those_of_products() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, 8, 8).relu()
    weight = torch.randn(64, 64, 3, 3) / 24
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    direct = (F.conv2d(x, weight, padding=1) - exact).square().mean().sqrt()
    error = (convolved(x, transformed(weight)) - exact).square().mean().sqrt()
    assert direct < error < 8 * direct


def test_autocast_leaves_the_precision() -> None:
    x, weight = torch.randn(2, 24, 8, 8), torch.randn(24, 24, 3, 3) / 15
    with torch.autocast("cpu", torch.bfloat16):
        found = convolved(x.bfloat16(), transformed(weight))
    wanted = F.conv2d(x.bfloat16().float(), weight, padding=1)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
