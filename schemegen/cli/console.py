"""Where a command writes: results to stdout, everything that is said about them to stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from schemegen.diagnostics import Diagnostic

__all__ = ["ClosedPipeError", "Console"]

PIPED_WIDTH = 100
LEAST_WIDTH = 40


class ClosedPipeError(Exception):
    """The reader of a stream has left (``| head``); no OSError, which click would answer itself."""


@dataclass(slots=True)
class Console:
    """The settings of one run, and the two streams written through them.

    ``color`` is ``auto``, ``always`` or ``never``; ``auto`` asks for a terminal and no ``NO_COLOR``.
    """

    color: str = "auto"
    quiet: bool = False
    verbose: bool = False

    def out(self, text: str) -> None:
        """Write a result; it ends in exactly the newline it needs."""
        _write(sys.stdout, text)

    def say(self, text: str) -> None:
        """Write a remark to stderr, unless ``--quiet``."""
        if not self.quiet:
            _write(sys.stderr, text)

    def complain(self, text: str) -> None:
        """Write to stderr what has to be read even under ``--quiet``."""
        _write(sys.stderr, text)

    def show(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Write diagnostics to stderr as caret blocks; ``--quiet`` keeps the errors only."""
        from schemegen.render import render_text

        shown = [item for item in diagnostics if item.is_error or not self.quiet]
        if shown:
            text = render_text(
                tuple(shown),
                color=self.colors(sys.stderr),
                unicode=self.unicode(sys.stderr),
                width=self.width(sys.stderr),
            )
            _write(sys.stderr, text.rstrip("\n") + "\n\n")

    def colors(self, stream: TextIO | None = None) -> bool:
        """Whether escape codes may be written to ``stream`` (stdout where not given)."""
        if self.color != "auto":
            return self.color == "always"
        stream = stream or sys.stdout
        return (
            not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()
        )

    def unicode(self, stream: TextIO | None = None) -> bool:
        """Whether bars and superscripts may be written to ``stream``: its encoding and locale say so.

        Python reads ``LC_ALL=C`` as UTF-8, so the encoding alone does not tell what the terminal shows.
        """
        stream = stream or sys.stdout
        encoding = (stream.encoding or "ascii").lower().replace("-", "")
        if encoding != "utf8":
            return False
        if os.environ.get("PYTHONUTF8") == "1" or os.environ.get("PYTHONIOENCODING"):
            return True
        names = (os.environ.get(key) for key in ("LC_ALL", "LC_CTYPE", "LANG"))
        locale = next((name for name in names if name), "")
        return not locale or "utf" in locale.lower()

    def width(self, stream: TextIO | None = None) -> int:
        """Columns of the terminal, 100 where the stream is not one and ``COLUMNS`` is not set."""
        stream = stream or sys.stdout
        if not stream.isatty() and not os.environ.get("COLUMNS"):
            return PIPED_WIDTH
        columns = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
        return max(columns, LEAST_WIDTH)


def _write(stream: TextIO, text: str) -> None:
    if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
        # A title in Greek must not end a run on an ASCII terminal.
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(text if text.endswith("\n") or not text else text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise ClosedPipeError from None
