"""Devices: what is asked for is there, or the message says so."""

from __future__ import annotations

import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training.devices import choose_device


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_prefers_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def test_a_device_that_is_not_visible_is_e0802(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match="`--device cuda`: no CUDA device is visible") as caught:
        choose_device("cuda")
    assert caught.value.code == "E0802"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="`--device cuda:3`: no such device is visible"):
        choose_device("cuda:3")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "xpu", "meta"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown device `{name}`"):
        choose_device(name)
