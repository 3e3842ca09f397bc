"""One claim beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """``holds``: the measurement agrees with the claim, contradicts it, or (None) was not made.

    ``key`` is the key of the report that holds the claim; ``what`` says it for people. ``note`` tells how it was
    measured, or why not.
    """

    key: str
    what: str
    claimed: str
    measured: str = ""
    holds: bool | None = None
    note: str = ""
