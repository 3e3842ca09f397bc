"""Mistakes of the frame: braces, rule lines, bars, and what stands outside of a scheme."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from schemegen.diagnostics import Diagnostic, Edit, Fix, Label
from schemegen.language.patches import Patched
from schemegen.language.pieces import Block, Piece
from schemegen.language.scanner import Token

__all__ = ["block_mistakes", "row_mistake"]


def block_mistakes(file: Block, stray: Sequence[Token], patched: Patched) -> Iterator[Diagnostic]:
    """Yield what is wrong with the blocks of a file as a whole."""
    for token in stray:
        yield _stray(token, file, patched)
    if not stray:
        yield from _outside(file, patched)
    for child in file.children:
        if isinstance(child, Block):
            yield from _inside(child, "file", patched)


def _stray(token: Token, file: Block, patched: Patched) -> Diagnostic:
    span = patched.span(token.start, token.end)
    closed = [item for item in file.children if isinstance(item, Block) and item.close]
    earlier = [item.close for item in closed if item.close and item.close.start < token.start]
    labels: tuple[Label, ...] = ()
    if earlier:
        last = earlier[-1]
        labels = (Label(patched.span(last.start, last.end), "the block before ends here"),)
    return Diagnostic(
        "E0114", "`}` closes nothing", span, "leave out one `}`", labels,
        fix=Fix((Edit(span, ""),), "maybe"),
    )  # fmt: skip


def _outside(file: Block, patched: Patched) -> Iterator[Diagnostic]:
    previous: object = None
    for child in file.children:
        if isinstance(child, Piece) and child.tokens[0].text != "import":
            if not isinstance(previous, Piece):
                word = child.tokens[0]
                yield Diagnostic(
                    "E0130",
                    f"`{word.text[:40]}` stands outside of a scheme",
                    patched.span(word.start, word.end),
                    "statements stand in `scheme name { }` or `network name { }`",
                )
            previous = child
        else:
            previous = None


def _inside(block: Block, outer: str, patched: Patched) -> Iterator[Diagnostic]:
    word = block.head[0] if block.head else block.open
    if word is None or block.open is None:
        return
    if block.kind == "unknown":
        yield _unknown(word, outer, patched)
        return
    if block.close is None:
        brace = patched.span(block.open.start, block.open.end)
        yield Diagnostic("E0113", f"`{{` of `{block.kind}` is never closed", brace, "add `}`")
    if block.kind in {"tableau", "multistep"}:
        yield from _rule_line(block, word, patched)
    for child in block.children:
        if isinstance(child, Block):
            yield from _inside(child, block.kind, patched)


def _unknown(word: Token, outer: str, patched: Patched) -> Diagnostic:
    span = patched.span(word.start, word.end)
    known = ["scheme", "network"] if outer == "file" else ["step", "tableau", "multistep"]
    if word.kind != "NAME" or outer not in {"file", "scheme"}:
        return Diagnostic("E0100", f"unexpected `{{` in `{outer}`", span, "leave this block out")
    near = difflib.get_close_matches(word.text, known, n=1)
    if near:
        message = f"a statement with a similar name exists: `{near[0]}`"
        fix = Fix((Edit(span, near[0]),))
        return Diagnostic("E0102", f"unknown statement `{word.text}`", span, message, fix=fix)
    if word.text in {"scheme", "network"} or outer == "file":
        message = f"`{word.text}` opens no block here"
        return Diagnostic("E0100", message, span, f"blocks here are {_either(known)}")
    return Diagnostic(
        "E0102", f"unknown statement `{word.text}`", span, f"blocks here are {_either(known)}"
    )


def _either(words: Sequence[str]) -> str:
    return ", ".join(f"`{item}`" for item in words)


def _rule_line(block: Block, word: Token, patched: Patched) -> Iterator[Diagnostic]:
    pieces = [item for item in block.children if isinstance(item, Piece)]
    rule = None
    for place, piece in enumerate(pieces):
        text = patched.text[piece.start : piece.end]
        if len(text) > 1 and not text.strip("-─+┼"):
            rule = place
            break
    last = pieces[-1] if pieces else Piece((word,))
    what, below = ("tableau", "weights") if block.kind == "tableau" else ("multistep block", "rows")
    if rule is None:
        yield Diagnostic(
            "E0112",
            f"the {what} has no line of dashes above its {below}",
            patched.span(last.start, last.end),
            "put `---` before the row of b"
            if below == "weights"
            else "put `---` under the columns",
        )
    elif rule == len(pieces) - 1:
        row = "| 1" if below == "weights" else "u | 1 -1"
        yield Diagnostic(
            "E0131",
            f"the {what} has no {below} under its line of dashes",
            patched.span(pieces[rule].start, pieces[rule].end),
            f"add a row such as `{row}`",
        )
    if block.kind == "multistep" and rule == 0:
        yield Diagnostic(
            "E0132",
            "the multistep block has no columns above its line of dashes",
            patched.span(word.start, word.end),
            "begin with `| n+1 n n-1`",
        )


def row_mistake(piece: Piece, kind: str, patched: Patched) -> Diagnostic | None:
    """Return the E0111 of a row with no bar or with several."""
    bars = sum(token.kind == "BAR" for token in piece.tokens)
    if bars == 1:
        return None
    what = "a tableau row" if kind == "tableau" else "a multistep row"
    example = "`c | a1 a2`; for c = row sum write `| a1 a2`"
    if kind != "tableau":
        example = "`u | 1 -1`"
    span = patched.span(piece.start, piece.end)
    return Diagnostic("E0111", f"{what} needs one `|`", span, f"write {example}")
