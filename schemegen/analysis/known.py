"""Analyses that are kept from one run to the next, by :mod:`schemegen.cache`.

The key of an analysis is the SHA-256 of all that decides it: the checked scheme, the order asked for, the
versions of Python and of the libraries that calculate, and the sources of this package down to ``analysis``. An
analysis that a time limit has cut short depends on the machine as well and is not kept.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schemegen import cache
from schemegen.analysis.model import Analysis
from schemegen.analysis.stored import (
    NotStorableError,
    read_analysis,
    scheme_data,
    written_analysis,
)
from schemegen.analysis.time_limit import cut_offs
from schemegen.scheme.model import Scheme
from schemegen.step.program import Program

__all__ = ["known_or_new", "sources"]

KIND = "analyses"
LIBRARIES = ("sympy", "mpmath", "python-flint", "networkx", "numpy")
FOLDERS = ("language", "series", "scheme", "step", "analysis")
IMPORTED = time.time_ns()


def known_or_new(scheme: Scheme, program: Program, *, order: int | None = None) -> Analysis:
    """Return the analysis that is kept of a scheme, or else analyse it; see ``analyze``."""
    if cache.folder() is None or (maker := loaded()) is None:
        return new(scheme, program, order)
    try:
        data, places = scheme_data(scheme)
    except NotStorableError:
        return new(scheme, program, order)
    key = hashlib.sha256(f"{maker}\n{order}\n{data}".encode()).hexdigest()
    if (text := cache.read(KIND, key)) is not None:
        try:
            return read_analysis(text, places)
        except Exception:  # whatever is wrong with a kept analysis, it can be made anew
            pass
    before = cut_offs()
    found = new(scheme, program, order)
    # A source that was edited since this process began is not the one that calculated.
    if cut_offs() == before and made_by() == maker:
        with suppress(NotStorableError):
            cache.write(KIND, key, written_analysis(found, places))
    return found


def new(scheme: Scheme, program: Program, order: int | None) -> Analysis:
    """Analyse; only here is what calculates imported."""
    from schemegen.analysis.analyze import analyze

    return analyze(scheme, program, order=order)


def sources() -> Iterator[Path]:
    """Yield the modules that an analysis may depend on."""
    package = Path(__file__).resolve().parents[1]
    yield from (package / "diagnostics.py", package / "exact.py")
    for folder in FOLDERS:
        yield from sorted((package / folder).rglob("*.py"))


def made_by() -> str | None:
    """Return a hash of what calculates; None where it cannot be told."""
    found = hashlib.sha256(sys.version.encode())
    try:
        for name in LIBRARIES:
            found.update(f"\n{name} {version(name)}".encode())
        for path in sources():
            content = path.read_bytes()
            found.update(f"\n{path.name} {len(content)}\n".encode() + content)
    except (OSError, PackageNotFoundError):
        return None
    return found.hexdigest()


@lru_cache(maxsize=1)
def loaded() -> str | None:
    """Return the hash of what this process calculates with, taken when it is first asked for.

    None where it cannot be told: a source was written after this module was imported.
    """
    try:
        if any(path.stat().st_mtime_ns > IMPORTED for path in sources()):
            return None
    except OSError:
        return None
    return made_by()
