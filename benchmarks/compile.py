"""How long the first call of a compiled network takes by depth: ``python -m benchmarks compile``.

Each network is compiled in a fresh process with the compiler's caches off; the time is that of the first training
step, forward and backward. "regions" is ``schemegen.compile_network``, "whole" is ``torch.compile`` of the
network as one graph. Whole networks of more than 20 layers are left out unless ``--rounds`` asks for them, since
one takes many minutes.
"""

from __future__ import annotations

import os
import sys

from benchmarks.harness import Options, Report, fresh, setting

CODE = """
import resource
from time import perf_counter
import torch
torch.set_num_threads(1)
import schemegen
from torch._dynamo.utils import counters
network = schemegen.build({scheme!r}, network={network!r}).to({device!r}).train()
node = next(node for node in network.graph.nodes if node.op == "placeholder")
x = torch.randn({batch}, *node.meta["shape"], device={device!r})
if {how!r} == "regions":
    call = schemegen.compile_network(network, backend={backend!r})
else:
    call = torch.compile(network, fullgraph=True, backend={backend!r})
start = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
clock = perf_counter()
call(x).sum().backward()
clock = perf_counter() - clock
end = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
used = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(start, end))
print(clock, used, counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))
"""
QUESTION = "How long does the first call of a compiled network take, and does it grow with depth?"
NETWORKS = ("cifar_resnet20", "cifar_resnet110")


def run(options: Options) -> Report:
    report = Report("compile", QUESTION, setting(options))
    columns = ("scheme", "network", "how", "seconds", "of the processor", "graphs", "breaks")
    table = report.table("First training step", *columns, "over 20 layers")
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    networks = ("tiny",) if options.quick else NETWORKS
    for scheme in ("resnet",) if options.quick else ("resnet", "lm_resnet"):
        for how in ("regions", "whole"):
            first: float | None = None
            for network in networks:
                if how == "whole" and network != networks[0] and not options.rounds:
                    continue
                backend = "eager" if options.quick else "inductor"
                values = {"scheme": scheme, "network": network, "how": how, "backend": backend}
                code = CODE.format(**values, device=options.device, batch=4)
                words = fresh(sys.executable, code, 3600.0)
                if isinstance(words, str):
                    table.rows.append([scheme, network, how, words, *[None] * 4])
                    continue
                clock, used = float(words[0]), float(words[1])
                first = first or used
                row = [scheme, network, how, clock, used, int(words[2]), int(words[3])]
                table.rows.append([*row, used / first])
    return report
