"""Both gradients of a convolution of 3 x 3 by minimal filtering, with a quarter of the products.

They are the transposes of the filter of :mod:`schemegen.network.winograd`: with ``g`` the cotangent of its result,
``G^T ((A g) * (B^T x))`` and ``B ((A g) * (G w))``. What is left between the changes of variables are 36 products
of matrices, whose rows are the squares of 4 x 4 pixels of all images.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from schemegen.network.winograd import INPUTS, KERNEL, OUTPUTS, SIZE, TAPS, TILE, Matrix, rounded

__all__ = ["by_products", "convolution_pulled", "suits"]

COTANGENTS: Matrix = tuple(zip(*OUTPUTS, strict=True))
"""A of the result."""
PLACES = SIZE * SIZE
ROWS = 64
"""So many squares are multiplied at once, what they take stays near the processor; for fewer it does not pay."""
CHANNELS = range(64, 513)
"""With fewer channels the changes of variables cost more than they save, with more the work space is large.

That is for one thread; for two, which share less of the changes than of the products, it takes twice as many.
"""
LONGEST = 32
"""For larger images too: a change of variables is a product with a matrix for the whole axis."""

MKL: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]

kept = threading.local()
"""The work space of a thread, for its next call: memory that is new costs a good part of a call."""


def suits(size: Sequence[int], weight: Sequence[int]) -> bool:
    """Return whether fewer products can pay, for images of ``(height, width)`` and a kernel of a shape.

    The convolution has no stride and keeps the size of images.
    """
    return (
        MKL  # of other libraries the costs are not known
        and tuple(weight[2:]) == (TAPS, TAPS)
        and all(item in CHANNELS for item in weight[:2])
        and all(item % TILE == 0 and item <= LONGEST for item in size)
    )


def in_double(matrix: Matrix) -> Tensor:
    return torch.tensor(rounded(matrix), dtype=torch.float64, device="cpu")


@cache
def on_square(matrix: Matrix, dtype: torch.dtype) -> Tensor:
    """Return the change of variables of squares: A of cotangents, G of kernels."""
    both = in_double(matrix)
    return torch.kron(both, both).to(dtype)


@cache
def on_axis(size: int, dtype: torch.dtype) -> Tensor:
    """Return the change of variables of an image along one axis, ``(points * squares, size)``.

    This is B^T for every square: that they overlap, and the zeros around the image, are in the matrix.
    """
    squares, change = size // TILE, in_double(INPUTS)
    padded = change.new_zeros(SIZE, squares, size + TAPS - 1)
    for square in range(squares):
        start = TILE * square
        padded[:, square, start : start + SIZE] = change
    return padded[:, :, 1:-1].reshape(-1, size).to(dtype)


def work_space(like: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    """Return memory in pieces, which the next call in this thread will write over."""
    total = sum(sizes)
    whole: Tensor | None = getattr(kept, "memory", None)
    if whole is None or whole.dtype != like.dtype or len(whole) < total:
        whole = kept.memory = like.new_empty(total)
    return torch.split(whole[:total], sizes)


def shaped(memory: Tensor, *shape: int) -> Tensor:
    return memory[: math.prod(shape)].view(shape)


def image_changed(image: Tensor, spare: Sequence[Tensor], into: Tensor) -> Tensor:
    """Write B^T x of every square: ``(36, squares of all images, channels)``."""
    count, channels, height, width = image.shape
    down, right = on_axis(height, image.dtype), on_axis(width, image.dtype)
    squares, numbers = height // TILE, count * channels
    rows = shaped(spare[0], height, width, count, channels).copy_(image.permute(2, 3, 0, 1))
    half = shaped(spare[1], SIZE, squares, width, numbers)
    torch.mm(down, rows.view(height, -1), out=half.view(len(down), -1))
    turned = shaped(spare[0], SIZE, width, squares, numbers).copy_(half.transpose(1, 2))
    found = shaped(into, SIZE, len(right), squares * numbers)
    torch.bmm(right.expand(SIZE, -1, -1), turned.view(SIZE, width, -1), out=found)
    return found.view(PLACES, -1, channels)


def image_pulled(found: Tensor, spare: Sequence[Tensor], into: Tensor) -> None:
    """Write the sums of B m over the squares, for ``m`` as :func:`image_changed` writes it, as an image."""
    count, channels, height, width = into.shape
    down, right = on_axis(height, into.dtype), on_axis(width, into.dtype)
    squares, numbers = height // TILE, count * channels
    turned = shaped(spare[0], SIZE, width, squares, numbers)
    columns = found.view(SIZE, len(right), -1)
    torch.bmm(right.t().expand(SIZE, -1, -1), columns, out=turned.view(SIZE, width, -1))
    half = shaped(spare[1], SIZE, squares, width, numbers).copy_(turned.transpose(1, 2))
    rows = shaped(spare[0], height, width, count, channels)
    torch.mm(down.t(), half.view(len(down), -1), out=rows.view(height, -1))
    into.copy_(rows.permute(2, 3, 0, 1))


def cotangent_changed(cotangent: Tensor, spare: Sequence[Tensor], into: Tensor) -> Tensor:
    """Write A g of every square, in the order of :func:`image_changed`."""
    count, channels, height, width = cotangent.shape
    down, right = height // TILE, width // TILE
    squares = torch.unflatten(torch.unflatten(cotangent, 2, (down, TILE)), 4, (right, TILE))
    pixels = shaped(spare[0], TILE, TILE, right, down, count, channels)
    pixels.copy_(squares.permute(3, 5, 4, 2, 0, 1))
    found = shaped(into, PLACES, right * down * count, channels)
    change = on_square(COTANGENTS, cotangent.dtype)
    torch.mm(change, pixels.view(TILE * TILE, -1), out=found.view(PLACES, -1))
    return found


def pays(x: Tensor, weight: Tensor) -> bool:
    """Return whether fewer products are less work for a batch that a processor has before it."""
    count, _, height, width = x.shape
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.is_contiguous(memory_format=torch.channels_last)
        and count * height * width >= ROWS * TILE * TILE
        and min(weight.shape[:2]) >= CHANNELS.start * torch.get_num_threads()
    )


def by_products(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return both gradients as torch computes them."""
    pull = torch.ops.aten.convolution_backward
    one, mask = [1, 1], [True, True, False]
    return pull(gradient, x, weight, None, one, one, one, False, [0, 0], 1, mask)[:2]  # type: ignore[no-any-return]


def convolution_pulled(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``x`` and the weight from that of their convolution, which :func:`suits`."""
    if not pays(x, weight):
        return by_products(gradient, x, weight)
    (outer, inner), size = weight.shape[:2], x.shape[2:].numel()
    squares = size // (TILE * TILE)
    some = -(-ROWS // squares)
    spare, changed = 2 * some * size * max(outer, inner), some * squares * PLACES
    kernel = outer * inner * PLACES
    *rest, for_cotangents, for_images, for_kernels, for_products = work_space(
        x, [spare, spare, changed * outer, changed * inner, kernel, kernel]
    )
    change = on_square(KERNEL, x.dtype)
    kernels = shaped(for_kernels, PLACES, outer, inner)
    taps = weight.permute(2, 3, 0, 1).reshape(TAPS * TAPS, -1)
    torch.mm(change, taps, out=kernels.view(PLACES, -1))
    products = shaped(for_products, PLACES, outer, inner)
    to_x, to_weight = torch.empty_like(x), torch.empty_like(weight)
    parts = zip(*(torch.split(item, some) for item in (gradient, x, to_x)), strict=True)
    for place, (cotangent, image, into) in enumerate(parts):
        cotangents = cotangent_changed(cotangent, rest, for_cotangents)
        images = image_changed(image, rest, for_images)
        turned, before = cotangents.transpose(1, 2), min(place, 1)
        torch.baddbmm(products, turned, images, beta=before, out=products)
        image_pulled(torch.bmm(cotangents, kernels, out=images), rest, into)
    pulled = shaped(for_kernels, TAPS * TAPS, outer * inner)
    torch.mm(change.t(), products.view(PLACES, -1), out=pulled)
    to_weight.copy_(pulled.view(TAPS, TAPS, outer, inner).permute(2, 3, 0, 1))
    return to_x, to_weight
