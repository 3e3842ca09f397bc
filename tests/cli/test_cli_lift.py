"""``schemegen lift``."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from schemegen.cli.application import cli


def test_a_lift_is_printed_or_written(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["lift", "zoo/rk4", "--coupling", "9/10"])
    assert printed.exit_code == 0
    assert "scheme rk4_lift" in printed.stdout
    assert "const coupling = 9/10" in printed.stdout
    path = tmp_path / "lift.scheme"
    written = CliRunner().invoke(cli, ["lift", "zoo/rk4", "--coupling", "9/10", "-o", str(path)])
    assert written.exit_code == 0
    assert path.read_text(encoding="utf-8").strip() == printed.stdout.strip()
    assert CliRunner().invoke(cli, ["check", str(path)]).exit_code == 0


def test_what_has_no_lift_is_a_usage_mistake() -> None:
    done = CliRunner().invoke(cli, ["lift", "zoo/gauss2"])
    assert done.exit_code == 2
    assert "no explicit Runge-Kutta method" in done.stderr
