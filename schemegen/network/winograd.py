"""Convolutions of 3 x 3 by minimal filtering: a quarter of the multiplications, for sums around them.

Four outputs in a row of a filter with three taps are a product of polynomials, which six products determine at six
points; so a tile of 4 x 4 outputs takes 36 products a channel in place of 144,

    Y = A^T [(G g G^T) * (B^T d B)] A,

with ``g`` the kernel, ``d`` the 6 x 6 pixels that the tile reads, ``*`` number by number, summed over channels.
Sources: Winograd (1980), Arithmetic complexity of computations; Lavin, Gray (2016), arXiv:1509.09308, sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "INPUTS", "KERNEL", "OUTPUTS", "POINTS", "SIZE", "TAPS", "TILE", "Matrix", "convolved", "matrices",
    "rounded", "transformed",
]  # fmt: skip

TILE, TAPS = 4, 3
POINTS = (Fraction(0), Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2))
"""Besides infinity. Rounding errors are half of those with 0, 1, -1, 2, -2: some five times those of products."""

Matrix = tuple[tuple[Fraction, ...], ...]
"""Rows of exact numbers."""


def times(polynomial: Sequence[Fraction], root: Fraction) -> list[Fraction]:
    """Return a polynomial, lowest power first, times ``x - root``."""
    zero = Fraction(0)
    raised, kept = [zero, *polynomial], [*polynomial, zero]
    return [high - root * low for high, low in zip(raised, kept, strict=True)]


def matrices(points: Sequence[Fraction], taps: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return ``B^T``, ``G`` and ``A^T`` of the filter with so many taps, for points that differ and infinity.

    With n points, infinity among them, there are ``n + 1 - taps`` outputs. For all d and g, exactly,
    ``(A^T ((G g) * (B^T d)))[j] = sum_k d[j + k] g[k]``.
    """
    outputs = len(points) + 2 - taps
    zero, one = Fraction(0), Fraction(1)
    inputs, kernel, result = [], [], []
    for point in points:
        rest = [other for other in points if other != point]
        row = [one]
        for other in rest:
            row = times(row, other)
        inputs.append((*row, zero))
        scale = prod((point - other for other in rest), start=one)
        kernel.append(tuple(point**k / scale for k in range(taps)))
        result.append(tuple(point**j for j in range(outputs)))
    row = [one]
    for point in points:
        row = times(row, point)
    inputs.append(tuple(row))
    kernel.append((*(zero,) * (taps - 1), one))
    result.append((*(zero,) * (outputs - 1), one))
    return tuple(inputs), tuple(kernel), tuple(zip(*result, strict=True))


INPUTS, KERNEL, OUTPUTS = matrices(POINTS, TAPS)
"""``B^T``, ``G``, ``A^T``."""
SIZE = len(INPUTS)
"""Pixels along an axis that a tile of results depends on, and as many points."""


def rounded(matrix: Matrix) -> list[list[float]]:
    return [[float(item) for item in row] for row in matrix]


TO_POINTS, FROM_POINTS = rounded(INPUTS), rounded(OUTPUTS)
"""Floats, since compilers do not look into fractions."""


def transformed(weight: Tensor) -> Tensor:
    """Return ``G g G^T`` of a kernel ``(out, in, 3, 3)`` as ``(36, in, out)``, computed in double precision."""
    rows = weight.new_tensor(rounded(KERNEL), dtype=torch.double)
    found = torch.einsum("ij,kl,oajl->kiao", rows, rows, weight.double())
    return found.flatten(0, 1).to(weight.dtype).contiguous()


def combined(row: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """Return the sum of numbers times values."""
    total = None
    for factor, value in zip(row, values, strict=True):
        if factor == 0:
            continue
        term = value if factor == 1 else value * factor
        total = term if total is None else total + term
    assert total is not None
    return total


def overlapping(x: Tensor, dim: int, tiles: int) -> list[Tensor]:
    """Return the first, second, .. place of each tile along a dimension, padded by one place in front."""
    before = [0, 0] * (x.dim() - 1 - dim)
    padded = F.pad(x, (*before, 1, TILE * tiles + 1 - x.shape[dim]))
    last = TILE * (tiles - 1) + 1
    places = (slice(place, place + last, TILE) for place in range(SIZE))
    return [padded[(slice(None),) * dim + (place,)] for place in places]


def convolved(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the convolution of ``x`` with a kernel of 3 x 3, with a padding of 1, plus a bias.

    Written for compilers: each transform is one pass over memory that takes up what is computed before and after.
    Under autocast it is computed in the precision of the kernel, since the transforms amplify rounding.

    Args:   x ``(N, in, H, W)``, best with its channels last; kernel ``(36, in, out)``, :func:`transformed`.
    Returns ``(N, out, H, W)``. In float32 errors are some five times those of the sum of products itself.
    """
    if torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            return convolved(x.to(kernel.dtype), kernel, bias)
    count, _, height, width = x.shape
    down, right = -(-height // TILE), -(-width // TILE)
    out = kernel.shape[2]
    # the stacks are what a compiler writes to memory: one tensor after each of the four transforms
    rows = overlapping(x.permute(0, 2, 3, 1), 1, down)
    tall = torch.stack([combined(row, rows) for row in TO_POINTS])
    columns = overlapping(tall, 3, right)
    tiles = torch.stack([combined(row, columns) for row in TO_POINTS])
    products = torch.bmm(tiles.reshape(SIZE * SIZE, count * down * right, -1), kernel)
    by_column = products.view(SIZE, SIZE, count, down, right, out).unbind(0)
    wide = torch.stack([combined(row, by_column) for row in FROM_POINTS]).unbind(1)
    images = torch.stack([combined(row, wide).permute(1, 2, 3, 0, 4) for row in FROM_POINTS], 2)
    grid = images.reshape(count, TILE * down, TILE * right, out)[:, :height, :width]
    result = grid.permute(0, 3, 1, 2)
    return result if bias is None else result + bias[:, None, None]
