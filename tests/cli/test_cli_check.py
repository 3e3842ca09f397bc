"""``check``: formats, fixes, policies, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.cli.policy import Policy, allowed_lines
from schemegen.diagnostics import Diagnostic, Source, Span

BAD = """\
scheme heun {
  state u; drift f(u)
  tableau explicit {
    0   |
    1/3 |  1
    ----+---------
        | 1/2  1/2
  }
}
"""
WARNS = """\
scheme one {
  state u; drift f(u)
  param beta: fixed, init 1
  tableau explicit { 0 | ; --+-- ; | 1 }
}
"""
SURE = WARNS.replace("  param beta: fixed, init 1\n", "  expect order == 1\n").replace(
    "--+-- ; | 1", "--+-- ; | 2^1/2"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.scheme").write_text(BAD)
    (tmp_path / "warns.scheme").write_text(WARNS)
    return tmp_path


def invoke(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(cli, ["check", *arguments], input=text)


def test_diagnostics_go_to_stderr_and_their_number_after_them() -> None:
    result = invoke("bad.scheme", "warns.scheme")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error[E0203]: c = 1/3 differs from the row sum 1" in result.stderr
    assert "--> bad.scheme:5:5" in result.stderr
    assert "warning[W0304]" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("1 error, 1 warning")


def test_a_network_of_the_zoo_and_a_wrong_name(folder: Path) -> None:
    found = invoke("hamiltonian", "--network", "fractalnet")
    assert found.exit_code == 1
    assert "two states need an even width, the stem has 3" in found.stderr
    assert invoke("hamiltonian", "--network", "tiny").exit_code == 0
    wrong = invoke("hamiltonian", "--network", "fractals")
    assert wrong.exit_code == 2
    assert "a similar name exists: fractalnet" in wrong.stderr
    (folder / "mine.scheme").write_text("network mine { stages: 3 }")
    broken = invoke("hamiltonian", "--network", "mine.scheme")
    assert broken.exit_code == 1
    assert "mine.scheme" in broken.stderr


def test_warnings_alone_are_exit_0() -> None:
    result = invoke("warns.scheme")
    assert result.exit_code == 0
    assert "W0304" in result.stderr
    assert invoke("-q", "warns.scheme").stderr == ""


def test_nothing_to_report() -> None:
    result = invoke("zoo/rk4", "zoo/rk2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "2 files checked, nothing to report\n"


def test_json_lines() -> None:
    result = invoke("--format", "json", "bad.scheme", "warns.scheme")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["file"], line["code"]) for line in lines] == [
        ("bad.scheme", "E0203"),
        ("warns.scheme", "W0304"),
    ]
    assert lines[0]["line"] == 5


def test_concise_github_and_sarif() -> None:
    assert invoke("--format", "concise", "bad.scheme").stdout.startswith("bad.scheme:5:5: E0203 ")
    assert invoke("--format", "github", "bad.scheme").stdout.startswith("::error file=bad.scheme")
    sarif = json.loads(invoke("--format", "sarif", "bad.scheme").stdout)
    assert sarif["version"] == "2.1.0"
    assert sarif["runs"][0]["results"][0]["ruleId"] == "E0203"
    assert "error[E0203]" in invoke("--format", "full", "bad.scheme").stdout


@pytest.mark.parametrize("style", ["json", "concise", "github", "full"])
def test_no_diagnostics_no_output(style: str) -> None:
    assert invoke("--format", style, "zoo/rk4").stdout == ""


def test_fix_mends_what_is_sure_and_checks_again(folder: Path) -> None:
    path = folder / "sure.scheme"
    path.write_text(WARNS.replace("  param beta: fixed, init 1\n", "  expect order == 1\n"))
    before = invoke("--format", "concise", "sure.scheme")
    if "E0105" not in before.stdout:  # `==` is no mistake in a claim
        path.write_text(WARNS.replace("param beta: fixed, init 1", "parm beta: fixed"))
        before = invoke("--format", "concise", "sure.scheme")
    assert before.exit_code == 1
    assert "fixable with `--fix`" in invoke("sure.scheme").stderr
    result = invoke("--fix", "sure.scheme")
    assert "parm" not in path.read_text()
    assert result.exit_code == 0, result.stderr


def test_fix_leaves_a_file_without_sure_fixes_alone(folder: Path) -> None:
    before = (folder / "warns.scheme").stat().st_mtime_ns
    assert invoke("--fix", "warns.scheme").exit_code == 0
    assert (folder / "warns.scheme").stat().st_mtime_ns == before
    assert invoke("--fix", "-", text=BAD).exit_code == 2


def test_the_zoo_is_never_mended(folder: Path) -> None:
    result = invoke("--fix", "zoo/rk4")
    assert result.exit_code == 2
    assert "--fix changes files" in result.stderr


def test_deny_and_allow() -> None:
    denied = invoke("--deny", "W0304", "warns.scheme")
    assert denied.exit_code == 1
    assert "1 denied" in denied.stderr
    assert invoke("--deny", "all", "warns.scheme").exit_code == 1
    assert invoke("--deny", "W0213", "warns.scheme").exit_code == 0
    allowed = invoke("--allow", "W0304", "--deny", "all", "warns.scheme")
    assert (allowed.exit_code, "W0304" in allowed.stderr) == (0, False)


@pytest.mark.parametrize("code", ["E0203", "W9999", "304", "w"])
def test_only_known_warnings_can_be_chosen(code: str) -> None:
    assert invoke("--allow", code, "warns.scheme").exit_code == 2


def test_a_comment_allows_a_warning_on_its_line() -> None:
    text = WARNS.replace("init 1\n", "init 1  # kept for later. allow: W0304\n")
    assert "W0304" not in invoke("-", text=text).stderr
    other = WARNS.replace("scheme one {", "scheme one {  # allow: W0304")
    assert "W0304" in invoke("-", text=other).stderr


def test_allow_comments_are_not_read_from_strings_and_never_hide_errors() -> None:
    lines = allowed_lines(
        Source("a", 'scheme a "# allow: W0304" {\n# allow: W0304, W0313\nx # Allow W0304\n')
    )
    assert lines == {2: frozenset({"W0304", "W0313"})}
    source = Source("a", "x # allow: W0304\n")
    error = Diagnostic("E0204", "wrong", Span(source, 0, 1))
    warning = Diagnostic("W0304", "unused", Span(source, 0, 1))
    assert Policy().keep([error, warning]) == (error,)
    assert Policy(allow=frozenset({"W0304"})).keep([warning]) == ()
    assert Policy(deny=frozenset({"W0304"})).fails([warning])
    assert not Policy().fails([warning])


def test_pedantic() -> None:
    text = WARNS.replace(
        "  tableau explicit { 0 | ; --+-- ; | 1 }", "  step { u[n+1] = u[n] + f(u[n]) }"
    )
    assert "W0313" not in invoke("-", text=text).stderr
    assert "W0313" in invoke("--pedantic", "-", text=text).stderr


def test_hostile_names_reach_no_terminal_control() -> None:
    result = invoke("-", text='scheme a "\x1b[31mred\x07" { state u }')
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
