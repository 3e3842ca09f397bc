"""A report as sections of blocks: the one description that LaTeX, Markdown and HTML are written from.

A line that :func:`schemegen.report.facts.facts` yields appears in all of them by itself: its key says in which
section, and a key that no section claims goes to the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import sympy

from schemegen.analysis.model import Analysis, DerivativeTerm, Note, OrderCondition, TreeTerm
from schemegen.report.facts import facts, headline, kind_of
from schemegen.report.lines import Fact
from schemegen.report.notation import Script
from schemegen.report.references import Reference, cited
from schemegen.scheme.model import Multistep, Scheme, Tableaus

__all__ = [
    "TITLES",
    "Block",
    "Coefficients",
    "Conditions",
    "DerivativeForm",
    "Document",
    "FactTable",
    "FieldForm",
    "Matrix",
    "Notes",
    "Polynomial",
    "Prose",
    "Quotient",
    "Section",
    "document",
    "modifying_blocks",
]

Exact: TypeAlias = sympy.Expr


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The tableaus or the multistep coefficients of a scheme."""

    scheme: Scheme


@dataclass(frozen=True, slots=True)
class FactTable:
    """Lines of label and text."""

    rows: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Quotient:
    """``name(variable) = numerator / denominator``, coefficients ascending."""

    name: str
    variable: str
    numerator: tuple[Exact, ...]
    denominator: tuple[Exact, ...]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """``name(variable) = ..``, coefficients ascending, written descending."""

    name: str
    variable: str
    coefficients: tuple[Exact, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """``name(variable) = [..]``."""

    name: str
    variable: str
    rows: tuple[tuple[Exact, ...], ...]


@dataclass(frozen=True, slots=True)
class FieldForm:
    """``state' = sum of terms + O(h^truncation)``."""

    state: str
    terms: tuple[TreeTerm, ...]
    truncation: int


@dataclass(frozen=True, slots=True)
class DerivativeForm:
    """``sum of terms = field + O(h^..)``."""

    state: str
    field: str
    terms: tuple[DerivativeTerm, ...]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Order conditions, holding and failing ones; ``several``: more than one state has its own."""

    items: tuple[OrderCondition, ...]
    several: bool


@dataclass(frozen=True, slots=True)
class Prose:
    """A sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    """Reasons and assumptions, by key."""

    items: tuple[Note, ...]


Block = (
    Coefficients
    | FactTable
    | Quotient
    | Polynomial
    | Matrix
    | FieldForm
    | DerivativeForm
    | Conditions
    | Prose
    | Notes
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report with what it rests on."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    sources: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report of one scheme."""

    name: str
    title: str
    kind: str
    sections: tuple[Section, ...]

    @property
    def sources(self) -> tuple[Reference, ...]:
        return tuple(dict.fromkeys(item for part in self.sections for item in part.sources))


TITLES = {
    "scheme": "Scheme",
    "order": "Order",
    "stability": "Linear stability",
    "admissible": "Admissible coefficients",
    "geometry": "Structure",
    "modified_equation": "Modified equation",
    "modifying_equation": "Modifying equation",
    "cost": "Cost",
    "more": "Further facts",
    "notes": "Notes",
}

# Which section the facts of a key belong to, by the part before the first point.
HOMES = {
    "update": "scheme",
    "principal_error_norm": "order",
    "effective_order": "order",
    "stage_order": "order",
    "embedded_order": "order",
    "strong_order": "order",
    "weak_order": "order",
    "error_constant": "order",
    "consistent": "order",
    "zero_stable": "stability",
    "dispersion": "stability",
    "dissipation": "stability",
    "limits": "scheme",
    "concrete": "modified_equation",
    "depth_term": "modified_equation",
    "contraction": "stability",
    "modified_sde": "modified_equation",
    "mean_square": "stability",
    "stationary_variance": "stability",
}


def document(analysis: Analysis, scheme: Scheme | None, script: Script) -> Document:
    """Return the report in sections; ``script`` says how the texts of facts are written."""
    rows: dict[str, list[Fact]] = {}
    for fact in facts(analysis, scheme, script):
        root = fact.key.partition(".")[0]
        home = HOMES.get(root, root if root in TITLES else "more")
        rows.setdefault(home, []).append(fact)
    functions = tuple(_functions(analysis))
    if functions:
        kept = [fact for fact in rows.get("stability", ()) if fact.key != "stability.function"]
        rows["stability"] = kept
    blocks: dict[str, list[Block]] = {
        key: [FactTable(tuple(found))] if (found := rows.get(key)) else [] for key in TITLES
    }
    if scheme is not None and isinstance(scheme.update, Tableaus | Multistep):
        blocks["scheme"].insert(0, Coefficients(scheme))
    blocks["order"] += _conditions(analysis)
    blocks["stability"][:0] = functions
    blocks["modified_equation"] += _modified(analysis, script)
    blocks["modifying_equation"] += modifying_blocks(analysis, script)
    notes = tuple(note for note in analysis.notes if note.code is None)
    blocks["notes"] += [Notes(notes)] if notes else []
    sections = tuple(
        Section(key, title, tuple(blocks[key]), _sources(key, analysis))
        for key, title in TITLES.items()
        if blocks[key]
    )
    return Document(
        analysis.scheme, headline(analysis), kind_of(analysis, scheme, script), sections
    )


def _sources(key: str, analysis: Analysis) -> tuple[Reference, ...]:
    stability = analysis.stability
    steps = stability.rho is not None or stability.matrix is not None
    return cited(key, analysis.kind, steps=steps, ssp=stability.ssp is not None)


def _functions(analysis: Analysis) -> Iterator[Block]:
    s = analysis.stability
    if s.numerator is not None and s.denominator is not None:
        yield Quotient("R", "z", s.numerator, s.denominator)
    if s.rho is not None and s.sigma is not None:
        yield Polynomial("rho", "zeta", s.rho)
        yield Polynomial("sigma", "zeta", s.sigma)
    if s.matrix is not None:
        yield Matrix("M", "z", s.matrix)


def _conditions(analysis: Analysis) -> Iterator[Block]:
    items = analysis.order_conditions
    if items:
        yield Conditions(items, len({item.state for item in items}) > 1)


def _modified(analysis: Analysis, script: Script) -> Iterator[Block]:
    equation = analysis.modified_equation
    if equation is None:
        return
    if equation.field is not None:
        valid = f" ({', '.join(equation.valid)})" if equation.valid else ""
        rest = script.power("h", equation.truncation)
        yield Prose(f"Up to O({rest}) the step follows the exact solution of this equation{valid}:")
        for state, terms in equation.field:
            yield FieldForm(state, terms, equation.truncation)
    if equation.derivative_form is not None:
        yield Prose("In derivatives of the solution:")
        field = " + ".join(moving_fields(analysis))
        yield DerivativeForm(analysis.states[0], field, equation.derivative_form)
    if analysis.principal_error_norm is not None and analysis.order is not None:
        value = analysis.principal_error_norm[1]
        yield Prose(f"Principal error norm {value:.4g} (trees of order {analysis.order + 1}).")


def moving_fields(analysis: Analysis) -> tuple[str, ...]:
    """Return the fields that move the states without noise, in the order of the file."""
    equation = analysis.modified_equation
    terms = [t for _, own in (equation.field if equation and equation.field else ()) for t in own]
    found = tuple(name for name in analysis.fields if any(t.tree == name for t in terms))
    return found or analysis.fields


def modifying_blocks(analysis: Analysis, script: Script) -> Iterator[Prose | FieldForm]:
    """Yield the field that makes the step exact, after a sentence that says so."""
    found = analysis.modifying_equation
    if found is None:
        return
    equation = analysis.modified_equation
    cut = any(note.key == "modifying_equation" for note in analysis.notes)
    if equation is None or cut:
        truncation = 1 + max((term.h_power for _, terms in found for term in terms), default=0)
    else:
        truncation = equation.truncation
    rest = script.power("h", truncation)
    yield Prose(f"Fed with this field instead, the step is exact up to O({rest}):")
    for state, terms in found:
        yield FieldForm(state, terms, truncation)
