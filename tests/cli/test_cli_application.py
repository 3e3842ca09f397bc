"""The group of commands: help, unknown commands, exit codes, the crash report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from schemegen.cli import application
from schemegen.cli.application import COMMANDS, cli
from schemegen.cli.console import ClosedPipeError, Console
from schemegen.cli.failures import exit_code
from schemegen.diagnostics import InternalError, UsageError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_help_names_every_command(run: CliRunner) -> None:
    result = run.invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name, text in COMMANDS.items():
        assert name in result.stdout
        assert text.split(";")[0].split(",")[0].split(":")[0] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_takes_the_common_options(run: CliRunner, name: str) -> None:
    result = run.invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    for option in ("--color", "--quiet", "--verbose", "--no-cache"):
        assert option in result.stdout


def test_a_similar_command_is_named(run: CliRunner) -> None:
    result = run.invoke(cli, ["chekc"])
    assert result.exit_code == 2
    assert "A similar command exists: check" in result.stderr
    assert run.invoke(cli, ["qqq"]).stderr.count("similar") == 0


def test_version(run: CliRunner) -> None:
    from schemegen import __version__

    assert __version__ in run.invoke(cli, ["--version"]).stdout


def _raising(failure: BaseException) -> click.Command:
    @click.command("doctor")
    def command() -> None:
        raise failure

    return command


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UsageError("no file x", "look again"), 2),
        (KeyboardInterrupt(), 130),
        (InternalError("broken"), 70),
        (RecursionError("deep"), 70),
        (ClosedPipeError(), 141),
    ],
)
def test_exit_codes(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int
) -> None:
    module = type(sys)("doctor")
    module.command = _raising(failure)  # type: ignore[attr-defined]
    monkeypatch.setattr(application, "import_module", lambda name: module)
    assert run.invoke(cli, ["doctor"]).exit_code == code


def test_a_crash_leaves_a_report_and_no_traceback(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = type(sys)("doctor")
    module.command = _raising(InternalError("two weights, three stages"))  # type: ignore[attr-defined]
    monkeypatch.setattr(application, "import_module", lambda name: module)
    result = run.invoke(cli, ["doctor"])
    assert "internal error: InternalError: two weights, three stages" in result.stderr
    assert "Traceback" not in result.stderr
    report = Path("schemegen-crash.txt").read_text(encoding="utf-8")
    assert "Traceback" in report
    assert "two weights, three stages" in report
    assert f"schemegen {application.__version__}" in report
    assert "arguments ['doctor']" in report


def test_usage_errors_show_code_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    code = exit_code(UsageError("no CUDA device", "leave it out", "E0802"), Console(), [])
    assert code == 2
    assert capsys.readouterr().err == "error[E0802]: no CUDA device\n   = help: leave it out\n"


LIGHT = """
import sys
from schemegen.cli.application import cli
sys.argv = ["schemegen", *{arguments!r}]
try:
    cli(prog_name="schemegen")
except SystemExit:
    pass
heavy = [name for name in ("torch", "sympy", "rich", "networkx") if name in sys.modules]
print("heavy:", *heavy, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["fmt", "-"], ["new", "x", "-o", "-"], ["zoo", "list"], ["zoo", "show", "rk2"]],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LIGHT.format(arguments=arguments)],
        input="scheme a { }\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr.splitlines()[-1].strip() == "heavy:"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: CliRunner, shell: str) -> None:
    result = run.invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_SCHEMEGEN_COMPLETE" in result.stdout


def test_doctor_lists_what_is_installed(run: CliRunner) -> None:
    result = run.invoke(cli, ["doctor"])
    assert result.exit_code == 0
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["click"][0].isdigit()
    assert "cpu" in rows["devices"]
    assert rows["zoo"].endswith("schemes")
    assert rows["cache"] == "off"  # as it is for all tests


def test_doctor_fails_where_a_dependency_is_missing(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schemegen.cli import doctor

    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: None if name == "lark" else real(name))
    result = run.invoke(cli, ["doctor"])
    assert result.exit_code == 1
    assert "missing: lark" in result.stderr
