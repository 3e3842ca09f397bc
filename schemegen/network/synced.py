"""Batch normalisation over the batches of all data-parallel ranks, on every device.

``torch.nn.SyncBatchNorm`` refuses tensors on a CPU and knows nothing of a block that keeps statistics for each of
its evaluations, so the reduction is written here once: two sums over ranks forward, one backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from schemegen.network.blocks import StageBatchNorm
from schemegen.network.noise import Kept

__all__ = ["synced_batch_norm", "synchronize"]


class _Normalised(torch.autograd.Function):
    """``(x - m) / sqrt(v + eps)`` with mean and variance per channel over the batches of all ranks.

    The gradient is that of batch normalisation of the joined batch, with
    ``y`` the result and ``E`` the mean over it: ``(g - E g - y E(g y)) / sqrt(v + eps)``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        over = [0, *range(2, x.dim())]
        wide = x.double() if x.device.type == "cpu" else x.float()
        own = x.numel() // x.shape[1]
        sums = torch.cat([wide.sum(over), wide.new_tensor([own])])
        torch.distributed.all_reduce(sums)
        count, mean = sums[-1], sums[:-1] / sums[-1]
        centred = wide - _column(mean, x)
        squares = centred.square().sum(over)
        torch.distributed.all_reduce(squares)
        variance = squares / count
        inverse = (variance + eps).rsqrt()
        y = (centred * _column(inverse, x)).to(x.dtype)
        ctx.save_for_backward(y, inverse, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        y, inverse, count = ctx.saved_tensors
        over = [0, *range(2, y.dim())]
        g, z = gradient.to(inverse.dtype), y.to(inverse.dtype)
        sums = torch.stack([g.sum(over), (g * z).sum(over)])
        torch.distributed.all_reduce(sums)
        mean, along = sums / count
        result = (g - _column(mean, y) - z * _column(along, y)) * _column(inverse, y)
        return result.to(gradient.dtype), None


def _column(value: Tensor, x: Tensor) -> Tensor:
    return value.view(1, -1, *[1] * (x.dim() - 2))


def synced_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return ``torch.nn.functional.batch_norm`` in training mode as of the batches of all ranks joined.

    Every rank has to call it, as often and in the same order. The running statistics are updated in place, alike
    on every rank; the running variance is the unbiased one.
    """
    normalised, mean, variance, count = _Normalised.apply(x, eps)
    with torch.no_grad():
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        unbiased = variance * count / (count - 1).clamp(min=1)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    if weight is None or bias is None:
        return normalised  # type: ignore[no-any-return]
    return torch.addcmul(_column(bias, x), normalised, _column(weight, x)).to(x.dtype)


class _Synced(nn.modules.batchnorm._BatchNorm):
    """A batch normalisation of torch with the statistics of all ranks while it trains."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        return synced_batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, momentum, self.eps
        )


class SyncedBatchNorm1d(_Synced, nn.BatchNorm1d):
    """:class:`torch.nn.BatchNorm1d` over all ranks."""


class SyncedBatchNorm2d(_Synced, nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over all ranks."""


class SyncedStageBatchNorm(StageBatchNorm):
    """:class:`StageBatchNorm` over all ranks."""

    def forward(self, x: Tensor, call: int) -> Tensor:
        if not self.training:
            return super().forward(x, call)
        own = self.statistics[call]
        mean, variance = own.get_buffer("running_mean"), own.get_buffer("running_var")
        return synced_batch_norm(x, mean, variance, self.weight, self.bias)


class Masked(Kept):
    """:class:`Kept` that evaluates the whole batch: ranks that left a branch out would keep the others waiting."""

    def forward(
        self,
        block: nn.Module,
        x: Tensor,
        draw: Tensor,
        total: Tensor,
        factor: Tensor,
        *call: float | Tensor,
    ) -> Tensor:
        return torch.addcmul(total, block(x, *call), factor)


SYNCED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SyncedBatchNorm1d,
    nn.BatchNorm2d: SyncedBatchNorm2d,
    StageBatchNorm: SyncedStageBatchNorm,
    Kept: Masked,
}


def synchronize(model: nn.Module) -> None:
    """Make every batch normalisation of ``model`` one over all ranks, in place.

    Modules change their class alone, so that names, weights and every reference to them stay.
    """
    for module in model.modules():
        module.__class__ = SYNCED.get(type(module), type(module))
