"""Checkpoints: whole or not at all, with the text they belong to."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training import checkpoint as module
from schemegen.training import read_checkpoint, recipe, restore, train
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


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return a checkpoint cut off, overwritten, or whole with another header: sizes, types, names, metadata."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    kind = chance.randrange(6)
    if kind == 0:
        return content[: chance.randrange(len(content))]
    if kind == 1:
        place = chance.randrange(length + 8)
        return content[:place] + chance.randbytes(4) + content[place + 4 :]
    if kind == 2:
        return chance.randbytes(8) + content[8:]
    if kind == 3:
        place = chance.randrange(8 + length, len(content) - 64)
        return content[:place] + chance.randbytes(64) + content[place + 64 :]
    if kind == 4:
        name = chance.choice(sorted(header.keys() - {"__metadata__"}))
        own = header[name]
        match chance.randrange(5):
            case 0:
                del header[name]
            case 1:
                own["shape"] = [chance.choice([-1, 0, 1, 2**40, "a", None])]
            case 2:
                own["dtype"] = chance.choice(["I8", "F64", "X", "U8", 3])
            case 3:
                own["data_offsets"] = [chance.randrange(-5, 10**6), chance.randrange(10**6)]
            case _:
                header[f"extra.optimizer.1.weight.{chance.choice(['step', 'z'])}"] = header.pop(
                    name
                )
    else:
        metadata = header["__metadata__"]
        name = chance.choice(sorted(metadata))
        one = {"epoch": 1, "lr": 0, "train_loss": "a", "train_accuracy": 0}
        one |= {"test_loss": 0, "test_accuracy": "z"}
        metadata[name] = chance.choice(
            ["", "{}", "[]", "null", "[" * 9999, 5, None, [1], json.dumps({"history": 3})]
            + [json.dumps({"history": [item]}) for item in (3, {"epoch": 2}, one)]
            + [json.dumps({"history": [], "scaler": 5, "processes": "x"})]
        )
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize("seed", range(4))
def test_no_change_of_a_file_gets_beyond_a_message(
    seed: int, make_subject: Any, tmp_path: Path
) -> None:
    subject = make_subject()
    settings: Any = {"epochs": 1, "device": "cpu", "progress": False, "model_ema": True}
    train(subject, recipe("fake", output=tmp_path, **settings))
    content = (tmp_path / "last.safetensors").read_bytes()
    path = tmp_path / "changed.safetensors"
    chance = random.Random(seed)
    refused = 0
    for _ in range(60):
        path.write_bytes(changed(content, chance))
        try:
            train(subject, recipe("fake", resume=str(path), **settings))
        except UsageError:
            refused += 1
    assert refused > 30
