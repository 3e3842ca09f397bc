"""True processes: streams, signals, closed pipes, locales."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import schemegen

SCHEMEGEN = [sys.executable, "-m", "schemegen"]
PACKAGE = str(Path(schemegen.__file__).parents[1])
HERE = os.environ | {"PYTHONPATH": PACKAGE}
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


def run(
    *arguments: str, folder: Path, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SCHEMEGEN, *arguments],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=HERE | environment,
        timeout=60,
        check=False,
    )


def test_stdin_to_stdout(tmp_path: Path) -> None:
    done = run("fmt", "-", folder=tmp_path, text="scheme a { state   u }\n")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "state u" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_exit_2_and_named(tmp_path: Path) -> None:
    done = run("fmt", "none.scheme", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no file none.scheme\n"
    assert done.stdout == ""


@POSIX
def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*SCHEMEGEN, "zoo", "show", "rk4"],
            stdout=writer,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=HERE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_an_interrupt_is_exit_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SCHEMEGEN, "fmt", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=HERE,
    )
    try:
        wait_until_it_reads(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.strip() == b"interrupted"
    assert list(tmp_path.iterdir()) == []


def wait_until_it_reads(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process sleeps in its read of stdin; a fixed wait where that cannot be seen."""
    state = Path(f"/proc/{process.pid}/wchan")
    deadline = time.monotonic() + 20
    if not state.exists():
        time.sleep(3)
        return
    while time.monotonic() < deadline:
        if "pipe" in state.read_text():
            return
        if process.poll() is not None:
            pytest.fail("the command ended before it read")
        time.sleep(0.05)
    time.sleep(1)


@pytest.mark.parametrize(("locale", "ascii_only"), [("C", True), ("C.UTF-8", False)])
def test_output_follows_the_locale(tmp_path: Path, locale: str, ascii_only: bool) -> None:
    done = run("show", "zoo/rk4", folder=tmp_path, LC_ALL=locale)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() is ascii_only
    assert ("-+-" if ascii_only else "─┼─") in done.stdout


def test_a_crash_is_exit_70_with_a_report(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import schemegen.language as language\n"
        "def format_source(source):\n"
        "    raise AssertionError('lost a comment')\n"
        "language.format_source = format_source\n"
    )
    path = os.pathsep.join([str(tmp_path), PACKAGE])
    done = run("fmt", "-", folder=tmp_path, text="scheme a { }", PYTHONPATH=path)
    assert done.returncode == 70
    assert "internal error: AssertionError: lost a comment" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "schemegen-crash.txt").read_text()
    verbose = run("-v", "fmt", "-", folder=tmp_path, text="scheme a { }", PYTHONPATH=path)
    assert verbose.returncode == 70
    assert "Traceback" in verbose.stderr
