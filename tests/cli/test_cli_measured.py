"""``eval``, ``attack`` and ``corrupt`` on a trained network, and the scripts of the zoo that do the same."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.resources import resource_dir


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a little network on the digits."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    options = ("--network", "tiny", "--epochs", "6", "--device", "cpu", "-q", "-o", str(folder))
    result = CliRunner().invoke(cli, ["train", "zoo/lm_resnet", *options])
    assert result.exit_code == 0, result.output
    return folder


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


def test_eval_repeats_the_accuracy_of_the_run(run: Path, tmp_path: Path) -> None:
    result = invoke("eval", run, "--json", tmp_path / "e.json", "--classes", "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "e.json").read_text())
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert found["accuracy"] == pytest.approx(last["test_accuracy"])
    assert found["loss"] == pytest.approx(last["test_loss"], rel=1e-5)
    assert (found["scheme"], found["network"], found["n"]) == ("lm_resnet", "tiny", 397)
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert len(found["checkpoint_sha256"]) == 64
    assert result.stdout.startswith(f"test accuracy {100 * found['accuracy']:.2f} % (")
    assert len(result.stdout.splitlines()) == 11


def test_attack_writes_what_a_reader_needs_to_repeat_it(run: Path, tmp_path: Path) -> None:
    options = ("--eps", "1/16", "--steps", "5", "--n", "80", "--seed", "3", "--device", "cpu")
    files = []
    for name in "ab":
        path = tmp_path / f"{name}.json"
        picture = ["--surface", tmp_path / "a.svg"] if name == "a" else []
        result = invoke("attack", run, *options, "--json", path, *picture)
        assert result.exit_code == 0, result.output
        files.append((path.read_bytes(), result.stdout))
    assert files[0] == files[1]
    found = json.loads(files[0][0])
    assert found["format"] == "schemegen-attack-1"
    assert found["attack"] == {
        "kind": "pgd", "norm": "Linf", "eps": "1/16", "eps_value": 0.0625, "steps": 5, "step_size": "1/64",
        "step_size_value": 1 / 64, "restarts": 1, "random_start": True, "eot": 1, "seed": 3, "protocol": "sound",
    }  # fmt: skip
    assert found["robust"]["accuracy"] < found["clean"]["accuracy"]
    assert found["data"] == {"name": "digits", "recipe": None, "split": "test"}
    assert found["versions"].keys() >= {"schemegen", "torch", "python"}
    assert str(tmp_path) not in files[0][0].decode()
    lines = files[0][1].splitlines()
    assert lines[0] == "attack  pgd, Linf, eps 1/16, 5 steps of 1/64"
    assert lines[1].startswith("clean ")
    assert lines[2].startswith("robust ")
    assert (tmp_path / "a.svg").read_text().count("<path") > 50


def test_decimals_and_quotients_are_read_exactly(run: Path) -> None:
    options = ("--attack", "fgsm", "--n", "20", "--no-checks", "--device", "cpu")
    one, other = (invoke("attack", run, "--eps", eps, *options) for eps in ("0.03", "3/100"))
    assert one.stdout == other.stdout
    assert "eps 3/100" in one.stdout
    odd = invoke("attack", run, *options[2:], "--protocol", "yang2020")
    assert "20 steps of 1/255, protocol yang2020" in odd.stdout


def test_warnings_are_shown_and_written(run: Path, tmp_path: Path) -> None:
    result = invoke(
        "attack", run, "--eps", "1/8", "--steps", "2", "--step-size", "1/100000", "--n", "100",
        "--json", tmp_path / "a.json", "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "warning[W0802]: one step of length eps breaks" in result.stderr
    warnings = json.loads((tmp_path / "a.json").read_text())["warnings"]
    assert "W0802" in {item["code"] for item in warnings}


def test_a_network_that_draws_noise_in_evaluation_is_attacked_by_averages(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ("--network", "tiny", "--data", "fake", "--epochs", "1", "--device", "cpu", "-q")
    assert invoke("train", "en_resnet", *options, "-o", folder).exit_code == 0
    measured = ("--n", "8", "--steps", "2", "--device", "cpu")
    result = invoke("attack", folder, *measured, "--json", tmp_path / "a.json")
    assert result.exit_code == 0, result.output
    assert "warning[W0805]: the network draws noise in evaluation" in result.stderr
    assert json.loads((tmp_path / "a.json").read_text())["attack"]["eot"] == 20
    assert "20 passes a gradient" in result.stdout
    again = invoke("attack", folder, *measured)
    assert again.stdout == result.stdout


def test_corrupt_prints_a_table(run: Path, tmp_path: Path) -> None:
    options = ("--n", "60", "--corruptions", "shot_noise,impulse_noise", "--device", "cpu")
    result = invoke("corrupt", run, *options, "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "c.json").read_text())
    assert [item["corruption"] for item in found["corruptions"]] == ["shot_noise", "impulse_noise"]
    assert found["mean"] == pytest.approx(
        sum(item["accuracy"] for item in found["corruptions"]) / 2
    )
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "severity",
        "shot_noise",
        "impulse_noise",
        "mean",
    ]
    own = invoke("corrupt", run, *options, "--protocol", "yang2020")
    assert own.exit_code == 0
    assert own.stdout != result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attack", "--eps", "8/0"), "not of the form 8/255 or 0.03"),
        (("attack", "--eps", "__import__('os')"), "not of the form"),
        (("attack", "--eps", "1e999999999"), "not of the form"),
        (("attack", "--eps", "-1"), "not of the form"),
        (("attack", "--eps", "0"), "eps and the step size must be positive"),
        (("attack", "--attack", "fgsm", "--steps", "3"), "fgsm is one step"),
        (("attack", "--protocol", "yang2020", "--norm", "L2"), "in the norm Linf"),
        (("attack", "--surface", "a.txt"), "ends in none of"),
        (("attack", "--n", "0"), "--n"),
        (("corrupt", "--corruptions", "fog"), "'fog' is none of"),
        (("corrupt", "--folder", "nowhere"), "error[E0803]: no labels.npy"),
        (("eval", "--device", "abacus"), "unknown device"),
        (("eval", "--data", "cifar10"), "E0803"),
        (("eval", "--data", "glyphs62x"), "unknown data set"),
    ],
)
def test_wrong_commands(
    run: Path, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    command, *options = arguments
    if "cifar10" in options:
        options += ["--data-dir", str(tmp_path)]
    result = invoke(command, run, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_checkpoint_that_is_not_whole_is_refused(run: Path, tmp_path: Path) -> None:
    content = (run / "last.safetensors").read_bytes()
    path = tmp_path / "half.safetensors"
    for part, message in (
        (content[: len(content) // 2], "damaged checkpoint"),
        (content[:4], "is not a checkpoint of schemegen"),
        (b"PK\x03\x04" + content, "is not a checkpoint of schemegen"),
    ):
        path.write_bytes(part)
        for command in ("eval", "attack", "corrupt"):
            result = invoke(command, path)
            assert result.exit_code == 2
            assert message in result.stderr
    assert "no checkpoint" in invoke("eval", tmp_path / "nothing").stderr


def test_a_saved_network_needs_the_name_of_its_data(tmp_path: Path) -> None:
    import schemegen

    network = schemegen.build("rk2", network="tiny")
    schemegen.save(network, tmp_path / "n.safetensors")
    result = invoke("eval", tmp_path / "n.safetensors")
    assert result.exit_code == 2
    assert "`--data NAME` does" in result.stderr
    result = invoke("eval", tmp_path / "n.safetensors", "--data", "digits", "--device", "cpu")
    assert result.exit_code == 0, result.output


def script(name: str, *arguments: str) -> Result:
    spec = importlib.util.spec_from_file_location(f"zoo_{name}", resource_dir("zoo") / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return CliRunner().invoke(module.main, list(arguments))


def test_the_scripts_of_the_zoo(run: Path) -> None:
    options = [str(run), "--n", "50", "--device", "cpu"]
    result = script("attack", *options, "--eps", "1/16", "--steps", "3")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["attack"]["step_size"] == "1/64"
    result = script("evaluate", *options)
    assert result.exit_code == 0, result.output
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names[:2] == ["clean", "gaussian_noise"]
    for name in ("attack", "evaluate"):
        result = script(name, str(run / "nothing"))
        assert result.exit_code == 2
        assert "error: no checkpoint" in result.stderr
        assert "RUN" in script(name, "--help").stdout


def test_a_small_comparison(tmp_path: Path) -> None:
    options = ["--seeds", "1", "--epochs", "1", "--output", str(tmp_path / "c")]
    result = script("compare", "resnet", "lm_resnet", *options)
    assert result.exit_code == 0, result.output
    assert "lm_resnet 0" in result.stderr
    assert "lm_resnet" in result.stdout
    assert "<html" in (tmp_path / "c" / "report.html").read_text(encoding="utf-8")
    result = script("compare", "resnet", "no_such_scheme", *options)
    assert result.exit_code == 2
    assert "no_such_scheme" in result.stderr
