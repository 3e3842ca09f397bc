"""The formatter: the text of a tree, with the comments of its source where they were."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from schemegen.diagnostics import InternalError, SchemeError, Source
from schemegen.language import nodes
from schemegen.language.layout import INDENT, Line, lines_of
from schemegen.language.recovery import parse
from schemegen.language.scanner import Token, scan

__all__ = ["format_source", "print_file"]

WIDTH = 100


def print_file(file: nodes.File) -> str:
    """Return a file's text from its tree alone; it parses back to an equal tree."""
    return "\n".join(
        "".join(f"{INDENT * line.depth}{line.text}\n" for line in lines_of(item))
        for item in file.items
    )


def format_source(source: Source) -> str:
    """Return ``source`` with bars, columns and indentation aligned and every comment kept.

    Statements that share a line go on sharing it, single empty lines stay. The result parses to an equal
    tree and is its own format.

    Errors: :class:`SchemeError` with everything that is wrong with the text.
    """
    parsed = parse(source)
    if any(item.is_error for item in parsed.diagnostics):
        raise SchemeError(parsed.diagnostics)
    tokens = scan(source.text)
    lines = [line for item in parsed.file.items for line in lines_of(item, written=True)]
    lines = _joined(_with_rules(lines, tokens), source)
    text = _written(lines, tokens, source)
    if parse(Source(source.name, text)).file != parsed.file:
        raise InternalError(f"the format of {source.name} does not parse back to its tree")
    return text


def _with_rules(lines: list[Line], tokens: list[Token]) -> list[Line]:
    """Give rule lines, which have no node, the place of their first dash."""
    dashes = [item.start for item in tokens if item.kind in {"SIGN", "LINE"}]
    found = []
    for line in lines:
        if line.text.startswith("-") and line.start == line.end:
            start = next((place for place in dashes if place >= line.end), line.start)
            found.append(replace(line, start=start, end=start))
        else:
            found.append(line)
    return found


def _joined(lines: list[Line], source: Source) -> list[Line]:
    """Join statements that stand on one line of the source."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.joins
            and line.joins
            and last.depth == line.depth
            and source.position(last.end)[0] == source.position(line.start)[0]
        ):
            text = f"{last.text}; {line.text}"
            if len(text) + len(INDENT) * line.depth <= WIDTH:
                joined[-1] = Line(line.depth, text, last.start, line.end, joins=True)
                continue
        joined.append(line)
    return joined


def _written(lines: list[Line], tokens: list[Token], source: Source) -> str:
    """Weave lines and comments; a comment after code stays behind it, another one above what follows."""
    own: list[tuple[int, str]] = []
    behind: dict[int, str] = {}
    for token in tokens:
        if token.kind != "COMMENT":
            continue
        line_start = source.line_starts[source.position(token.start)[0] - 1]
        text = token.text.rstrip()
        before = source.text[line_start : token.start].strip().strip("\ufeff;")
        place = bisect_left(lines, token.start, key=lambda line: line.start) - 1
        if before and place >= 0:
            behind[place] = f"{behind[place]}  {text}" if place in behind else text
        else:
            own.append((token.start, text))
    out: list[str] = []

    def add(text: str, start: int, closes: bool) -> None:
        number = source.position(start)[0]
        spaced = number > 1 and not source.line(number - 1).strip()
        opened = not out or out[-1].partition("#")[0].rstrip().endswith("{")
        if spaced and not opened and not closes:
            out.append("")
        out.append(text)

    for place, line in enumerate(lines):
        while own and own[0][0] < line.start:
            start, text = own.pop(0)
            add(INDENT * (line.depth + line.closes) + text, start, closes=False)
        tail = f"  {behind[place]}" if place in behind else ""
        add(f"{INDENT * line.depth}{line.text}{tail}", line.start, line.closes)
    for start, text in own:
        add(text, start, closes=False)
    return "".join(f"{line}\n" for line in out)
