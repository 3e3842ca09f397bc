"""A run that is killed at any moment goes on to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from processes import finished, start

from schemegen.training.folder import BEST, LAST

EPOCHS = 6
FILES = (LAST, BEST, "metrics.jsonl", "run.json", "scheme.scheme", "network.scheme")


def work(folder: str, resume: str | None) -> None:
    """Train a network whose branches are dropped at random, with averaged weights, to the end."""
    import torch

    from schemegen.pipeline import emit, prepare
    from schemegen.selection import source_of
    from schemegen.training import Subject, recipe, train

    torch.set_num_threads(1)
    [unit] = prepare(source_of("stochastic_depth"), network="tiny")
    assert unit.network is not None
    subject = Subject(emit(unit, seed=0), unit.scheme, unit.network)
    config = recipe(
        "fake",
        epochs=EPOCHS,
        batch_size=64,
        output=Path(folder),
        resume=resume,
        model_ema=True,
        keep=2,
        device="cpu",
        progress=False,
    )
    train(subject, config)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """Return the files of a run that nobody disturbs, and how long it writes to its folder."""
    folder = tmp_path_factory.mktemp("unbroken")
    process = start(work, str(folder), None)
    while not (folder / "run.json").exists():
        time.sleep(0.001)
    began = time.monotonic()
    finished(process)
    return contents(folder), time.monotonic() - began


def epochs(folder: Path) -> int:
    """Return how many epochs are complete, -1 before the first file."""
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else -1


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "trial", [pytest.param(i, marks=[pytest.mark.slow] if i > 2 else []) for i in range(10)]
)
def test_a_killed_run_resumes_to_the_same_bytes(
    trial: int, unbroken: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    expected, seconds = unbroken
    assert set(FILES) <= set(expected)
    chance = random.Random(trial)
    process = start(work, str(tmp_path), None)
    wanted = chance.randrange(EPOCHS - 1)
    while epochs(tmp_path) < wanted:
        time.sleep(0.001)
    time.sleep(chance.random() * seconds / EPOCHS)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert epochs(tmp_path) < EPOCHS
    finished(start(work, str(tmp_path), "last"))
    assert contents(tmp_path) == expected
