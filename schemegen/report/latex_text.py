"""Texts as LaTeX: escaped letter by letter, mathematics in them as such."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from schemegen.report.notation import GREEK

__all__ = ["escape", "prose"]

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
}

GREEK_LETTERS = {letter: name for name, letter in GREEK.items()}

# What the texts of facts hold of mathematics, longest first.
FORMULAS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\^(-?\d+|\([^()]*\))"), lambda m: f"$^{{{m.group(1).strip('()')}}}$"),
    (re.compile(r"sqrt\((\d+)\)"), lambda m: rf"$\sqrt{{{m.group(1)}}}$"),
    (re.compile(r"<="), lambda m: r"$\le$"),
    (re.compile(r">="), lambda m: r"$\ge$"),
    (re.compile(r"!="), lambda m: r"$\ne$"),
    (re.compile(r"(-?)\binf\b"), lambda m: rf"${m.group(1)}\infty$"),
    (re.compile(r"(?<![\w)])-(?=[\w(])"), lambda m: "$-$"),
)


def escape(text: str) -> str:
    """Return a text of the user so that LaTeX prints it and runs nothing.

    Letters that pdfTeX has no glyph for are written as their number in Unicode.
    """
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isascii() or "\u00a1" <= character <= "\u017e":
        return character
    if character in GREEK_LETTERS:
        return rf"$\{GREEK_LETTERS[character]}$"
    plain = unicodedata.normalize("NFKD", character)
    if plain.isascii() and plain.isprintable():
        return "".join(ESCAPES.get(item, item) for item in plain)
    return f"[U+{ord(character):04X}]"


def prose(text: str) -> str:
    """Return the text of a fact: what reads as mathematics is set as such, the rest is escaped."""
    pieces = [(text, False)]
    for pattern, write in FORMULAS:
        found: list[tuple[str, bool]] = []
        for piece, done in pieces:
            if done:
                found.append((piece, True))
                continue
            start = 0
            for match in pattern.finditer(piece):
                found += [(piece[start : match.start()], False), (write(match), True)]
                start = match.end()
            found.append((piece[start:], False))
        pieces = found
    return "".join(piece if done else escape(piece) for piece, done in pieces)
