"""A line of a report, and the words that lines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemegen.analysis.model import Verdict

__all__ = ["Fact", "expected", "listed", "opened", "yes"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: ``label`` in the left column, ``text`` beside it, codes of the warnings it carries."""

    key: str
    label: str
    text: str
    codes: tuple[str, ...] = ()


def listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def expected(verdict: Verdict | None) -> str:
    """Return ``   (expected 2: holds)`` for a claim of the file."""
    if verdict is None:
        return ""
    outcome = {True: "holds", False: "fails", None: "not decided"}[verdict.holds]
    item = verdict.expectation
    if item.value is None:
        return f"   (expected: {outcome})"
    relation = "" if item.operator in ("=", None) else f"{item.operator} "
    value = yes(item.value) if isinstance(item.value, bool) else str(item.value)
    return f"   (expected {relation}{value}: {outcome})"


def yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not decided"}[value]


def opened(value: int | str | None) -> str:
    return "not decided" if value is None else str(value)
