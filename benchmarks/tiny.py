"""A small field in eager mode, beside a loop by hand and the solver libraries: ``python -m benchmarks tiny``.

``torchdiffeq``, ``torchode``, ``jax`` and ``diffrax`` are timed where they are installed. Its ``rk4`` is the 3/8
rule in torchdiffeq, which costs the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import schemegen
from benchmarks.field import (
    SCHEMES,
    agree,
    alone,
    by_hand,
    by_torchdiffeq,
    by_torchode,
    network,
    torch_runs,
)
from benchmarks.harness import Options, Report, interleaved, ratios, setting

QUESTION = (
    "How fast is a small field in eager mode, beside a loop by hand and the solver libraries?"
)
LOOP, ALONE, OWN = "loop by hand", "field alone", "schemegen"


def run(options: Options) -> Report:
    width, steps = (8, 3) if options.quick else (64, 20)
    report = Report("tiny", QUESTION, setting(options, ("torchdiffeq", "torchode")))
    for backward in (False, True):
        what = "Forward and backward" if backward else "Forward"
        title = f"{what}: {steps} steps of a field of width {width}, over the loop by hand"
        table = None
        for scheme in ("euler", "ab2") if options.quick else SCHEMES:
            for batch in (2,) if options.quick else (1, 64):
                runs, said = contestants(scheme, steps, width, batch, backward, options)
                found = ratios(interleaved(runs, options.number(25)), LOOP)
                if table is None:
                    table = report.table(title, "scheme", "batch", *found, *said)
                table.rows.append(
                    [scheme, batch, *({**found, **said}[n] for n in table.columns[2:])]
                )
    return report


def contestants(
    scheme: str, steps: int, width: int, batch: int, backward: bool, options: Options
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return what is timed, and what is said of those who cannot be."""
    torch.manual_seed(0)
    own = network(scheme, steps, width).to(options.device)
    f = own.get_submodule("shared_f")
    x = torch.randn(batch, width, device=options.device) / 4
    calls = {LOOP: by_hand(scheme, f, steps), ALONE: alone(scheme, f, steps), OWN: own}
    with torch.no_grad():
        agree(own(x), calls[LOOP](x), scheme)
    calls["schemegen.optimize"] = schemegen.optimize(
        own.train(backward), mode="training" if backward else "inference"
    )
    calls["torchdiffeq"] = by_torchdiffeq(scheme, f, steps)
    calls["torchode"] = by_torchode(scheme, f, steps)
    parameters = list(f.parameters())
    made = {name: torch_runs(call, parameters, x, backward) for name, call in calls.items()}
    said = {name: item for name, item in made.items() if isinstance(item, str)}
    return {name: item for name, item in made.items() if not isinstance(item, str)}, said
