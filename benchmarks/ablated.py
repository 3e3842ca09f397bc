"""What training takes without one of the passes of ``schemegen.optimize``, over all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import fx

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, timed

__all__ = ["training"]

ALL = "all"
PASSES: dict[str, Callable[..., object]] = {
    "reuse": lambda graph, kept=frozenset(): None,
    "side_by_side": lambda graph: frozenset(),
}
"""By the name of the pass, what stands in for it."""


def training(
    report: Report, options: Options, cases: list[tuple[str, str, fx.GraphModule, torch.Tensor]]
) -> None:
    """Time a step of training without in-place results, and without values side by side."""
    table = report.table(
        "Training with optimize, over all passes",
        "scheme", "field", "without in place", "without side by side",
    )  # fmt: skip
    for scheme, field, own, x in cases:
        runs = {}
        for name in (ALL, *PASSES):
            network = schemegen.optimize(copy.deepcopy(own))
            run = timed(network, list(network.parameters()), x, True)
            if name == ALL:
                run()
            else:
                with patch(f"schemegen.backends.adjoint.{name}", PASSES[name]):
                    run()  # the backward pass is written by the first call
            runs[name] = run
        found = ratios(interleaved(runs, options.number(15)), ALL)
        table.rows.append([scheme, field, *(found[name] for name in PASSES)])
