"""A wall-clock limit for exact algebra: a question that takes too long is left undecided."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["LIMIT_SECONDS", "TimeLimitError", "cut_offs", "time_limit"]

LIMIT_SECONDS = 20.0


class TimeLimitError(Exception):
    """The limit was reached, as ``raised`` times before in this process."""

    raised = 0


def cut_offs() -> int:
    """Return how often the limit was reached in this process."""
    return TimeLimitError.raised


def _stop(signum: int, frame: FrameType | None) -> None:
    TimeLimitError.raised += 1
    raise TimeLimitError


@contextmanager
def time_limit(seconds: float = LIMIT_SECONDS) -> Iterator[None]:
    """Raise :class:`TimeLimitError` inside the block after ``seconds``.

    Needs the main thread and a system with interval timers; elsewhere there is no limit. A timer that is
    already running stays in charge.
    """
    usable = (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    )
    if not usable:
        yield
        return
    previous = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
