"""The printed field of a modified equation as a function: trees are read back from their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy

from schemegen.analysis.model import TreeTerm
from schemegen.series.tree_text import ParsedTree, parsed
from schemegen.verification.problem import Derivative, Sine, State, Vector, fields_of
from schemegen.verification.subject import Subject, number

__all__ = ["ModifiedField", "Terms"]

Terms = Sequence[tuple[str, Sequence[TreeTerm]]]


class ModifiedField:
    """``x' = sum c h^r F(tree)(x)`` on the test fields, cut where one likes.

    A scaled symbol stands for h times a constant, so that its powers count as powers of h.
    """

    def __init__(self, subject: Subject, terms: Terms, roots: Terms | None = None) -> None:
        """``roots``: terms from which to tell which fields drive which state, if not from ``terms``."""
        self.subject = subject
        self.terms = [(state, _split(items, subject.scaled)) for state, items in terms]
        self.fields = fields_of(subject.program)
        self.arguments = {field.name: field.states for field in subject.program.fields}
        self.roots = {
            state: {item.tree.split("[")[0] for item in items} for state, items in roots or terms
        }

    def powers(self) -> list[int]:
        """Return the powers of h that occur with a coefficient that is not zero at the test numbers."""
        values = self.subject.values(1)
        return sorted(
            {
                self.power(item)
                for _, items in self.terms
                for item in items
                if abs(number(item.coefficient, values)) > 1e-15
            }
        )

    def power(self, term: TreeTerm) -> int:
        """Return the power of h of a term, those of scaled symbols included."""
        symbols = [sympy.Symbol(name) for name in self.subject.scaled]
        degree = sympy.Poly(term.coefficient, *symbols).total_degree() if symbols else 0
        return term.h_power + int(degree)

    def truncated(self, h: Any, power: int) -> Derivative:
        """Return the field with the terms up to ``h^power``."""
        values = self.subject.values(h)
        found = Differentials(self.fields, self.arguments, self.slots)
        kept = {
            state: [
                (found.place(parsed(item.tree)), number(item.coefficient, values) * h**item.h_power)
                for item in items
                if self.power(item) <= power
            ]
            for state, items in self.terms
        }

        def field(x: State) -> State:
            at = found(x)
            zero = 0 * next(iter(x.values()))
            return {
                state: sum((c * at[place] for place, c in items), zero)
                for state, items in kept.items()
            }

        return field

    def slots(self, tree: ParsedTree) -> list[int]:
        """Return, for each branch of a tree, the place of the state it stands for among the field's arguments."""
        name, children = tree
        states = self.arguments[name]
        fitting = (
            label or next(s for s in states if child[0] in self.roots[s])
            for label, child in children
        )
        return [states.index(state) for state in fitting]


class Differentials:
    """The elementary differentials of trees, all at once: what several trees have in common is computed once."""

    def __init__(
        self,
        fields: Mapping[str, Sine],
        arguments: Mapping[str, Sequence[str]],
        slots: Callable[[ParsedTree], Sequence[int]],
    ) -> None:
        """``arguments``: the states each field takes; ``slots``: which of them the branches of a tree are for."""
        self.fields = fields
        self.arguments = arguments
        self.slots = slots
        self.places: dict[ParsedTree, int] = {}
        self.steps: list[tuple[str, tuple[tuple[int, int], ...]]] = []

    def place(self, tree: ParsedTree) -> int:
        """Return where the differential of a tree will be."""
        if tree not in self.places:
            name, children = tree
            slots = self.slots(tree) if name in self.fields else ()
            branches = zip(slots, (self.place(child) for _, child in children), strict=True)
            self.steps.append((name, tuple(branches)))
            self.places[tree] = len(self.steps) - 1
        return self.places[tree]

    def __call__(self, x: State) -> list[Vector]:
        """Return the differentials at ``x``."""
        given = {
            name: field.argument([x[state] for state in self.arguments[name]])
            for name, field in self.fields.items()
        }
        waves: dict[tuple[str, int], Vector] = {}
        images: dict[tuple[str, int, int], Vector] = {}
        result: list[Vector] = []
        for name, branches in self.steps:
            if name not in self.fields:
                result.append(x[name] if name in x else 0 * next(iter(x.values())) + 1)
                continue
            field, order = self.fields[name], len(branches)
            if (name, order) not in waves:
                waves[name, order] = field.wave(given[name], order)
            value = waves[name, order]
            for slot, place in branches:
                key = (name, slot, place)
                if key not in images:
                    images[key] = field.matrices[slot] @ result[place]
                value = value * images[key]
            result.append(value)
        return result


def _split(terms: Sequence[TreeTerm], scaled: Sequence[str]) -> list[TreeTerm]:
    """Split coefficients into powers of the scaled symbols."""
    if not scaled:
        return list(terms)
    symbols = [sympy.Symbol(name) for name in scaled]
    result = []
    for term in terms:
        for exponents, c in sympy.Poly(term.coefficient, *symbols).terms():
            part = c * sympy.Mul(*[s**e for s, e in zip(symbols, exponents, strict=True)])
            result.append(TreeTerm(term.tree, term.nodes, term.h_power, part))
    return result
