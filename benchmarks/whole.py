"""A ResNet of 20 layers as a whole, in training and at inference: ``python -m benchmarks whole``.

The loop by hand calls the same blocks, stem, projections and head; combinations are products and sums there.
"""

from __future__ import annotations

import copy

import torch

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, setting, timed
from benchmarks.literal import literal
from benchmarks.passes import COMPILED, DIRECT, FROZEN, LOOP, ONNX, compiled_forms, exported

QUESTION = "How fast is a ResNet of 20 layers, in training and at inference?"
SCHEMES = ("resnet", "lm_resnet", "rk2")


def run(options: Options) -> Report:
    report = Report("whole", QUESTION, setting(options))
    backbone, size = ("tiny", 8) if options.quick else ("cifar_resnet20", 32)
    table = report.table(
        f"{backbone}, stages of 16, 32 and 64 channels on images of {size} x {size}, over the loop by hand",
        "scheme", "batch", "training, as emitted", "training, optimize", "inference, optimize",
        f"inference, {FROZEN}", DIRECT, COMPILED, f"inference, {ONNX}",
    )  # fmt: skip
    for scheme in SCHEMES[:1] if options.quick else SCHEMES:
        for batch in (2,) if options.quick else (1, 16):
            own = schemegen.build(scheme, network=backbone).to(options.device)
            fast = schemegen.optimize(copy.deepcopy(own))
            channels = next(n.meta["shape"] for n in own.graph.nodes if n.op == "placeholder")[0]
            x = torch.randn(batch, channels, size, size, device=options.device)
            named = {LOOP: literal(own), "as emitted": own, "optimize": fast}
            learned = {
                name: list((fast if name == "optimize" else own).parameters()) for name in named
            }
            runs = {name: timed(call, learned[name], x, True) for name, call in named.items()}
            training = ratios(interleaved(runs, options.number(15)), LOOP)
            for module in (own, fast):
                module.eval()
            frozen = schemegen.optimize(own, mode="inference")
            calls = {LOOP: literal(own), "optimize": fast, FROZEN: frozen}
            calls[DIRECT], calls[COMPILED] = compiled_forms(frozen)
            with torch.no_grad():
                torch.testing.assert_close(calls[COMPILED](x), own(x), atol=1e-5, rtol=1e-5)
            runs = {name: timed(call, [], x, False) for name, call in calls.items()}
            export = exported(own, x)
            if not isinstance(export, str):
                runs[ONNX] = export
            inference = {ONNX: export, **ratios(interleaved(runs, options.number(15)), LOOP)}
            cells = [training["as emitted"], training["optimize"]]
            cells += [inference[name] for name in ("optimize", FROZEN, DIRECT, COMPILED, ONNX)]
            table.rows.append([scheme, batch, *cells])
    return report
