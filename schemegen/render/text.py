"""Diagnostics as blocks of source lines with carets."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemegen.diagnostics import Diagnostic, Source, Span
from schemegen.render.characters import cells, escaped

__all__ = ["render_text"]

LEAST = 20  # columns of source that are shown however narrow the terminal is
CUT = "..."
STYLES = {"error": "1;31", "warning": "1;33", "note": "1;34", "bold": "1"}


@dataclass(frozen=True, slots=True)
class _Mark:
    """Carets under the columns ``[start, end)`` of one shown line, and what is said of them."""

    start: int
    end: int
    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class _Painter:
    color: bool
    unicode: bool
    width: int

    def paint(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.color and text else text

    def safe(self, text: str) -> str:
        return escaped(text, unicode=self.unicode)


def render_text(
    diagnostics: Iterable[Diagnostic],
    *,
    color: bool = False,
    unicode: bool = True,
    width: int = 100,
) -> str:
    """Return diagnostics as caret blocks, with an empty line between two.

    ``color`` writes escape codes; without ``unicode`` all but ASCII is shown by number; source lines are
    cut to ``width`` columns around the carets. The first block of each code says how to learn more.
    """
    painter = _Painter(color, unicode, width)
    explained: set[str] = set()
    blocks = []
    for item in diagnostics:
        lines = _block(item, painter, item.code not in explained)
        explained.add(item.code)
        blocks.append("".join(f"{line.rstrip()}\n" for line in lines))
    return "\n".join(blocks)


def _block(item: Diagnostic, painter: _Painter, explain: bool) -> Iterator[str]:
    heading = painter.paint(f"{item.severity}[{item.code}]", item.severity)
    yield f"{heading}{painter.paint(f': {painter.safe(item.message)}', 'bold')}"
    spans = [label.span for label in item.labels]
    if item.span is not None:
        spans.insert(0, item.span)
    digits = max((len(str(_last_line(span))) for span in spans), default=1)
    margin = " " * (digits + 2)
    sources = list(dict.fromkeys(span.source for span in spans))
    for source in sources:
        yield from _excerpt(item, source, source is sources[0], digits, painter)
    if spans:
        yield margin + painter.paint("|", "note")
    remarks = [("help", item.help)] if item.help else []
    if explain:
        remarks.append(("explain", f"schemegen explain {item.code}"))
    for word, text in remarks:
        sign = painter.paint("=", "note")
        first, *rest = _wrapped(text, painter, len(margin) + len(word) + 4)
        yield f"{margin}{sign} {painter.paint(f'{word}:', 'bold')} {first}"
        yield from (" " * (len(margin) + len(word) + 4) + line for line in rest)


def _wrapped(text: str, painter: _Painter, indent: int) -> list[str]:
    room = max(painter.width - indent, LEAST)
    lines = []
    for line in text.splitlines():
        shown = painter.safe(line)
        lines += textwrap.wrap(shown, room, break_long_words=False, break_on_hyphens=False)
    return lines or [""]


def _last_line(span: Span) -> int:
    """Return the line of the last character of ``span``, an end of line counted to its line."""
    return max(span.source.position(max(span.end - 1, span.start))[0], span.line)


def _excerpt(
    item: Diagnostic, source: Source, is_first: bool, digits: int, painter: _Painter
) -> Iterator[str]:
    """Yield the arrow and the marked lines of one source."""
    marks: dict[int, list[tuple[int, int, str, str]]] = {}
    spans = []
    if item.span is not None and item.span.source is source:
        spans.append((item.span, "^", item.text))
    spans += [(label.span, "-", label.text) for label in item.labels if label.span.source is source]
    for span, sign, text in spans:
        for line, start, end, said in _by_line(span, text):
            marks.setdefault(line, []).append((start, end, sign, said))
    margin = " " * (digits + 2)
    arrow = "-->" if is_first else ":::"
    place = f"{painter.safe(source.name)}:{spans[0][0].line}:{spans[0][0].column}"
    yield " " * (digits + 1) + painter.paint(arrow, "note") + f" {place}"
    bar = painter.paint("|", "note")
    yield f"{margin}{bar}"
    previous = None
    for number in sorted(marks):
        if previous is not None and number > previous + 2:
            yield painter.paint(CUT, "note")
        elif previous is not None and number == previous + 2:
            text, _ = _window(source.line(number - 1), [], painter, digits)
            yield f" {painter.paint(f'{number - 1:>{digits}} |', 'note')} {text}"
        text, shown = _window(source.line(number), marks[number], painter, digits)
        yield f" {painter.paint(f'{number:>{digits}} |', 'note')} {text}"
        for row in _marker_rows(shown, item.severity, painter):
            yield f"{margin}{bar} {row}"
        previous = number


def _by_line(span: Span, text: str) -> Iterator[tuple[int, int, int, str]]:
    """Split a span into what is marked of its first and its last line: line, columns from 0, text."""
    source, last = span.source, _last_line(span)
    if last == span.line:
        length = span.end - span.start
        yield span.line, span.column - 1, span.column - 1 + length, text
        return
    first_line, last_line = source.line(span.line), source.line(last)
    yield span.line, span.column - 1, len(first_line), ""
    indent = len(last_line) - len(last_line.lstrip())
    end = min(span.end - source.line_starts[last - 1], max(len(last_line), 1))
    yield last, min(indent, max(end - 1, 0)), end, text


def _window(
    line: str, marks: list[tuple[int, int, str, str]], painter: _Painter, digits: int
) -> tuple[str, list[_Mark]]:
    """Return the part of ``line`` that fits, and the marks in its columns."""
    shown = cells(line, unicode=painter.unicode)
    edges = [0]
    for _, cell_width in shown:
        edges.append(edges[-1] + cell_width)
    room = max(painter.width - digits - 4, LEAST)
    left, right = 0, len(shown)
    if edges[-1] > room:
        left, right = _visible(edges, marks, room)
    before = CUT if left else ""
    after = CUT if right < len(shown) else ""
    shift = len(before) - edges[left]

    def column(place: int) -> int:
        if place > len(shown):  # the end of the line itself
            return edges[right] + place - len(shown) + shift
        return edges[min(max(place, left), right)] + shift

    placed = [
        _Mark(column(start), max(column(end), column(start) + 1), sign, said)
        for start, end, sign, said in marks
    ]
    body = "".join(text for text, _ in shown[left:right])
    return before + body + after, placed


def _visible(
    edges: list[int], marks: list[tuple[int, int, str, str]], room: int
) -> tuple[int, int]:
    """Choose the code points of a long line that are shown: around the first mark, the carets first."""
    room -= 2 * len(CUT)
    start = min(marks[0][0], len(edges) - 1) if marks else 0
    left = start
    while left > 0 and edges[start] - edges[left - 1] <= room // 3:
        left -= 1
    right = left
    while right < len(edges) - 1 and edges[right + 1] - edges[left] <= room:
        right += 1
    while left > 0 and edges[right] - edges[left - 1] <= room:
        left -= 1
    return left, right


def _marker_rows(marks: list[_Mark], severity: str, painter: _Painter) -> Iterator[str]:
    """Yield the row of carets with the rightmost remark beside it, then the others below, hanging on bars."""
    width = max(mark.end for mark in marks)
    row = [" "] * width
    for mark in sorted(marks, key=lambda mark: mark.sign == "^"):
        row[mark.start : mark.end] = mark.sign * (mark.end - mark.start)
    said = sorted((mark for mark in marks if mark.text), key=lambda mark: mark.start)
    beside = said[-1] if said and said[-1].end == width else None
    hanging = [mark for mark in said if mark is not beside]
    styled = "".join(
        painter.paint(sign, severity if sign == "^" else "note") if sign != " " else sign
        for sign in row
    )
    yield styled + (f" {painter.safe(beside.text)}" if beside else "")
    if hanging:
        yield _bars(hanging)
    while hanging:
        mark = hanging.pop()
        bars = _bars([item for item in hanging if item.start < mark.start])
        yield bars + " " * (mark.start - len(bars)) + painter.safe(mark.text)


def _bars(marks: list[_Mark]) -> str:
    row = [" "] * (max((mark.start for mark in marks), default=-1) + 1)
    for mark in marks:
        row[mark.start] = "|"
    return "".join(row)
