"""Saved networks: weights and texts in one file, compiled again when they are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import schemegen
from schemegen.diagnostics import Source, UsageError
from schemegen.pipeline import emit, emit_network, prepare
from schemegen.resources import resource_dir
from schemegen.scheme import bind
from schemegen.selection import read_network, source_of
from schemegen.step import lower

ZOO = sorted(path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme"))
TYPICAL = ("lm_resnet", "revnet", "shake_shake", "implicit_midpoint", "exp_euler", "ab3")

DEEP = """
network deep {
  input: shape [1, 8, 8], classes 10
  stem: conv(3), width 4
  stage: width 4, steps 7
  stage: width 8, steps 7, stride 2
  head: bn, relu, avgpool, linear
}
"""

FILE = """\
scheme mine "One of two" {
  state u; drift f(u)
  param k: learnable, per step, init 1/10, via (1 - raw)
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }
  start: euler
  transition: history project
}
network little {
  input: shape [1, 4, 4], classes 3
  stem: conv(3), width 4
  stage: width 4, steps 3
  head: bn, relu, avgpool, linear
}
"""


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.is_floating_point():
                value.add_(0.01 * torch.rand_like(value))
    return network


def equal(one: torch.nn.Module, other: torch.nn.Module, shape: tuple[int, ...]) -> None:
    dtype = next(one.parameters()).dtype
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    for mode in (False, True):
        results = []
        for network in (one, other):
            torch.manual_seed(3)
            with torch.no_grad():
                results.append(network.train(mode)(x))
        assert results[0].isfinite().all()
        assert torch.equal(*results)


def round_trip(name: str, path: Path) -> None:
    scheme = schemegen.load(name)
    spec = read_network(Source("deep.scheme", DEEP), "deep")
    network = shaken(emit_network(scheme, lower(scheme), bind(scheme, spec), {}))
    schemegen.save(network, path)
    again = schemegen.restore(path)
    assert str(again.graph) == str(network.graph)
    equal(network, again, (1, 8, 8))


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize("scheme", TYPICAL)
def test_a_saved_network_is_compiled_again(scheme: str, tmp_path: Path) -> None:
    round_trip(scheme, tmp_path / "net.safetensors")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize("scheme", ZOO)
def test_every_scheme_of_the_zoo_is_saved(scheme: str, tmp_path: Path) -> None:
    round_trip(scheme, tmp_path / "net.safetensors")


def test_settings_precision_and_plan_are_kept(tmp_path: Path) -> None:
    network = shaken(schemegen.build(FILE, "little", backprop="checkpoint=2", k="1/3").double())
    path = schemegen.save(network, tmp_path / "a")
    again = schemegen.restore(path)
    assert again.meta["backprop"] == network.meta["backprop"]
    assert "const k = 1/3" in again.meta["origin"]["scheme_text"]
    assert {value.dtype for value in again.parameters()} == {torch.float64}
    assert schemegen.save(again, tmp_path / "b").read_bytes() == path.read_bytes()
    equal(network, again, (1, 4, 4))


def test_the_file_holds_tensors_and_text(tmp_path: Path) -> None:
    content = schemegen.save(schemegen.build(FILE), tmp_path / "a").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["__metadata__"]["scheme_text"] == FILE
    assert b"schemegen.network" not in content


def test_another_scheme_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = schemegen.save(schemegen.build(FILE), tmp_path / "a")
    other = schemegen.build(FILE.replace("1/10", "1/5").replace("One", "# Another"))
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        schemegen.restore(path, other)
    assert caught.value.code == "E0801"
    assert caught.value.message == "the checkpoint was made from another scheme"
    assert "-  param k: learnable, per step, init 1/10, via (1 - raw)" in caught.value.help
    assert "+  param k: learnable, per step, init 1/5, via (1 - raw)" in caught.value.help
    assert all(torch.equal(before[key], value) for key, value in other.state_dict().items())
    wide = schemegen.build(FILE.replace("steps 3", "steps 2"))
    with pytest.raises(UsageError, match="another network") as caught:
        schemegen.restore(path, wide)
    assert "-  stage: width 4, steps 3\n     +  stage: width 4, steps 2" in caught.value.help


def test_comments_make_no_difference(tmp_path: Path) -> None:
    network = shaken(schemegen.build(FILE))
    path = schemegen.save(network, tmp_path / "a")
    other = schemegen.build("# a remark\n" + FILE.replace("state u; ", "state u\n  "))
    assert schemegen.restore(path, other) is other
    equal(network, other, (1, 4, 4))


def test_a_block_written_in_python_is_named_again(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "own_branch.py").write_text(
        "from torch import nn\n"
        "class Branch(nn.Conv2d):\n"
        "    def __init__(self, in_width, out_width, stride=1):\n"
        "        super().__init__(in_width, out_width, 3, stride, padding=1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    source = source_of(FILE.replace("drift f(u)", "drift f(u): block own"))
    named = {"own": "own_branch:Branch"}
    network = shaken(emit(prepare(source, blocks=named)[0]))
    path = schemegen.save(network, tmp_path / "a")
    with pytest.raises(UsageError, match="the block `own`, which was written in Python"):
        schemegen.restore(path)
    equal(network, schemegen.restore(path, blocks=named), (1, 4, 4))


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not know its scheme"):
        schemegen.save(torch.nn.Linear(1, 1), tmp_path / "a")
    (tmp_path / "b").write_bytes(b"no tensors")
    with pytest.raises(UsageError, match="not a checkpoint"):
        schemegen.restore(tmp_path / "b")
