"""Is a stage still a discretisation of one equation? How much its field changes from step to step.

Steps of size ``T/N`` follow an equation as N grows only where adjacent steps differ by O(1/N) (Sander et al.,
2022); of independent zero-mean weights the relative difference is the square root of 2, whatever N. Weights know
channels by their number, and channels inside a branch may be permuted without changing it, so that values are
compared too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from schemegen.diagnosis.model import Smoothness
from schemegen.diagnosis.trajectory import StepAt

__all__ = ["INDEPENDENT", "order_p", "relative_difference", "smoothness"]

INDEPENDENT = math.sqrt(2.0)
EXACT = 8  # steps up to which all orders are counted
LEAST = 5  # a path and its reverse are equally smooth: of 4 steps 2 in 24 orders, more than 5 %
DRAWS = 9999

Real = NDArray[np.float64]


def smoothness(
    steps: Sequence[StepAt], initial: Sequence[StepAt] | None, *, seed: int = 0
) -> tuple[Smoothness, ...]:
    """Measure every stage with two steps or more of equal shape; ``initial`` are those before training."""
    found = []
    for stage in dict.fromkeys(step.stage for step in steps):
        own = comparable(steps, stage)
        if len(own) < 2:
            continue
        before = comparable(initial, stage) if initial is not None else None
        field, weights = _fields(own), _weights(own)
        matrix = _field_distances(own)
        found.append(
            Smoothness(
                stage=stage,
                steps=len(own),
                weights=weights,
                field=field,
                weights_initial=None if before is None else _weights(before),
                field_initial=None if before is None else _fields(before),
                order_p=None if matrix is None else order_p(matrix, seed=seed),
            )
        )
    return tuple(found)


def comparable(steps: Sequence[StepAt], stage: int) -> list[StepAt]:
    """Return the steps of a stage that do not change the shape, as long as their blocks have equal weights."""
    own = [step for step in steps if step.stage == stage and not step.reshapes and step.modules]
    if not own:
        return []
    shapes = [_shapes(step.modules) for step in own]
    return [step for step, shape in zip(own, shapes, strict=True) if shape == shapes[-1]]


def _shapes(modules: dict[str, nn.Module]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [
        (drift, name, tuple(value.shape))
        for drift, module in modules.items()
        for name, value in module.named_parameters()
    ]


def relative_difference(a: Tensor, b: Tensor) -> float:
    """Return ``2 |a - b|/(|a| + |b|)``, 0 for two zeros."""
    size = float(a.norm() + b.norm())
    return 2.0 * float((a - b).norm()) / size if size > 0 else 0.0


def _weights(steps: Sequence[StepAt]) -> float:
    """Return the mean over adjacent steps and weights of two dimensions or more, each tensor by itself."""
    ratios = []
    for first, second in pairwise(steps):
        for drift, module in first.modules.items():
            other = dict(second.modules[drift].named_parameters())
            for name, value in module.named_parameters():
                if value.dim() > 1:
                    ratios.append(relative_difference(value.detach(), other[name].detach()))
    return sum(ratios) / len(ratios) if ratios else 0.0


def _fields(steps: Sequence[StepAt]) -> float | None:
    """Return the mean over adjacent steps of the difference of their values at the states of the first one."""
    ratios = []
    for first, second in pairwise(steps):
        here, there = _values(first, first), _values(second, first)
        if here is None or there is None:
            return None
        ratios.append(relative_difference(here, there))
    return sum(ratios) / len(ratios)


def _values(of: StepAt, at: StepAt) -> Tensor | None:
    """Return the values of the fields of one step at the states before another, in one row."""
    if not of.arguments_in(at.before):
        return None
    with torch.no_grad():
        parts = [
            field(*(at.before[name] for name in of.arguments[drift]))
            for drift, field in of.fields.items()
        ]
    return torch.cat([part.flatten() for part in parts])


def _field_distances(steps: Sequence[StepAt]) -> Real | None:
    """Return the differences of all pairs, at the states in the middle of the stage."""
    middle = steps[len(steps) // 2]
    values = [_values(step, middle) for step in steps]
    if any(value is None for value in values):
        return None
    return np.array(
        [[relative_difference(a, b) for b in values] for a in values]  # type: ignore[arg-type]
    )


def order_p(distances: Real, *, seed: int = 0, draws: int = DRAWS) -> float | None:
    """Return the part of all orders of the steps whose path is no longer than that of their own order.

    An exact permutation test up to 8 steps; beyond, ``draws`` seeded orders, ``(1 + as short)/(1 + draws)``. None
    below 5 steps, where it cannot tell. Small: neighbours in depth are alike.
    """
    n = len(distances)
    if n < LEAST:
        return None
    own = _length(distances, np.arange(n))
    limit = own * (1 + 1e-12)
    if n <= EXACT:
        lengths = [_length(distances, np.array(order)) for order in permutations(range(n))]
        return sum(length <= limit for length in lengths) / len(lengths)
    random = np.random.default_rng(seed)
    shorter = sum(_length(distances, random.permutation(n)) <= limit for _ in range(draws))
    return (1 + shorter) / (1 + draws)


def _length(distances: Real, order: NDArray[np.int_]) -> float:
    return float(distances[order[:-1], order[1:]].sum())
