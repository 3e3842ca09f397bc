"""Two schemes side by side: what is known of both, row by row, whatever it is then laid out as.

Modified equations are compared term by term up to the smaller of the two truncations: a term that only one has
stands against 0. States and fields are matched by their places, so that other names make no difference.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from schemegen.analysis.model import Analysis, TreeTerm
from schemegen.exact import equal
from schemegen.report.document import TITLES, FactTable, Polynomial, Quotient, document
from schemegen.report.facts import GEOMETRY
from schemegen.report.grid import draw
from schemegen.report.notation import Script, Tree, parse_tree
from schemegen.report.show import coefficients, scheme_data
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Scheme
from schemegen.step import dump
from schemegen.step.program import Program

__all__ = ["Comparison", "Group", "Row", "Side", "TermRow", "compare", "comparison_data"]

STRUCTURE = {"geometry", *(f"geometry.{name}" for name, _ in GEOMETRY)}
PUT_ASIDE = ("scheme", "notes", "modified_equation", "modifying_equation")


@dataclass(frozen=True, slots=True)
class Side:
    """A scheme, its step and what is known of it."""

    scheme: Scheme
    program: Program
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of both, None where a scheme lacks it."""

    key: str
    label: str
    left: str | None
    right: str | None

    @property
    def same(self) -> bool:
        return self.left == self.right


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a section of the report."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class TermRow:
    """The coefficients of ``h^h_power F(tree)`` in the modified equations; names are those of the left."""

    state: str
    tree: str
    h_power: int
    left: sympy.Expr
    right: sympy.Expr
    same: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything the two have in common and what not.

    ``truncation`` is the power of h from which on terms are not compared, None where a modified equation is
    missing; ``program`` a unified diff of the step programs, empty where they are the same.
    """

    left: Side
    right: Side
    drawings: tuple[tuple[str, ...], tuple[str, ...]]
    groups: tuple[Group, ...]
    terms: tuple[TermRow, ...]
    truncation: int | None
    program: tuple[str, ...]

    @property
    def same(self) -> bool:
        rows = [row.same for group in self.groups for row in group.rows]
        return all(rows) and all(term.same for term in self.terms) and not self.program


def compare(left: Side, right: Side, script: Script) -> Comparison:
    """Put two schemes side by side; ``script`` says how their facts are written."""
    terms, truncation = _terms(left.analysis, right.analysis)
    return Comparison(
        left,
        right,
        (_drawing(left, script), _drawing(right, script)),
        tuple(_groups(left, right, script)),
        tuple(terms),
        truncation,
        tuple(_programs(left, right)),
    )


def _drawing(side: Side, script: Script) -> tuple[str, ...]:
    lines = draw(side.scheme, script)
    return lines or tuple(coefficients(side.scheme, side.program, script).splitlines())


# --- facts ---------------------------------------------------------------------------------------------


def _groups(left: Side, right: Side, script: Script) -> Iterator[Group]:
    sides = [_facts(side, script) for side in (left, right)]
    for title in TITLES.values():
        if title not in sides[0] and title not in sides[1]:
            continue
        first, second = (side.get(title, {}) for side in sides)
        rows = tuple(
            Row(key, label, first.get((key, label)), second.get((key, label)))
            for key, label in dict.fromkeys([*first, *second])
        )
        yield Group(title, rows)


def _facts(side: Side, script: Script) -> dict[str, dict[tuple[str, str], str]]:
    """Return the facts by section, then by key and label; claims of the file are left out."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    report = document(side.analysis, side.scheme, script)
    found[TITLES["scheme"]] = {("kind", "kind"): report.kind}
    found[TITLES["geometry"]] = _geometry(side.analysis)
    for section in report.sections:
        if section.key in PUT_ASIDE:
            continue
        rows = found.setdefault(section.title, {})
        place = ("", "")
        for block in section.blocks:
            match block:
                case Quotient(name, variable, numerator, denominator):
                    text = script.quotient(numerator, denominator, script.name(variable))
                    rows["stability.function", f"{name}({script.name(variable)})"] = text
                case Polynomial(name, variable, values):
                    shown = script.name(variable)
                    text = script.polynomial(values, shown, descending=True)
                    rows["stability.function", f"{script.name(name)}({shown})"] = text
                case FactTable(facts):
                    for fact in (item for item in facts if item.key not in STRUCTURE):
                        text = fact.text.partition("   (")[0]
                        if fact.label:
                            place = (fact.key, fact.label)
                            rows[place] = text
                        else:  # a line that goes on with the fact before it
                            rows[place] += f"; {text}"
                case _:
                    pass
    return {title: rows for title, rows in found.items() if rows}


def _geometry(analysis: Analysis) -> dict[tuple[str, str], str]:
    """Return each property that is decided, one by one."""
    decided = {name: getattr(analysis.geometry, name) for name, _ in GEOMETRY}
    return {
        (f"geometry.{name}", label): "yes" if decided[name] else "no"
        for name, label in GEOMETRY
        if decided[name] is not None
    }


# --- modified equations --------------------------------------------------------------------------------


def _terms(left: Analysis, right: Analysis) -> tuple[list[TermRow], int | None]:
    equations = left.modified_equation, right.modified_equation
    if equations[0] is None or equations[1] is None:
        return [], None
    ours, theirs = equations[0].field, equations[1].field
    if ours is None or theirs is None or len(ours) != len(theirs):
        return [], None
    truncation = min(equations[0].truncation, equations[1].truncation)
    renamed = dict(zip(right.fields, left.fields, strict=False))
    renamed |= dict(zip(right.states, left.states, strict=False))
    rows = []
    for (state, terms), (_, others) in zip(ours, theirs, strict=True):
        first = _by_tree(terms, truncation, {})
        second = _by_tree(others, truncation, renamed)
        zero = sympy.Integer(0)
        for key in sorted(dict.fromkeys([*first, *second]), key=lambda key: key[0]):
            a, b = first.get(key, zero), second.get(key, zero)
            rows.append(TermRow(state, key[1], key[0], a, b, equal(a, b)))
    return rows, truncation


def _by_tree(
    terms: Sequence[TreeTerm], truncation: int, names: Mapping[str, str]
) -> dict[tuple[int, str], sympy.Expr]:
    return {
        (term.h_power, _named(parse_tree(term.tree), names)): term.coefficient
        for term in terms
        if term.h_power < truncation
    }


def _named(tree: Tree, names: Mapping[str, str]) -> str:
    """Return the tree's text with other names; branches are sorted by their text, as always."""
    name = names.get(tree.field, tree.field)
    if not tree.branches:
        return name
    return f"{name}[{','.join(sorted(_named(branch, names) for branch in tree.branches))}]"


# --- programs and data ---------------------------------------------------------------------------------


def _programs(left: Side, right: Side) -> list[str]:
    """Return a unified diff of the step programs, names of schemes left out."""
    before, after = (dump(side.program).splitlines()[1:] for side in (left, right))
    names = left.scheme.name, right.scheme.name
    return list(difflib.unified_diff(before, after, *names, lineterm="", n=99))


def comparison_data(item: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON data; exact numbers are text."""
    return {
        "v": 1,
        "a": _head(item.left),
        "b": _head(item.right),
        "same": item.same,
        "facts": [
            {
                "section": group.title,
                "key": row.key,
                "label": row.label,
                "a": row.left,
                "b": row.right,
                "same": row.same,
            }
            for group in item.groups
            for row in group.rows
        ],
        "modified_equation": {
            "truncation": item.truncation,
            "terms": [
                {
                    "state": row.state,
                    "tree": row.tree,
                    "h_power": row.h_power,
                    "a": format_exact(row.left),
                    "b": format_exact(row.right),
                    "same": row.same,
                }
                for row in item.terms
            ],
        },
        "program": list(item.program),
    }


def _head(side: Side) -> dict[str, Any]:
    return {"kind": side.analysis.kind, **scheme_data(side.scheme)}
