"""How processes that train together end together: by a signal at the same step, by a failure with its message."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

import torch

from schemegen.diagnostics import SchemeError, UsageError

__all__ = ["Stop", "ending_together"]

KEY = "schemegen/failure"
PATIENCE = 5.0  # seconds that a lost connection waits for the message of whoever broke it
LOST = ("gloo", "NCCL", "Connection", "connection", "process group", "timed out")


class Stop:
    """Whether SIGINT or SIGTERM has asked the run to end; the loop looks between steps.

    A signal must not tear a checkpoint or leave other ranks waiting, so the first one only asks. One that comes
    more than two seconds later raises KeyboardInterrupt at once; launchers repeat a signal immediately.
    """

    def __init__(self) -> None:
        self.asked = False
        self.since = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over meanwhile; elsewhere than in the main thread they stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked and now - self.since > 2:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self.since = True, now


SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ending_together(rank: int, world: int) -> Iterator[None]:
    """Tell the other ranks what ends this one, and in place of a lost connection what ended theirs.

    A rank notices when the process of another ends. The message is in the store of the launcher; where the first
    process keeps it itself, it is lost with that process.

    Errors: the error itself on the rank that met it first, marked ``told`` on ranks that met the same one;
    :class:`UsageError` with the message of the rank that failed on those that lost it.
    """
    if world == 1:
        yield
        return
    store = torch.distributed.distributed_c10d._get_default_store()
    store.delete_key(KEY)  # of an earlier run of these processes
    torch.distributed.barrier()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if _lost(error):
            raise _ended(store) from error
        error.told = _told(store, rank, _message(error))  # type: ignore[union-attr]
        raise


def _told(store: Any, rank: int, message: str) -> bool:
    """Leave a message for the others; return whether another rank has left the same one before."""
    try:
        found = store.compare_set(KEY, "", json.dumps({"rank": rank, "message": message}))
    except RuntimeError:  # the store has gone with the process that kept it
        return False
    first = json.loads(found)
    return bool(first["rank"] != rank and first["message"] == message)


def _message(error: BaseException) -> str:
    match error:
        case SchemeError():
            return "; ".join(f"{item.code}: {item.message}" for item in error.diagnostics)
        case UsageError():
            return error.message
        case KeyboardInterrupt():
            return "interrupted"
        case _:
            return f"{type(error).__name__}: {error}"


def _lost(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error) for word in LOST)


def _ended(store: Any) -> UsageError:
    """Return what the rank said that ended, if it could."""
    advice = "continue with `--resume`"
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if store.check([KEY]):
                store.set_timeout(timedelta(seconds=PATIENCE))
                found = json.loads(store.get(KEY))
                return UsageError(f"rank {found['rank']} ended: {found['message']}", advice)
            time.sleep(0.1)
    except (RuntimeError, ValueError):
        return UsageError("another rank ended, and the store of messages with it", advice)
    return UsageError("another rank ended without saying why, as when it is killed", advice)
