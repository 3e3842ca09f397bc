"""Texts that are kept from one run to the next in the user's cache folder.

A text is data under a key that decides it; nothing in it is executed. Whatever goes wrong here (no folder, no
permission, a damaged or truncated file) costs time and nothing else, and the folder is safe to delete at any
time, also while other processes use it.

``SCHEMEGEN_CACHE`` names another folder, ``SCHEMEGEN_NO_CACHE=1`` switches it off.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically

__all__ = ["MOST_BYTES", "MOST_FILES", "folder", "read", "switched_off", "write"]

MOST_FILES = 2000  # of a kind; beyond, those go that have not been read for longest
MOST_BYTES = 64 << 20
YES = ("1", "on", "t", "true", "y", "yes")

_off = ContextVar("_off", default=False)


@contextmanager
def switched_off() -> Iterator[None]:
    """Neither read nor write anything inside the block."""
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)


def folder() -> Path | None:
    """Return where texts are kept, None where nothing is."""
    if _off.get() or os.environ.get("SCHEMEGEN_NO_CACHE", "").lower() in YES:
        return None
    if own := os.environ.get("SCHEMEGEN_CACHE"):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification ignores relative ones
        try:
            base = _users()
        except RuntimeError:  # a user without a home
            return None
    return base / "schemegen"


def _users() -> Path:
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def read(kind: str, key: str) -> str | None:
    """Return the text that was written under ``key``, None where there is none or it is damaged."""
    place = folder()
    if place is None:
        return None
    path = _path(place, kind, key)
    try:
        mark, _, content = path.read_bytes().partition(b"\n")
        text = content.decode("utf-8")
    except (OSError, ValueError):
        return None
    if mark.decode("ascii", "replace") != _mark(content):
        return None
    with suppress(OSError):
        os.utime(path)
    return text


def write(kind: str, key: str, text: str) -> None:
    """Keep ``text`` under ``key``, a file name; what was read last stays longest."""
    place = folder()
    if place is None:
        return
    path, content = _path(place, kind, key), text.encode("utf-8")
    with suppress(OSError, UsageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _mark(content).encode("ascii") + b"\n" + content)
        _evict(path.parent)


def _path(place: Path, kind: str, key: str) -> Path:
    return place / kind / f"{key}.json"


def _mark(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _evict(kept: Path) -> None:
    """Delete the oldest files beyond the bounds, what a killed process has left half written included."""
    found: list[tuple[float, str, int]] = []
    with os.scandir(kept) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process has deleted it
                status = entry.stat()
                found.append((status.st_mtime, entry.path, status.st_size))
    total = 0
    for place, (_, path, size) in enumerate(sorted(found, reverse=True)):
        total += size
        if place >= MOST_FILES or total > MOST_BYTES:
            Path(path).unlink(missing_ok=True)
