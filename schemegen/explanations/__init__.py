"""The long text of every diagnostic code: what is wrong, a file that has it, and the file mended."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

__all__ = ["codes", "explanation"]

FOLDER = Path(__file__).resolve().parent
CODE = re.compile(r"[EW][0-9]{4}\Z")


@lru_cache(maxsize=1)
def codes() -> tuple[str, ...]:
    """Return every code that has an explanation: by number, errors before warnings."""
    names = [path.stem for path in FOLDER.glob("*.md") if CODE.match(path.stem)]
    return tuple(sorted(names, key=lambda name: (name[1:], name[0])))


def explanation(code: str) -> str:
    """Return the Markdown text of ``code``. Errors: ``KeyError`` for a code that does not exist."""
    if code not in codes():
        raise KeyError(code)
    return (FOLDER / f"{code}.md").read_text(encoding="utf-8")
