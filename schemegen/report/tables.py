"""Tables of measured numbers, as text, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape as escape_html
from textwrap import wrap

from rich.cells import cell_len

from schemegen.report.markdown import escape

__all__ = ["Table", "number", "table_html", "table_markdown", "table_text", "without_empty"]

GAP = 2


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells that are text; the first ``names`` columns are words, set left, the others numbers, set right.

    ``remarks`` are sentences below the rows.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    remarks: tuple[str, ...] = ()


def without_empty(table: Table) -> Table:
    """Return the table without columns of numbers that hold nothing but dashes."""
    kept = [
        i
        for i in range(len(table.columns))
        if i < table.names or not table.rows or any(row[i] != "-" for row in table.rows)
    ]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number to some digits, a dash for none."""
    return "-" if value is None else f"{value:.{digits}g}"


def table_text(table: Table, width: int) -> Iterator[str]:
    """Yield the lines of a table, its title first; columns are as wide as their cells."""
    yield table.title
    lines = [table.columns, *table.rows]
    widths = [max(cell_len(row[i]) for row in lines) for i in range(len(table.columns))]
    for row in lines if table.rows else ():
        cells = [
            _padded(cell, size, left=i < table.names)
            for i, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + (" " * GAP).join(cells)).rstrip()
    for remark in table.remarks:
        yield from wrap(remark, width, initial_indent="  ", subsequent_indent="  ")


def _padded(cell: str, width: int, *, left: bool) -> str:
    space = " " * (width - cell_len(cell))
    return cell + space if left else space + cell


def table_markdown(table: Table) -> Iterator[str]:
    """Yield the lines of a table under a heading."""
    yield f"### {escape(table.title)}"
    yield ""
    if table.rows:
        yield _row([escape(cell) for cell in table.columns])
        yield _row(["---" if i < table.names else "---:" for i in range(len(table.columns))])
        for row in table.rows:
            yield _row([escape(cell) for cell in row])
        yield ""
    for remark in table.remarks:
        yield from (escape(remark), "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table_html(table: Table) -> Iterator[str]:
    """Yield a section with a table."""
    yield f"<section><h2>{escape_html(table.title)}</h2>"
    if table.rows:
        head = "".join(
            f'<th scope="col">{escape_html(cell)}</th>'
            if i < table.names
            else f'<th scope="col" class="number">{escape_html(cell)}</th>'
            for i, cell in enumerate(table.columns)
        )
        yield f'<table class="grid"><tr>{head}</tr>'
        for row in table.rows:
            cells = [
                f"<td>{escape_html(cell)}</td>"
                if i < table.names
                else f'<td class="number">{escape_html(cell)}</td>'
                for i, cell in enumerate(row)
            ]
            yield f"<tr>{''.join(cells)}</tr>"
        yield "</table>"
    for remark in table.remarks:
        yield f"<p>{escape_html(remark)}</p>"
    yield "</section>"
