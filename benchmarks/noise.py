"""What a training step costs with noise: ``python benchmarks/noise.py [--runs 15] [--json OUT] [--quick]``.

Each variant's forward and backward pass is timed beside that of the noise-free network on the same data,
one after the other in every round; the median of the rounds' ratios is printed with its quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

import schemegen
from schemegen.scheme.builders import from_text

TEXT = """scheme noisy {{
  state u
  drift f(u): block preact
  noise b: {noise}
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


def seconds(run: Callable[[], None]) -> float:
    start = perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def main() -> None:
    new = argparse.ArgumentParser(description="What a training step costs with noise.")
    new.add_argument("--runs", type=int, default=15)
    new.add_argument("--network", help="of the zoo; if not given, equal steps of one stage")
    new.add_argument("--steps", type=int, default=18)
    new.add_argument("--batch", type=int, default=32)
    new.add_argument("--json", type=Path)
    new.add_argument("--quick", action="store_true", help="one small round: does it run?")
    given = new.parse_args()
    if given.quick:
        given.runs, given.steps, given.batch = 1, 2, 4
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    variants = {"without noise": ("rademacher", "1"), **VARIANTS}
    modules = {}
    for name, (noise, factor) in variants.items():
        scheme = from_text(TEXT.format(noise=noise, factor=factor, steps=given.steps))
        modules[name] = schemegen.build(scheme, network=given.network).to(device).train()
    plain = modules["without noise"]
    node = next(node for node in plain.graph.nodes if node.op == "placeholder")
    x = torch.randn(given.batch, *node.meta["shape"], device=device)
    runs = {name: step(module, x) for name, module in modules.items()}
    for run in runs.values():
        run()
    rounds = [{name: seconds(run) for name, run in runs.items()} for _ in range(given.runs)]
    rows = []
    for name in VARIANTS:
        ratios = sorted(times[name] / times["without noise"] for times in rounds)
        quarter = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        rows.append({"variant": name, "ratio": quarter[1], "quartiles": [quarter[0], quarter[2]]})
    where = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    what = given.network or f"{given.steps} steps of 16 channels, 32 x 32"
    title = f"{what}, batch {given.batch}, torch {torch.__version__}, {where}"
    print(f"{title}, Python {platform.python_version()}, {torch.get_num_threads()} threads")
    for row in rows:
        low, high = row["quartiles"]
        print(f"{row['variant']:<52} {row['ratio']:6.2f}  ({low:.2f} to {high:.2f})")
    if given.json:
        given.json.write_text(json.dumps({"run": title, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
