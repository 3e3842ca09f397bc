"""What the settings of a run do: averages, accumulation, optimisers, kept checkpoints, logs, repeating."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from schemegen.diagnostics import UsageError
from schemegen.training import (
    evaluate,
    evaluate_checkpoint,
    load_data,
    read_checkpoint,
    recipe,
    train,
)
from schemegen.training.config import OPTIMIZERS, SCHEDULES
from schemegen.training.folder import BEST, LAST, Folder
from schemegen.training.metrics import EpochMetrics
from schemegen.training.optimizer import Average, optimizer, rate


def config(folder: Path | None = None, **given: Any) -> Any:
    usual = {"epochs": 2, "device": "cpu", "progress": False, "output": folder}
    return recipe("digits", **usual | given)


def plain(make_subject: Any) -> Any:
    """A network without noise and batch statistics, whose gradient is the mean over its images."""
    subject = make_subject()
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    return replace(subject, model=model)


def state(subject: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in subject.model.state_dict().items()}


@pytest.mark.parametrize("opt", OPTIMIZERS)
def test_every_optimiser_learns_and_resumes_to_the_same_bits(
    opt: str, make_subject: Any, tmp_path: Path
) -> None:
    given = {"opt": opt, "lr": 0.05 if opt in ("sgd", "nesterov") else 0.003}
    given |= {"sched": "constant", "warmup_epochs": 0, "model_ema": True, "model_ema_decay": 0.9}
    result = train(make_subject(), config(tmp_path / "whole", epochs=4, **given))
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert result.test_accuracy > 0.5
    train(make_subject(), config(tmp_path / "cut", **given))
    again = config(tmp_path / "cut", epochs=4, resume="last", **given)
    train(make_subject(seed=5), again)
    for name in (LAST, BEST, "metrics.jsonl", "run.json"):
        whole, cut = ((tmp_path / run / name).read_bytes() for run in ("whole", "cut"))
        assert whole == cut, name


def test_parts_of_a_step_add_up_to_the_whole_batch(make_subject: Any) -> None:
    results = []
    for size, parts in ((60, 1), (20, 3)):
        subject = plain(make_subject)
        result = train(subject, config(batch_size=size, grad_accum_steps=parts, clip_grad=0.5))
        results.append((state(subject), result.history))
    for key, value in results[0][0].items():
        torch.testing.assert_close(results[1][0][key], value, rtol=1e-4, atol=1e-5)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-5)


def test_a_clipped_gradient_takes_no_longer_step(make_subject: Any) -> None:
    subject = plain(make_subject)
    before = state(subject)
    given = {"momentum": 0.0, "weight_decay": 0.0, "warmup_epochs": 0, "sched": "constant"}
    train(subject, config(epochs=1, batch_size=1400, clip_grad=1e-3, lr=1.0, **given))
    moved = sum(
        float((value - before[key]).square().sum()) for key, value in state(subject).items()
    )
    assert moved**0.5 == pytest.approx(1e-3, rel=1e-3)


def test_an_average_follows_its_recurrence() -> None:
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.5)
    expected = 1.0
    for step, weight in enumerate((2.0, 3.0, 5.0, 8.0, 9.0, 1.0)):
        nn.init.constant_(model.weight, weight)
        model.num_batches_tracked.fill_(step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    with average.applied():
        assert model.weight.item() == pytest.approx(expected)
        assert model.num_batches_tracked.item() == 5
    assert model.weight.item() == 1.0


def test_the_averaged_network_is_the_one_that_is_tested_saved_and_left(
    make_subject: Any, tmp_path: Path
) -> None:
    subject = make_subject()
    result = train(subject, config(tmp_path, model_ema=True, model_ema_decay=0.9))
    data = load_data("digits", Path("data"), subject.network)
    assert evaluate(subject, data) == pytest.approx((result.test_loss, result.test_accuracy))
    checkpoint = read_checkpoint(tmp_path / LAST)
    assert torch.equal(checkpoint.model["1.weight"], subject.model[1].weight)
    assert not torch.equal(checkpoint.model["1.weight"], checkpoint.extra["raw.1.weight"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precisions_learn(dtype: str, make_subject: Any, tmp_path: Path) -> None:
    given = {"amp": True, "amp_dtype": dtype, "epochs": 3}
    assert train(make_subject(), config(tmp_path, **given)).test_accuracy > 0.6
    scaler = read_checkpoint(tmp_path / LAST).progress["scaler"]
    assert bool(scaler) == (dtype == "float16")


def test_images_with_their_channels_together_give_the_same_network(make_subject: Any) -> None:
    losses = []
    for together in (False, True):
        subject = make_subject()
        torch.manual_seed(1)
        layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
        subject = replace(subject, model=layers)
        result = train(subject, config(channels_last=together, epochs=1, deterministic=True))
        losses.append(result.history[0].train_loss)
        kind = layers[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert kind or not together
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("sched", SCHEDULES)
def test_every_schedule_starts_at_the_rate_and_never_leaves_0_to_it(sched: str) -> None:
    settings = recipe("digits", epochs=4, warmup_epochs=0, lr=0.2, sched=sched)
    rates = [rate(settings, step, 25) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert all(0 < value <= 0.2 for value in rates)
    assert rates == sorted(rates, reverse=True)
    assert rates[50] == pytest.approx({"cosine": 0.1, "linear": 0.1, "step": 0.02}.get(sched, 0.2))


def test_adaptive_optimisers_spare_coefficients_without_decay(make_subject: Any) -> None:
    subject = make_subject(decay=False)
    chosen = optimizer(subject.model, recipe("digits", opt="adamw", weight_decay=0.5, lr=0.1))
    assert [group["weight_decay"] for group in chosen.param_groups] == [0.5, 0.0]
    assert chosen.param_groups[1]["params"] == [subject.model[3].k[0]]


def metrics(*accuracies: float) -> list[EpochMetrics]:
    return [EpochMetrics(i + 1, 0.1, 1.0, 0.5, 1.0, value) for i, value in enumerate(accuracies)]


def test_the_best_epochs_are_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path, keep=2)
    folder.begin({})
    accuracies = (0.3, 0.5, 0.5, 0.2, 0.9)
    kept = [["1"], ["1", "2"], ["2", "3"], ["2", "3"], ["2", "5"]]
    best = ["1", "2", "2", "2", "5"]
    for number in range(1, 6):
        folder.save(str(number).encode(), metrics(*accuracies[:number]))
        assert [path.read_text() for path in folder.epochs()] == kept[number - 1]
        assert (tmp_path / BEST).read_text() == best[number - 1]
        assert (tmp_path / LAST).read_text() == str(number)
    assert folder.epoch(5).name == "epoch_0005.safetensors"


def test_a_new_run_leaves_nothing_of_the_old_one(make_subject: Any, tmp_path: Path) -> None:
    train(make_subject(), config(tmp_path, epochs=3, keep=3))
    assert len(list(tmp_path.glob("epoch_*"))) == 3
    (tmp_path / f".{LAST}.abc").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    train(make_subject(), config(tmp_path, epochs=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors", "last.safetensors", "metrics.jsonl", "network.scheme", "notes.txt",
        "run.json", "scheme.scheme",
    ]  # fmt: skip


def test_a_run_says_what_has_changed_when_it_goes_on(
    make_subject: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_subject(), config(tmp_path))
    train(make_subject(), config(tmp_path, epochs=3, resume=str(tmp_path / BEST), lr=0.05,
                                 opt="nesterov", progress=True))  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "continuing after epoch 2"
    assert said[1:4] == ["epochs was 2, is 3", "lr was 0.1, is 0.05", "opt was sgd, is nesterov"]


def test_going_on_before_there_is_anything_begins(
    make_subject: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_subject(), config(tmp_path, epochs=1, resume="last", progress=True))
    assert capsys.readouterr().err.startswith("no last.safetensors to continue from; starting at")
    with pytest.raises(UsageError, match=r"no checkpoint `.*nowhere`"):
        train(make_subject(), config(tmp_path, resume=str(tmp_path / "nowhere")))


def test_a_checkpoint_is_tested_without_training(make_subject: Any, tmp_path: Path) -> None:
    result = train(make_subject(), config(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = evaluate_checkpoint(make_subject(seed=4), config(tmp_path))
    assert (again.test_loss, again.test_accuracy) == (result.test_loss, result.test_accuracy)
    assert again.history == result.history
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(UsageError, match="no checkpoint"):
        evaluate_checkpoint(make_subject(), config(tmp_path / "empty"))


def test_the_record_of_a_run(make_subject: Any, tmp_path: Path) -> None:
    train(make_subject(), config(tmp_path, epochs=1, seed=9))
    text = (tmp_path / "run.json").read_text()
    record = json.loads(text)
    assert record["config"]["seed"] == 9
    assert record["scheme"]["text"] == "scheme s { }\n"
    assert len(record["scheme"]["sha256"]) == len(record["data"]["sha256"]) == 64
    assert (record["data"]["train"], record["data"]["test"]) == (1400, 397)
    assert {"python", "torch", "accelerate", "schemegen"} <= record["versions"].keys()
    assert record["processes"] == 1
    assert str(tmp_path) not in text


def test_a_log_for_tensorboard(
    make_subject: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = {"log": ("tensorboard",), "log_interval": 10}
    train(make_subject(), config(tmp_path, epochs=1, **logged))
    train(make_subject(), config(tmp_path, resume="last", **logged))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [item.step for item in events.Scalars("test_accuracy")] == [21, 42]
    assert [item.step for item in events.Scalars("step/loss")] == [10, 20, 30, 40]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="the log needs TensorBoard") as caught:
        train(make_subject(), config(tmp_path, **logged))
    assert caught.value.help == "pip install 'schemegen[train]'"


def test_accelerate_that_is_missing_says_what_to_install(
    make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(UsageError, match="training needs accelerate") as caught:
        train(make_subject(), config())
    assert caught.value.help == "pip install 'schemegen[train]'"


def test_a_disk_that_is_full_leaves_the_old_checkpoint(
    make_subject: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make_subject(), config(tmp_path))
    kept = {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")}

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 10_000:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"safetensors cannot be written: no space left on device"):
        train(make_subject(), config(tmp_path, epochs=3, resume="last"))
    assert {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == kept
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opt": "lion"}, "unknown optimiser `lion`"),
        ({"amp_dtype": "float8"}, "unknown precision `float8`"),
        ({"log": ("wandb",)}, "unknown log `wandb`"),
        ({"log": ("tensorboard",)}, "a log needs a folder"),
        ({"grad_accum_steps": 0}, "grad_accum_steps must be at least 1"),
        ({"clip_grad": 0.0}, "clip_grad must be finite and positive"),
        ({"model_ema_decay": 1.0}, "model_ema_decay must be below 1"),
        ({"keep": -1}, "keep must be finite and not negative"),
    ],
)
def test_settings_that_make_no_sense(settings: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe(**settings)
