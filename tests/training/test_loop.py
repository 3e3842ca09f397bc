"""The loop: repeatable, resumable, and it learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from schemegen.diagnostics import SchemeError, UsageError
from schemegen.training import loop, recipe, train
from schemegen.training.folder import LAST
from schemegen.training.optimizer import optimizer, rate


def weights(subject: Any) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in subject.model.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_learns_the_digits(make_subject: Any) -> None:
    subject = make_subject()
    result = train(subject, recipe("digits", epochs=8, progress=False))
    assert result.test_accuracy > 0.85
    assert result.test_count == 397
    assert len(result.history) == 8
    assert result.history[0].train_loss > result.history[-1].train_loss
    assert result.summary().startswith(f"test accuracy {100 * result.test_accuracy:.2f} %")


def test_a_seed_decides_everything(make_subject: Any, tmp_path: Path) -> None:
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        subject = make_subject()
        config = recipe("digits", epochs=2, seed=seed, output=tmp_path / name, progress=False)
        torch.manual_seed(hash(name) % 1000)  # what came before does not matter
        train(subject, config)
        outputs.append(weights(subject))
    assert equal(outputs[0], outputs[1])
    assert not equal(outputs[0], outputs[2])
    for file in (LAST, "best.safetensors", "metrics.jsonl", "scheme.scheme", "run.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_interrupted_run_resumes_to_the_same_weights(
    make_subject: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_subject()
    train(whole, recipe("digits", epochs=4, output=tmp_path / "whole", progress=False))

    real = loop._Trainer.epoch

    def interrupted(trainer: Any, epoch: int, progress: Any) -> Any:
        if epoch == 2:
            raise KeyboardInterrupt
        return real(trainer, epoch, progress)

    config = recipe("digits", epochs=4, output=tmp_path / "cut", progress=False)
    monkeypatch.setattr(loop._Trainer, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(make_subject(), config)
    assert len((tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()) == 2
    monkeypatch.setattr(loop._Trainer, "epoch", real)

    second = make_subject(seed=5)
    resumed = recipe("digits", epochs=4, output=tmp_path / "cut", resume="last", progress=False)
    result = train(second, resumed)
    assert equal(weights(whole), weights(second))
    assert len(result.history) == 4
    assert (tmp_path / "whole" / LAST).read_bytes() == (tmp_path / "cut" / LAST).read_bytes()


def test_resuming_another_scheme_is_refused(make_subject: Any, tmp_path: Path) -> None:
    config = recipe("digits", epochs=1, output=tmp_path, progress=False)
    train(make_subject(), config)
    resumed = recipe("digits", epochs=1, output=tmp_path, resume="last", progress=False)
    with pytest.raises(UsageError, match="another scheme") as caught:
        train(make_subject(text="scheme t { }\n"), resumed)
    assert caught.value.code == "E0801"


def test_metrics_are_json_lines(make_subject: Any, tmp_path: Path) -> None:
    train(make_subject(), recipe("fake", epochs=2, output=tmp_path, progress=False))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert set(lines[0]) == {
        "epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
    }  # fmt: skip


def test_a_loss_that_is_not_finite_is_e0804_and_keeps_the_last_checkpoint(
    make_subject: Any, tmp_path: Path
) -> None:
    subject = make_subject()
    train(subject, recipe("digits", epochs=1, output=tmp_path, progress=False))
    kept = (tmp_path / LAST).read_bytes()
    with torch.no_grad():
        subject.model[1].weight[0, 0] = float("nan")
    broken = recipe("digits", epochs=2, progress=False)
    with pytest.raises(SchemeError) as caught:
        train(subject, broken)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E0804"
    assert diagnostic.message == "loss is not finite at step 1"
    assert (tmp_path / LAST).read_bytes() == kept


def test_coefficients_with_decay_off_are_left_alone_by_weight_decay(make_subject: Any) -> None:
    for decay in (True, False):
        subject = make_subject(decay=decay)
        chosen = optimizer(subject.model, recipe("digits", weight_decay=0.5, lr=1.0))
        for parameter in subject.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        before = subject.model[3].k[0].item()
        weight = subject.model[1].weight.detach().clone()
        chosen.step()
        after = subject.model[3].k[0].item()
        assert after == pytest.approx(before * 0.5 if decay else before)
        assert torch.allclose(subject.model[1].weight, weight * 0.5)


def test_rates_of_both_schedules() -> None:
    cosine = recipe("digits", epochs=5, warmup_epochs=1, lr=0.2)
    steps = 10
    rates = [rate(cosine, step, steps) for step in range(50)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[9] == pytest.approx(0.2)
    assert rates[10] == pytest.approx(0.2)
    assert rates[30] == pytest.approx(0.1)
    assert 0 < rates[-1] < 0.01 * 0.2
    paper = recipe("cifar10", warmup_epochs=0)
    assert [rate(paper, epoch * 390, 390) for epoch in (0, 79, 80, 119, 120, 159)] == (
        pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    )


def test_progress_without_a_terminal_is_a_line_an_epoch(
    make_subject: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_subject(), recipe("fake", epochs=2))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line[:9] for line in captured.err.splitlines()] == ["epoch 1/2", "epoch 2/2"]


def test_bfloat16_autocast_trains(make_subject: Any) -> None:
    result = train(make_subject(), recipe("digits", epochs=3, amp=True, progress=False))
    assert result.test_accuracy > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "mnist"}, "unknown data set `mnist`"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": -1.0}, "lr must be finite and not negative"),
        ({"lr": float("nan")}, "lr must be finite and not negative"),
        ({"sched": "plateau"}, "unknown schedule `plateau`"),
        ({"opt": "nesterov", "momentum": 0.0}, "nesterov needs a momentum"),
        ({"epoch": 3}, "unknown setting `epoch`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe(**settings)
