"""``compile``: the report, the folder, settings, and what a mistake leaves behind."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.sources import zoo_file

EULER = """\
scheme one {
  state u; drift f(u)
  tableau explicit { 0 | ; --+-- ; | 1 }
}
"""

TWO = (
    EULER
    + EULER.replace("one", "two")
    + "network little {\n"
    + """\
  input: shape [1, 4, 4], classes 3
  stem: conv(3), width 4
  stage: width 4, steps 2
  head: bn, relu, avgpool, linear
}
"""
)

LEARNED = """\
scheme learned {
  state u; drift f(u)
  param k: learnable, per step, init 1/10, range [0, 1), via sigmoid
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }
  start: euler; transition: history project
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(cli, ["compile", *arguments], input=text)


def hashes(folder: Path) -> dict[str, str]:
    return {item.name: hashlib.sha256(item.read_bytes()).hexdigest() for item in folder.iterdir()}


def test_it_prints_the_report_and_writes_the_folder(folder: Path) -> None:
    (folder / "one.scheme").write_text(EULER)
    result = invoke("one.scheme")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("one ")
    assert "digits network" in result.stdout
    assert "warning[W0607]: no network section, using the built-in `digits`" in result.stderr
    assert "one.scheme:1:8" in result.stderr
    assert "wrote build/one/  graph.txt  model.py  analysis.json  scheme.scheme" in result.stderr
    built = folder / "build" / "one"
    assert (built / "scheme.scheme").read_text() == EULER
    assert json.loads((built / "analysis.json").read_text())["order"] == 1
    assert "class " in (built / "model.py").read_text()


def test_two_runs_are_byte_equal(folder: Path) -> None:
    forms = ("--network", "tiny", "--emit", "fx,python,json,latex,dot", "--no-report", "-q")
    text = zoo_file("rk4").read_text(encoding="utf-8")
    (folder / "rk4.scheme").write_text(text, encoding="utf-8")
    assert invoke("rk4.scheme", *forms).exit_code == 0
    first = hashes(folder / "build" / "rk4")
    assert set(first) >= {"graph.txt", "model.py", "analysis.json", "analysis.tex", "graph.dot"}
    assert invoke("rk4.scheme", *forms).exit_code == 0
    assert hashes(folder / "build" / "rk4") == first
    assert invoke("rk4.scheme", *forms, "-o", "elsewhere").exit_code == 0
    assert hashes(folder / "elsewhere" / "rk4") == first


def test_a_folder_for_each_scheme_that_compiles_again(folder: Path) -> None:
    (folder / "two.scheme").write_text(TWO)
    result = invoke("two.scheme", "--no-report")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    for name in ("one", "two"):
        again = folder / "build" / name / "scheme.scheme"
        text = again.read_text()
        assert f"scheme {name} {{" in text
        assert text.count("scheme ") == 1
        assert "network little {" in text
        assert invoke(str(again), "-o", "again", "--no-report").exit_code == 0
        for form in ("graph.txt", "analysis.json", "model.py"):
            first, second = (folder / root / name / form for root in ("build", "again"))
            assert first.read_bytes() == second.read_bytes()


def test_a_network_from_elsewhere_is_kept_with_the_scheme(folder: Path) -> None:
    (folder / "one.scheme").write_text(EULER)
    assert invoke("one.scheme", "--network", "tiny", "--no-report").exit_code == 0
    text = (folder / "build" / "one" / "scheme.scheme").read_text()
    assert text.startswith(EULER)
    assert "network tiny" in text


def test_what_follows_each_step_is_said(folder: Path) -> None:
    result = invoke("resnet", "--network", "imagenet_resnet18", "--emit", "json")
    assert result.exit_code == 0, result.output
    assert "steps 2 + 2 + 2 + 2, relu after each" in result.stdout
    assert "warning[W0615]: `after: relu` follows each step of `resnet`" in result.stderr


def test_stdin_and_one_form_to_stdout() -> None:
    result = invoke("-", "--emit", "json", "-o", "-", "--stdin-name", "mine", text=EULER)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["scheme"] == "one"
    assert "mine:1:8" in result.stderr
    assert invoke("-", "-o", "-", text=EULER).exit_code == 2


def test_set_replaces_a_param_exactly(folder: Path) -> None:
    arguments = ("-", "--emit", "json", "-o", "-")
    free = json.loads(invoke(*arguments, text=LEARNED).stdout)
    assert [param["name"] for param in free["params"]] == ["k"]
    fixed = json.loads(invoke(*arguments, "--set", "k=0.1", text=LEARNED).stdout)
    assert fixed["params"] == []
    assert fixed["consistent"] == "u' = (10/11) f"
    assert fixed["stability"]["function"]["rho"] == ["-1/10", "-9/10", "1"]


def test_the_folder_keeps_what_was_set(folder: Path) -> None:
    arguments = ("--network", "tiny", "--no-report", "-q")
    assert invoke("-", *arguments, "--set", "k=1/3", text=LEARNED).exit_code == 0
    text = (folder / "build" / "learned" / "scheme.scheme").read_text()
    assert "const k = 1/3\n" in text
    assert "param k" not in text
    again = invoke("build/learned/scheme.scheme", "-o", "again", "--no-report", "-q")
    assert again.exit_code == 0
    first, second = (folder / root / "learned" / "model.py" for root in ("build", "again"))
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("k", "not of the form"),
        ("k=", "not of the form"),
        ("k=1; step { }", "is no exact number"),
        ("k=j", "is no exact number"),
        ("k=__import__('os')", "is no exact number"),
        ("k=9^9^9", "is no exact number"),
        ("q=1", "declares no param 'q'"),
    ],
)
def test_a_wrong_setting_is_a_wrong_command(setting: str, message: str) -> None:
    result = invoke("-", "--set", setting, text=LEARNED)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_mistake_writes_nothing(folder: Path) -> None:
    (folder / "bad.scheme").write_text(EULER.replace("| 1 }", "| 2 }"))
    (folder / "one.scheme").write_text(EULER)
    result = invoke("bad.scheme", "one.scheme", "--network", "tiny")
    assert result.exit_code == 1
    assert "bad.scheme:3" in result.stderr
    assert [item.name for item in (folder / "build").iterdir()] == ["one"]


def test_a_failed_claim_writes_nothing(folder: Path) -> None:
    text = EULER.replace("\n}", "\n  expect order = 2\n}")
    result = invoke("-", "--network", "tiny", text=text)
    assert result.exit_code == 1
    assert "E0401" in result.stderr
    assert not (folder / "build").exists()


def test_deny_and_allow(folder: Path) -> None:
    denied = invoke("-", "--deny", "W0607", text=EULER)
    assert denied.exit_code == 1
    assert not (folder / "build").exists()
    allowed = invoke("-", "--allow", "W0607", "--no-report", text=EULER)
    assert allowed.exit_code == 0
    assert "W0607" not in allowed.stderr


def test_a_folder_of_someone_else_is_not_touched(folder: Path) -> None:
    (folder / "build" / "one").mkdir(parents=True)
    (folder / "build" / "one" / "thesis.tex").write_text("mine")
    result = invoke("-", "--network", "tiny", text=EULER)
    assert result.exit_code == 2
    assert "was not written by schemegen" in result.stderr
    assert [item.name for item in (folder / "build" / "one").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("what", ["ast", "step", "fx"])
def test_dumps(what: str) -> None:
    result = invoke("-", "--network", "tiny", "--dump", what, text=EULER)
    assert result.exit_code == 0, result.output
    expected = {"ast": "TableauBlock", "step": "u[n+1] := ", "fx": "placeholder"}
    assert expected[what] in result.stdout


def test_unknown_networks_and_forms_are_named(folder: Path) -> None:
    assert "a similar name exists: digits" in invoke("-", "--network", "digit", text=EULER).stderr
    assert invoke("-", "--network", "none.scheme", text=EULER).exit_code == 2
    assert "'onx' is none of" in invoke("-", "--emit", "onx", text=EULER).stderr


def test_onnx_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemegen.artifacts.find_spec", lambda name: None)
    result = invoke("-", "--emit", "onnx", text=EULER)
    assert result.exit_code == 2
    assert "pip install 'schemegen[onnx]'" in result.stderr


def test_a_block_written_in_python(folder: Path) -> None:
    (folder / "mine_block.py").write_text(
        "from torch import nn\n"
        "class Branch(nn.Module):\n"
        "    def __init__(self, in_width, out_width, stride=1, **_):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(in_width, out_width, 3, stride, padding=1)\n"
        "    def forward(self, x, call=0):\n"
        "        return self.conv(x)\n"
    )
    text = EULER.replace("drift f(u)", "drift f(u): block mine")
    assert "E0601" in invoke("-", "--network", "tiny", text=text).stderr
    given = ("-", "--network", "tiny", "--block")
    result = invoke(*given, "mine=mine_block:Branch", text=text)
    assert result.exit_code == 0, result.output
    assert "Branch" in (folder / "build" / "one" / "model.py").read_text()
    for wrong, message in (
        ("mine=mine_block:Twig", "has no class Twig"),
        ("mine=no_such_module:Branch", "no module no_such_module"),
        ("mine=os.system", "not of the form"),
    ):
        failed = invoke(*given, wrong, text=text)
        assert failed.exit_code == 2
        assert message in failed.stderr


def test_the_same_name_twice_is_refused(folder: Path) -> None:
    (folder / "a.scheme").write_text(EULER)
    (folder / "b.scheme").write_text(EULER)
    result = invoke("a.scheme", "b.scheme", "--network", "tiny")
    assert result.exit_code == 2
    assert "a.scheme and b.scheme both declare one" in result.stderr


def test_the_graph_carries_the_plan_and_the_source_says_that_it_does_not(tmp_path: Path) -> None:
    result = invoke(
        "zoo/rk2", "--network", "tiny", "--backprop", "checkpoint=2", "-o", str(tmp_path)
    )
    assert result.exit_code == 0, result.output
    assert "chain" in (tmp_path / "rk2" / "graph.txt").read_text()
    assert "keeps all activations" in (tmp_path / "rk2" / "model.py").read_text()
