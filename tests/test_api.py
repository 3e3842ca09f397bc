"""The public names: load, check, analyze, build, compile_scheme, and what a notebook shows."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import schemegen
from schemegen import SchemeError, UsageError, notebook

EULER = "scheme one { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }\n"
LEARNED = """\
scheme learned {
  state u; drift f(u)
  param k: learnable, per step, init 1/10, range [0, 1), via sigmoid
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }
  start: euler; transition: history project
}
"""
SMALL = """\
network small {
  input: shape [1, 4, 4], classes 3
  stem: conv(3), width 4
  stage: width 4, steps 2
  head: bn, relu, avgpool, linear
}
"""


def test_import_is_light() -> None:
    code = (
        "import sys, schemegen; "
        "print(*[m for m in ('sympy', 'torch', 'lark', 'rich', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_public_name_is_there() -> None:
    for name in schemegen.__all__:
        assert getattr(schemegen, name) is not None
    assert sorted(schemegen.__all__) == dir(schemegen)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        schemegen.laod  # noqa: B018


def test_load_takes_a_name_a_path_and_a_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.scheme"
    path.write_text(EULER)
    assert schemegen.load("rk4").title == "Classical Runge-Kutta"
    assert schemegen.load("zoo/rk4") == schemegen.load("rk4")
    assert schemegen.load(path) == schemegen.load(str(path)) == schemegen.load(EULER)
    assert [item.name for item in schemegen.load_all(EULER + LEARNED)] == ["one", "learned"]
    assert schemegen.load(EULER + LEARNED, "learned").name == "learned"


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(SchemeError) as caught:
        schemegen.load("scheme one { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 2 } }")
    assert [item.code for item in caught.value.diagnostics if item.is_error] == ["E0204"]
    with pytest.raises(UsageError, match="declares 2 schemes"):
        schemegen.load(EULER + LEARNED)
    with pytest.raises(UsageError, match="no scheme 'three'"):
        schemegen.load(EULER, "three")
    with pytest.raises(UsageError, match="no file"):
        schemegen.load(tmp_path / "none.scheme")
    with pytest.raises(UsageError, match="the zoo has no rk44"):
        schemegen.load("rk44")


def test_check_returns_diagnostics_and_raises_nothing() -> None:
    assert schemegen.check("rk4") == ()
    codes = [item.code for item in schemegen.check("scheme one { state u u }")]
    assert codes
    assert all(code[0] in "EW" for code in codes)


def test_analyze() -> None:
    assert schemegen.analyze("rk4").order == 4
    assert schemegen.analyze(schemegen.load("rk4")).stability.real_interval is not None
    analysis = schemegen.analyze(EULER.replace("} }", "}; expect order = 2 }"))
    assert [verdict.holds for verdict in analysis.verdicts] == [False]


def test_build_gives_a_graph_module_that_runs() -> None:
    torch.manual_seed(0)
    for network in (None, "tiny"):
        model = schemegen.build("rk2", network)
        assert isinstance(model, torch.fx.GraphModule)
        assert model.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_build_takes_the_network_of_the_file_and_of_a_path(tmp_path: Path) -> None:
    model = schemegen.build(schemegen.load(EULER + SMALL))
    assert model.eval()(torch.zeros(2, 1, 4, 4)).shape == (2, 3)
    path = tmp_path / "n.scheme"
    path.write_text(SMALL + SMALL.replace("small", "other").replace("classes 3", "classes 5"))
    chosen = schemegen.build(EULER, f"{path}:other")
    assert chosen.eval()(torch.zeros(2, 1, 4, 4)).shape == (2, 5)
    with pytest.raises(UsageError, match="declares 2 networks"):
        schemegen.build(EULER, path)
    with pytest.raises(UsageError, match="a similar name exists: digits"):
        schemegen.build(EULER, "digit")


@pytest.mark.parametrize("value", ["1/10", Fraction(1, 10), 0.1, "0.1"])
def test_build_replaces_params_exactly(value: Any) -> None:
    scheme = schemegen.load(LEARNED + SMALL)
    free, fixed = schemegen.build(scheme), schemegen.build(scheme, k=value)
    count = {len(list(model.parameters())) for model in (free, fixed)}
    assert len(count) == 2
    assert not fixed.meta["coefficients"]
    assert "0.1" in fixed.code


@pytest.mark.parametrize("value", [True, None, "k", "1;2", float("nan"), "()"])
def test_build_refuses_what_is_no_number(value: Any) -> None:
    with pytest.raises(UsageError, match="is no exact number"):
        schemegen.build(LEARNED, k=value)


def test_compile_scheme_writes_the_folder(tmp_path: Path) -> None:
    folder = schemegen.compile_scheme("rk2", "tiny", output=tmp_path)
    assert folder == tmp_path / "rk2"
    first = {item.name: item.read_bytes() for item in folder.iterdir()}
    assert set(first) >= {"model.py", "graph.txt", "analysis.json", "scheme.scheme"}
    schemegen.compile_scheme("rk2", "tiny", output=tmp_path)
    assert {item.name: item.read_bytes() for item in folder.iterdir()} == first
    with pytest.raises(UsageError, match="unknown form"):
        schemegen.compile_scheme("rk2", output=tmp_path, emit=["pdf"])


def test_a_program_shows_its_equations() -> None:
    from schemegen.step import lower

    text = lower(schemegen.load("rk2"))._repr_latex_()
    assert text.startswith("$\\displaystyle \\begin{aligned}")
    assert r"\mathtt{k1} &= \mathtt{f(u[n])}" in text


def test_notebook_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    scheme = schemegen.load("rk2")
    assert scheme.plot_region().get_xlabel() == "Re z"
    drawing = scheme.plot("trees")
    assert drawing._repr_svg_().startswith("<?xml")
    drawing.save(tmp_path / "trees.pdf")
    assert (tmp_path / "trees.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(UsageError, match=r"none of \.svg"):
        drawing.save(tmp_path / "trees.gif")
    with pytest.raises(UsageError, match="no picture of the kind"):
        scheme.analyze().plot("portrait")


def test_notebook_reprs() -> None:
    scheme: Any = schemegen.load("rk2")
    latex = scheme._repr_latex_()
    assert latex.startswith("$")
    assert "\\begin{array}{c|cc}" in latex
    assert "R(z) = 1 + z + \\frac{1}{2} z^{2}" in latex
    analysis = scheme.analyze()
    assert "<table>" in analysis._repr_html_()
    assert "R(z) = 1 + z" in analysis._repr_latex_()
    assert analysis._repr_latex_().count("$$") == 6
    assert analysis._repr_markdown_().startswith("### rk2")
    assert isinstance(scheme.network("tiny"), torch.fx.GraphModule)


class Shell:
    """What IPython offers to an extension."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.magics: dict[str, Any] = {}

    def push(self, names: dict[str, Any]) -> None:
        self.names.update(names)

    def register_magic_function(self, function: Any, magic_kind: str, magic_name: str) -> None:
        self.magics[f"{magic_kind} {magic_name}"] = function


def test_the_scheme_cell(capsys: pytest.CaptureFixture[str]) -> None:
    shell = Shell()
    schemegen.load_ipython_extension(shell)
    cell = shell.magics["cell scheme"]
    assert cell("", EULER).name == "one"
    assert shell.names["one"].name == "one"
    body = "\nstate u\ndrift f(u)\ntableau explicit {\n 0 |\n --+--\n   | 1\n}\n"
    assert cell("rk1", body) is shell.names["rk1"]
    assert capsys.readouterr().err == ""
    assert cell("rk1", body.replace("| 1", "| 2")) is None
    error = capsys.readouterr().err
    assert "E0204" in error
    assert "<cell>:7" in error
    assert "Traceback" not in error
    assert cell("", body) is None
    assert "name the scheme" in capsys.readouterr().err


def test_the_cell_shows_warnings_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = EULER.replace("drift f(u);", "drift f(u); param beta: fixed, init 1;")
    assert notebook.run_cell(Shell(), "", text) is not None
    assert capsys.readouterr().err.count("W0304") >= 1
