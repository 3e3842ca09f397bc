"""Applying the edits of diagnostics to their source."""

from __future__ import annotations

from collections.abc import Iterable

from schemegen.diagnostics import Diagnostic, Edit, Source, in_order

__all__ = ["apply_fixes"]


def apply_fixes(source: Source, diagnostics: Iterable[Diagnostic]) -> str:
    """Return the text of ``source`` with every sure fix applied.

    A fix is applied whole or not at all; of two that touch the same place the first one wins, the other
    is left for the next run. Fixes of other files and fixes that are ``maybe`` are left out.
    """
    chosen: list[Edit] = []
    for item in in_order(diagnostics):
        if item.fix is None or item.fix.applicability != "machine":
            continue
        edits = [edit for edit in item.fix.edits if edit not in chosen]
        if all(edit.span.source == source for edit in edits) and not any(
            _collide(edit, other) for edit in edits for other in chosen
        ):
            chosen.extend(edits)
    text = source.text
    for edit in sorted(chosen, key=lambda edit: (edit.span.start, edit.span.end), reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _collide(one: Edit, other: Edit) -> bool:
    """Whether two edits overlap; two insertions at one place do, for their order would be a guess."""
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
