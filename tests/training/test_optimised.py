"""``--optimize``: the faster form of a network trains alike, and where images have their channels last."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import schemegen
from schemegen.backends.flat import Flat
from schemegen.diagnostics import UsageError
from schemegen.pipeline import emit, prepare
from schemegen.selection import source_of
from schemegen.sources import zoo_file
from schemegen.training import Subject, read_checkpoint, recipe, train
from schemegen.training.folder import BEST, LAST


def config(folder: Path | None = None, **given: Any) -> Any:
    usual = {"epochs": 2, "device": "cpu", "progress": False, "output": folder}
    return recipe("digits", **usual | given)


def generated(scheme: str, seed: int = 0) -> Subject:
    unit = prepare(source_of(f"zoo/{scheme}"), network="tiny")[0]
    assert unit.network is not None
    return Subject(emit(unit, seed=seed), unit.scheme, unit.network)


@pytest.mark.parametrize("scheme", ["lm_resnet", "stochastic_depth"])
def test_the_optimised_network_trains_alike(scheme: str, tmp_path: Path) -> None:
    found = []
    for fast in (False, True):
        subject = generated(scheme)
        result = train(subject, config(tmp_path / str(fast), optimize=fast, lr=0.02))
        found.append((result, read_checkpoint(tmp_path / str(fast) / LAST)))
    (plain_run, plain_file), (fast_run, fast_file) = found
    for one, other in zip(plain_run.history, fast_run.history, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert other.test_loss == pytest.approx(one.test_loss, rel=1e-2)
    assert fast_file.model.keys() == plain_file.model.keys()
    assert fast_file.extra.keys() == plain_file.extra.keys()
    assert fast_file.config["optimize"]
    assert json.loads((tmp_path / "True" / "run.json").read_text())["config"]["optimize"]


def test_a_run_with_the_optimised_network_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = Flat.__call__
    monkeypatch.setattr(Flat, "__call__", lambda self, x: calls.append(1) or real(self, x))
    train(generated("resnet"), config(epochs=1, batch_size=350, optimize=True))
    assert len(calls) == 4
    other = replace(generated("resnet"), model=nn.Linear(1, 1))
    with pytest.raises(UsageError, match="only a generated network"):
        train(other, config(optimize=True))


WIDENING = """
network n {{
  input: shape [{channels}, 8, 8], classes 10
  stem: conv(3), width {width}
  stage: width {width}, steps 1
  stage: width {wider}, steps 1, stride 2
  head: avgpool, linear
}}"""


PROJECTION = "stage2.0.projection.conv"


def widening(channels: int, width: int, wider: int, *, own: bool = True) -> nn.Module:
    """Return a ResNet of two stages, the second with a strided projection, ``own`` or torch's."""
    text = WIDENING.format(channels=channels, width=width, wider=wider)
    network = schemegen.build(zoo_file("resnet").read_text() + text)
    if not own:
        network.set_submodule(PROJECTION, nn.Conv2d(width, wider, 1, 2, bias=False))
    return network


def test_channels_are_last_only_where_torch_can_train_with_that() -> None:
    subject = generated("resnet")
    train(subject, config(epochs=1, channels_last=True))
    subject.model.set_submodule(PROJECTION, nn.Conv2d(4, 8, 1, 2, bias=False))
    with pytest.raises(UsageError, match="1x1 convolution with a stride"):
        train(subject, config(epochs=1, channels_last=True))
    last = torch.channels_last
    for width, own in ((4, True), (4, False), (16, False)):
        network = widening(1, width, 32, own=own)
        kernel = schemegen.optimize(network).get_parameter("stage1.0.f.conv1.weight")
        assert kernel.is_contiguous(memory_format=last) == (own or width == 16)


def test_an_optimised_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    given = {"optimize": True, "batch_size": 200, "opt": "adamw", "lr": 0.003, "clip_grad": 1.0}
    given |= {"sched": "constant", "warmup_epochs": 0, "model_ema": True}
    train(generated("stochastic_depth"), config(tmp_path / "whole", epochs=3, **given))
    train(generated("stochastic_depth"), config(tmp_path / "cut", epochs=1, **given))
    again = config(tmp_path / "cut", epochs=3, resume="last", **given)
    train(generated("stochastic_depth", seed=5), again)
    for name in (LAST, BEST, "metrics.jsonl", "run.json"):
        whole, cut = ((tmp_path / run / name).read_bytes() for run in ("whole", "cut"))
        assert whole == cut, name


@pytest.mark.parametrize(
    ("given", "launched", "message"),
    [
        ({"torchcompile": True}, "false", "torch.compile takes the graph"),
        ({"fsdp": True}, "false", "shared out over the processes"),
        ({}, "true", "shared out over the processes"),
    ],
)
def test_what_does_not_go_together_with_an_optimised_network(
    given: dict[str, Any], launched: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", launched)
    with pytest.raises(UsageError, match=message):
        train(generated("resnet"), config(epochs=1, optimize=True, **given))


def test_a_projection_that_is_called_is_not_given_channels_last() -> None:
    network = widening(3, 4, 8, own=False)
    seen = []
    projection = next(m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride[0] > 1)
    projection.register_forward_hook(lambda _m, given, _y: seen.append(given[0]))
    schemegen.optimize(network)(torch.randn(2, 3, 8, 8))
    assert seen[0].is_contiguous()
