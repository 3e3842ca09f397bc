"""``analyze --checkpoint``: a run in, everything that is measured of it out."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.report import report_schema


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "lm"
    arguments = ["train", "zoo/lm_resnet", "--network", "tiny", "--data", "fake", "--epochs", "1"]
    result = CliRunner().invoke(cli, [*arguments, "--device", "cpu", "-q", "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def analyze(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)])


def test_the_report_and_a_picture(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "spectrum.svg"
    result = analyze("--checkpoint", run, "--samples", "2", "--plot", picture)
    assert result.exit_code == 0, result.output
    for line in (
        "lm_resnet in tiny, 1 epoch: measured at 2 images of fake",
        "Learned coefficients",
        "outside -1 < k <= 1",
        "Spectrum of the branches",
        "Smoothness in depth",
        "Distances",
        "Modified equation at the data",
    ):
        assert line in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 115
    first = picture.read_bytes()
    assert b"<svg" in first
    again = analyze("--checkpoint", run / "last.safetensors", "--samples", "2", "--plot", picture)
    assert again.stdout == result.stdout
    assert picture.read_bytes() == first


def test_json_is_described_by_the_schema(run: Path) -> None:
    result = analyze("zoo/lm_resnet", "--checkpoint", run, "--samples", "1", "--as", "json")
    data = json.loads(result.stdout)
    jsonschema.Draft202012Validator(report_schema()).validate(data)
    found = data["checkpoint"]
    assert (found["data"], found["samples"], found["epochs"]) == ("fake", 1, 1)
    assert [item["stage"] for item in found["learned"]] == [1, 2]
    del found["learned"]
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(data)


@pytest.mark.parametrize("style", ["html", "md"])
def test_other_forms(run: Path, style: str) -> None:
    result = analyze("--checkpoint", run, "--samples", "1", "--as", style)
    assert result.exit_code == 0, result.output
    assert "Smoothness in depth" in result.stdout
    assert ("<svg" in result.stdout) is (style == "html")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--checkpoint", "nowhere"), "no checkpoint `nowhere`"),
        (("--checkpoint", "{empty}"), "no `last.safetensors`"),
        (("--checkpoint", "{text}"), "is not a checkpoint of schemegen"),
        (("zoo/rk2", "--checkpoint", "{run}"), "the checkpoint was made from another scheme"),
        (("--checkpoint", "{run}", "--set", "k=1"), "not for a checkpoint"),
        (("--checkpoint", "{run}", "--as", "latex"), "text, json, html or md"),
        (("--checkpoint", "{run}", "--data", "cifar10"), "no CIFAR-10 in"),
        (("--checkpoint", "{run}", "--data", "cifra"), "unknown data set"),
        (("zoo/rk2", "--plot", "x.svg", "--plot-kind", "spectrum"), "add --checkpoint"),
        ((), "name a FILE"),
    ],
)
def test_wrong_commands(
    run: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "x.safetensors").write_text("no weights")
    (tmp_path / "empty").mkdir()
    places = {"run": run, "empty": tmp_path / "empty", "text": tmp_path / "x.safetensors"}
    result = analyze(*(item.format(**places) for item in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
