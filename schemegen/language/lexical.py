"""Mistakes that a token shows by itself, and limits on tokens; each with the edit that lets parsing go on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from schemegen.diagnostics import Diagnostic, Edit, Fix, Source, Span
from schemegen.language import limits
from schemegen.language.scanner import TRIVIA, Token

__all__ = ["lexical_mistakes"]

PLAIN = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014", "-"),
    **dict.fromkeys("\u00d7\u00b7\u22c5\u2219\u2217", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044", "/"),
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb'", '"'),
    **dict.fromkeys("\u2502\u2503\u2551\uff5c", "|"),
    **dict.fromkeys("\u2500\u2501\u2550", "-"),
    **dict.fromkeys("\u253c\u254b\u256c", "+"),
    "\u2264": "<=",
    "\u2265": ">=",
    "\u221a": "sqrt",
    "\u221e": "inf",
    "\r": "\n",
}
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
INDEX = re.compile(r"([A-Za-z][A-Za-z0-9]*)[_^]\{\s*(n\s*(?:[+-]\s*[0-9]{1,2})?)\s*\}\Z")
FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}\Z")


def _fixed(
    code: str, message: str, span: Span, text: str, help_text: str, *, sure: bool = True
) -> Diagnostic:
    fix = Fix((Edit(span, text),), "machine" if sure else "maybe")
    return Diagnostic(code, message, span, help_text, fix=fix)


def _dropped(code: str, message: str, span: Span, help_text: str) -> Diagnostic:
    """Parsing goes on without the character, but that is no advice that could be applied."""
    return Diagnostic(code, message, span, help_text, fix=Fix((Edit(span, " "),), "limit"))


def _plain(character: str) -> str | None:
    """Return what to write instead of a character; None where that is not known."""
    if character in PLAIN:
        return PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK SMALL LETTER ") and " WITH " not in name:
        return name.removeprefix("GREEK SMALL LETTER ").replace("FINAL ", "").lower()
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    if category in {"Cc", "Cf"}:
        return ""
    same = unicodedata.normalize("NFKC", character)
    if "SUPERSCRIPT" in name and same.isdigit():
        return f"^{same}"
    return same if same.isascii() and same.isprintable() and same != character else None


def _character(source: Source, offset: int, where: str = "here") -> Diagnostic:
    character = source.text[offset]
    span = Span(source, offset, offset + 1)
    message = f"character U+{ord(character):04X} is not allowed {where}"
    plain = _plain(character) if where == "here" else ""
    if character in "<>":
        return _dropped("E0106", message, span, "claims compare with `=`, `>=` or `<=`")
    if plain is None:
        return _dropped("E0106", message, span, "leave it out")
    shown = {"": "leave it out", " ": "use a blank", "\n": "use line feeds"}.get(plain)
    return _fixed("E0106", message, span, plain, shown or f"use `{plain}`")


def _in_text(source: Source, token: Token, where: str) -> Iterator[Diagnostic]:
    for offset, character in enumerate(token.text, token.start):
        if character.isascii() and character.isprintable():
            if character == "\\" and token.kind == "STRING":
                yield _character(source, offset, where)
        elif character != "\t" and (
            character in BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        ):
            yield _character(source, offset, where)


def _latex(source: Source, token: Token) -> Diagnostic:
    span = Span(source, token.start, token.end)
    text, sure = token.text, True
    if match := INDEX.match(text):
        instead = f"{match[1]}[{re.sub(r'[ ]', '', match[2])}]"
    elif match := FRACTION.match(text):
        instead = f"(({match[1]})/({match[2]}))"
    elif text.startswith("\\"):
        instead = {"\\cdot": "*", "\\times": "*", "\\,": " ", "\\;": " ", "\\!": ""}.get(
            text, text[1:]
        )
        sure = False
    else:
        name, _, inner = text.rstrip("}").partition("{")
        inner = re.sub(r"[^A-Za-z0-9_]", "_", inner) or "0"
        instead = f"{name}({inner})" if name.endswith("^") else f"{name}{inner}"
        sure = False
    return _fixed(
        "E0108", f"`{text}` is LaTeX notation", span, instead, f"write `{instead}`", sure=sure
    )


def _number(source: Source, token: Token) -> Iterator[Diagnostic]:
    mantissa, _, exponent = token.text.lower().partition("e")
    span = Span(source, token.start, token.end)
    shown = token.text if len(token.text) <= 48 else token.text[:20] + "..."
    digits = max(len(part) for part in mantissa.split("."))
    if digits > limits.DIGITS:
        message = f"the number `{shown}` has {digits} digits, the limit is {limits.DIGITS}"
    elif len(exponent) > 4 or (exponent and abs(int(exponent)) > limits.EXPONENT):
        message = f"the exponent of `{shown}` is beyond the limit of {limits.EXPONENT}"
    else:
        return
    yield _limit(message, span, "1")


def _limit(message: str, span: Span, text: str) -> Diagnostic:
    found = limits.exceeded(message, span)
    return Diagnostic(found.code, message, span, found.help, fix=Fix((Edit(span, text),), "limit"))


def _one(source: Source, token: Token) -> Iterator[Diagnostic]:
    span = Span(source, token.start, token.end)
    length = token.end - token.start
    match token.kind:
        case "STRANGE":
            yield _character(source, token.start)
        case "COMMENT":
            yield from _in_text(source, token, "in a comment")
        case "STRING" | "OPEN_STRING":
            yield from _in_text(source, token, "in a string")
            if token.kind == "OPEN_STRING":
                start, end = (
                    Span(source, span.start, span.start + 1),
                    Span(source, span.end, span.end),
                )
                fix = Fix((Edit(end, '"'),), "maybe")
                message = "string is not closed on this line"
                yield Diagnostic("E0109", message, start, 'add `"`', fix=fix)
            elif length > limits.STRING_LENGTH + 2:
                yield _limit(
                    f"the string has {length - 2} characters, the limit is {limits.STRING_LENGTH}",
                    span, '""',
                )  # fmt: skip
        case "LATEX":
            yield _latex(source, token)
        case "STARS":
            yield _fixed("E0104", "`**` is not an operator", span, "^", "use `^`")
        case "NUMBER":
            yield from _number(source, token)
        case "FRACTION":
            yield _fixed(
                "E0127", f"the number `{token.text}` does not begin with a digit", span,
                f"0{token.text}", f"write `0{token.text}`",
            )  # fmt: skip
        case "NAME" if length > limits.NAME_LENGTH:
            yield _limit(
                f"the name `{token.text[:20]}...` has {length} characters, the limit is "
                f"{limits.NAME_LENGTH}", span, token.text[: limits.NAME_LENGTH],
            )  # fmt: skip


def lexical_mistakes(source: Source, tokens: Sequence[Token]) -> Iterator[Diagnostic]:
    """Yield what single tokens and touching pairs show, in order."""
    previous: Token | None = None
    depth = braces = statements = 0
    fresh = True
    for token in tokens:
        yield from _one(source, token)
        if token.kind in {"NEWLINE", "SEMICOLON", "LBRACE", "RBRACE"}:
            fresh = True
        elif token.kind not in TRIVIA and fresh:
            statements, fresh = statements + 1, False
            if statements == limits.STATEMENTS + 1:
                yield limits.exceeded(
                    f"the file has more than {limits.STATEMENTS} statements",
                    Span(source, token.start, token.end),
                )
        if token.kind in {"LPAR", "LSQB"}:
            depth += 1
            if depth == limits.BRACKET_DEPTH + 1:
                yield limits.exceeded(
                    f"brackets are nested deeper than {limits.BRACKET_DEPTH} levels",
                    Span(source, token.start, token.end),
                )
        elif token.kind in {"RPAR", "RSQB"}:
            depth = max(depth - 1, 0)
        elif token.kind in {"LBRACE", "RBRACE"}:
            depth = 0
            braces = max(braces + (1 if token.kind == "LBRACE" else -1), 0)
            if braces == limits.BRACKET_DEPTH + 1:
                yield limits.exceeded(
                    f"braces are nested deeper than {limits.BRACKET_DEPTH} levels",
                    Span(source, token.start, token.end),
                )
        if previous is not None and _touch(previous, token):
            left, right = previous.text[-20:], token.text[:20]
            gap = Span(source, token.start, token.start)
            yield Diagnostic(
                "E0107",
                f"missing operator between `{left}` and `{right}`",
                Span(
                    source, previous.start if previous.kind == "NUMBER" else token.start, token.end
                ),
                f"write `{left}*{right}`" if token.kind != "LPAR" else f"write `{left}*(`",
                fix=Fix((Edit(gap, "*"),)),
            )
        previous = token


def _touch(left: Token, right: Token) -> bool:
    """Whether two operands stand side by side without even a blank, as in ``2h`` or ``)(``."""
    if left.kind == "NUMBER":
        return right.kind in {"NAME", "LPAR"}
    return left.kind == "RPAR" and right.kind in {"NAME", "NUMBER", "LPAR"}
