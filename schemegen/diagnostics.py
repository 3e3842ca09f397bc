"""Sources, spans and diagnostics: how every mistake of a user is located, worded and shown.

A diagnostic is data. ``error`` and ``warning`` are told apart by the first letter of the code;
codes are never reused. A mistake of the user raises :class:`SchemeError` with all diagnostics of
the file at once; a wrong command raises :class:`UsageError`; a broken invariant of ours raises
:class:`InternalError`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

__all__ = [
    "MOST_ERRORS",
    "Diagnostic",
    "Edit",
    "Fix",
    "InternalError",
    "Label",
    "SchemeError",
    "Source",
    "Span",
    "UsageError",
    "in_order",
    "limited",
]


@dataclass(frozen=True)
class Source:
    """A text and the name it goes by in messages (a relative path, ``<stdin>``, ``<cell>``)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        starts = [0]
        for offset, character in enumerate(self.text):
            if character == "\n":
                starts.append(offset + 1)
        return tuple(starts)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column, in code points, of ``offset``."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of the 1-based line ``number`` without its end of line."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range ``[start, end)`` of code points of a source."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def end_line(self) -> int:
        return self.source.position(self.end)[0]

    @property
    def end_column(self) -> int:
        return self.source.position(self.end)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def where(self) -> str:
        """``file:line``, as metadata of generated code names it."""
        return f"{self.source.name}:{self.line}"

    def to(self, other: Span) -> Span:
        """Return the smallest span that holds both."""
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))


@dataclass(frozen=True, slots=True)
class Label:
    """A secondary place of a diagnostic and what is to be said of it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text of ``span`` by ``text``."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that mend a mistake; ``machine`` when they are surely right, else ``maybe``."""

    edits: tuple[Edit, ...]
    applicability: str = "machine"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: code, message, place, and what to write instead.

    ``message`` is lower case, one sentence, no full stop, names in backquotes, values exact.
    ``text`` is an optional remark printed beside the primary carets. ``span`` is None for a mistake
    that has no place.
    """

    code: str
    message: str
    span: Span | None
    help: str | None = None
    labels: tuple[Label, ...] = ()
    text: str = ""
    fix: Fix | None = None

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    @property
    def severity(self) -> str:
        return "error" if self.is_error else "warning"


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics sorted by file, place and code, each once; those without a place come
    last."""

    def key(item: Diagnostic) -> tuple[bool, str, int, int, str, str]:
        if item.span is None:
            return (True, "", 0, 0, item.code, item.message)
        return (
            False,
            item.span.source.name,
            item.span.start,
            item.span.end,
            item.code,
            item.message,
        )

    return tuple(sorted(dict.fromkeys(diagnostics), key=key))


MOST_ERRORS = 20


def limited(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics in order, cut after twenty errors with an E0129 that says so."""
    ordered = in_order(diagnostics)
    errors = 0
    for place, item in enumerate(ordered):
        if item.code == "E0129":  # an earlier reader stopped here already
            return ordered[: place + 1]
        errors += item.is_error
        if errors > MOST_ERRORS:
            stop = Diagnostic(
                "E0129",
                f"stopped at {MOST_ERRORS} errors",
                item.span,
                "mend these first, then the rest of the file is read",
            )
            return (*ordered[:place], stop)
    return ordered


class SchemeError(Exception):
    """The input is wrong (exit code 1); carries every diagnostic, warnings included, in order."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = in_order(diagnostics)
        super().__init__(self._summary())

    def _summary(self) -> str:
        lines = []
        for item in self.diagnostics:
            where = f" ({item.span.where})" if item.span is not None else ""
            lines.append(f"{item.severity}[{item.code}]: {item.message}{where}")
        return "\n".join(lines)


class UsageError(Exception):
    """The command is wrong (exit code 2): a missing file, extra or device; ``help`` says what to
    do."""

    def __init__(
        self,
        message: str,
        help: str | None = None,  # noqa: A002
        code: str | None = None,
    ) -> None:
        self.message = message
        self.help = help
        self.code = code
        super().__init__(message if help is None else f"{message}\nhelp: {help}")


class InternalError(Exception):
    """A broken invariant of schemegen itself (exit code 70): never the user's fault."""
