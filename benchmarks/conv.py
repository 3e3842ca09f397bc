"""Convolutional stages in training, eager and compiled: ``python -m benchmarks conv``.

The loop by hand calls the same blocks and writes every combination as products and sums. "field alone" applies
the blocks as often and combines nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, setting
from benchmarks.literal import literal
from schemegen.sources import zoo_file

NETWORK = """network n {{
  input: shape [3, {size}, {size}], classes 10
  stem: conv(3), width {width}
  stage: width {width}, steps {steps}
  head: bn, relu, avgpool, linear
}}"""
QUESTION = "How fast is a training step of convolutional stages, eager and compiled?"
SCHEMES = ("euler", "rk4", "ab2", "lm_resnet")


def network(scheme: str, width: int, size: int, steps: int) -> fx.GraphModule:
    text = zoo_file(scheme).read_text(encoding="utf-8")
    found = schemegen.build(text + NETWORK.format(width=width, size=size, steps=steps))
    return found.train()


def alone(found: fx.GraphModule) -> nn.Module:
    """Return the blocks of a network in a row, between its stem and its head."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {}
    value: fx.Node | None = None
    for node in found.graph.nodes:
        stage = node.meta["custom"]["stage"]
        if node.op == "output":
            graph.output(value)
        elif stage in ("input", "stem", "head"):
            if stage == "head" and node.op == "call_module":
                value = graph.call_module(node.target, (value,))
            elif stage != "head":
                value = made[node] = graph.node_copy(node, made.__getitem__)
        elif node.op == "call_module":
            numbers = tuple(item for item in node.args[1:] if not isinstance(item, fx.Node))
            value = graph.call_module(node.target, (value, *numbers))
    return fx.GraphModule(found, graph).train()


def step(call: Callable[[Tensor], Tensor], network: nn.Module, x: Tensor, dtype: torch.dtype):
    def run() -> None:
        network.zero_grad()
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            loss = call(x).float().square().sum()
        loss.backward()

    return run


def run(options: Options) -> Report:
    report = Report("conv", QUESTION, setting(options))
    width, size, steps, batch = (4, 8, 2, 2) if options.quick else (16, 32, 6, 16)
    if options.device == "cuda":
        width, batch = 64, 128
    dtype = getattr(torch, options.dtype)
    shape = (batch, 3, size, size)
    title = (
        f"Forward and backward, {steps} steps of {width} channels, {size} x {size}, batch {batch}"
    )
    columns: list[str] | None = None
    for scheme in SCHEMES[:1] if options.quick else SCHEMES:
        torch._dynamo.reset()
        own = network(scheme, width, size, steps).to(options.device)
        x = torch.randn(shape, device=options.device)
        loop, field = literal(own), alone(own)
        last = torch.channels_last
        fast = schemegen.optimize(network(scheme, width, size, steps).to(options.device))
        wide = network(scheme, width, size, steps).to(options.device).to(memory_format=last)
        y = x.to(memory_format=last)
        more = {"backend": "eager"} if options.quick else {}
        runs = {
            "loop by hand": step(loop, own, x, dtype),
            "field alone": step(field, own, x, dtype),
            "schemegen": step(own, own, x, dtype),
            "optimize": step(fast, fast, x, dtype),
            "field alone, compiled": step(torch.compile(alone(wide), **more), wide, y, dtype),
            "compiled, channels last": step(
                torch.compile(wide, fullgraph=True, **more), wide, y, dtype
            ),
            "regions, channels last": step(schemegen.compile_network(wide, **more), wide, y, dtype),
        }
        times = interleaved(runs, options.number(31))
        found, compiled = ratios(times, "loop by hand"), ratios(times, "field alone, compiled")
        if columns is None:
            columns = list(found)
            first = report.table(f"{title}, over the loop by hand", "scheme", *columns)
            second = report.table(f"{title}, over the compiled field", "scheme", *columns[-2:])
        first.rows.append([scheme, *found.values()])
        second.rows.append([scheme, *(compiled[name] for name in columns[-2:])])
    return report
