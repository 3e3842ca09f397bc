"""The modified equation as sums that a reader can take in, level by level in powers of h."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import sympy

from schemegen.analysis.model import DerivativeTerm, ModifiedEquation, TreeTerm
from schemegen.report.notation import Script, parse_tree
from schemegen.scheme.expressions import format_exact

__all__ = ["derivative_form", "field_form", "in_rows", "length", "shown_levels", "truncation"]

Item = TypeVar("Item")


MOST_TERMS = 12


def in_rows(items: Sequence[Item], lengths: Sequence[int], width: int) -> Iterator[list[Item]]:
    """Yield the items in rows whose lengths add up to at most ``width``; at least one a row."""
    row: list[Item] = []
    used = 0
    for item, length in zip(items, lengths, strict=True):
        if row and used + length > width:
            yield row
            row, used = [], 0
        row.append(item)
        used += length
    if row:
        yield row


def length(coefficient: sympy.Expr, what: str) -> int:
    """Return about how many letters wide a term is where its fraction is set upright."""
    above, below = sympy.fraction(sympy.together(coefficient))
    parts = [above] if below == 1 else [above, below]
    return max(len(format_exact(part)) for part in parts) + len(what) + 3


def shown_levels(terms: Sequence[TreeTerm], levels: int | None) -> list[tuple[int, list[TreeTerm]]]:
    """Group terms by power of h: all up to the zeroth and ``levels`` others; None keeps all."""
    grouped = [
        (power, list(group))
        for power, group in groupby(
            sorted(terms, key=lambda term: term.h_power), key=lambda term: term.h_power
        )
    ]
    if levels is None:
        return grouped
    leading = [item for item in grouped if item[0] <= 0]
    return leading + [item for item in grouped if item[0] > 0][:levels]


def field_form(
    terms: Sequence[TreeTerm], script: Script, *, levels: int | None = None
) -> list[str]:
    """Return the words of ``f - h² ( 1/6 f'f'f + 1/24 f''(f,f) ) + ...``; lines break between words."""
    words: list[str] = []
    for power, group in shown_levels(terms, levels):
        most = MOST_TERMS if levels is not None else len(group)
        words += _level(power, group[:most], script, len(group) - most, first=not words)
    return words or ["0"]


def _level(
    power: int, group: Sequence[TreeTerm], script: Script, hidden: int, *, first: bool
) -> list[str]:
    h = script.power("h", power)
    trees = [script.differential(parse_tree(term.tree)) for term in group]
    if power == 0 or len(group) == 1:
        summands = [
            script.scaled(term.coefficient, h, tree)
            for term, tree in zip(group, trees, strict=True)
        ]
        return _words(summands, first)
    summands = [
        script.scaled(term.coefficient, "", tree) for term, tree in zip(group, trees, strict=True)
    ]
    minus = all(negative for negative, _ in summands)
    inner = [(negative != minus, text) for negative, text in summands]
    opening = ("-" if minus else "") if first else ("- " if minus else "+ ")
    words = _words(inner, True)
    more = [f"+ {hidden} more"] if hidden > 0 else []
    words[0] = f"{opening}{h} ( {words[0]}"
    words += more
    words[-1] += " )"
    return words


def _words(summands: Sequence[tuple[bool, str]], first: bool) -> list[str]:
    words = []
    for position, (negative, text) in enumerate(summands):
        if first and position == 0:
            words.append(f"-{text}" if negative else text)
        else:
            words.append(f"{'-' if negative else '+'} {text}")
    return words


def derivative_form(
    terms: Sequence[DerivativeTerm], state: str, field: str, script: Script
) -> list[str]:
    """Return the words of ``(1 + k) u' + (1 - k) h/2 u'' = f + O(h²)``."""
    summands = []
    for term in terms:
        order = term.derivative
        primes = script.primes(order)
        h = script.power("h", term.h_power)
        summands.append(script.scaled(term.coefficient, h, script.name(state) + primes))
    last = max((term.h_power for term in terms), default=0)
    rest = script.power("h", last + 1)
    return [*_words(summands, True), f"= {script.name(field)} + O({rest})"]


def truncation(equation: ModifiedEquation, levels: int | None) -> int:
    """Return the power of h of what is left out when only ``levels`` levels are shown."""
    power = equation.truncation
    if levels is None:
        return power
    for _, terms in equation.field or ():
        shown = shown_levels(terms, levels)
        hidden = [term.h_power for term in terms if shown and term.h_power > shown[-1][0]]
        power = min([power, *hidden])
    return power
