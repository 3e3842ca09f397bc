"""Limits of the language that hold before anything is computed, each an E0118."""

from __future__ import annotations

from schemegen.diagnostics import Diagnostic, Span

__all__ = [
    "BRACKET_DEPTH",
    "DIGITS",
    "EXPONENT",
    "EXPRESSION_DEPTH",
    "FILE_BYTES",
    "NAME_LENGTH",
    "POWER",
    "STATEMENTS",
    "STRING_LENGTH",
    "exceeded",
]

FILE_BYTES = 64 * 1024
STATEMENTS = 2000
DIGITS = 40
EXPONENT = 308
POWER = 64
BRACKET_DEPTH = 64
EXPRESSION_DEPTH = 200
NAME_LENGTH = 64
STRING_LENGTH = 200


def exceeded(message: str, span: Span) -> Diagnostic:
    """Return the E0118 that says which limit was passed."""
    return Diagnostic("E0118", message, span, help="limits are listed in `explain E0118`")
