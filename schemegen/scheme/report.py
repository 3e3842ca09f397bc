"""Where the checks of a file put what they find, and how a similar name is looked up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from schemegen.diagnostics import Diagnostic, Edit, Fix, Label, Span

__all__ = ["Report", "similar"]


def similar(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``, if one is."""
    matches = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


@dataclass(slots=True)
class Report:
    """Collects diagnostics.

    ``poisoned`` names were declared in text that could not be read; ``in_blocks`` are mentioned by the networks
    of the file.
    """

    poisoned: frozenset[str] = frozenset()
    damaged: frozenset[int] = frozenset()
    pedantic: bool = False
    in_blocks: frozenset[str] = frozenset()
    diagnostics: list[Diagnostic] = field(default_factory=list)
    roots: set[Any] = field(default_factory=set)  # square and other roots met so far

    def add(
        self,
        code: str,
        message: str,
        span: Span,
        help: str | None = None,  # noqa: A002
        *,
        labels: Iterable[Label] = (),
        text: str = "",
        replacement: str | None = None,
        applicability: str = "machine",
    ) -> None:
        """Add a diagnostic; ``replacement`` for the span's text makes it fixable."""
        fix = None if replacement is None else Fix((Edit(span, replacement),), applicability)
        self.diagnostics.append(Diagnostic(code, message, span, help, tuple(labels), text, fix))

    def unknown(
        self, code: str, message: str, name: str, span: Span, known: Iterable[str], noun: str
    ) -> None:
        """Report an unknown name with the similar one, if there is one, as its fix."""
        if name in self.poisoned:
            return
        candidates = sorted(known)
        match = similar(name, candidates)
        if match is not None:
            self.add(code, message, span, f"a similar {noun} exists: `{match}`", replacement=match)
        elif candidates:
            listed = ", ".join(f"`{item}`" for item in candidates[:12])
            self.add(code, message, span, f"known here: {listed}")
        else:
            self.add(code, message, span, f"no {noun} is declared")

    def spoiled_since(self, place: int) -> bool:
        """Whether an error after the first ``place`` diagnostics leaves nothing to go on with.

        A wrong abscissa (E0203) does not: claims are still decided for the coefficients as written.
        """
        return any(item.is_error and item.code != "E0203" for item in self.diagnostics[place:])
