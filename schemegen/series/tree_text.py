"""Trees read back from their text."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["ParsedTree", "parsed"]

ParsedTree = tuple[str, tuple[tuple[str, Any], ...]]
"""``(field, ((label, child), ..))``; the label names the state a child stands for, empty where it is clear."""


@cache
def parsed(text: str) -> ParsedTree:
    """Parse ``g[f,x:f[g]]`` into ``(name, ((label, child), ..))``."""
    name, bracket, rest = text.partition("[")
    if not bracket:
        return (text, ())
    children: list[tuple[str, Any]] = []
    depth, start = 0, 0
    inner = rest[:-1]
    for position, character in enumerate(inner + ","):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            piece = inner[start:position]
            label, colon, child = piece.partition(":")
            labelled = colon and "[" not in label
            children.append((label, parsed(child)) if labelled else ("", parsed(piece)))
            start = position + 1
    return (name, tuple(children))
