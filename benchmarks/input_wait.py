"""How much of a training step goes by waiting for its batch: ``python -m benchmarks input_wait``.

A few epochs are trained as ``schemegen train`` does it, shuffled and augmented, and the time that the loop waits
for batches is divided by the time of its steps; the first epoch is left out.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Options, Report, setting, spread

QUESTION = "How much of a training step goes by waiting for its batch?"
LIMIT = 0.05
CASES = {"digits": ("digits", 64), "glyphs": ("cifar", 128)}  # network, images of a step
STEPS = 10


def run(options: Options) -> Report:
    report = Report("input_wait", QUESTION, setting(options, ("torchvision",)))
    table = report.table("Part of the steps' time", "data", "network", "batch", "limit", "waited")
    rounds = options.number(3)
    with tempfile.TemporaryDirectory() as folder:
        for data, (network, size) in CASES.items():
            shares = [waited(data, network, size, folder, options) for _ in range(rounds)]
            table.rows.append([data, network, size, LIMIT, spread(shares)])
    return report


def waited(name: str, network: str, size: int, folder: str, options: Options) -> float:
    """Return the share of one run of three epochs."""
    from schemegen.pipeline import emit, prepare
    from schemegen.selection import source_of
    from schemegen.training import Data, Subject, load_data, recipe, train
    from schemegen.training.datasets.glyphs import glyphs

    [unit] = prepare(source_of("rk2"), network=network)
    assert unit.network is not None
    config = recipe(
        name,
        epochs=2 if options.quick else 3,
        batch_size=size,
        device=options.device,
        amp=options.dtype == "bfloat16",
        progress=False,
    )
    some = size * (2 if options.quick else STEPS)
    if name == "glyphs":
        data = glyphs(name, Path(folder), train=some, test=size)
    else:
        found = load_data(name, Path(folder), unit.network)
        assert isinstance(found, Data)
        data = found
    few = replace(
        data,
        train_images=data.train_images[:some],
        train_labels=data.train_labels[:some],
        test_images=data.test_images[:size],
        test_labels=data.test_labels[:size],
    )
    subject = Subject(emit(unit, seed=0), unit.scheme, unit.network)
    return train(subject, config, few).input_wait
