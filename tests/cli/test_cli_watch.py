"""``check --watch``: what changed is checked again, and only what is new is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemegen.cli import watch as watching
from schemegen.cli.application import cli

GOOD = (
    "scheme a {\n  state u\n  drift f(u): block preact\n  step { u[n+1] = u[n] + h*f(u[n]) }\n}\n"
)


def test_only_what_is_new_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.scheme"
    file.write_text(GOOD.replace("f(u[n])", "g(u[n])"), encoding="utf-8")
    one_more = "# a comment\n" + GOOD.replace("f(u[n])", "g(u[n])").replace(
        "state u", "state u\n  state u"
    )
    texts = [one_more, GOOD, None]

    def pause(_: float) -> None:
        if not texts:
            raise KeyboardInterrupt
        text = texts.pop(0)
        if text is None:
            file.unlink()
        else:
            file.write_text(text, encoding="utf-8")
        if text is not None:
            os.utime(file, ns=(len(texts), len(texts)))

    monkeypatch.setattr(watching.time, "sleep", pause)
    done = CliRunner().invoke(cli, ["check", "--watch", str(file)])
    assert done.exit_code == 130
    first, second, third, fourth = done.stderr.split(f"{file}: ")[:4]
    assert "`g`" in first
    assert second.startswith("1 error\n")
    assert "`g`" not in second
    assert "error" in second.partition("\n")[2]
    assert third.startswith("2 errors\n")
    assert fourth.startswith("nothing to report; 2 settled\n")
    assert f"{file}: no file" in done.stderr
    assert done.stderr.endswith("interrupted\n")


def test_watch_takes_files_alone(tmp_path: Path) -> None:
    for more in (["--fix", "a.scheme"], ["--format", "json", "a.scheme"], ["-"]):
        done = CliRunner().invoke(cli, ["check", "--watch", *more])
        assert done.exit_code == 2
        assert "--watch takes files" in done.stderr
