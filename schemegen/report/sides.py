"""A comparison of two schemes as text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape as escape_html
from itertools import groupby, zip_longest
from textwrap import wrap

import sympy
from rich.cells import cell_len

from schemegen.diagnostics import UsageError
from schemegen.report import mathml
from schemegen.report.compare import Comparison, Side, TermRow
from schemegen.report.facts import headline
from schemegen.report.html import coefficients_html, page, prose
from schemegen.report.markdown import escape
from schemegen.report.notation import Script, parse_tree, signed_sum

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]

GAP = 3
LEAST_HALF = 18
UNICODE = Script()


def _names(item: Comparison) -> tuple[str, str]:
    return item.left.scheme.name, item.right.scheme.name


def _coefficient(value: sympy.Expr, script: Script) -> str:
    text = signed_sum([script.scaled(value, "", "")])
    return "0" if value == 0 else text


def _term_name(row: TermRow, script: Script, *, several: bool) -> str:
    power = script.power("h", row.h_power)
    tree = script.differential(parse_tree(row.tree))
    state = f"{script.name(row.state)}: " if several else ""
    return f"{state}{power} {tree}" if power else f"{state}{tree}"


def _several(item: Comparison) -> bool:
    return len({row.state for row in item.terms}) > 1


def _power_note(item: Comparison, script: Script) -> str:
    power = script.power("h", item.truncation or 0)
    return f"modified equation, terms up to O({power})"


# --- text ----------------------------------------------------------------------------------------------


def comparison_text(item: Comparison, script: Script, width: int) -> str:
    """Return the schemes in two columns; rows that differ have a mark at their left end."""
    rows: list[tuple[str, str, str, bool] | str] = []
    for group in item.groups:
        rows.append(group.title.lower())
        rows += [(row.label, row.left or "-", row.right or "-", not row.same) for row in group.rows]
    if item.terms:
        rows.append(_power_note(item, script))
        several = _several(item)
        rows += [
            (
                _term_name(row, script, several=several),
                _coefficient(row.left, script),
                _coefficient(row.right, script),
                not row.same,
            )
            for row in item.terms
        ]
    labels = [cell_len(row[0]) for row in rows if not isinstance(row, str)]
    head = min(max(labels, default=0) + 4, max(width // 3, 12))
    half = max((width - head - GAP) // 2, LEAST_HALF)
    lines = list(_columns("", *_names(item), head, half, mark=" "))
    lines += _drawings(item, head, half)
    different = "≠" if script.unicode else "!"
    for entry in rows:
        if isinstance(entry, str):
            lines += ["", entry]
        else:
            label, first, second, differs = entry
            lines += _columns(label, first, second, head, half, mark=different if differs else " ")
    if item.program:
        lines += ["", "step programs", *item.program]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _columns(
    label: str, first: str, second: str, head: int, half: int, *, mark: str
) -> Iterator[str]:
    cells = [
        wrap(label, head - 3) or [""],
        wrap(first, half) or [""],
        wrap(second, half) or [""],
    ]
    for position, (name, left, right) in enumerate(zip_longest(*cells, fillvalue="")):
        sign = mark if position == 0 else " "
        yield f"{sign} {_padded(name, head - 2)}{_padded(left, half)}{' ' * GAP}{right}"


def _padded(text: str, width: int) -> str:
    return text + " " * max(width - cell_len(text), 0)


def _drawings(item: Comparison, head: int, half: int) -> Iterator[str]:
    """Yield the coefficients: side by side where both fit, else one below the other."""
    first, second = item.drawings
    yield ""
    if all(cell_len(line) <= half for line in (*first, *second)):
        for left, right in zip_longest(first, second, fillvalue=""):
            yield f"{' ' * head}{_padded(left, half)}{' ' * GAP}{right}"
        return
    for name, lines in zip(_names(item), item.drawings, strict=True):
        yield f"  {name}"
        yield from (f"    {line}" for line in lines)


# --- Markdown ------------------------------------------------------------------------------------------


def comparison_markdown(item: Comparison) -> str:
    """Return a table a section; rows that differ are marked."""
    names = [escape(name) for name in _names(item)]
    lines = [f"### {names[0]} and {names[1]}", ""]
    for name, drawing in zip(names, item.drawings, strict=True):
        lines += [name, "", "```text", *drawing, "```", ""]
    head = [f"| | | {names[0]} | {names[1]} |", "|---|---|---|---|"]
    for group in item.groups:
        lines += [f"#### {escape(group.title)}", "", *head]
        lines += [
            _table_line(row.same, row.label, row.left or "-", row.right or "-")
            for row in group.rows
        ]
        lines.append("")
    if item.terms:
        title = _power_note(item, UNICODE)
        lines += [f"#### {escape(title.capitalize())}", "", *head]
        several = _several(item)
        lines += [
            _table_line(
                row.same,
                _term_name(row, UNICODE, several=several),
                _coefficient(row.left, UNICODE),
                _coefficient(row.right, UNICODE),
            )
            for row in item.terms
        ]
        lines.append("")
    if item.program:
        lines += ["#### Step programs", "", "```diff", *item.program, "```"]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table_line(same: bool, *cells: str) -> str:
    mark = "" if same else "≠"
    return f"| {mark} | {' | '.join(escape(cell) for cell in cells)} |"


# --- HTML ----------------------------------------------------------------------------------------------


def comparison_html(item: Comparison, *, regions: bool = True) -> str:
    """Return a page with the schemes side by side, their regions where they can be drawn."""
    names = _names(item)
    parts = ['<article class="schemegen-report sides mathjax_ignore tex2jax_ignore">']
    parts.append(f"<header><h1>{' and '.join(map(escape_html, names))}</h1></header>")
    sides = (item.left, item.right)
    titles = [escape_html(headline(side.analysis)) for side in sides]
    parts.append('<table class="grid"><thead><tr><th></th>')
    parts += [f'<th scope="col">{title}</th>' for title in titles]
    parts.append("</tr></thead><tbody>")
    drawn = ["\n".join(coefficients_html(side.scheme)) for side in sides]
    plain = [f"<pre>{escape_html(chr(10).join(lines))}</pre>" for lines in item.drawings]
    parts += _html_row("coefficients", [a or b for a, b in zip(drawn, plain, strict=True)], True)
    if regions:
        pictures = [_region(side, place) for place, side in enumerate(sides)]
        if any(pictures):
            parts += _html_row("stability region", pictures, True)
    for group in item.groups:
        parts.append(_html_title(group.title))
        for row in group.rows:
            texts = [prose(row.left or "-"), prose(row.right or "-")]
            parts += _html_row(row.label, texts, row.same)
    parts += _html_terms(item)
    parts.append("</tbody></table>")
    if item.program:
        program = escape_html("\n".join(item.program))
        parts.append(f"<h2>Step programs</h2><pre>{program}</pre>")
    parts.append("</article>")
    return page(" and ".join(names), parts)


def _html_title(title: str) -> str:
    return f'<tr class="title"><th colspan="3" scope="rowgroup">{escape_html(title)}</th></tr>'


def _html_row(label: str, cells: Sequence[str], same: bool) -> Iterator[str]:
    kind = "" if same else ' class="differs"'
    mark = "" if same else "≠ "
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    yield f'<tr{kind}><th scope="row">{mark}{escape_html(label)}</th>{shown}</tr>'


def _html_terms(item: Comparison) -> Iterator[str]:
    for (state, power), rows in groupby(item.terms, key=lambda row: (row.state, row.h_power)):
        of = f" of {state}" if _several(item) else ""
        degree = UNICODE.power("h", power) or "1"
        yield _html_title(f"Modified equation{of}, terms with {degree}")
        for row in rows:
            mark = "" if row.same else "≠ "
            kind = "" if row.same else ' class="differs"'
            name = mathml.math(mathml.tree(parse_tree(row.tree)), block=False)
            cells = "".join(
                f"<td>{mathml.math(mathml.exact(value), block=False)}</td>"
                for value in (row.left, row.right)
            )
            yield f'<tr{kind}><th scope="row">{mark}{name}</th>{cells}</tr>'


def _region(side: Side, place: int) -> str:
    from schemegen.report.plots import inline

    try:
        return inline("region", side.analysis, side.scheme, prefix=f"d{place}-")
    except UsageError:
        return ""
