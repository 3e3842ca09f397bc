"""Every scheme of the zoo in training beside its loop by hand: ``python -m benchmarks zoo``.

Two small stages of convolutions; the loop calls the same blocks and writes every combination as products and sums.
"""

from __future__ import annotations

import copy

import torch
from torch import fx

import schemegen
from benchmarks.conv import step
from benchmarks.harness import Options, Report, interleaved, ratios, seconds, setting
from benchmarks.literal import literal
from schemegen.diagnostics import SchemeError
from schemegen.scheme.fits import history
from schemegen.sources import zoo_file, zoo_names

SMALL = """network n {{
  input: shape [1, 8, 8], classes 10
  stem: conv(3), width 8
  stage: width 8, steps {steps}
  stage: width 16, steps {steps}, stride 2
  head: bn, relu, avgpool, linear
}}"""
LONG, SHORT = 0.05, 41
"""Seconds from which on a step is long, and the rounds of those that are not: such steps differ more in time."""
QUESTION = "How fast is a training step of each scheme of the zoo?"


def stages(scheme: str) -> fx.GraphModule:
    """Return a scheme of the zoo on two small stages that are long enough for its history."""
    steps = history(schemegen.load(scheme)) + 3
    text = zoo_file(scheme).read_text(encoding="utf-8") + SMALL.format(steps=steps)
    found = schemegen.build(text, "n")
    with torch.no_grad():  # so small that implicit steps converge
        for name, value in found.named_parameters():
            if name.startswith("stage") and name not in found.meta["coefficients"]:
                value.mul_(0.25)
    return found


def run(options: Options) -> Report:
    report = Report("zoo", QUESTION, setting(options))
    title = "Forward and backward of two small stages for every scheme of the zoo, over the loop by hand"
    table = report.table(title, "scheme", "schemegen", "optimize")
    dtype = getattr(torch, options.dtype)
    for scheme in ("rk4",) if options.quick else zoo_names():
        try:
            own = stages(scheme).to(options.device).train()
        except SchemeError as error:
            said = f"does not fit: {error.diagnostics[0].code}"
            table.rows.append([scheme, said, said])
            continue
        fast = schemegen.optimize(copy.deepcopy(own))  # which changes how its kernels lie in memory
        x = torch.randn(16, 1, 8, 8, device=options.device)
        runs = {
            "loop by hand": step(literal(own), own, x, dtype),
            "schemegen": step(own, own, x, dtype),
            "optimize": step(fast, fast, x, dtype),
        }
        usual = SHORT if seconds(runs["loop by hand"]) < LONG else 15
        cells = ratios(interleaved(runs, options.number(usual), warmup=1), "loop by hand")
        table.rows.append([scheme, cells["schemegen"], cells["optimize"]])
    return report
