"""Params replaced by exact numbers: ``--set k=0.1``, ``build(scheme, k="1/10")``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from schemegen.diagnostics import Source, UsageError
from schemegen.language import nodes, parse

__all__ = ["as_text", "exact_number", "with_values"]

FUNCTIONS = frozenset({"sqrt", "exp", "log"})


def with_values(source: Source, values: Mapping[str, str]) -> Source:
    """Return the text with each ``param k: ..`` replaced by ``const k = value``, on the same line.

    Every scheme that declares such a param is changed; the value is then checked like any constant.

    Errors: :class:`UsageError` for a value that is no exact number or a name that no scheme declares.
    """
    numbers = {name: text.strip() for name, text in values.items()}
    for text in numbers.values():
        exact_number(text)
    found = [
        statement
        for item in parse(source).file.items
        if isinstance(item, nodes.SchemeNode)
        for statement in item.statements
        if isinstance(statement, nodes.Declaration) and statement.keyword.id == "param"
    ]
    known = sorted({target.name.id for statement in found for target in statement.targets})
    for name in numbers:
        if name not in known:
            hint = f"its params are {', '.join(known)}" if known else "it declares no param"
            raise UsageError(f"{source.name} declares no param {name!r}", hint)
    text = source.text
    for statement in reversed(found):
        start, end = statement.span.start, statement.span.end
        text = text[:start] + _fixed(statement, numbers) + text[end:]
    return Source(source.name, text)


def _fixed(statement: nodes.Declaration, numbers: Mapping[str, str]) -> str:
    """Return the declaration without the params that are given, each of those as a constant before it."""
    given = [target.name.id for target in statement.targets if target.name.id in numbers]
    if not given:
        return statement.span.text
    parts = [f"const {name} = {numbers[name]}" for name in given]
    others = [target.span.text for target in statement.targets if target.name.id not in numbers]
    if others:
        last = statement.targets[-1].span
        rest = statement.span.source.text[last.end : statement.span.end]
        parts.append(f"param {', '.join(others)}{rest}")
    return "; ".join(parts)


def exact_number(text: str) -> nodes.Expression:
    """Read an exact number in the language's own syntax: ``0.1``, ``1/3``, ``sqrt(2)/2``."""
    bad = UsageError(f"{text!r} is no exact number", "write it as 0.1, 1/3 or sqrt(2)/2")
    if not text.strip() or set(text) & set("\r\n;{}#\\"):
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


def as_text(value: object) -> str:
    """Return a number given in Python as text of the language; a float counts as it is printed."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise UsageError(f"{value!r} is no exact number", 'pass an int, a Fraction or text: "1/10"')
    return repr(value) if isinstance(value, float) else str(value)
