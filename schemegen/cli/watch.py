"""``schemegen check --watch``: check again what has changed, and say what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from schemegen.cli.console import Console
from schemegen.diagnostics import Diagnostic, UsageError

__all__ = ["Stamp", "changes", "watch"]

INTERVAL = 0.3

Stamp = tuple[int, int] | None
Check = Callable[[str], tuple[Diagnostic, ...]]


def watch(files: Iterable[str], check: Check, console: Console) -> None:
    """Check ``files`` whenever one of them, or a scheme file beside it, changes; until interrupted.

    Of a file that was checked before, only diagnostics that it did not have then are shown.
    """
    known: dict[str, set[tuple[str, ...]]] = {}
    for file in changes(tuple(files)):
        try:
            found = check(file)
        except UsageError as error:  # it is being saved, or gone for a while
            console.complain(f"{file}: {error.message}")
            continue
        before = known.get(file)
        known[file] = {label(item) for item in found}
        if before == known[file]:
            continue
        console.show(item for item in found if before is None or label(item) not in before)
        settled = len((before or set()) - known[file])
        console.say(f"{file}: {told(found)}{f'; {settled} settled' if settled else ''}")


def label(item: Diagnostic) -> tuple[str, ...]:
    """Return what makes a diagnostic the same one although lines above it have come or gone."""
    return (item.code, item.message, "" if item.span is None else item.span.text)


def told(found: tuple[Diagnostic, ...]) -> str:
    """Return ``2 errors, 1 warning``."""
    errors = sum(item.is_error for item in found)
    parts = [
        f"{count} {word}{'s' * (count != 1)}"
        for count, word in ((errors, "error"), (len(found) - errors, "warning"))
        if count
    ]
    return ", ".join(parts) or "nothing to report"


def changes(files: tuple[str, ...]) -> Iterator[str]:
    """Yield each file at first, and again whenever it or what it may import has changed."""
    stamps: dict[str, tuple[Stamp, ...]] = {}
    while True:
        for file in files:
            stamp = state(Path(file))
            if stamps.get(file) != stamp:
                stamps[file] = stamp
                yield file
        time.sleep(INTERVAL)


def state(path: Path) -> tuple[Stamp, ...]:
    """Return what changes when a file, or a scheme file in its folder, is written."""
    return (stamp(path), *(stamp(item) for item in sorted(path.parent.glob("*.scheme"))))


def stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size)
