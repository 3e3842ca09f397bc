"""What the vectors of a network cost on a processor, to choose between ways of computing the same.

Microseconds of one core, rounded from ``python -m benchmarks kernels``. What no rewrite exchanges is counted
roughly, so that only differences between two forms of one network mean something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.composing import composed, softened
from schemegen.backends.rewrites import interpolate, share
from schemegen.network.adjoint import weighted

__all__ = ["TYPICAL", "cheapest", "cost", "forms"]

CALL = 1.5
PRODUCT = 1 / 40_000
"""A multiplication with its addition in a product of matrices, forward; backward there are two such products."""
NUMBER = 3e-4
"""A number that a sum, a product or a sigmoid gives."""
SLOW = 9
"""How many times as long a tanh takes."""
COLD = 2
"""How many times as long a call takes that reads and writes weights, which no call before has brought near."""
TYPICAL = 16
"""The batch for which code is written that serves every batch."""
WORTH = 0.85
"""A form is taken where it costs less than this share of the form as written, in every call."""


def cost(graph: fx.Graph, batch: int, *, weights: bool = True) -> float:
    """Return what the vectors of a graph cost for a batch, and what is computed of ``weights`` alone."""
    calls = [node for node in graph.nodes if node.op == "call_function"]
    own = [node for node in calls if "own" in node.meta]
    vectors = sum(of(node, batch) for node in calls if "own" not in node.meta)
    return vectors + weights * COLD * sum(of(node, batch) for node in own)


def of(node: fx.Node, batch: int) -> float:
    own, shape = node.meta.get("own"), node.meta.get("shape")
    size = math.prod(own) if own is not None else batch * math.prod(shape or ())
    if node.target in (torch.mm, torch.mv, F.linear):
        weight = node.args[0] if node.target is not F.linear else node.args[1]
        inner = weight.meta["own"][-1] if "own" in weight.meta else 0  # type: ignore[union-attr]
        return CALL + size * (inner * PRODUCT + NUMBER)
    if node.target is weighted:
        return len(node.args[0]) * (CALL / 4 + size * NUMBER)  # type: ignore[arg-type]
    return CALL + size * NUMBER * (SLOW if node.target is torch.tanh else 1)


def forms(graph: fx.Graph) -> list[fx.Graph]:
    """Rewrite a graph in place and return every way to compute it, itself first."""
    interpolate(graph)
    share(graph)
    found = [graph]
    for change in (softened, composed):
        found += [new for old in found if (new := change(old)) is not None]
    return found


def cheapest(every: Sequence[fx.Graph], batch: int, *, weights: bool = True) -> int:
    """Return the place of the form that costs least for a batch."""
    costs = [cost(graph, batch, weights=weights) for graph in every]
    least = min(costs)
    return costs.index(least) if least < (WORTH if weights else 1) * costs[0] else 0
