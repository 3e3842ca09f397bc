"""A tolerant reading of a text as tokens: for limits, recovery, the formatter and highlighting.

Unlike the parser's own lexer it never fails: what is no token of the language becomes one of a kind in
``WRONG``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["STATEMENTS", "TRIVIA", "Token", "scan"]

# Words that begin a statement of a scheme or of a network.
STATEMENTS = frozenset({
    "const", "schedule", "stepsize", "map", "expect", "step", "tableau", "multistep", "state", "drift",
    "param", "damping", "noise", "solve", "start", "transition", "edition",
    "input", "block", "stem", "stage", "head",
})  # fmt: skip
TRIVIA = frozenset({"COMMENT", "NEWLINE", "BLANK"})

_PATTERNS = (
    ("CONTINUATION", r"\\\r?\n"),
    ("NEWLINE", r"\r?\n"),
    ("BLANK", r"[ \t\f]+"),
    ("COMMENT", r"#[^\n]*?(?=\r?\n|\r?\Z)"),
    ("LATEX", r"[A-Za-z][A-Za-z0-9]*_\{[^{}\n]*\}|[A-Za-z][A-Za-z0-9]*\^\{[^{}\n]*\}"
              r"|\\frac\s*\{[^{}\n]*\}\s*\{[^{}\n]*\}|\\[A-Za-z]+|\\[,;!]"),
    ("NAME", r"[A-Za-z_][A-Za-z0-9_]*"),
    ("NUMBER", r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"),
    ("FRACTION", r"\.[0-9]+(?:[eE][+-]?[0-9]+)?"),
    ("STRING", r'"[^"\n\r]*"'),
    ("OPEN_STRING", r'"[^"\n\r]*?(?=\s*\{?[ \t]*(?:\r?\n|\r?\Z))'),
    ("SEMICOLON", r";"),
    ("LBRACE", r"\{"),
    ("RBRACE", r"\}"),
    ("LPAR", r"\("),
    ("RPAR", r"\)"),
    ("LSQB", r"\["),
    ("RSQB", r"\]"),
    ("COMMA", r","),
    ("COLON", r":"),
    ("STARS", r"\*\*"),
    ("RELOP", r"==|>=|<="),
    ("EQUAL", r"="),
    ("POWER", r"\^"),
    ("SIGN", r"[+-]"),
    ("MULOP", r"[*/]"),
    ("BAR", r"[|│]"),
    ("LINE", r"[─┼]"),
    ("STRANGE", r"[\s\S]"),
)  # fmt: skip
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS))


@dataclass(frozen=True, slots=True)
class Token:
    """A piece ``[start, end)`` of a text; ``kind`` is the name of its pattern."""

    kind: str
    text: str
    start: int
    end: int


def scan(text: str) -> list[Token]:
    """Return ``text`` as tokens without gaps, blanks and comments among them."""
    start = 1 if text.startswith("\ufeff") else 0
    return [
        Token(match.lastgroup or "", match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(text, start)
    ]
