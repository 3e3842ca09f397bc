"""Functions of tensors that coefficients and combinations call besides those torch has."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

__all__ = [
    "Bounded",
    "Rescale",
    "bounded",
    "bounded_pulled",
    "group_norm_pulled",
    "group_normed",
    "layer",
    "linear_pulled",
    "phi1",
    "phi2",
    "phi3",
    "phi_pulled",
    "pixels",
    "pixels_pulled",
    "rescale",
    "softmax_pulled",
    "std_pulled",
]


TERMS = 20
"""Terms of the Taylor series of a derivative of phi that double precision needs up to 1."""


def layer(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x W^T + b`` for a matrix x, in code that a compiler writes: one row as sums.

    On a processor a compiler turns sums into loops among others, while a product of a matrix and a vector stays a
    call that costs as much as its arithmetic.
    """
    if x.shape[0] != 1 or x.device.type != "cpu":
        return nn.functional.linear(x, weight, bias)
    row = (weight * x).sum(1)
    return (row if bias is None else row + bias).unsqueeze(0)


def linear_pulled(
    gradient: Tensor, x: Tensor, weight: Tensor, mask: list[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of ``x``, the weight and the bias from that of ``x W^T + b``, by ``mask``.

    ``x`` is ``(N, .., inputs)``: the layer is applied at every place.
    """
    # of images with their channels first a copy, which is made once
    cotangents = gradient.flatten(0, -2)
    to_x = (cotangents @ weight).view_as(x) if mask[0] else None
    to_weight = cotangents.t() @ x.flatten(0, -2) if mask[1] else None
    return to_x, to_weight, cotangents.sum(0) if mask[2] else None


def pixels(x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the pixels of ``(N, C, H, W)`` that a kernel of one pixel with this stride reads, as a copy."""
    down, right = stride
    return x[:, :, ::down, ::right].clone()


def pixels_pulled(gradient: Tensor, x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the gradient of ``x`` from that of ``pixels(x, stride)``."""
    down, right = stride
    result = torch.zeros_like(x)
    result[:, :, ::down, ::right] = gradient
    return result


def phi1(z: Tensor) -> Tensor:
    """Return ``(exp(z) - 1) / z``, by its Taylor series near 0, where derivatives of the quotient cancel.

    Source: Hochbruck, Ostermann (2010), sec. 2.1.
    """
    small = z.abs() < 1e-3
    near = z.masked_fill(~small, 0)
    series = 1 + near * (1 / 2 + near * (1 / 6 + near * (1 / 24 + near / 120)))
    far = z.masked_fill(small, 1)
    return torch.where(small, series, torch.expm1(far) / far)


def phi2(z: Tensor) -> Tensor:
    """Return ``(phi1(z) - 1) / z``, by its Taylor series near 0, where the difference cancels."""
    small = z.abs() < 0.5
    near = torch.where(small, z, torch.zeros_like(z))
    series = torch.full_like(z, 1 / 2)
    term = torch.full_like(z, 1 / 2)
    for divisor in range(3, 18):
        term = term * near / divisor
        series = series + term
    far = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, series, (torch.expm1(far) / far - 1) / far)


def phi3(z: Tensor) -> Tensor:
    """Return ``(phi2(z) - 1/2) / z``, by its Taylor series near 0, where the difference cancels."""
    small = z.abs() < 1
    near = torch.where(small, z, torch.zeros_like(z))
    series = torch.full_like(z, 1 / 6)
    term = torch.full_like(z, 1 / 6)
    for divisor in range(4, 24):
        term = term * near / divisor
        series = series + term
    far = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, series, ((torch.expm1(far) / far - 1) / far - 1 / 2) / far)


@cache
def slopes(order: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the exponents j and the coefficients ``(j + 1)/(j + 1 + k)!`` of the series of ``phi_k'``."""
    exponents = torch.arange(TERMS, dtype=dtype, device=device)
    numbers = [(j + 1) / math.factorial(j + 1 + order) for j in range(TERMS)]
    return exponents, torch.tensor(numbers, dtype=dtype, device=device)


def phi_pulled(gradient: Tensor, z: Tensor, result: Tensor, order: int) -> Tensor:
    """Return the gradient of z from that of ``result = phi_k(z)``, k the ``order``.

    ``phi_k'(z) = (phi_(k-1)(z) - k phi_k(z)) / z`` with ``phi_0 = exp``, by its Taylor series near 0.
    Source: Hochbruck, Ostermann (2010), sec. 2.1.
    """
    exponents, numbers = slopes(order, z.dtype, z.device)
    near = (z.unsqueeze(-1) ** exponents) @ numbers
    before = torch.exp(z)
    for below in range(order - 1):
        before = (before - 1 / math.factorial(below)) / z
    far = torch.sub(before, result, alpha=order) / z
    return gradient * torch.where(z.abs() < 1, near, far)


class Bounded(torch.autograd.Function):
    """Clamp to ``[low, high]``; the gradient is stopped only where it would lead further out.

    A plain clamp has no gradient outside, so a coefficient that an optimiser step carried over the bound
    would stay there for ever.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.low, ctx.high = low, high  # type: ignore[attr-defined]
        return value.clamp(low, high)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return bounded_pulled(gradient, value, ctx.low, ctx.high), None, None  # type: ignore[attr-defined]


def bounded(value: Tensor, low: float, high: float) -> Tensor:
    """Return ``value`` clamped to its declared range, see :class:`Bounded`."""
    result: Tensor = Bounded.apply(value, low, high)
    return result


def bounded_pulled(gradient: Tensor, value: Tensor, low: float, high: float) -> Tensor:
    """Return the gradient of ``value`` from that of ``bounded(value, low, high)``."""
    below = (value < low) & (gradient > 0)
    above = (value > high) & (gradient < 0)
    return gradient.masked_fill(below | above, 0)


def std_pulled(gradient: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """Return the gradient of ``x`` from that of its standard deviation, ``(x - mean x) / ((n - 1) std x)``."""
    scale = gradient / (result * (x.numel() - 1))
    return (x - x.mean()) * scale.masked_fill(result == 0, 0)


def softmax_pulled(gradient: Tensor, result: Tensor, axis: int) -> Tensor:
    """Return the gradient of ``x`` from that of ``result``, its softmax along an axis."""
    pull = torch.ops.aten._softmax_backward_data
    return pull(gradient, result, axis, result.dtype)  # type: ignore[no-any-return]


def group_normed(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``group_norm(x)`` with the means and the inverse deviations ``(N, groups)`` of the groups."""
    count, channels = x.shape[:2]
    size = x.shape[2:].numel()
    return torch.native_group_norm(x, weight, bias, count, channels, size, groups, eps)


def group_norm_pulled(
    gradient: Tensor,
    x: Tensor,
    groups: int,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    mask: list[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of ``x``, the weight and the bias from that of ``group_norm(x)``, by ``mask``."""
    count, channels = x.shape[:2]
    size = x.shape[2:].numel()
    pull = torch.ops.aten.native_group_norm_backward
    return pull(gradient, x, mean, inverse, weight, count, channels, size, groups, mask)  # type: ignore[no-any-return]


class Rescale(torch.autograd.Function):
    """``forward * value``, whose gradient in ``value`` is ``backward * gradient``.

    Source: Gastaldi (2017), Shake-Shake: the backward pass draws its own coefficients.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.save_for_backward(value, forward, backward)
        return value * forward

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        value, forward, backward = ctx.saved_tensors  # type: ignore[attr-defined]
        inner = (gradient * backward).to(value.dtype)
        outer = None
        if ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            outer = (gradient * value).sum_to_size(forward.shape).to(forward.dtype)
        return inner, outer, None


def rescale(value: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """Return ``forward * value`` with ``backward`` in place of ``forward`` in the gradient."""
    result: Tensor = Rescale.apply(value, forward, backward)
    return result
