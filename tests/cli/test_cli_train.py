"""``train``: one scheme, one last line; the training itself is tested where it lives."""

from __future__ import annotations

import json
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


def test_the_optimised_network_is_a_setting_of_the_run(folder: Path) -> None:
    result = invoke("zoo/resnet", *ARGUMENTS, "--optimize", "-o", "a")
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "a" / "run.json").read_text())["config"]["optimize"] is True
    result = invoke("zoo/resnet", *ARGUMENTS, "--optimize", "--torchcompile")
    assert result.exit_code == 2
    assert "give one of `--optimize` and `--torchcompile`" in result.stderr


def test_options_come_from_a_file_and_the_command_line_wins(folder: Path) -> None:
    text = 'epochs = 2\nopt = "adamw"\nbatch-size = 32\nset = ["k=1/2"]\nmodel_ema = true\n'
    (folder / "run.toml").write_text(text, encoding="utf-8")
    result = invoke("zoo/lm_resnet", *ARGUMENTS, "--config", "run.toml", "--lr", "0.01", "-o", "a")
    assert result.exit_code == 0, result.output
    record = json.loads((folder / "a" / "run.json").read_text())
    chosen = record["config"]
    assert (chosen["epochs"], chosen["opt"], chosen["batch_size"]) == (1, "adamw", 32)
    assert (chosen["lr"], chosen["model_ema"]) == (0.01, True)
    assert "const k = 1/2" in record["scheme"]["text"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "sets 'epoch', which is no option"),
        ("epochs = 'many'", "'many' is not a valid integer"),
        ("epochs = 0", "0 is not in the range"),
        ("[train]\nepochs = 3", "which is no option"),
        ("[lr]\nx = 3", "has a table [lr]"),
        ("epochs = ", "cannot be read"),
    ],
)
def test_a_file_of_options_that_is_wrong(text: str, message: str, folder: Path) -> None:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    result = invoke("zoo/resnet", "--config", "run.toml")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "no file missing.toml" in invoke("zoo/resnet", "--config", "missing.toml").stderr


def test_a_run_is_repeated_from_its_folder(folder: Path) -> None:
    given = (
        "--grad-accum-steps",
        "2",
        "-b",
        "16",
        "--backprop",
        "checkpoint=2",
        "--clip-grad",
        "1",
    )
    result = invoke("zoo/stochastic_depth", *ARGUMENTS, *given, "--seed", "3", "-o", "a")
    assert result.exit_code == 0, result.output
    texts = ("a/scheme.scheme", "--network", "a/network.scheme", "--config", "a/run.json")
    result = invoke(*texts, "-o", "b", "-q", "--device", "cpu")
    assert result.exit_code == 0, result.output
    for name in ("last.safetensors", "metrics.jsonl", "run.json"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes(), name


def test_a_checkpoint_is_tested_only(folder: Path) -> None:
    trained = invoke("zoo/resnet", *ARGUMENTS)
    tested = invoke("zoo/resnet", *ARGUMENTS, "--test-only", "--resume", "best")
    assert tested.exit_code == 0, tested.output
    assert tested.stdout.split("%")[0] == trained.stdout.split("%")[0]
    assert "wrote" not in tested.stdout
    assert invoke("zoo/resnet", *ARGUMENTS, "--test-only", "-o", "none").exit_code == 2


def test_a_batch_that_is_larger_than_the_data(folder: Path) -> None:
    result = invoke("zoo/resnet", *ARGUMENTS, "-b", "257")
    assert result.exit_code == 2
    assert "a batch of 257 images is larger than the 256 that fake has to train on" in result.stderr
    assert not (folder / "runs").exists()


def test_of_several_processes_one_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, told in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        result = invoke("zoo/lm_resnet", *ARGUMENTS[:-1])
        assert result.exit_code == 0, result.output
        assert ("W0404" in result.stderr) == told
