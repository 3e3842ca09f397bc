"""How a code point is shown in a terminal, and how many columns it takes."""

from __future__ import annotations

import unicodedata

__all__ = ["cells", "escaped"]

TAB = 4
# Controls, formats (bidi among them), surrogates, private use, separators of lines and paragraphs:
# shown by number, since they would move the cursor, hide or reorder what stands beside them.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def _by_number(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _shown(character: str, unicode: bool) -> str:
    if character.isascii():
        return character if character.isprintable() else _by_number(character)
    if not unicode or unicodedata.category(character) in HIDDEN:
        return _by_number(character)
    return character


def escaped(text: str, *, unicode: bool = True, keep: str = "") -> str:
    """Return ``text`` on one line with every character that a terminal would act on shown by number."""
    return "".join(item if item in keep else _shown(item, unicode) for item in text)


def cells(line: str, *, unicode: bool = True) -> list[tuple[str, int]]:
    """Return what each code point of ``line`` is shown as, and its width in columns.

    Tabs reach to the next multiple of four; wide characters take two columns, combining ones none.
    """
    shown = []
    column = 0
    for character in line:
        tab = " " * (TAB - column % TAB)
        text = tab if character == "\t" else _shown(character, unicode)
        width = len(text)
        if len(text) == 1 and not text.isascii():
            if unicodedata.category(text) in {"Mn", "Me"}:
                width = 0
            elif unicodedata.east_asian_width(text) in "WF":
                width = 2
        shown.append((text, width))
        column += width
    return shown
