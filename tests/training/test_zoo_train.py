"""``zoo/train.py`` as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemegen.resources import resource_dir
from schemegen.training import read_checkpoint

SCRIPT = resource_dir("zoo") / "train.py"


@pytest.fixture(scope="module")
def main() -> Any:
    spec = importlib.util.spec_from_file_location("zoo_train", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(arguments: list[str]) -> int:
        with pytest.raises(SystemExit) as caught:
            module.main(arguments)
        return int(caught.value.code or 0)

    return run


def test_trains_and_prints_the_accuracy_last(
    main: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    arguments = ["rk2", "--network", "tiny", "--epochs", "3", "--output", str(output)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    [line] = captured.out.splitlines()
    assert line.startswith("test accuracy ")
    assert "epoch 3/3" in captured.err
    metrics = [json.loads(item) for item in (output / "metrics.jsonl").read_text().splitlines()]
    assert len(metrics) == 3
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    checkpoint = read_checkpoint(output / "last.safetensors")
    assert checkpoint.scheme_text == (resource_dir("zoo") / "schemes/rk2.scheme").read_text()
    assert checkpoint.network_name == "tiny"


def test_equal_seeds_give_equal_files(main: Any, tmp_path: Path) -> None:
    files = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        arguments = ["stochastic_depth", "--network", "tiny", "--epochs", "1", "--quiet"]
        assert main([*arguments, "--seed", seed, "--output", str(tmp_path / name)]) == 0
        files.append((tmp_path / name / "last.safetensors").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


@pytest.mark.parametrize(
    "scheme",
    ["lm_resnet", "ab2", "revnet", "momentum_net", "implicit_midpoint", "in_resnet_exact",
     "shake_shake", "euler_maruyama", "zerosnet_family"],
)  # fmt: skip
def test_any_family_trains(scheme: str, main: Any, tmp_path: Path) -> None:
    arguments = ["--network", "tiny", "--epochs", "1", "--quiet", "--lr", "0.02"]
    assert main([scheme, *arguments, "--output", str(tmp_path)]) == 0
    [line] = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["train_loss"] < 2.4


def test_vectors_train_too(main: Any, tmp_path: Path) -> None:
    arguments = ["rk4", "--network", "mlp", "--epochs", "3", "--quiet", "--output", str(tmp_path)]
    assert main(arguments) == 0
    last = (tmp_path / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["test_accuracy"] > 0.8


def test_a_wrong_scheme_is_exit_1_and_writes_nothing(
    main: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.scheme"
    file.write_text("scheme bad {\n  state u\n  drift f(u)\n  parm k\n}\n")
    assert main([str(file), "--output", str(tmp_path / "run")]) == 1
    assert "error[E0102]" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.scheme"], "error: "),
        (["rk2", "--data", "mnist"], "error: unknown data set `mnist`"),
        (["rk2", "--network", "cifar"], "error: network `cifar` takes 3 x 32 x 32"),
        (["rk2", "--data", "cifar10"], "error[E0803]: no CIFAR-10 in"),
        (["rk2", "--epochs", "0"], "0 is not in the range x>=1"),
        (["rk2", "--device", "abacus"], "error: unknown device `abacus`"),
    ],
)
def test_a_wrong_command_is_exit_2(
    arguments: list[str], said: str, main: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--output", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data")]
    assert main([*arguments, *places]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_divergence_is_exit_1_and_names_the_step(
    main: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "rk2",
        "--network",
        "tiny",
        "--lr",
        "1e30",
        "--warmup-epochs",
        "0",
        "--epochs",
        "2",
    ]
    assert main([*arguments, "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "error[E0804]: loss is not finite at step" in said
    assert "lower `--lr`" in said
    assert read_checkpoint(tmp_path / "last.safetensors").progress["history"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_exit_130_and_keeps_the_last_epoch(
    number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, str(SCRIPT), "resnet", "--network", "tiny", "--epochs", "1000"]
    with subprocess.Popen(
        [*command, "--output", str(tmp_path)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch    1/1000"):
                process.send_signal(number)
                break
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("interrupted\n")
    assert len(read_checkpoint(tmp_path / "last.safetensors").progress["history"]) >= 1


def test_help_needs_no_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['train.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as done: print('CODE', done.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "CODE 0 False"
