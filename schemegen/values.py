"""Params replaced by fixed numbers before checking: ``--set k=0.1``, ``build(scheme, k="1/10")``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from schemegen.diagnostics import Source, Span, UsageError
from schemegen.language import nodes

if TYPE_CHECKING:
    from schemegen.language import Parsed

__all__ = ["as_text", "exact_number", "with_values"]

FUNCTIONS = frozenset({"sqrt", "exp", "log"})


def with_values(parsed: Parsed, values: Mapping[str, str]) -> Parsed:
    """Return the file with each ``param k: ..`` replaced by ``const k = value``.

    Every scheme of the file that declares such a param is changed; the value is checked like any constant.

    Errors: :class:`UsageError` for a value that is no exact number or a name that no scheme declares.
    """
    numbers = {name: exact_number(text) for name, text in values.items()}
    used: set[str] = set()
    items = tuple(
        replace(item, statements=tuple(_fixed(item.statements, numbers, used)))
        if isinstance(item, nodes.SchemeNode)
        else item
        for item in parsed.file.items
    )
    for name in numbers:
        if name not in used:
            known = sorted(_params(parsed.file))
            hint = f"its params are {', '.join(known)}" if known else "it declares no param"
            raise UsageError(f"{parsed.file.source.name} declares no param {name!r}", hint)
    return replace(parsed, file=replace(parsed.file, items=items))


def _fixed(
    statements: tuple[nodes.Statement, ...],
    numbers: Mapping[str, nodes.Expression],
    used: set[str],
) -> list[nodes.Statement]:
    found: list[nodes.Statement] = []
    for statement in statements:
        if not isinstance(statement, nodes.Declaration) or statement.keyword.id != "param":
            found.append(statement)
            continue
        kept = []
        for target in statement.targets:
            name = target.name
            if name.id not in numbers:
                kept.append(target)
                continue
            used.add(name.id)
            keyword = nodes.Name("const", statement.keyword.span)
            value = _moved(numbers[name.id], name.span)
            found.append(nodes.Binding(keyword, name, value, statement.span))
        if kept:
            found.append(replace(statement, targets=tuple(kept)))
    return found


def _params(file: nodes.File) -> set[str]:
    return {
        target.name.id
        for item in file.items
        if isinstance(item, nodes.SchemeNode)
        for statement in item.statements
        if isinstance(statement, nodes.Declaration) and statement.keyword.id == "param"
        for target in statement.targets
    }


def exact_number(text: str) -> nodes.Expression:
    """Read an exact number in the language's own syntax: ``0.1``, ``1/3``, ``sqrt(2)/2``."""
    from schemegen.language import parse

    bad = UsageError(f"{text!r} is no exact number", "write it as 0.1, 1/3 or sqrt(2)/2")
    if not text.strip() or set(text) & set("\r\n;{}#"):
        raise bad
    parsed = parse(Source("<value>", f"scheme value {{\nconst value = {text}\n}}\n"))
    if parsed.diagnostics or len(parsed.file.items) != 1:
        raise bad
    item = parsed.file.items[0]
    if not isinstance(item, nodes.SchemeNode) or len(item.statements) != 1:
        raise bad
    statement = item.statements[0]
    if not isinstance(statement, nodes.Binding) or not _is_number(statement.value):
        raise bad
    return statement.value


def _is_number(node: nodes.Expression) -> bool:
    match node:
        case nodes.Number():
            return True
        case nodes.Unary():
            return _is_number(node.operand)
        case nodes.Binary():
            return _is_number(node.left) and _is_number(node.right)
        case nodes.Call():
            return node.name in FUNCTIONS and all(map(_is_number, node.arguments))
        case _:
            return False


def _moved(node: nodes.Expression, span: Span) -> nodes.Expression:
    """Return ``node`` with every span at the param it replaces, where messages should point."""
    match node:
        case nodes.Unary():
            return replace(node, operand=_moved(node.operand, span), span=span)
        case nodes.Binary():
            return replace(
                node, left=_moved(node.left, span), right=_moved(node.right, span), span=span
            )
        case nodes.Call():
            arguments = tuple(_moved(item, span) for item in node.arguments)
            return replace(node, arguments=arguments, span=span, name_span=span)
        case _:
            return replace(node, span=span)


def as_text(value: object) -> str:
    """Return a number given in Python as text of the language; a float counts as it is printed."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise UsageError(f"{value!r} is no exact number", 'pass an int, a Fraction or text: "1/10"')
    return repr(value) if isinstance(value, float) else str(value)
