"""``train``: one scheme, one last line; the training itself is tested where it lives."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.sources import zoo_file

ARGUMENTS = ("--network", "tiny", "--data", "fake", "--epochs", "1", "--device", "cpu", "-q")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["train", *arguments])


def test_it_trains_and_prints_the_test_accuracy(folder: Path) -> None:
    result = invoke("zoo/resnet", *ARGUMENTS)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("test accuracy ")
    assert len(result.stdout.splitlines()) == 1
    assert (folder / "runs" / "resnet" / "last.safetensors").exists()


def test_a_coefficient_that_is_set_is_not_trained(folder: Path) -> None:
    result = invoke("zoo/lm_resnet", *ARGUMENTS, "--set", "k=1/2", "-o", "out")
    assert result.exit_code == 0, result.output
    text = (folder / "out" / "scheme.scheme").read_text()
    assert "const k = 1/2" in text
    assert "param k" not in text


def test_a_file_with_several_schemes_is_a_wrong_command(folder: Path) -> None:
    text = "\n".join(zoo_file(name).read_text(encoding="utf-8") for name in ("rk2", "rk4"))
    (folder / "two.scheme").write_text(text, encoding="utf-8")
    result = invoke("two.scheme", *ARGUMENTS)
    assert result.exit_code == 2
    assert "two.scheme declares 2 schemes: rk2, rk4" in result.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--data", "cifra"), "unknown data set"),
        (("--lr", "nan"), "lr must be finite"),
        (("--epochs", "0"), "--epochs"),
        (("--network", "none"), "no network 'none'"),
        (("--set", "k=1"), "declares no param 'k'"),
    ],
)
def test_wrong_commands(option: tuple[str, str], message: str) -> None:
    result = invoke("zoo/resnet", *option)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_the_backward_pass_keeps_does_not_change_the_result(folder: Path) -> None:
    lines = []
    for how in ("store", "checkpoint=2"):
        result = invoke("zoo/lm_resnet", *ARGUMENTS, "--backprop", how, "-o", how[:5])
        assert result.exit_code == 0, result.output
        lines.append((folder / how[:5] / "metrics.jsonl").read_text())
    assert lines[0] == lines[1]
    result = invoke("zoo/resnet", *ARGUMENTS, "--backprop", "revolve")
    assert result.exit_code == 2
    assert "unknown backpropagation `revolve`" in result.stderr
