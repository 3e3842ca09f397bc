"""``compare``: a table on standard output, the rest in the folder; each share and each job counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.resources import resource_dir

ARGUMENTS = (
    "--network",
    "tiny",
    "--data",
    "fake",
    "--epochs",
    "1",
    "--seeds",
    "2",
    "--device",
    "cpu",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *arguments])


def test_a_table_a_page_and_raw_results_on_the_digits(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    digits = [item.replace("fake", "digits") for item in ARGUMENTS]
    result = compare("resnet", "half=resnet@2", *digits, "-o", "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("resnet, half: 2 seeds, against resnet\n")
    assert "4/4  half" in result.stderr
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"runs", "results.json", "runs.csv", "learning.svg", "report.html"}
    data = json.loads((folder / "out" / "results.json").read_text())
    assert [run["seed"] for run in data["runs"]] == [0, 1, 0, 1]
    assert [size["steps"] for size in data["sizes"]] == [[3, 3], [2, 2]]
    files = [folder / "out" / name for name in ("results.json", "report.html", "learning.svg")]
    first = [path.read_bytes() for path in files]
    again = compare("resnet", "half=resnet@2", *digits, "-o", "out")
    assert again.stdout == result.stdout
    assert "4 of 4 runs are finished already" in again.stderr
    assert [path.read_bytes() for path in files] == first


def test_shares_and_jobs_give_what_one_process_gives(folder: Path) -> None:
    alone = compare("resnet", *ARGUMENTS, "-q", "-o", "one", "--as", "csv")
    parts = compare("resnet", *ARGUMENTS, "-q", "-o", "two", "--share", "1/2")
    assert "1 of 2 runs are missing" in parts.stdout
    both = compare("resnet", *ARGUMENTS, "-q", "-o", "two", "--jobs", "2", "--as", "csv")
    assert both.exit_code == 0, both.output
    assert both.stdout == alone.stdout


def test_a_file_says_what_to_compare(folder: Path) -> None:
    (folder / "c.toml").write_text(
        'schemes = ["resnet", "rk2"]\nnetwork = "tiny"\ndata = "fake"\nseeds = 1\n'
        "match = 'compute'\n[train]\nepochs = 1\naugment = false\n"
    )
    result = compare("-c", "c.toml", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "2 runs"
    assert "rk2" in result.stdout
    more = compare("-c", "c.toml", "--dry-run", "--seeds", "3")
    assert more.stdout.splitlines()[-1] == "6 runs"


@pytest.mark.parametrize("name", ["lm_resnet", "damping", "noise", "order"])
def test_the_claims_of_the_papers_can_be_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = resource_dir("zoo")
    monkeypatch.chdir(zoo.parent)
    result = compare("-c", str(zoo / "claims" / f"{name}.toml"), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "runs" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the schemes"),
        (("nosuch",), "nosuch"),
        (("resnet", "--seeds", "0"), "at least one seed"),
        (("resnet", "x=resnet", "x=rk2"), "the label `x` is named twice"),
        (("a b=resnet",), "is no label"),
        (("resnet@0",), "without steps"),
        (("resnet", "--share", "3/2"), "is no share"),
        (("resnet", "--train", "epochs=many"), "is no value of `epochs`"),
        (("resnet", "--train", "epoch=1"), "no setting of training"),
        (("resnet", "--attack", "pgd"), "an attack needs a bound"),
        (("resnet", "-c", "none.toml"), "No such file"),
        (
            ("resnet", "--network", "cifar", "--data", "fake", "--corrupt", "fog"),
            "unknown corruption",
        ),
    ],
)
def test_wrong_commands(arguments: tuple[str, ...], message: str) -> None:
    defaults = () if "--network" in arguments else ("--network", "tiny", "--data", "fake")
    result = compare(*arguments, *defaults)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_an_unknown_key_of_a_file_is_told(folder: Path) -> None:
    (folder / "c.toml").write_text('scheme = ["resnet"]\n')
    result = compare("-c", "c.toml")
    assert result.exit_code == 2
    assert "unknown key `scheme`" in result.stderr
