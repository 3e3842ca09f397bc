"""What ends a run: each kind of failure, what is printed for it, and its exit code."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from schemegen.cli.console import ClosedPipeError, Console
from schemegen.diagnostics import SchemeError, UsageError

__all__ = ["CLOSED_PIPE", "exit_code"]

WRONG_INPUT = 1
WRONG_COMMAND = 2
OUR_BUG = 70
INTERRUPTED = 130
CLOSED_PIPE = 141  # 128 + SIGPIPE, as 130 is 128 + SIGINT


def exit_code(failure: BaseException, console: Console, arguments: Sequence[str]) -> int:
    """Print what a user needs to know of ``failure`` and return the exit code.

    A failure that another process of the same run has told is not told again.
    """
    if getattr(failure, "told", False):
        return _silently(failure)
    match failure:
        case click.exceptions.Exit():
            return failure.exit_code
        case click.ClickException():
            failure.show()
            return failure.exit_code
        case SchemeError():
            console.show(failure.diagnostics)
            return WRONG_INPUT
        case UsageError():
            code = f"[{failure.code}]" if failure.code else ""
            console.complain(f"error{code}: {failure.message}")
            if failure.help:
                console.complain(f"   = help: {failure.help}")
            return WRONG_COMMAND
        case click.Abort() | KeyboardInterrupt():
            console.complain("interrupted")
            return INTERRUPTED
        case ClosedPipeError():
            return CLOSED_PIPE
        case _:
            return _crash(failure, console, arguments)


def _silently(failure: BaseException) -> int:
    match failure:
        case SchemeError():
            return WRONG_INPUT
        case UsageError():
            return WRONG_COMMAND
        case KeyboardInterrupt():
            return INTERRUPTED
        case _:
            return OUR_BUG


def _crash(failure: BaseException, console: Console, arguments: Sequence[str]) -> int:
    """Write the report of a bug of ours; the traceback itself is printed under ``-v`` only."""
    trace = "".join(traceback.format_exception(failure))
    path = _write_report(_report(arguments, trace))
    if console.verbose:
        console.complain(trace)
    summary = " ".join(str(failure).split())[:200]
    console.complain(f"internal error: {type(failure).__name__}: {summary}")
    where = f"the report is in {path}" if path else "the report could not be written"
    console.complain(f"   = this is a bug in schemegen; {where}, please attach it")
    return OUR_BUG


def _report(arguments: Sequence[str], trace: str) -> str:
    import platform

    from schemegen import __version__

    return "\n".join(
        (
            f"schemegen {__version__}",
            f"python {platform.python_version()} on {platform.system()} {platform.machine()}",
            f"arguments {list(arguments)!r}",
            "",
            trace,
        )
    )


def _write_report(text: str) -> Path | None:
    for folder in (Path(), Path(tempfile.gettempdir())):
        path = folder / "schemegen-crash.txt"
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None
