"""Blocks of transformers: what running flat brings, in training and at inference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, timed
from schemegen.network.transformer import Attention, Encoder, Feedforward
from schemegen.sources import zoo_file

__all__ = ["encoders"]

LOOP = "loop by hand"
NETWORK = """
network n {{
  input: shape [3, {size}, {size}], classes 10
  block preact: {block}
  stem: patch(2), positions, width {width}
  stage: width {width}, steps {steps}
  head: layernorm, avgpool, linear
}}"""
BLOCKS: dict[str, type[Attention | Encoder | Feedforward]] = {
    "attention": Attention, "feedforward": Feedforward, "encoder": Encoder,
}  # fmt: skip


def encoders(report: Report, options: Options, by_hand: Callable[..., nn.Module]) -> None:
    """Time steps of Euler's method; ``by_hand(scheme, network, block, steps)`` returns the loop beside them."""
    width, size, steps, batch = (8, 4, 2, 2) if options.quick else (64, 16, 6, 16)
    table = report.table(
        f"Training and inference of {steps} steps of transformer blocks, {width} wide, "
        f"{(size // 2) ** 2} places, batch {batch}",
        "block", "training, as emitted", "training, optimize", "inference, optimize",
        'inference, mode="inference"',
    )  # fmt: skip
    for block, kind in BLOCKS.items():
        text = zoo_file("euler").read_text(encoding="utf-8")
        text += NETWORK.format(block=block, width=width, size=size, steps=steps)
        own = schemegen.build(text).to(options.device)
        loop = by_hand("euler", own, partial(kind, width, width), steps).to(options.device)
        fast = schemegen.optimize(own)
        x = torch.randn(batch, 3, size, size, device=options.device)
        named: dict[str, nn.Module] = {LOOP: loop, "as emitted": own, "optimize": fast}
        runs = {n: timed(c, list(c.parameters()), x, True) for n, c in named.items()}
        training = ratios(interleaved(runs, options.number(25)), LOOP)
        for module in named.values():
            module.eval()
        named["frozen"] = schemegen.optimize(own, mode="inference")
        runs = {n: timed(c, [], x, False) for n, c in named.items() if n != "as emitted"}
        frozen = ratios(interleaved(runs, options.number(25)), LOOP)
        cells = training["as emitted"], training["optimize"], frozen["optimize"], frozen["frozen"]
        table.rows.append([block, *cells])
