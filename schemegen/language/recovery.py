"""From text to a tree whatever the text: one parse if it is right, statement by statement if it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

from lark.exceptions import UnexpectedInput, UnexpectedToken

from schemegen.diagnostics import MOST_ERRORS, Diagnostic, SchemeError, Source, Span, limited
from schemegen.language import limits, nodes
from schemegen.language.blocks import block_mistakes, row_mistake
from schemegen.language.classify import Fault, classify, unclosed
from schemegen.language.lexical import lexical_mistakes
from schemegen.language.parser import parse_rule
from schemegen.language.patches import Patched
from schemegen.language.pieces import Block, Piece, cut
from schemegen.language.scanner import TRIVIA, Token, scan

__all__ = ["Parsed", "parse"]

FUNCTIONS = frozenset(
    {"sqrt", "exp", "log", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "phi1", "phi2", "phi3",
     "min", "max", "linear", "cosine", "list", "uniform", "normal", "gaussian", "bernoulli", "drop"}
)  # fmt: skip
RULES = {
    "file": "item",
    "scheme": "sstmt",
    "network": "nstmt",
    "step": "assign",
    "multistep": "lrow",
}
REPAIRS = 8  # mistakes that are mended in one statement before it is given up


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file as far as it could be read, and what is wrong with the rest.

    ``poisoned`` holds names that dropped pieces would have declared; ``damaged`` the start offsets of the
    schemes, networks and blocks (``node.span.start``) from which a piece was dropped.
    """

    file: nodes.File
    diagnostics: tuple[Diagnostic, ...] = ()
    poisoned: frozenset[str] = frozenset()
    damaged: frozenset[int] = frozenset()


def parse(source: Source) -> Parsed:
    """Parse a text into a tree and everything that is wrong with it; never raises for what a user wrote."""
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > limits.FILE_BYTES:
        message = f"the file has {size} bytes, the limit is {limits.FILE_BYTES}"
        return Parsed(nodes.File(source, ()), (limits.exceeded(message, Span(source, 0, 0)),))
    tokens = scan(source.text)
    mistakes = list(islice(lexical_mistakes(source, tokens), MOST_ERRORS + 1))
    if not mistakes:
        start = 1 if source.text.startswith("\ufeff") else 0
        try:
            file, builder = parse_rule(Patched(source), source.text[start:], start, "start")
        except (SchemeError, UnexpectedInput):
            pass
        else:
            return Parsed(file, tuple(builder.breaches))
    return _Recovery(source, mistakes).parsed()


class _Recovery:
    """One tolerant reading: mends what single tokens show, then parses each piece by itself."""

    def __init__(self, source: Source, mistakes: list[Diagnostic]) -> None:
        self.source = source
        self.found = mistakes
        self.edits = [edit for item in mistakes if item.fix for edit in item.fix.edits]
        self.patched = Patched(source)
        self.patched.apply(self.edits)
        self.tokens = scan(self.patched.text)
        self.poisoned: set[str] = set()
        self.damaged: set[int] = set()
        self.functions = FUNCTIONS | self._declared()

    def _declared(self) -> set[str]:
        solid = [item for item in self.tokens if item.kind not in TRIVIA]
        return {
            name.text
            for word, name in pairwise(solid)
            if word.text in {"drift", "map"} and name.kind == "NAME"
        }

    def parsed(self) -> Parsed:
        too_deep = any("nested" in item.message for item in self.found if item.code == "E0118")
        items: tuple[nodes.Item, ...] = ()
        if not too_deep and len(self.found) <= MOST_ERRORS:
            file, stray = cut(self.tokens)
            self.found += block_mistakes(file, stray, self.patched)
            items = tuple(self.children(file, None))
        ordered = limited(_without_machinery(item) for item in self.found)
        return Parsed(
            nodes.File(self.source, items),
            ordered,
            frozenset(self.poisoned),
            frozenset(self.damaged),
        )

    # --- blocks ---

    def children(self, block: Block, owner: int | None) -> list[Any]:
        """Return the nodes of a block's pieces; ``owner`` is the start of what loses those that fail."""
        kept = []
        for child in block.children:
            node = (
                self.piece(child, RULES.get(block.kind, ""))
                if isinstance(child, Piece)
                else self.block(child)
            )
            if node is not None:
                kept.append(node)
            if owner is not None and (node is None or node.span.start in self.damaged):
                self.damaged.add(owner)
        return kept

    def block(self, block: Block) -> Any:
        if block.kind == "unknown" or block.open is None:
            self.poison(self.leaves(block))
            return None
        start = block.head[0].start
        if block.kind in {"tableau", "multistep"}:
            return self.rows(block)
        header = self.header(
            block, "{}", "item" if block.kind in {"scheme", "network"} else "sstmt"
        )
        if header is None:
            self.poison(self.leaves(block))
            return None
        end = self.end(block)
        span = self.patched.span(start, end)
        statements = tuple(self.children(block, span.start))
        if block.kind == "step":
            return replace(header, assignments=statements, span=span)
        return replace(header, statements=statements, span=span)

    def rows(self, block: Block) -> Any:
        """Parse a tableau or a multistep block row by row."""
        pieces = [item for item in block.children if isinstance(item, Piece)]
        rule = next((i for i, item in enumerate(pieces) if self.is_rule(item)), None)
        whole = len(pieces) == len(block.children) and rule is not None
        first = 1 if block.kind == "multistep" and pieces else 0
        columns = self.patched.text[pieces[0].start : pieces[0].end] if first else ""
        dummy = f"{{{columns}\n--\nu | 1\n}}" if first else "{\n--\n| 1\n}"
        header = self.header(block, dummy, "sstmt", pieces[0] if first else None)
        span = self.patched.span(block.head[0].start, self.end(block))
        upper, lower = list[Any](), list[Any]()
        for place, piece in enumerate(pieces):
            if place < first or place == rule:
                continue
            below = rule is not None and place > rule
            name = "lrow" if first else "wrow" if below else "trow"
            if (problem := row_mistake(piece, block.kind, self.patched)) is not None:
                self.found.append(problem)
                whole = False
                continue
            row = self.piece(piece, name)
            if row is None:
                whole = False
            else:
                (lower if below else upper).append(row)
        if not whole:
            self.damaged.add(span.start)
        if header is None:
            return None
        if block.kind == "multistep":
            return replace(header, rows=tuple(lower), span=span)
        return replace(header, rows=tuple(upper), weights=tuple(lower), span=span)

    def is_rule(self, piece: Piece) -> bool:
        text = self.patched.text[piece.start : piece.end]
        return len(text) > 1 and not text.strip("-─+┼")

    def header(self, block: Block, dummy: str, rule: str, line: Piece | None = None) -> Any:
        """Parse the words before a brace, with ``dummy`` in place of what the braces hold."""
        head = block.head
        text = self.patched.text[head[0].start : head[-1].end]
        tokens = (*head, *(line.tokens if line else ()))
        return self.attempt(tokens, f"{text} {dummy}", rule)

    def end(self, block: Block) -> int:
        if block.close is not None:
            return block.close.end
        leaves = self.leaves(block)
        return leaves[-1].end if leaves else block.head[-1].end

    def leaves(self, block: Block) -> list[Token]:
        found = list(block.head)
        for child in block.children:
            found += child.tokens if isinstance(child, Piece) else self.leaves(child)
        return found

    # --- pieces ---

    def piece(self, piece: Piece, rule: str) -> Any:
        if rule == "item" and piece.tokens[0].text != "import":
            return None  # block_mistakes has said that it stands outside of a scheme
        if not rule:
            return None
        if (problem := unclosed(piece.tokens, self.patched)) is not None:
            self.found.append(problem)
            self.poison(piece.tokens)
            return None
        text = self.patched.text[piece.start : piece.end]
        node = self.attempt(piece.tokens, text, rule)
        if node is None:
            self.poison(piece.tokens)
        return node

    def attempt(self, tokens: tuple[Token, ...], text: str, rule: str) -> Any:
        """Parse ``text``; on a mistake that can be mended, mend it and go on for the next one."""
        patched, edits, start = self.patched, list(self.edits), tokens[0].start
        for _ in range(REPAIRS):
            if len(self.found) > MOST_ERRORS:
                return None
            try:
                node, builder = parse_rule(patched, text, start, rule)
            except SchemeError as error:
                self.found += error.diagnostics
                return None
            except UnexpectedInput as error:
                problem = self.explain(error, tokens, text, start, rule, patched)
                self.found.append(problem)
                if problem.fix is None or problem.fix.applicability != "machine":
                    return None
                edits += problem.fix.edits
                ends_at = patched.place(start)
                size = len(text) - (tokens[-1].end - start)
                tail = text[len(text) - size :] if size > 0 else ""
                last = patched.span(tokens[-1].start, tokens[-1].end).end
                patched = Patched(self.source)
                patched.apply(edits)
                start, stop = patched.find(ends_at), patched.find(last)
                text = patched.text[start:stop] + tail
                tokens = tuple(
                    replace(item, start=item.start + start, end=item.end + start)
                    for item in scan(patched.text[start:stop])
                    if item.kind not in TRIVIA | {"CONTINUATION"}
                )
            else:
                self.found += builder.breaches
                return node
        return None

    def explain(
        self,
        error: UnexpectedInput,
        tokens: tuple[Token, ...],
        text: str,
        start: int,
        rule: str,
        patched: Patched,
    ) -> Diagnostic:
        position: int | None = error.pos_in_stream
        ended = isinstance(error, UnexpectedToken) and error.token.type in {"$END", "_NL"}
        at = len(tokens)
        if position is not None and not ended:
            at = next((i for i, item in enumerate(tokens) if item.end > position + start), at)
        expected: set[str] = set()
        if isinstance(error, UnexpectedToken):
            expected = set(error.accepts or error.expected)
        else:
            expected = set(getattr(error, "allowed", None) or ())
        return classify(Fault(tokens, at, rule, expected, self.functions, patched))

    def poison(self, tokens: Any) -> None:
        """Remember what a dropped piece would have declared."""
        depth = 0
        for place, token in enumerate(tokens):
            depth += (token.kind == "LPAR") - (token.kind == "RPAR")
            if token.kind in {"COLON", "EQUAL"}:
                break
            if token.kind == "NAME" and depth == 0 and (place or len(tokens) == 1):
                self.poisoned.add(token.text)
        if len(tokens) > 1 and tokens[1].kind in {"EQUAL", "LSQB", "RELOP"}:
            self.poisoned.add(tokens[0].text)


def _without_machinery(item: Diagnostic) -> Diagnostic:
    """Drop the edit by which parsing went on past a limit: it is no advice."""
    if item.fix is not None and item.fix.applicability == "limit":
        return replace(item, fix=None)
    return item
