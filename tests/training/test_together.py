"""Two processes that train one network: what they compute, and how they end when one of them fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import finished, pair
from torch import Tensor

from schemegen.diagnostics import SchemeError, UsageError
from schemegen.pipeline import emit, prepare
from schemegen.resources import resource_dir
from schemegen.selection import source_of
from schemegen.training import Subject, read_checkpoint, recipe, train
from schemegen.training.folder import LAST

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)

# Sums over ranks are rounded in another order than those of one process, and training enlarges that.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def subject(scheme: str, backprop: str = "store") -> Subject:
    [unit] = prepare(source_of(scheme), network="tiny")
    assert unit.network is not None
    return Subject(emit(unit, seed=0, backprop=backprop), unit.scheme, unit.network)


def settings(folder: Path, **given: Any) -> Any:
    usual = {"epochs": 2, "batch_size": 32, "lr": 0.02, "device": "cpu", "progress": False}
    return recipe("fake", output=folder, **usual | given)


def weights(folder: Path) -> dict[str, Tensor]:
    return read_checkpoint(folder / LAST).model


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def alike(first: dict[str, Tensor], second: dict[str, Tensor], buffers: bool) -> None:
    """Compare two states; running statistics are left out where ``buffers`` is false."""
    for name, value in first.items():
        if buffers or not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(value, second[name], **CLOSE, msg=name)


def test_torchrun_with_synchronised_norms_is_one_process_with_the_joined_batch(
    tmp_path: Path,
) -> None:
    train(subject("lm_resnet"), settings(tmp_path / "one", batch_size=64))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(resource_dir("zoo") / "train.py"), "lm_resnet", "--network", "tiny", "--data", "fake",
        "--epochs", "2", "-b", "32", "--lr", "0.02", "--device", "cpu", "--sync-bn",
        "--backprop", "checkpoint=2", "-o", str(tmp_path / "two"),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()  # the main process alone speaks
    assert line.startswith("test accuracy ")
    for one, two in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=2e-2)
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
    alike(weights(tmp_path / "one"), weights(tmp_path / "two"), buffers=True)
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["processes"] == 2
    assert record["config"]["sync_bn"]


def several(rank: int, folder: str) -> None:
    """Train one network after another on both ranks; each rank writes what it ended with."""
    torch.set_num_threads(1)
    runs: dict[str, tuple[str, str, dict[str, Any]]] = {
        "plain": ("lm_resnet", "checkpoint=2", {}),
        "sharded": ("lm_resnet", "store", {"fsdp": True, "clip_grad": 1e6}),
        "dropped": ("stochastic_depth", "store", {}),
        "dropped_synced": ("stochastic_depth", "store", {"sync_bn": True}),
        "averaged": (
            "dropout",
            "store",
            {"model_ema": True, "grad_accum_steps": 2, "opt": "adamw"},
        ),
    }
    for name, (scheme, backprop, given) in runs.items():
        own = subject(scheme, backprop)
        result = train(own, settings(Path(folder) / name, **given))
        state = {
            key: value.full_tensor() if hasattr(value, "full_tensor") else value.detach()
            for key, value in own.model.state_dict().items()
        }
        ended = {"state": state, "history": [vars_of(item) for item in result.history]}
        torch.save(ended, Path(folder) / f"{name}.{rank}.pt")
    steady: dict[str, Any] = {"sched": "constant", "warmup_epochs": 0}
    for epochs, resume in ((1, None), (2, "last")):
        again = settings(Path(folder) / "resumed", epochs=epochs, resume=resume, **steady)
        train(subject("dropout"), again)
    train(subject("dropout"), settings(Path(folder) / "whole", **steady))
    with pytest.raises(SchemeError) as caught:
        train(subject("resnet"), settings(Path(folder) / "nan", lr=1e30, warmup_epochs=0))
    [diagnostic] = caught.value.diagnostics
    told = getattr(caught.value, "told", False)
    (Path(folder) / f"nan.{rank}").write_text(f"{diagnostic.code} {told} {diagnostic.message}")


def vars_of(item: Any) -> dict[str, float]:
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    finished(*pair(several, str(folder)))
    return folder


@pytest.mark.parametrize("name", ["plain", "sharded", "dropped", "dropped_synced", "averaged"])
def test_ranks_end_with_the_same_network_and_figures(name: str, runs: Path) -> None:
    first, second = (torch.load(runs / f"{name}.{rank}.pt", weights_only=True) for rank in range(2))
    assert first["history"] == second["history"]
    saved = weights(runs / name)
    for key, value in first["state"].items():
        assert torch.equal(value, second["state"][key]), key
        assert torch.equal(value, saved[key]), key


@pytest.mark.parametrize("name", ["plain", "sharded"])
def test_without_synchronised_norms_ranks_are_the_parts_of_an_accumulated_gradient(
    name: str, runs: Path, tmp_path: Path
) -> None:
    """Each rank normalises its own part, as each part is; only the running statistics are those of rank 0."""
    train(subject("lm_resnet"), settings(tmp_path, grad_accum_steps=2))
    for one, two in zip(metrics(tmp_path), metrics(runs / name), strict=True):
        for key in ("lr", "train_loss", "train_accuracy"):
            assert two[key] == pytest.approx(one[key], rel=1e-4), key
    alike(weights(tmp_path), weights(runs / name), buffers=False)


def test_every_rank_s_noise_goes_on_in_a_resumed_run(runs: Path) -> None:
    whole, resumed = (read_checkpoint(runs / name / LAST) for name in ("whole", "resumed"))
    assert {"random.0.torch", "random.1.torch"} <= whole.extra.keys()
    assert not torch.equal(whole.extra["random.0.torch"], whole.extra["random.1.torch"])
    for first, second in ((whole.model, resumed.model), (whole.extra, resumed.extra)):
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_loss_that_is_not_finite_ends_all_ranks_at_one_step_and_is_told_once(runs: Path) -> None:
    texts = [(runs / f"nan.{rank}").read_text().split(" ", 2) for rank in range(2)]
    assert [code for code, _, _ in texts] == ["E0804", "E0804"]
    assert texts[0][2].split(";")[0] == texts[1][2].split(";")[0]
    assert read_checkpoint(runs / "nan" / LAST).progress["history"] == []


def long(rank: int, folder: str, fails: str) -> None:
    """Train for long; rank 1 may lack its data. What ends a rank is written down."""
    torch.set_num_threads(1)
    if fails == "data" and rank == 1:
        from schemegen.training.images import Data

        def broken(*_given: Any, **_settings: Any) -> Any:
            raise UsageError("the image a.png cannot be read", code="E0803")

        Data.train_batches = broken  # type: ignore[method-assign]
    try:
        train(subject("resnet"), settings(Path(folder), epochs=10_000))
    except (UsageError, KeyboardInterrupt) as error:
        text = getattr(error, "message", "interrupted")
        (Path(folder) / f"ended.{rank}").write_text(text)


def wait_for(path: Path, lines: int = 1) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_rank_that_is_killed_ends_the_other_with_a_message(victim: int, tmp_path: Path) -> None:
    processes = pair(long, str(tmp_path), "no")
    wait_for(tmp_path / "metrics.jsonl")
    pid = processes[victim].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    processes[1 - victim].join(60)
    assert processes[1 - victim].exitcode == 0
    assert (tmp_path / f"ended.{1 - victim}").read_text().startswith("another rank ended")
    assert len(read_checkpoint(tmp_path / LAST).progress["history"]) >= 1


def test_the_message_of_a_rank_that_fails_reaches_the_other(tmp_path: Path) -> None:
    finished(*pair(long, str(tmp_path), "data"))
    said = "the image a.png cannot be read"
    assert (tmp_path / "ended.1").read_text() == said
    assert (tmp_path / "ended.0").read_text() == f"rank 1 ended: {said}"


def test_a_signal_to_one_rank_ends_both_after_the_same_step(tmp_path: Path) -> None:
    processes = pair(long, str(tmp_path), "no")
    wait_for(tmp_path / "metrics.jsonl")
    assert processes[1].pid is not None
    os.kill(processes[1].pid, signal.SIGTERM)
    finished(*processes)
    assert [(tmp_path / f"ended.{rank}").read_text() for rank in range(2)] == ["interrupted"] * 2
