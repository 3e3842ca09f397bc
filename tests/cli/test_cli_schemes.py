"""Commands that print a scheme: analyze, show, diff, step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.pipeline import load, load_all

TWO = """\
scheme one { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }
scheme two "Two" { state u; drift f(u); step { u[n+1] = u[n] + h*f(u[n]) } }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=text)


def test_analyze_prints_everything() -> None:
    result = invoke("analyze", "zoo/rk2")
    assert result.exit_code == 0
    for part in ("order conditions", "R(z)", "modified equation", "f[f,f]   misses by -1/12"):
        assert part in result.stdout


def test_analyze_order() -> None:
    def trees(order: str) -> set[int]:
        data = json.loads(invoke("analyze", "zoo/rk2", "--as", "json", "--order", order).stdout)
        return {term["h_power"] for term in data["modified_equation"]["field"]["u"]}

    assert trees("3") == {0, 2}
    assert trees("5") == {0, 2, 3, 4}
    assert invoke("analyze", "zoo/rk2", "--order", "0").exit_code == 2


def test_an_order_beyond_the_limit_is_told_and_the_rest_is_printed() -> None:
    done = invoke("analyze", "zoo/euler", "--as", "json", "--order", "99")
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["order"] == 1
    assert data["modified_equation"]["truncation"] == 10
    notes = [note["text"] for note in data["notes"] if note["key"] == "modified_equation"]
    assert notes == ["kept to 10 nodes, which is the limit; 99 were asked for"]


def test_analyze_json_is_an_object_or_a_list() -> None:
    assert json.loads(invoke("analyze", "zoo/rk2", "--as", "json").stdout)["order"] == 2
    several = json.loads(invoke("analyze", "-", "--as", "json", text=TWO).stdout)
    assert [item["scheme"] for item in several] == ["one", "two"]


@pytest.mark.parametrize(
    ("style", "part"),
    [
        ("latex", r"\begin{array}"),
        ("latex-document", r"\documentclass"),
        ("md", "### rk2"),
        ("markdown", "### rk2"),
        ("html", "<!DOCTYPE html>"),
    ],
)
def test_analyze_as(style: str, part: str) -> None:
    assert part in invoke("analyze", "zoo/rk2", "--as", style).stdout


def test_analyze_set() -> None:
    data = json.loads(invoke("analyze", "zoo/lm_resnet", "--set", "k=1", "--as", "json").stdout)
    assert data["order"] == 2
    assert data["stability"]["function"]["rho"] == ["-1", "0", "1"]


def test_a_failed_claim_prints_the_report_and_is_exit_1() -> None:
    text = TWO.splitlines()[0].replace("} }", "}; expect order = 2 }")
    result = invoke("analyze", "-", text=text)
    assert result.exit_code == 1
    assert "E0401" in result.stderr
    assert "(expected 2: fails)" in result.stdout


def test_show_draws_the_tableau() -> None:
    result = invoke("show", "zoo/rk2")
    assert result.stdout == "  0 │\n1/2 │ 1/2\n────┼────────\n    │   0  1\n"


def test_show_equations() -> None:
    assert invoke("show", "zoo/rk2", "--as", "equations").stdout.splitlines() == [
        "k1 = f(u[n])",
        "Y2 = u[n] + 1/2 h k1",
        "k2 = f(Y2)",
        "u[n+1] = u[n] + h k2",
    ]
    implicit = invoke("show", "zoo/backward_euler", "--as", "equations").stdout
    assert implicit.startswith("solve for ")


def test_show_several_schemes_names_them() -> None:
    lines = invoke("show", "-", text=TWO).stdout.splitlines()
    assert "one" in lines
    assert "two" in lines


@pytest.mark.parametrize("name", ["rk4", "ab2", "lm_resnet", "fractal3", "sdirk2"])
def test_show_as_scheme_and_python_read_back(name: str) -> None:
    (shown,) = load_all(invoke("show", f"zoo/{name}", "--as", "scheme").stdout)
    assert shown == load(name)
    space: dict[str, object] = {}
    exec(invoke("show", f"zoo/{name}", "--as", "python").stdout, space)  # noqa: S102  # our own text
    assert space[name] == load(name)


def test_show_json_has_exact_numbers() -> None:
    data = json.loads(invoke("show", "zoo/rk4", "--as", "json").stdout)
    (tableau,) = data["tableaus"]
    assert tableau["b"] == ["1/6", "1/3", "1/3", "1/6"]
    assert tableau["A"][2] == ["0", "1/2", "0", "0"]
    multistep = json.loads(invoke("show", "zoo/ab2", "--as", "json").stdout)["multistep"]
    assert multistep["beta"] == {"f": ["0", "3/2", "-1/2"]}


@pytest.mark.parametrize("name", ["rk4", "ab2", "lm_resnet"])
def test_show_latex(name: str) -> None:
    text = invoke("show", f"zoo/{name}", "--as", "latex").stdout
    assert text.count("{") == text.count("}")
    assert text.startswith("\\[")


def test_diff_names_what_differs() -> None:
    result = invoke("diff", "rk2", "heun2")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rk2", "heun2"]
    assert any(line.startswith("-  Y2 := ") for line in lines)
    rows = {line[2:].split("  ")[0]: line for line in lines}
    assert rows["order"].split() == ["order", "2", "2"]
    assert rows["SSP"].split() == ["≠", "SSP", "coefficient", "0", "coefficient", "1"]
    assert rows["h² f''(f,f)"].split()[-2:] == ["-1/24", "1/12"]  # GNI, example IX.1.4


def test_diff_as_data_and_page() -> None:
    result = invoke("diff", "rk2", "heun2", "--as", "json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert (data["a"]["scheme"], data["b"]["scheme"], data["same"]) == ("rk2", "heun2", False)
    terms = {term["tree"]: term for term in data["modified_equation"]["terms"]}
    assert (terms["f[f,f]"]["a"], terms["f[f,f]"]["b"]) == ("-1/24", "1/12")
    assert terms["f[f[f]]"]["same"]
    assert json.loads(invoke("diff", "rk2", "rk2", "--as", "json").stdout)["same"]
    assert invoke("diff", "rk2", "heun2", "--as", "html").stdout.startswith("<!DOCTYPE html>")
    assert invoke("diff", "rk2", "heun2", "--as", "markdown").stdout.startswith("### rk2 and heun2")
    assert invoke("diff", "rk2", "heun2", "--as", "latex").exit_code == 2


def test_diff_of_the_same_scheme() -> None:
    result = invoke("diff", "rk2", "zoo/rk2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the same scheme" in result.stderr


def test_step_follows_rk2_by_hand() -> None:
    """u' = -u, u = 1, h = 1/10: k1 = -1, Y2 = 19/20, k2 = -19/20, u[1] = 1 - 19/200 = 181/200."""
    lines = invoke("step", "zoo/rk2").stdout.splitlines()
    assert lines[0] == "rk2 on decay: u' = -u, u(0) = 1, h = 1/10"
    rows = [line.split() for line in lines[2:]]
    assert rows == [
        ["u[n]", "1", "1"],
        ["k1", "-1", "-1"],
        ["Y2", "19/20", "0.95"],
        ["k2", "-19/20", "-0.95"],
        ["u[n+1]", "181/200", "0.905"],
    ]


def test_step_of_implicit_midpoint_is_its_stability_function() -> None:
    """Gauss-1 solved exactly: R(-1/10) = (1 - 1/20)/(1 + 1/20) = 19/21."""
    text = (
        "scheme g { state u; drift f(u); tableau implicit { 1/2 | 1/2 ; ---+--- ; | 1 }\n"
        "solve: anderson, memory 3, iterations 20, tol 1e-12, gradient implicit }"
    )
    last = invoke("step", "-", text=text).stdout.splitlines()[-1].split()
    assert last[:2] == ["u[n+1]", "19/21"]
    assert abs(float(last[2]) - 19 / 21) < 1e-12


def test_step_shows_the_first_step_with_history() -> None:
    """AB2 after one Euler step from 1: 9/10 + 1/10 (3/2 (-9/10) + 1/2) = 163/200."""
    last = invoke("step", "zoo/ab2").stdout.splitlines()[-1].split()
    assert last == ["u[n+1]", "163/200", "0.815"]


@pytest.mark.parametrize("problem", ["decay", "logistic", "oscillator", "vdp"])
@pytest.mark.parametrize("name", ["rk4", "sdirk2", "bdf2", "revnet", "momentum_net", "exp_euler"])
def test_step_runs_on_every_problem(name: str, problem: str) -> None:
    result = invoke("step", f"zoo/{name}", "--problem", problem, "--h", "1/20")
    assert result.exit_code == 0, result.output
    assert "nan" not in result.stdout


def test_step_says_what_it_assumes() -> None:
    assert "with k = -1/20, its initial value" in invoke("step", "zoo/lm_resnet").stdout
    assert "with dW = 0, the mean of the noise" in invoke("step", "zoo/euler_maruyama").stdout
    assert "k = " not in invoke("step", "zoo/lm_resnet", "--set", "k=1/2").stdout


@pytest.mark.parametrize("size", ["0", "-1", "k", "1/0", ""])
def test_step_size_is_a_positive_exact_number(size: str) -> None:
    assert invoke("step", "zoo/rk2", "--h", size).exit_code == 2


def test_analyze_plot_writes_the_picture_and_says_so(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = invoke("analyze", "zoo/rk2", "--plot", "region.svg")
    assert result.exit_code == 0
    assert "wrote region.svg" in result.stderr
    assert "order" in result.stdout
    assert (folder / "region.svg").read_bytes().startswith(b"<?xml")
    assert invoke("analyze", "zoo/rk2", "--plot", "t.pdf", "--plot-kind", "trees").exit_code == 0
    assert (folder / "t.pdf").read_bytes().startswith(b"%PDF")


def test_analyze_plot_of_several_schemes(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert invoke("analyze", "-", "--plot", "all.png", text=TWO).exit_code == 0
    assert sorted(path.name for path in folder.glob("*.png")) == ["all-one.png", "all-two.png"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("zoo/rk2", "--plot", "region.gif"), "none of .svg, .png, .pdf"),
        (("zoo/ars222", "--plot", "region.svg"), "no stability function to draw"),
        (("zoo/bdf2", "--plot", "o.svg", "--plot-kind", "order-star"), "no order star"),
        (("zoo/rk2", "--plot", "no/where.svg"), "cannot be written"),
    ],
)
def test_analyze_plot_that_cannot_be(arguments: tuple[str, ...], part: str, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = invoke("analyze", *arguments)
    assert result.exit_code == 2
    assert part in result.stderr
    assert not list(folder.iterdir())


def test_analyze_without_a_plot_leaves_matplotlib_alone() -> None:
    import os
    import subprocess
    import sys

    import schemegen

    code = (
        "import sys\nfrom schemegen.cli.application import cli\n"
        "try:\n    cli(['analyze', 'zoo/rk2', '--as', 'json'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    package = str(Path(schemegen.__file__).parent.parent)
    settings = os.environ | {"PYTHONPATH": package}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=settings)


def test_plot_options_are_those_of_the_pictures() -> None:
    from schemegen.cli import plotting
    from schemegen.report import plots

    assert (plotting.KINDS, plotting.FORMATS) == (plots.KINDS, plots.FORMATS)
