"""Evaluations of branches that undo a step, and through which the step is pulled back.

A step that is undone evaluates its branches where the step evaluated them. So one evaluation serves both: its
result undoes the step, and its graph takes the gradient back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import GradientEdge, get_gradient_edge

from schemegen.network.solvers import evaluate

__all__ = ["ended", "evaluated", "leaf", "reused", "taken"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The graph of what a branch gave, from ``leaves``, one for each tensor given, and ``parameters``.

    ``end`` is where a gradient enters, None where there is nothing to give it to.
    """

    end: GradientEdge | None
    leaves: Sequence[Tensor]
    parameters: Sequence[Tensor]


def ended(value: Tensor) -> GradientEdge | None:
    """Return where the gradient of a value enters its graph, which lives on without the value."""
    return get_gradient_edge(value) if value.requires_grad else None


def taken(carry: list[Tensor]) -> tuple[Tensor, ...]:
    """Return a carry and empty the list, so that each of its values lives as long as it is read."""
    result = tuple(carry)
    carry.clear()
    return result


def leaf(value: Tensor) -> Tensor:
    """Return a value as the start of a graph."""
    return value.detach().requires_grad_()


def evaluated(block: nn.Module, *arguments: Any) -> tuple[Tensor, Evaluation]:
    """Return ``block(*arguments)`` without its graph, and the graph."""
    given = [leaf(item) if isinstance(item, Tensor) else item for item in arguments]
    with torch.enable_grad():
        result = evaluate(block, *given)
    leaves = [item for item in given if isinstance(item, Tensor)]
    learned = [item for item in block.parameters() if item.requires_grad]
    return result.detach(), Evaluation(ended(result), leaves, learned)


def reused(evaluation: Evaluation, value: Tensor, *arguments: Any) -> Tensor:
    """Return ``value`` as if the branch that gave it had been given ``arguments``, equal up to rounding."""
    given = [item for item in arguments if isinstance(item, Tensor)]
    result: Tensor = _Reused.apply(evaluation, value, *given, *evaluation.parameters)
    return result


class _Reused(torch.autograd.Function):
    """A branch whose graph is there already; it is used up by the first gradient that passes."""

    @staticmethod
    def forward(ctx: Any, evaluation: Evaluation, value: Tensor, *inputs: Tensor) -> Tensor:
        ctx.evaluation = evaluation
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found: Evaluation = ctx.evaluation
        inputs = [*found.leaves, *found.parameters]
        if found.end is None:
            return (None, None, *(None for _ in inputs))
        return (
            None,
            None,
            *torch.autograd.grad([found.end], inputs, [gradient], allow_unused=True),
        )
