"""Functions of tensors that coefficients and combinations call besides those torch has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

__all__ = ["Bounded", "Rescale", "bounded", "phi1", "phi2", "phi3", "rescale"]


def phi1(z: Tensor) -> Tensor:
    """Return ``(exp(z) - 1) / z``, 1 at 0. Source: Hochbruck, Ostermann (2010), sec. 2.1."""
    zero = z == 0
    safe = torch.where(zero, torch.ones_like(z), z)
    return torch.where(zero, torch.ones_like(z), torch.expm1(safe) / safe)


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
        below = (value < ctx.low) & (gradient > 0)  # type: ignore[attr-defined]
        above = (value > ctx.high) & (gradient < 0)  # type: ignore[attr-defined]
        return gradient.masked_fill(below | above, 0), None, None


def bounded(value: Tensor, low: float, high: float) -> Tensor:
    """Return ``value`` clamped to its declared range, see :class:`Bounded`."""
    result: Tensor = Bounded.apply(value, low, high)
    return result


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
