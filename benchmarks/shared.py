"""One set of weights for all steps, compiled, beside JAX: ``python -m benchmarks shared``.

"unrolled" is ``torch.compile`` of the generated network, "field alone" of the field applied as often; "optimize"
is not compiled. What is compiled uses inductor's C++ wrapper on a processor, where calls from Python are what a
small step costs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import schemegen
from benchmarks.field import (
    agree,
    alone,
    by_hand,
    diffrax_solve,
    jax_field,
    jax_runs,
    jax_scan,
    network,
    torch_runs,
)
from benchmarks.harness import (
    Options,
    Report,
    interleaved,
    missing,
    one_core,
    ratios,
    setting,
    spread,
)

QUESTION = "How fast is a small field with shared weights when compiled, beside JAX?"
HAND, ALONE, UNROLLED = "eager loop by hand", "field alone", "unrolled"
PARTS, FAST, FROZEN = "compile_network", "optimize", "inference, compiled"
JAX = "JAX scan"
EMPTY = "sum of weights, compiled"
"""What a compiled call costs, and its gradient to the same weights, before it computes anything."""


def run(options: Options) -> Report:
    with one_core():
        return on_one_core(options)


def on_one_core(options: Options) -> Report:
    report = Report("shared", QUESTION, setting(options, ("jax", "diffrax")))
    width, steps = (8, 3) if options.quick else (64, 20)
    for backward in (False, True):
        what = "Forward and backward" if backward else "Forward"
        table = beside = None
        for scheme in ("euler",) if options.quick else ("euler", "midpoint", "rk4", "ab2", "lm"):
            for batch in (2,) if options.quick else (1, 64):
                torch.manual_seed(0)
                runs, said = contestants(scheme, steps, width, batch, backward, options)
                times = interleaved(runs, options.number(25))
                found = ratios(times, ALONE)
                micro = spread([1e6 * item for item in times[ALONE]])
                if table is None:
                    title = f"{what}, {steps} steps of a field of width {width}, over the compiled field alone"
                    table = report.table(title, "scheme", "batch", "alone in us", *found, *said)
                cells = (({**found, **said})[name] for name in table.columns[3:])
                table.rows.append([scheme, batch, micro, *cells])
                if JAX in times:
                    scan = ratios(times, JAX)
                    names = [name for name in (PARTS, FAST, FROZEN, EMPTY) if name in times]
                    if beside is None:
                        beside = report.table(
                            f"{what}, over the JAX scan", "scheme", "batch", *names
                        )
                    beside.rows.append([scheme, batch, *(scan[name] for name in names)])
    return report


def contestants(
    scheme: str, steps: int, width: int, batch: int, backward: bool, options: Options
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return what is timed, and what is said of those who cannot be."""
    torch._dynamo.reset()
    own = network(scheme, steps, width).to(options.device)
    f = own.get_submodule("shared_f")
    x = torch.randn(batch, width, device=options.device) / 4
    on_cpu = options.device == "cpu" and not options.quick
    more = {"backend": "eager"} if options.quick else {}
    more |= {"options": {"cpp_wrapper": True}} if on_cpu else {}
    hand = by_hand(scheme, f, steps)
    single = alone(scheme, f, steps)
    calls = {
        HAND: hand,
        ALONE: torch.compile(single, fullgraph=True, **more),
        UNROLLED: torch.compile(own, fullgraph=True, **more),
        PARTS: schemegen.compile_network(own, **more),
        FAST: schemegen.optimize(own),
    }
    if not backward:
        frozen = schemegen.optimize(own, mode="inference")
        calls[FAST] = frozen
        calls[FROZEN] = torch.compile(frozen, fullgraph=True, **more)
    with torch.no_grad():
        for name in list(calls)[2:]:
            agree(calls[name](x), hand(x), name)
    calls[EMPTY] = torch.compile(empty(f), fullgraph=True, **more)
    parameters = list(f.parameters())
    made = {name: torch_runs(call, parameters, x, backward) for name, call in calls.items()}
    absent = missing("jax")
    if absent is None:
        weights, field = jax_field(f)
        made[JAX] = jax_runs(jax_scan(scheme, steps, field), weights, x, backward)
        made["diffrax"] = jax_runs(diffrax_solve(scheme, steps, field), weights, x, backward)
    else:
        made |= {JAX: absent, "diffrax": absent}
    said = {name: item for name, item in made.items() if isinstance(item, str)}
    return {name: item for name, item in made.items() if not isinstance(item, str)}, said


def empty(f: nn.Module) -> Callable[[Tensor], Tensor]:
    weights = list(f.parameters())

    def run(u: Tensor) -> Tensor:
        for weight in weights:
            u = u + (weight[0] if weight.dim() > 1 else weight)
        return u

    return run
