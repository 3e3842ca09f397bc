"""What single calls cost on vectors: ``python -m benchmarks kernels``, where the numbers of
``schemegen/backends/costs.py`` come from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from benchmarks.harness import Options, Report, interleaved, setting, spread

QUESTION = "What does a call cost that rewrites exchange for another?"


def run(options: Options) -> Report:
    report = Report("kernels", QUESTION, setting(options))
    table = None
    for batch, width in ((2, 8),) if options.quick else ((1, 64), (64, 64), (64, 256), (512, 512)):
        runs = calls(batch, width, options.device)
        with torch.inference_mode():
            times = interleaved(runs, options.number(15))
        if table is None:
            table = report.table("Microseconds a call", "batch", "width", *times)
        micro = (spread([1e6 * item for item in values]) for values in times.values())
        table.rows.append([batch, width, *micro])
    return report


def calls(batch: int, width: int, device: str) -> dict[str, Callable[[], object]]:
    x, y = (torch.randn(batch, width, device=device) for _ in range(2))
    weight = torch.randn(width, width, device=device) / width
    bias = torch.randn(width, device=device)
    turned = weight.t().contiguous()
    return {
        "linear": lambda: F.linear(x, weight, bias),
        "addmm in place": lambda: y.addmm_(x, turned),
        "weight @ weight": lambda: torch.mm(weight, turned),
        "add": lambda: torch.add(x, y, alpha=0.5),
        "relu": lambda: torch.relu(x),
        "sigmoid": lambda: torch.sigmoid(x),
        "tanh": lambda: torch.tanh(x),
    }
