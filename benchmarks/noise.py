"""What a training step costs with noise: ``python -m benchmarks noise``.

Each variant's forward and backward pass is timed beside that of the noise-free network on the same data,
one after the other in every round; the median of the rounds' ratios is printed with its quartiles.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, setting
from schemegen.scheme.builders import from_text

TEXT = """scheme noisy {{
  state u
  drift f(u): block preact
  {noise}
  step {{ u[n+1] = u[n] + h*{factor}*f(u[n]) }}
}}
network steps "Steps of one shape, between a stem and a head" {{
  input: shape [3, 32, 32], classes 10
  stem: conv(3), width 16
  stage: width 16, steps {steps}
  head: bn, relu, avgpool, linear
}}"""
VARIANTS = {
    "stochastic depth, p = 1/2, a draw a batch, kept": ("bernoulli(1/2), scope batch", "b"),
    "stochastic depth, p = 1/2, a draw a batch, masked": (
        "bernoulli(1/2), scope batch, compute all",
        "b",
    ),
    "stochastic depth, p = 1/2, a draw a sample, kept": ("bernoulli(1/2), scope sample", "b"),
    "stochastic depth, p = 1/2, a draw a sample, masked": (
        "bernoulli(1/2), scope sample, compute all",
        "b",
    ),
    "dropout of the branch, p = 1/2, a draw an element": ("bernoulli(1/2), scope element", "2*b"),
    "gaussian factor, a draw an element": ("gaussian(1/10), scope element", "(1 + b)"),
}


def step(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Return one training step without the optimiser, for which noise changes nothing."""

    def run() -> None:
        module.zero_grad()
        module(x).square().sum().backward()

    return run


QUESTION = "What does a training step cost with noise?"


def run(options: Options) -> Report:
    steps, batch = (2, 4) if options.quick else (18, 32)
    torch.manual_seed(0)
    variants = {"without noise": ("", "1")}
    variants |= {name: (f"noise b: {noise}", factor) for name, (noise, factor) in VARIANTS.items()}
    runs = {}
    x = torch.randn(batch, 3, 32, 32, device=options.device)
    for name, (noise, factor) in variants.items():
        scheme = from_text(TEXT.format(noise=noise, factor=factor, steps=steps))
        runs[name] = step(schemegen.build(scheme).to(options.device).train(), x)
    found = ratios(interleaved(runs, options.number(15), warmup=1), "without noise")
    report = Report("noise", QUESTION, setting(options))
    title = f"{steps} steps of 16 channels, 32 x 32, batch {batch}: forward and backward over the noise-free"
    table = report.table(title, "variant", "ratio")
    table.rows += [[name, found[name]] for name in VARIANTS]
    return report
