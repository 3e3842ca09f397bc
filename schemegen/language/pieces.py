"""Cutting a text into blocks and statements without a parser, so that one mistake hides no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemegen.language.scanner import STATEMENTS, TRIVIA, Token

__all__ = ["Block", "Piece", "cut"]

ROWS = frozenset({"tableau", "multistep"})
WORDS = {
    "file": frozenset({"scheme", "network"}),
    "scheme": frozenset({"step", "tableau", "multistep"}),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """The tokens of one statement, row or equation; none of them is a blank."""

    tokens: tuple[Token, ...]

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end


@dataclass(slots=True)
class Block:
    """``word .. { children }``; ``head`` are the tokens before the brace, ``close`` is None if it is missing."""

    kind: str
    head: tuple[Token, ...] = ()
    open: Token | None = None
    close: Token | None = None
    children: list[Piece | Block] = field(default_factory=list)


class _Cutter:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = [
            item for item in tokens if item.kind not in {"BLANK", "COMMENT", "CONTINUATION"}
        ]
        self.file = Block("file")
        self.stack = [self.file]
        self.stray: list[Token] = []
        self.piece: list[Token] = []
        self.depth = 0

    def finish(self) -> None:
        if self.piece:
            self.stack[-1].children.append(Piece(tuple(self.piece)))
        self.piece, self.depth = [], 0

    def opens(self, at: int) -> bool:
        """Whether the token at ``at`` begins a statement that cannot stand inside what is open."""
        token = self.tokens[at]
        if token.kind != "NAME":
            return False
        after = self.tokens[at + 1].kind if at + 1 < len(self.tokens) else ""
        inner = self.stack[-1].kind
        if token.text in WORDS["file"] and inner != "file":
            return after == "NAME" and self.line_has(at, {"LBRACE"})
        if inner in ROWS:
            return token.text in STATEMENTS and not self.line_has(at, {"BAR"})
        if inner == "step":
            return token.text in STATEMENTS and after in {"NAME", "COLON", "LBRACE"}
        return False

    def line_has(self, at: int, kinds: set[str]) -> bool:
        for place in range(at, len(self.tokens)):
            token = self.tokens[place]
            if token.kind in kinds:
                return True
            if token.kind in {"NEWLINE", "SEMICOLON"}:
                return False
        return False

    def begins(self, at: int) -> bool:
        """Whether a line that begins at ``at`` ends an unclosed bracket above it."""
        inner = self.stack[-1].kind
        dashes = [token.kind in {"SIGN", "LINE"} for token in self.tokens[at : at + 3]]
        if inner in ROWS and len(dashes) == 3 and all(dashes):
            return True
        if at >= len(self.tokens) or self.tokens[at].kind != "NAME":
            return at < len(self.tokens) and inner in ROWS and self.line_has(at, {"BAR"})
        after = self.tokens[at + 1].kind if at + 1 < len(self.tokens) else ""
        if inner == "step":
            return self.opens(at) or self.line_has(at, {"EQUAL"})
        if inner in ROWS:
            return self.opens(at) or self.line_has(at, {"BAR"})
        words = STATEMENTS | WORDS["file"]
        return self.tokens[at].text in words and after in {"NAME", "COLON", "LBRACE"}

    def run(self) -> None:
        for at, token in enumerate(self.tokens):
            match token.kind:
                case "NEWLINE":
                    if not self.depth or self.begins(at + 1):
                        self.finish()
                case "SEMICOLON":
                    self.finish()
                case "LBRACE":
                    self.enter(token)
                case "RBRACE":
                    self.leave(token)
                case _:
                    while not self.piece and self.opens(at):
                        self.stack.pop()
                    self.depth += (token.kind in {"LPAR", "LSQB"}) - (
                        token.kind in {"RPAR", "RSQB"}
                    )
                    self.depth = max(self.depth, 0)
                    self.piece.append(token)
        self.finish()

    def enter(self, token: Token) -> None:
        head = tuple(self.piece)
        self.piece, self.depth = [], 0
        word = head[0].text if head else ""
        outer = self.stack[-1].kind
        kind = word if word in WORDS.get(outer, ()) else "unknown"
        block = Block(kind, head, token)
        self.stack[-1].children.append(block)
        self.stack.append(block)

    def leave(self, token: Token) -> None:
        self.finish()
        if len(self.stack) > 1:
            self.stack.pop().close = token
        else:
            self.stray.append(token)


def cut(tokens: Sequence[Token]) -> tuple[Block, tuple[Token, ...]]:
    """Return the file as blocks of pieces, and the closing braces that close nothing."""
    cutter = _Cutter([item for item in tokens if item.kind not in TRIVIA - {"NEWLINE"}])
    cutter.run()
    return cutter.file, tuple(cutter.stray)
