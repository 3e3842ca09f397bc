"""The plan for a memory budget: the cheapest of those that fit, as tried on tensors without values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from schemegen.backends.binomial import advances
from schemegen.backends.budget import Option, costs, options, plan_of
from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.folding import CHAIN
from schemegen.network.memory import MIB, training_step
from schemegen.network.replay import Chain, Plan, Reverse
from schemegen.network.rerun import Run
from schemegen.network.solvers import blind

__all__ = ["Trial", "fastest", "run_again"]


class Trial:
    """A network on the ``meta`` device, where a training step takes no memory and little time."""

    def __init__(self, module: SchemeNetwork, shape: tuple[int, ...], batch: int) -> None:
        self.module = copy.deepcopy(module).to("meta").train()
        some = next(item for item in self.module.parameters() if item.is_floating_point())
        self.x = torch.empty(batch, *shape, dtype=some.dtype, device="meta")

    @property
    def chain(self) -> Chain:
        found = self.module.get_submodule(CHAIN)
        assert isinstance(found, Chain)
        return found

    def peak(self, plan: Plan | None = None) -> int:
        """Return the bytes a training step holds at most, with ``plan`` in place of the chain's own."""
        if plan is not None:
            self.chain.plan = plan
        with blind(self.module):
            return training_step(self.module, self.x)

    def options(self) -> tuple[Option, ...]:
        """Return the ways to pull back through the chain that no other beats."""
        found: list[tuple[Any, ...]] = []
        hook = self.chain.register_forward_pre_hook(lambda _module, given: found.append(given))
        with torch.no_grad(), blind(self.module):
            self.module(self.x)
            hook.remove()
            carry, owners = found[0]
            run = Run(list(self.chain.forms), self.chain.calls, owners)
            return options(costs(run, tuple(Tensor.detach(item) for item in carry)))


def fastest(trial: Trial, budget: float) -> tuple[Plan | None, int]:
    """Return the plan with the fewest steps run again whose peak is within ``budget`` bytes, and that peak.

    None where no plan fits; the peak is then that of the plan with the least memory.
    """
    count = len(trial.chain.calls)
    known = trial.options()
    low, high = 0, len(known)
    plan = plan_of(known[0], 0, count)
    peak = trial.peak(plan)
    if peak > budget:
        return None, peak
    while high - low > 1:
        middle = (low + high) // 2
        there = plan_of(known[middle], 0, count)
        size = trial.peak(there)
        if size <= budget:
            low, plan, peak = middle, there, size
        else:
            high = middle
    return plan, peak


def run_again(plan: Plan) -> int:
    """Return how many steps a plan runs besides once with activations: again, or backwards."""
    undone = sum(item.stop - item.start for item in plan if isinstance(item, Reverse))
    return advances(plan) + undone


def mib(size: float) -> float:
    """Return bytes as MiB to three places."""
    return round(size / MIB, 3)


def facts(
    plan: Plan | None, peak: int, budget: float, batch: int, steps: Sequence[object]
) -> dict[str, Any]:
    """Return what is told of a plan that fits."""
    return {
        "method": "store" if plan is None else "checkpoint",
        "steps": len(steps),
        "run_again": 0 if plan is None else advances(plan),
        "expected_peak": mib(peak),
        "budget": mib(budget),
        "batch": batch,
    }
