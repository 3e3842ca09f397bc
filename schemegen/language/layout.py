"""Statements as lines of text: tableaus with their bars and columns aligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from schemegen.diagnostics import Span
from schemegen.language import nodes
from schemegen.language.printer import print_cell, print_expression, print_value

__all__ = ["INDENT", "Line", "lines_of"]

INDENT = "  "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the print; ``start`` is the place in the source of what it begins with.

    ``joins`` says that the line may share a line with a neighbour, as ``state u; drift f(u)`` do.
    """

    depth: int
    text: str
    start: int
    end: int
    joins: bool = False

    @property
    def closes(self) -> bool:
        return self.text == "}"


def _attribute(node: nodes.Attribute) -> str:
    words = [print_value(value) for value in node.values]
    first = node.values[0] if node.values else None
    if not (isinstance(first, nodes.Call) and first.name == node.name.id):
        words.insert(0, node.name.id)
    return " ".join(words)


def _target(node: nodes.Target) -> str:
    if node.arguments is None:
        return node.name.id
    return f"{node.name.id}({', '.join(item.id for item in node.arguments)})"


def _simple(
    node: nodes.Declaration | nodes.Binding | nodes.MapDefinition | nodes.ExpectStatement,
) -> str:
    match node:
        case nodes.Declaration(keyword=keyword, targets=targets, attributes=attributes):
            names = ", ".join(_target(item) for item in targets)
            text = f"{keyword.id} {names}" if names else keyword.id
            details = ", ".join(_attribute(item) for item in attributes)
            return f"{text}: {details}" if details else text
        case nodes.Binding(keyword=keyword, name=name, value=value, attributes=attributes):
            text = f"{keyword.id} {name.id} = {print_expression(value)}"
            return ", ".join([text, *(_attribute(item) for item in attributes)])
        case nodes.MapDefinition(name=name, arguments=arguments, body=body):
            return f"map {name.id}({', '.join(a.id for a in arguments)}) = {print_expression(body)}"
        case nodes.ExpectStatement(name=name, operator=operator, value=claim):
            text = f"expect {name.id}"
            return text if claim is None else f"{text} {operator} {print_expression(claim)}"
        case _:
            assert_never(node)


def _centred(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return " " * left + text + " " * (width - len(text) - left)


Row = tuple[str, Sequence[str], Span]


def _table(
    upper: Sequence[Row], lower: Sequence[Row], depth: int, rule_at: int, labelled: bool
) -> Iterator[Line]:
    """Yield rows with a bar, a rule line between ``upper`` and ``lower``, columns centred."""
    rows = [*upper, *lower]
    head = max(len(label) for label, _, _ in rows)
    count = max((len(cells) for _, cells, _ in rows), default=0)
    widths = [max(len(cells[i]) for _, cells, _ in rows if i < len(cells)) for i in range(count)]
    length = sum(widths) + 2 * max(count - 1, 0) + 2

    def line(row: Row, centre: bool) -> Line:
        label, cells, span = row
        shown = _centred(label, head) if centre else label.ljust(head)
        body = "  ".join(_centred(cell, width) for cell, width in zip(cells, widths, strict=False))
        return Line(depth, f"{shown} | {body}".rstrip(), span.start, span.end)

    yield from (line(row, not labelled) for row in upper)
    yield Line(depth, f"{'-' * (head + 1)}+{'-' * length}", rule_at, rule_at)
    yield from (line(row, False) for row in lower)


def _tableau(node: nodes.TableauBlock, depth: int) -> Iterator[Line]:
    words = " ".join(["tableau", *(item.id for item in node.modifiers)])
    last = node.modifiers[-1] if node.modifiers else node.keyword
    yield Line(depth, f"{words} {{", node.span.start, last.span.end)
    rows = [
        (
            print_cell(row.abscissa) if row.abscissa is not None else "",
            [print_cell(cell) for cell in row.cells],
            row.span,
        )
        for row in node.rows
    ]
    weights = [
        (row.label.id if row.label else "", [print_cell(cell) for cell in row.cells], row.span)
        for row in node.weights
    ]
    rule_at = node.rows[-1].span.end if node.rows else last.span.end
    yield from _table(rows, weights, depth + 1, rule_at, labelled=False)
    yield Line(depth, "}", node.span.end - 1, node.span.end)


def _multistep(node: nodes.MultistepBlock, depth: int) -> Iterator[Line]:
    yield Line(depth, "multistep {", node.span.start, node.keyword.span.end)
    first, last = node.columns[0].span, node.columns[-1].span
    names = [f"n{item.offset:+d}" if item.offset else "n" for item in node.columns]
    rows = [(row.label.id, [print_cell(cell) for cell in row.cells], row.span) for row in node.rows]
    yield from _table([("", names, first.to(last))], rows, depth + 1, last.end, labelled=True)
    yield Line(depth, "}", node.span.end - 1, node.span.end)


def _step(node: nodes.StepBlock, depth: int, one_line: bool) -> Iterator[Line]:
    texts = [
        f"{print_expression(item.target)} = {print_expression(item.value)}"
        for item in node.assignments
    ]
    if one_line and len(texts) <= 1:
        text = f"step {{ {texts[0]} }}" if texts else "step { }"
        yield Line(depth, text, node.span.start, node.span.end, joins=True)
        return
    yield Line(depth, "step {", node.span.start, node.keyword.span.end)
    for item, text in zip(node.assignments, texts, strict=True):
        yield Line(depth + 1, text, item.span.start, item.span.end)
    yield Line(depth, "}", node.span.end - 1, node.span.end)


def _statement(node: nodes.Statement, depth: int, one_line: bool) -> Iterator[Line]:
    match node:
        case nodes.StepBlock():
            yield from _step(node, depth, one_line)
        case nodes.TableauBlock():
            yield from _tableau(node, depth)
        case nodes.MultistepBlock():
            yield from _multistep(node, depth)
        case _:
            yield Line(depth, _simple(node), node.span.start, node.span.end, joins=True)


def lines_of(item: nodes.Item, written: bool = False) -> Iterator[Line]:
    """Yield the lines of an import, a scheme or a network.

    With ``written`` a ``step { }`` of one equation stays on one line where its source has it so.
    """
    if isinstance(item, nodes.Import):
        yield Line(0, f"import {print_value(item.path)}", item.span.start, item.span.end)
        return
    word = "scheme" if isinstance(item, nodes.SchemeNode) else "network"
    title = f" {print_value(item.title)}" if item.title else ""
    last = item.title or item.name
    yield Line(0, f"{word} {item.name.id}{title} {{", item.span.start, last.span.end)
    for node in item.statements:
        one_line = not written or node.span.line == node.span.end_line
        yield from _statement(node, 1, one_line)
    yield Line(0, "}", item.span.end - 1, item.span.end)
