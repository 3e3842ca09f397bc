"""Calls as Python text: what the source backend prints for each function of the table."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from schemegen.backends.builder import Number

__all__ = ["call_text", "literal"]

INFIX = frozenset(["+", "-", "*", "/", "**"])


def literal(value: Any) -> str:
    """Return a number, string or variable as text; a fraction keeps its slash."""
    if isinstance(value, Number):
        number = value.value
        if isinstance(number, Fraction) and number.denominator != 1:
            return f"{number.numerator} / {number.denominator}"
        return repr(value.python)
    if isinstance(value, tuple):
        return f"({', '.join(literal(item) for item in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return value if isinstance(value, str) else repr(value)


def operand(value: Any) -> str:
    """Return ``value`` as an operand: in parentheses where it is more than a name or a number.

    A slot, whose number is put in later, gets its parentheses then.
    """
    text = literal(value)
    if text.startswith("\x00"):
        return text
    simple = text.replace(".", "").replace("_", "").isalnum() or text.endswith(")")
    plain = simple and " " not in text.split("(")[0]
    return text if plain else f"({text})"


def call_text(function: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> str:
    """Return one call as an expression."""
    if function in INFIX:
        left, right = args
        return f"{operand(left)} {function} {operand(right)}"
    if function == "neg":
        return f"-{operand(args[0])}"
    if function == "getitem":
        return f"{literal(args[0])}[{literal(args[1])}]"
    if function == "torch.Tensor.type_as":
        return f"{operand(args[0])}.type_as({literal(args[1])})"
    parts = [literal(item) for item in args]
    parts += [f"{key}={literal(value)}" for key, value in (kwargs or {}).items()]
    return f"{function}({', '.join(parts)})"
