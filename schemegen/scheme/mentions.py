"""Which names an expression mentions; loops instead of recursion, since nesting is the user's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemegen.language.nodes import (
    Binary,
    Bracket,
    Call,
    Expression,
    Index,
    Name,
    Number,
    String,
    Unary,
    Value,
)

__all__ = ["mentioned", "parts"]


def parts(root: Value) -> Iterator[Expression]:
    """Yield every subexpression of ``root``, outermost first, from left to right."""
    stack: list[Value] = [root]
    while stack:
        node = stack.pop()
        match node:
            case String():
                continue
            case Bracket(items=items):
                stack.extend(reversed(items))
                continue
            case Unary(operand=operand):
                stack.append(operand)
            case Binary(left=left, right=right):
                stack.extend((right, left))
            case Call(arguments=arguments):
                stack.extend(reversed(arguments))
            case Name() | Number() | Index():
                pass
        yield node


def mentioned(values: Iterable[Value]) -> set[str]:
    """Return the names that occur, those that are called or indexed included."""
    found: set[str] = set()
    for value in values:
        for node in parts(value):
            if isinstance(node, Name):
                found.add(node.id)
            elif isinstance(node, (Index, Call)):
                found.add(node.name)
    return found
