"""The postlex filter: where a newline ends a statement, and where it is only a blank."""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token
from lark.lark import PostLex

__all__ = ["Newlines"]


class Newlines(PostLex):
    """Drop newlines inside ``( )`` and ``[ ]`` and after ``{``; imply one before ``}`` and at the end."""

    always_accept = ("_NL", "RBRACE")
    at_end = True  # off for a statement by itself, whose rule has no newline

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        statement_open = False
        last: Token | None = None
        for token in stream:
            if token.type in {"LPAR", "LSQB"}:
                depth += 1
            elif token.type in {"RPAR", "RSQB"}:
                depth = max(depth - 1, 0)
            if token.type == "_NL":
                if depth == 0 and statement_open:
                    statement_open = False
                    yield token
                continue
            if token.type == "RBRACE" and statement_open:
                depth = 0
                yield Token.new_borrow_pos("_NL", "\n", token)
            statement_open = token.type != "LBRACE"
            last = token
            yield token
        if self.at_end and statement_open and last is not None:
            yield Token.new_borrow_pos("_NL", "\n", last)
