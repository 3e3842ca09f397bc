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


def _is_product(node: Expression) -> bool:
    """Whether ``node`` is a cell as it stands: factors without a sign, joined by ``*`` and ``/``."""
    match node:
        case Binary(operator="*" | "/", left=left, right=right):
            return _is_product(left) and _is_factor(right)
        case _:
            return _is_factor(node)


def _is_factor(node: Expression) -> bool:
    match node:
        case Number() | Name() | Call():
            return True
        case Binary(operator="^", left=Number() | Name() | Call(), right=Number(text=text)):
            return text.isdigit()
        case _:
            return False


def print_cell(node: Expression) -> str:
    """Return ``node`` as a cell of a tableau or as a value of an attribute, in parentheses if need be."""
    text = print_expression(node)
    bare = node.operand if isinstance(node, Unary) else node
    if not _is_product(bare):
        return _product_with_parentheses(node)
    return text


def _product_with_parentheses(node: Expression) -> str:
    """Wrap just the operands that may not stand bare in a cell."""
    match node:
        case Unary(operator=operator, operand=operand) if _can_be_product(operand):
            return f"{operator}{_product_with_parentheses(operand)}"
        case Binary(operator="*" | "/" as operator, left=left, right=right) if _can_be_product(
            left
        ):
            return f"{_product_with_parentheses(left)}{operator}{_factor(right)}"
        case _:
            return _factor(node)


def _can_be_product(node: Expression) -> bool:
    return not isinstance(node, Unary)


def _factor(node: Expression) -> str:
    text = print_expression(node)
    return text if _is_factor(node) else f"({text})"


def print_value(node: Value) -> str:
    """Return an attribute's value: a cell, a string, or a bracket."""
    match node:
        case String(text=text):
            return f'"{text}"'
        case Bracket(opening=opening, items=items, closing=closing):
            return f"{opening}{', '.join(print_expression(item) for item in items)}{closing}"
        case _:
            return print_cell(node)
