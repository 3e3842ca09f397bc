"""The gradient of implicit steps in training: ``python -m benchmarks implicit``.

``gradient implicit`` solves one linear system a step in the backward pass, by GMRES, which may stop with the first
space that reaches the tolerance; the whole space has as many dimensions as the solver has iterations.
"""

from __future__ import annotations

import copy
import warnings
from unittest.mock import patch

import torch
from torch import Tensor

import schemegen
from benchmarks.conv import step
from benchmarks.harness import Options, Report, Run, interleaved, ratios, setting
from benchmarks.zoo import stages
from schemegen.network import solvers
from schemegen.network.solvers import Map, gmres

QUESTION = "What does the gradient of an implicit step cost?"
SCHEMES = ("backward_euler", "bdf2", "sdirk2", "tr_bdf2", "radau_iia3", "lobatto_iiic3")
WHOLE = "whole space"


def run(options: Options) -> Report:
    report = Report("implicit", QUESTION, setting(options))
    table = report.table(
        "Forward and backward of two small stages, over the whole space of each adjoint system",
        "scheme", "to the tolerance", "to the tolerance, optimize",
    )  # fmt: skip
    dtype = getattr(torch, options.dtype)
    x = torch.randn(16, 1, 8, 8, device=options.device)
    for scheme in SCHEMES[:1] if options.quick else SCHEMES:
        own = stages(scheme).to(options.device).train()
        fast = schemegen.optimize(copy.deepcopy(own))
        near = step(own, own, x, dtype)
        runs = {WHOLE: whole(near), "near": near, "fast": step(fast, fast, x, dtype)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # random weights may not converge
            cells = ratios(interleaved(runs, options.number(11), warmup=1), WHOLE)
        table.rows.append([scheme, cells["near"], cells["fast"]])
    return report


def whole(run: Run) -> Run:
    def to_the_end(apply: Map, right: Tensor, size: int, _enough: float | None = None) -> Tensor:
        return gmres(apply, right, size)

    def found() -> None:
        with patch.object(solvers, "gmres", to_the_end):
            run()

    return found
