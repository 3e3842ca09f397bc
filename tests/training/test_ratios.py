"""Where a network diverges: the step whose branch is largest beside its state."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from schemegen.training.ratios import BranchRatio, largest_branch_ratio


def network(*gains: float) -> fx.GraphModule:
    """``u + gain u`` a step, each node marked with its place as generated graphs are."""
    graph = fx.Graph()
    u: Any = graph.placeholder("x")
    for index, gain in enumerate([0.0, *gains]):
        branch = graph.call_function(torch.mul, (u, gain))
        u = graph.call_function(torch.add, (u, branch))
        for node in (branch, u):
            node.meta["custom"] = {"stage": 1, "step": index}
    graph.output(u)
    return fx.GraphModule(nn.Module(), graph)


def test_the_largest_ratio_is_found() -> None:
    found = largest_branch_ratio(network(0.5, 30.0, 2.0), torch.ones(2, 3))
    assert found == BranchRatio(30.0, 1, 2)


def test_a_ratio_that_is_not_finite_does_not_count() -> None:
    found = largest_branch_ratio(network(3.0, float("inf"), 1.0), torch.ones(2, 3))
    assert found == BranchRatio(3.0, 1, 1)


def test_a_network_without_places_tells_nothing() -> None:
    assert largest_branch_ratio(nn.Linear(2, 2), torch.ones(1, 2)) is None
    assert largest_branch_ratio(network(), torch.ones(2, 3)) is None
