"""How large each step's branch is beside the state it is added to: where a diverging network diverges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from schemegen.network.replay import Chain

__all__ = ["BranchRatio", "largest_branch_ratio"]


@dataclass(frozen=True, slots=True)
class BranchRatio:
    """``|u[n+1] - u[n]|/|u[n]|`` over a batch, at a step of a stage.

    Counted as in the names of the graph: stages from 1, steps from 0."""

    ratio: float
    stage: int
    step: int


def largest_branch_ratio(model: nn.Module, inputs: Tensor) -> BranchRatio | None:
    """Return the step with the largest ratio that is still finite, None where none can be told."""
    if not isinstance(model, fx.GraphModule):
        return None
    recorder = _StepOutputs(model)
    with torch.no_grad():
        recorder.run(inputs)
    found: list[BranchRatio] = []
    outputs = list(recorder.outputs.items())
    for (_, before), ((stage, step), after) in pairwise(outputs):
        if before.shape == after.shape:
            ratio = float((after - before).norm() / before.norm())
            if torch.isfinite(torch.tensor(ratio)):
                found.append(BranchRatio(ratio, stage, step))
    return max(found, key=lambda item: item.ratio, default=None)


class _StepOutputs(fx.Interpreter):
    """Runs a graph and keeps the last value that each step of each stage computes."""

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__(model)
        self.outputs: dict[tuple[int, int], Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        place = n.meta.get("custom", {})
        if isinstance(value, Tensor) and isinstance(place.get("step"), int):
            self.outputs[place["stage"], place["step"]] = value
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a chain step by step."""
        found = self.fetch_attr(str(target))
        if not isinstance(found, Chain):
            return super().call_module(target, args, kwargs)
        carry, owners = args
        for call in found.calls:
            form = found.forms[call.form]
            assert isinstance(form, fx.GraphModule)
            inner = _StepOutputs(form)
            carry = inner.run(*carry, *(owners[index] for index in call.owners))
            self.outputs[call.place] = list(inner.outputs.values())[-1]
        return carry
