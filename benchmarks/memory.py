"""Memory and recomputation of the backward pass: ``python benchmarks/memory.py [--json OUT] [--quick]``.

1. Peak of a training step by depth: stored, binomial checkpoints, backwards; the last is flat.
2. Steps run again by binomial checkpointing, counted in the blocks, beside the published optimum.
3. Expected and measured peaks for memory budgets.

Peaks are bytes of tensors (``schemegen.network.memory``) without parameters and their gradients, which grow with
depth in any plan; on an accelerator the allocator's own peak is printed as well, with everything in it.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch
from torch import nn

import schemegen
from schemegen.backends.binomial import fewest
from schemegen.network.memory import MIB, size_of, training_step
from schemegen.pipeline import load
from schemegen.sources import zoo_file

NETWORK = """network n {{
  input: shape [3, 32, 32], classes 10
  stem: conv(3), width {width}
  stage: width {width}, steps {steps}
  head: bn, relu, avgpool, linear
}}
"""
REVERSIBLE = ("revnet", "leapfrog", "momentum_net", "stoermer_verlet")


def network(scheme: str, steps: int, width: int, how: str) -> nn.Module:
    """Return the network of a scheme of the zoo with one stage of equal steps."""
    text = zoo_file(scheme).read_text(encoding="utf-8") + "\n"
    text += NETWORK.format(steps=steps, width=width)
    return schemegen.build(load(text, scheme), backprop=how)


def activations(module: nn.Module, batch: int) -> float:
    """Return the peak of a training step in MiB, without parameters, buffers and gradients of parameters."""
    x = torch.randn(batch, 3, 32, 32)
    fixed = size_of([*module.parameters(), *module.buffers()]) + size_of(module.parameters())
    return (training_step(module, x) - fixed) / MIB


def allocated(module: nn.Module, batch: int) -> float | None:
    """Return the allocator's peak of a training step in MiB, None without an accelerator."""
    if not torch.cuda.is_available():
        return None
    module = module.cuda()
    x = torch.randn(batch, 3, 32, 32, device="cuda")
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        gradients = torch.autograd.grad(module(x).square().mean(), list(module.parameters()))
        del gradients
    peak = torch.cuda.max_memory_allocated() / MIB
    module.cpu()
    return peak


def by_depth(depths: list[int], width: int, batch: int) -> list[dict[str, Any]]:
    rows = []
    plans = [("resnet", "store"), ("resnet", "checkpoint=4"), ("revnet", "store")]
    for scheme, how in [*plans, *((name, "reversible=9/10") for name in REVERSIBLE)]:
        peaks = [activations(network(scheme, depth, width, how), batch) for depth in depths]
        row = {"scheme": scheme, "plan": how, "depths": depths, "peaks": peaks}
        row["growth"] = max(peaks) / min(peaks) - 1
        rows.append(row)
        shown = "  ".join(f"{peak:8.2f}" for peak in peaks)
        print(f"{scheme:<16}{how:<18}{shown}   {100 * row['growth']:8.1f} %")
    return rows


def repeated(steps: int, kept: int) -> dict[str, int]:
    """Return how often blocks were called beyond once, and the optimum."""
    module = network("resnet", steps, 4, f"checkpoint={kept}")
    calls: list[int] = []
    for name, block in module.named_modules():
        if name.endswith(".f"):
            block.register_forward_hook(lambda _module, _given, _result: calls.append(1))
    module(torch.randn(1, 3, 32, 32)).sum().backward()
    return {
        "steps": steps,
        "kept": kept,
        "again": len(calls) - steps,
        "optimum": fewest(steps, kept),
    }


def budgets(sizes: list[float], batch: int, steps: int, width: int) -> list[dict[str, Any]]:
    rows = []
    for scheme in ("resnet", "revnet", "lm_resnet"):
        for size in sizes:
            try:
                module = network(scheme, steps, width, f"memory={size},batch={batch}")
            except schemegen.SchemeError as error:
                print(f"{scheme:<16}{size:8g}   {error.diagnostics[0].help}")
                continue
            facts = module.meta["backprop"]
            measured = training_step(module, torch.randn(batch, 3, 32, 32)) / MIB
            row = {"scheme": scheme, "budget": size, **facts, "measured": measured}
            row["allocated"] = allocated(module, batch)
            rows.append(row)
            more = "" if row["allocated"] is None else f"   allocator {row['allocated']:8.1f}"
            print(
                f"{scheme:<16}{size:8g}   {facts['method']:<12}{facts['expected_peak']:8.1f}"
                f"{measured:8.1f}   {facts['run_again']:4d} again{more}"
            )
    return rows


def main() -> None:
    new = argparse.ArgumentParser(description="Memory and recomputation of the backward pass.")
    new.add_argument("--width", type=int, default=16)
    new.add_argument("--batch", type=int, default=16)
    new.add_argument("--json", type=Path)
    new.add_argument("--quick", action="store_true", help="small: does it run?")
    given = new.parse_args()
    depths = [3, 6] if given.quick else [10, 50, 100, 200]
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    print(f"torch {torch.__version__}, {where}, Python {platform.python_version()}")
    print(f"\nActivations in MiB, batch {given.batch}, width {given.width}, by depth {depths}")
    found: dict[str, Any] = {"depth": by_depth(depths, given.width, given.batch)}
    print("\nSteps run again with K carries kept")
    found["again"] = []
    for steps, kept in [(4, 2)] if given.quick else [(10, 1), (10, 3), (50, 3), (50, 8), (200, 5)]:
        row = repeated(steps, kept)
        found["again"].append(row)
        print(f"{steps:4d} steps, K = {kept}: {row['again']:5d}, optimum {row['optimum']:5d}")
    print("\nBudgets in MiB: expected and measured peaks")
    sizes = [2.0, 100.0] if given.quick else [15.0, 20.0, 30.0, 60.0, 200.0]
    found["budgets"] = budgets(sizes, given.batch, 4 if given.quick else 30, given.width)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
