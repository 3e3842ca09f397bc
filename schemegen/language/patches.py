"""A text with edits applied that still knows where each of its characters came from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from schemegen.diagnostics import Edit, Source, Span

__all__ = ["Patched"]


class Patched:
    """``text`` is what is parsed; ``span`` gives places of the source as it was written."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self._starts: list[int] | None = None
        self._ends: list[int] = []

    def apply(self, edits: Iterable[Edit]) -> None:
        """Apply edits in places of the source; all at once, none may overlap another."""
        starts, ends, parts = list[int](), list[int](), list[str]()
        text, at = self.source.text, 0
        for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end)):
            if edit.span.start < at:
                continue
            starts.extend(range(at, edit.span.start))
            ends.extend(range(at + 1, edit.span.start + 1))
            starts.extend([edit.span.start] * len(edit.text))
            ends.extend([edit.span.end] * len(edit.text))
            parts += [text[at : edit.span.start], edit.text]
            at = edit.span.end
        starts.extend(range(at, len(text)))
        ends.extend(range(at + 1, len(text) + 1))
        self.text = "".join([*parts, text[at:]])
        self._starts, self._ends = starts, ends

    def span(self, start: int, end: int) -> Span:
        """Return the place in the source of ``[start, end)`` of the text; past its end is its end."""
        if self._starts is None:
            size = len(self.source.text)
            return Span(self.source, min(start, size), min(end, size))
        first = self.place(start)
        if end <= start:
            return Span(self.source, first, first)
        last = self._ends[end - 1] if end <= len(self._ends) else len(self.source.text)
        return Span(self.source, first, max(first, last))

    def place(self, offset: int) -> int:
        if self._starts is None:
            return min(offset, len(self.source.text))
        return self._starts[offset] if offset < len(self._starts) else len(self.source.text)

    def find(self, offset: int) -> int:
        """Return where the place ``offset`` of the source is in the text, behind what was put in there."""
        if self._starts is None:
            return offset
        return bisect_left(self._ends, offset + 1) if offset else 0
