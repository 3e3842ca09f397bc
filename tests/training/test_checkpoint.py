"""Checkpoints: whole or not at all, with the text they belong to."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training import checkpoint as module
from schemegen.training import read_checkpoint, restore
from schemegen.training.checkpoint import texts_of, write_checkpoint


def write(path: Path, subject: Any) -> None:
    state, extra = subject.model.state_dict(), {"m": torch.ones(2)}
    progress: Any = {"history": []}
    write_checkpoint(
        path, state, texts_of(subject), progress=progress, config={"lr": 0.1}, extra=extra
    )


def test_what_is_written_is_read(make_subject: Any, tmp_path: Path) -> None:
    text = 'scheme s { }   # \u03b1 "quoted"\n'
    first, second = make_subject(text, seed=1), make_subject(text, seed=2)
    write(tmp_path / "a", first)
    found = read_checkpoint(tmp_path / "a")
    assert found.scheme_text == text
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest() == first.sha256
    assert (found.scheme_name, found.network_name) == ("s", "n")
    assert found.config == {"lr": 0.1}
    assert torch.equal(found.extra["m"], torch.ones(2))
    assert restore(second, found) == ()
    inputs = torch.randn(3, 1, 8, 8)
    assert torch.equal(first.model.eval()(inputs), second.model.eval()(inputs))


def test_another_scheme_needs_force(make_subject: Any, tmp_path: Path) -> None:
    write(tmp_path / "a", make_subject("scheme a { }"))
    found = read_checkpoint(tmp_path / "a")
    other = make_subject("scheme b { }", seed=3)
    with pytest.raises(UsageError) as caught:
        restore(other, found)
    assert caught.value.code == "E0801"
    assert f"(sha256 {found.sha256[:4]}.. and {other.sha256[:4]}..)" in caught.value.message
    assert restore(other, found, force=True) == ()
    assert torch.equal(other.model[1].weight, found.model["1.weight"])


def test_another_network_needs_force_and_loads_what_matches(
    make_subject: Any, tmp_path: Path
) -> None:
    write(tmp_path / "a", make_subject())
    found = read_checkpoint(tmp_path / "a")
    other = make_subject(classes=7)
    with pytest.raises(UsageError, match=r"2 names differ, `6\.bias` first"):
        restore(other, found)
    assert restore(other, found, force=True) == ("6.bias", "6.weight")
    assert torch.equal(other.model[1].weight, found.model["1.weight"])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"short", b"\xff" * 64, (2).to_bytes(8, "little") + b"{}",
        pickle.dumps({"format": 1}), (10**15).to_bytes(8, "little") + b"{}",
    ],
)  # fmt: skip
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UsageError, match="is not a checkpoint of schemegen"):
        read_checkpoint(tmp_path / "a")


def test_a_cut_file_is_damaged(make_subject: Any, tmp_path: Path) -> None:
    write(tmp_path / "a", make_subject())
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-10])
    with pytest.raises(UsageError, match="is a damaged checkpoint"):
        read_checkpoint(tmp_path / "a")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no checkpoint `.*nothing`"):
        read_checkpoint(tmp_path / "nothing")


def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(UsageError) as caught:
        module.read_checkpoint(tmp_path / "a")
    assert caught.value.help == "pip install 'schemegen[train]'"
