"""Networks of full size beside the same ones by hand.

``python -m benchmarks fullsize --device cuda --dtype bfloat16``: ResNet-110 on 32 x 32 images and ResNet-50 on
224 x 224, as Euler steps, with classical Runge-Kutta and as linear multistep network: time of a training step
and the allocator's peak, over a network that calls the same blocks and writes every combination as products and
sums; the Euler ResNet-50 beside torchvision's too. Channels last; compiled by regions beside the whole network by
hand compiled, and both with CUDA graphs (``mode="reduce-overhead"``).
On a processor the sizes are small, to see that all of it runs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn

import schemegen
from benchmarks.conv import step
from benchmarks.harness import Options, Report, interleaved, ratios, setting
from benchmarks.literal import literal
from schemegen.network.memory import MIB, training_step
from schemegen.sources import zoo_file

QUESTION = "How do networks of full size compare with the same ones by hand?"
CIFAR, IMAGENET = "cifar_resnet110", "imagenet_resnet50"
SMALL = """network n {
  input: shape [3, 16, 16], classes 10
  stem: conv(3), width 8
  stage: width 8, steps 2
  stage: width 16, steps 2, stride 2
  head: bn, relu, avgpool, linear
}"""
# ResNet-50 has bottlenecks in stages of 3, 4, 6 and 3 steps behind a stem of stride 4.
RESNET50 = """network n {
  input: shape [3, 224, 224], classes 1000
  block preact: bottleneck
  stem: conv(7, 2), bn, relu, maxpool(3, 2), width 256
  stage: width 256, steps 3
  stage: width 512, steps 4, stride 2
  stage: width 1024, steps 6, stride 2
  stage: width 2048, steps 3, stride 2
  head: bn, relu, avgpool, linear
}"""


def networks(options: Options) -> dict[str, tuple[Callable[[], fx.GraphModule], int]]:
    """Return the networks by name, each with its batch size."""
    found = {}
    for scheme in ("resnet", "rk4", "lm_resnet"):
        text = zoo_file(scheme).read_text(encoding="utf-8")
        if options.device == "cpu":
            found[f"{scheme}, small"] = (lambda text=text: schemegen.build(text + SMALL), 4)
            continue
        found[f"{scheme}, {CIFAR}"] = (lambda s=scheme: schemegen.build(s, network=CIFAR), 128)
        found[f"{scheme}, ResNet-50"] = (lambda text=text: schemegen.build(text + RESNET50), 64)
    return found


def peak(run: Callable[[], None], module: nn.Module, x: torch.Tensor) -> float:
    """Return the peak of a training step in MiB: the allocator's, or that of tensors on a processor."""
    if x.device.type == "cpu":
        return training_step(module, x) / MIB
    run()
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() / MIB


def run(options: Options) -> Report:
    report = Report("fullsize", QUESTION, setting(options, ("torchvision",)))
    dtype = getattr(torch, options.dtype)
    columns = ("eager", "peak, eager", "by regions", "CUDA graphs", "torchvision, eager")
    title = "A training step: time of schemegen over the network by hand (or torchvision's), peak over peak"
    table = report.table(title, "network", "batch", *columns)
    for name, (make, batch) in networks(options).items():
        torch._dynamo.reset()
        last = torch.channels_last
        own = make().to(options.device).to(memory_format=last).train()
        shape = next(node for node in own.graph.nodes if node.op == "placeholder").meta["shape"]
        x = torch.randn(batch, *shape, device=options.device).to(memory_format=last)
        hand = literal(own)
        modules = {"own": own, "hand": hand}
        runs = {key: step(module, own, x, dtype) for key, module in modules.items()}
        peaks = {key: peak(runs[key], module, x) for key, module in modules.items()}
        more = {"backend": "eager"} if options.quick else {}
        runs["regions"] = step(schemegen.compile_network(own, **more), own, x, dtype)
        runs["compiled hand"] = step(torch.compile(hand, **more), own, x, dtype)
        if options.device == "cuda":
            fast = {"mode": "reduce-overhead"}
            runs["graphs"] = step(schemegen.compile_network(own, **fast), own, x, dtype)
            runs["graphs hand"] = step(torch.compile(hand, **fast), own, x, dtype)
        if name == "resnet, ResNet-50":
            from torchvision.models import resnet50

            other = resnet50().to(options.device).to(memory_format=last).train()
            runs["torchvision"] = step(other, other, x, dtype)
        times = interleaved(runs, options.number(15), warmup=3)
        pairs = (("own", "hand"), ("regions", "compiled hand"), ("graphs", "graphs hand"))
        cells: list[object] = [
            ratios(times, base)[key] if key in times else None
            for key, base in (*pairs, ("own", "torchvision"))
            if (key in times and base in times) or base != "torchvision"
        ]
        with_peers = cells if "torchvision" in times else [*cells, None]
        ratio = round(peaks["own"] / peaks["hand"], 3)
        table.rows.append([name, batch, with_peers[0], ratio, *with_peers[1:]])
    return report
