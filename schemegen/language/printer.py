"""Expressions as text: parentheses only where the tree needs them."""

from __future__ import annotations

from typing import assert_never

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

__all__ = ["print_cell", "print_expression", "print_value"]

SUM, PRODUCT, SIGN, POWER, ATOM = range(5)
_LEVEL = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "^": POWER}


def level(node: Expression) -> int:
    """Return how tightly the outermost operator of ``node`` binds."""
    match node:
        case Binary(operator=operator):
            return _LEVEL[operator]
        case Unary():
            return SIGN
        case Number() | Name() | Index() | Call():
            return ATOM
        case _:
            assert_never(node)


def _at_least(node: Expression, needed: int) -> str:
    text = print_expression(node)
    return text if level(node) >= needed else f"({text})"


def _exponent(node: Expression) -> str:
    """An exponent is an integer, with a sign or without, or stands in parentheses."""
    inner = node.operand if isinstance(node, Unary) else node
    if isinstance(inner, Number) and inner.text.isdigit():
        return print_expression(node)
    return f"({print_expression(node)})"


def print_expression(node: Expression) -> str:
    """Return ``node`` as text that parses back to an equal tree."""
    match node:
        case Number(text=text):
            return text
        case Name(id=name):
            return name
        case Index(name=name, base=base, offset=offset):
            return f"{name}[{base}{offset:+d}]" if offset else f"{name}[{base}]"
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(print_expression(item) for item in arguments)})"
        case Unary(operator=operator, operand=operand):
            return f"{operator}{_at_least(operand, SIGN)}"
        case Binary(operator="^", left=left, right=right):
            return f"{_at_least(left, ATOM)}^{_exponent(right)}"
        case Binary(operator="+" | "-" as operator, left=left, right=right):
            return f"{_at_least(left, SUM)} {operator} {_at_least(right, PRODUCT)}"
        case Binary(operator=operator, left=left, right=right):
            return f"{_at_least(left, PRODUCT)}{operator}{_at_least(right, SIGN)}"
        case _:
            assert_never(node)


def print_cell(node: Expression) -> str:
    """Return ``node`` as a cell of a tableau or as a value of an attribute.

    A cell is a product with at most one sign before it; whatever is not goes in parentheses.
    """
    if isinstance(node, Unary):
        return f"{node.operator}{_product(node.operand)}"
    return _product(node)


def _product(node: Expression) -> str:
    match node:
        case Binary(operator="*" | "/" as operator, left=left, right=right):
            return f"{_product(left)}{operator}{_factor(right)}"
        case _:
            return _factor(node)


def _factor(node: Expression) -> str:
    match node:
        case Binary(operator="^", left=left, right=Number(text=text)) if text.isdigit():
            return f"{_cell_atom(left)}^{text}"
        case _:
            return _cell_atom(node)


def _cell_atom(node: Expression) -> str:
    text = print_expression(node)
    return text if isinstance(node, Number | Name | Call) else f"({text})"


def print_value(node: Value) -> str:
    """Return an attribute's value: a cell, a string, or a bracket."""
    match node:
        case String(text=text):
            return f'"{text}"'
        case Bracket(opening=opening, items=items, closing=closing):
            return f"{opening}{', '.join(print_expression(item) for item in items)}{closing}"
        case _:
            return print_cell(node)
