"""Gradients by a backward pass that is written out: what the generated adjoint of a network calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = [
    "Adjoint",
    "Pair",
    "Pairs",
    "linear_gradients",
    "mean_spread",
    "pulled_back",
    "row_sum",
    "rows",
    "spread_rows",
    "summed",
    "weighted",
]

SMALL = 2048
"""Cotangents of up to so many numbers are gathered: there a call costs more than a copy."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``forward(*inputs) -> (*outputs, *kept)`` and ``backward(*cotangents, *saved) -> gradients``.

    ``saved`` are the inputs at ``places`` and what was ``kept``; ``others`` are the remaining inputs. Gradients
    are those of the inputs at ``active``. What was drawn is ``kept``, at ``draws``.
    """

    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[..., tuple[Tensor | None, ...]]
    outputs: int
    places: tuple[int, ...]
    others: tuple[int, ...]
    active: tuple[int, ...]
    draws: tuple[int, ...]


class Pairs(Protocol):
    """The adjoints of one function, by which inputs ask for gradients and by whether the states are small."""

    def of(self, needed: tuple[bool, ...], small: bool) -> Pair:
        """Return the pair for states of up to :data:`SMALL` numbers, or of more."""

    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the function on inputs and what it drew, so that autograd can follow; buffers stay as they are."""


class Adjoint(torch.autograd.Function):
    """A function with a written backward pass.

    Gradients of gradients come from autograd: where a graph of the backward pass is asked for, the function runs
    again and autograd follows it.
    """

    @staticmethod
    def forward(ctx: Any, pairs: Pairs, *inputs: Tensor) -> tuple[Tensor, ...]:
        pair = pairs.of(ctx.needs_input_grad[1:], inputs[0].numel() <= SMALL)
        results = pair.forward(*inputs)
        ctx.pairs, ctx.pair, ctx.count = pairs, pair, len(inputs)
        ctx.others = [(place, inputs[place]) for place in pair.others]
        ctx.save_for_backward(*(inputs[place] for place in pair.places), *results[pair.outputs :])
        return results[: pair.outputs]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        pair: Pair = ctx.pair
        saved = ctx.saved_tensors
        result: list[Tensor | None] = [None] * (ctx.count + 1)
        found = (
            again(ctx, saved, cotangents)
            if torch.is_grad_enabled()
            else pair.backward(*cotangents, *saved)
        )
        for place, gradient in zip(pair.active, found, strict=True):
            result[place + 1] = gradient
        return tuple(result)


def again(
    ctx: Any, saved: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Return the gradients as a graph that can be differentiated once more."""
    pair: Pair = ctx.pair
    known, kept = saved[: len(pair.places)], saved[len(pair.places) :]
    inputs: dict[int, Tensor] = {**dict(ctx.others), **dict(zip(pair.places, known, strict=True))}
    # One input may have been computed from another one: its own gradient ends where it entered.
    inputs |= {place: inputs[place].view_as(inputs[place]) for place in pair.active}
    draws = (kept[place] for place in pair.draws)
    outputs = ctx.pairs.plain(*(inputs[place] for place in range(ctx.count)), *draws)
    followed = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
    return torch.autograd.grad(
        [y for y, _ in followed],
        [inputs[place] for place in pair.active],
        [g for _, g in followed],
        create_graph=True,
        allow_unused=True,
    )


def linear_gradients(
    cotangents: Sequence[Tensor], inputs: Sequence[Tensor], factors: Sequence[float]
) -> tuple[Tensor, ...]:
    """Return the gradients of weights and biases of layers of one shape, all weights first.

    Layer ``i`` of ``n`` was used ``r`` times, with cotangents ``i r`` to ``i r + r - 1``::

        dW_i = sum_j factors_j g_ij^T x_ij        db_i = sum_j factors_j sum_rows g_ij
    """
    uses = len(factors)
    count = len(cotangents) // uses
    batch, width = cotangents[0].shape
    g = torch.cat(cotangents)  # type: ignore[arg-type]
    if any(factor != factors[0] for factor in factors):
        g.view(count, uses, batch, width).mul_(g.new_tensor(factors).view(1, uses, 1, 1))
    elif factors[0] != 1:
        g.mul_(factors[0])
    g = g.view(count, uses * batch, width)
    x = torch.cat(inputs).view(count, uses * batch, -1)  # type: ignore[arg-type]
    turned = g.transpose(1, 2)
    weights = turned * x if uses * batch == 1 else torch.bmm(turned, x)
    return (*weights.unbind(), *g.sum(1).unbind())


def weighted(values: Sequence[Tensor], factors: Sequence[float]) -> Tensor:
    """Return ``sum_j factors_j values_j``, of tensors of one shape."""
    first = values[0]
    if first.device.type == "cpu" and first.numel() * len(values) <= SMALL:
        rows = torch.stack(values).view(len(values), -1)  # type: ignore[arg-type]
        return (first.new_tensor(factors) @ rows).view(first.shape)
    total = first * factors[0]
    for value, factor in zip(values[1:], factors[1:], strict=True):
        total.add_(value, alpha=factor)
    return total


def rows(like: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return memory for ``count`` tensors like one, as a whole and one by one."""
    whole = like.new_empty((count, *like.shape))
    return (whole, *whole.unbind())


def row_sum(whole: Tensor, factors: Sequence[float]) -> Tensor:
    """Return ``sum_j factors_j whole_j``."""
    if any(factor != factors[0] for factor in factors):
        flat = whole.view(len(factors), -1)
        return (whole.new_tensor(factors) @ flat).view(whole.shape[1:])
    total = whole.sum(0)
    return total if factors[0] == 1 else total.mul_(factors[0])


def summed(gradient: Tensor, x: Tensor) -> Tensor:
    """Return a cotangent summed over what ``x`` was broadcast to."""
    return gradient.sum_to_size(x.shape)


def mean_spread(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the cotangent of an image from that of its mean over the pixels."""
    size = x.shape[2] * x.shape[3]
    return (gradient / size)[:, :, None, None].expand(x.shape)


def spread_rows(gradient: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the cotangent of a matrix from that of its sums over each row."""
    return gradient[:, None].expand(size)


@cache
def pulled_back(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """Return what pulls a function of tensors back by autograd, for the ``active`` ones of its arguments."""

    def pull(
        arguments: Sequence[Any], active: Sequence[int], cotangent: Tensor
    ) -> tuple[Tensor, ...]:
        given = list(arguments)
        with torch.enable_grad():
            for place in active:
                given[place] = given[place].detach().requires_grad_()
            result = function(*given)
        return torch.autograd.grad(result, [given[place] for place in active], cotangent)

    pull.__name__ = pull.__qualname__ = f"pull_{function.__name__}"
    return pull
