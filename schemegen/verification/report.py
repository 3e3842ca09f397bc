"""Checks as a table, and as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from schemegen.verification.model import Check

__all__ = ["checks_data", "checks_text"]

WORDS = {True: "agrees", False: "CONTRADICTED", None: "not measured"}
MARKS = {True: "✓", False: "✗", None: "·"}
COLORS = {True: "32", False: "1;31", None: "2"}


def checks_data(scheme: str, checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks of a scheme as JSON data; ``holds`` is null where nothing was measured."""
    return {
        "v": 1,
        "scheme": scheme,
        "checks": [
            {
                "key": item.key,
                "what": item.what,
                "claimed": item.claimed,
                "measured": item.measured,
                "holds": item.holds,
                "note": item.note,
            }
            for item in checks
        ],
        "agree": sum(item.holds is True for item in checks),
        "contradicted": sum(item.holds is False for item in checks),
        "not_measured": sum(item.holds is None for item in checks),
    }


def checks_text(
    scheme: str, checks: Sequence[Check], *, width: int, color: bool, unicode: bool
) -> str:
    """Return a table: what is claimed beside what was measured, one row a check."""
    what = min(max((len(item.what) for item in checks), default=10), 48)
    claimed = min(max((len(item.claimed) for item in checks), default=7), 24)
    rest = max(width - what - claimed - 8, 20)
    lines = [scheme, f"    {'':<{what}}  {'claimed':<{claimed}}  measured"]
    for item in checks:
        found = item.measured or WORDS[item.holds]
        if item.holds is not True and item.note:
            found += f" ({item.note})"
        columns = (
            wrap(item.what, what) or [""],
            wrap(item.claimed, claimed) or [""],
            wrap(found, rest) or [""],
        )
        mark = MARKS[item.holds] if unicode else {True: "ok", False: "!!", None: "--"}[item.holds]
        for row in range(max(map(len, columns))):
            a, b, c = (column[row] if row < len(column) else "" for column in columns)
            line = f"{mark if row == 0 else '':<3} {a:<{what}}  {b:<{claimed}}  {c}".rstrip()
            lines.append(f"\x1b[{COLORS[item.holds]}m{line}\x1b[0m" if color else line)
    return "\n".join([*lines, ""])
