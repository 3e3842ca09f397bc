"""Memory and recomputation of the backward pass: ``python -m benchmarks memory``.

1. Peak of a training step by depth: stored, binomial checkpoints, backwards; the last is flat.
2. Steps run again by binomial checkpointing, counted in the blocks, beside the published optimum.
3. Expected and measured peaks for memory budgets.
4. Memory and time of reversible stacks beside memcnn, revlib and momentumnet.

Peaks are bytes of tensors (``schemegen.network.memory``) without parameters and their gradients, which grow with
depth in any plan; on an accelerator the allocator's own peak is printed as well, with everything in it.
"""

from __future__ import annotations

import torch
from torch import nn

import schemegen
from benchmarks.harness import Options, Report, Table, setting
from benchmarks.reversible import PEERS, beside_peers
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


def by_depth(table: Table, depths: list[int], width: int, batch: int) -> None:
    plans = [("resnet", "store"), ("resnet", "checkpoint=4"), ("revnet", "store")]
    for scheme, how in [*plans, *((name, "reversible=9/10") for name in REVERSIBLE)]:
        peaks = [activations(network(scheme, depth, width, how), batch) for depth in depths]
        growth = 100 * (max(peaks) / min(peaks) - 1)
        table.rows.append([scheme, how, *(round(peak, 2) for peak in peaks), f"{growth:.1f} %"])


def repeated(steps: int, kept: int) -> list[int]:
    """Return steps, carries kept, how often blocks were called beyond once, and the optimum."""
    module = network("resnet", steps, 4, f"checkpoint={kept}")
    calls: list[int] = []
    for name, block in module.named_modules():
        if name.endswith(".f"):
            block.register_forward_hook(lambda _module, _given, _result: calls.append(1))
    module(torch.randn(1, 3, 32, 32)).sum().backward()
    return [steps, kept, len(calls) - steps, fewest(steps, kept)]


def budgets(table: Table, sizes: list[float], batch: int, steps: int, width: int) -> None:
    for scheme in ("resnet", "revnet", "lm_resnet"):
        for size in sizes:
            try:
                module = network(scheme, steps, width, f"memory={size},batch={batch}")
            except schemegen.SchemeError as error:
                table.rows.append([scheme, size, error.diagnostics[0].help, *[None] * 4])
                continue
            facts = module.meta["backprop"]
            measured = training_step(module, torch.randn(batch, 3, 32, 32)) / MIB
            row = [scheme, size, facts["method"], facts["expected_peak"], round(measured, 2)]
            table.rows.append([*row, facts["run_again"], allocated(module, batch)])


QUESTION = "What do the plans of the backward pass keep, and what do they compute again?"


def run(options: Options) -> Report:
    width = batch = 4 if options.quick else 16
    report = Report("memory", QUESTION, setting(options, PEERS))
    depths = [3, 6] if options.quick else [10, 50, 100, 200]
    title = f"MiB of activations in a training step by depth, batch {batch}, {width} channels of 32 x 32"
    names = [f"{depth} steps" for depth in depths]
    by_depth(report.table(title, "scheme", "plan", *names, "growth"), depths, width, batch)
    table = report.table("Steps run again with K carries kept", "steps", "K", "again", "optimum")
    pairs = [(4, 2)] if options.quick else [(10, 1), (10, 3), (50, 3), (50, 8), (200, 5)]
    table.rows += [repeated(steps, kept) for steps, kept in pairs]
    steps = 4 if options.quick else 30
    columns = ("scheme", "budget", "plan", "expected", "measured", "again", "allocator")
    table = report.table(f"Peaks of {steps} steps in MiB under a budget", *columns)
    sizes = [2.0, 100.0] if options.quick else [15.0, 20.0, 30.0, 60.0, 200.0]
    budgets(table, sizes, batch, steps, width)
    beside_peers(report, options, NETWORK, width, batch)
    return report
