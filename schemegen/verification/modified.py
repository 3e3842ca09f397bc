"""The printed field of a modified equation as a function: trees are read back from their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from schemegen.analysis.model import TreeTerm
from schemegen.series.tree_text import ParsedTree, parsed
from schemegen.verification.problem import Derivative, State, Vector, fields_of
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
        kept = {
            state: [
                (parsed(item.tree), number(item.coefficient, values) * h**item.h_power)
                for item in items
                if self.power(item) <= power
            ]
            for state, items in self.terms
        }

        def field(x: State) -> State:
            known: dict[Any, Vector] = {}
            zero = 0 * next(iter(x.values()))
            return {
                state: sum((c * self.differential(tree, x, known) for tree, c in items), zero)
                for state, items in kept.items()
            }

        return field

    def differential(self, tree: ParsedTree, x: State, known: dict[Any, Vector]) -> Vector:
        """Return the elementary differential of a tree at ``x``."""
        if tree not in known:
            name, children = tree
            if name in x:
                known[tree] = x[name]
            elif name == "1":
                known[tree] = 0 * next(iter(x.values())) + 1
            else:
                states = self.arguments[name]
                directions = []
                for label, child in children:
                    fitting = [s for s in states if child[0] in self.roots[s]]
                    slot = states.index(label or fitting[0])
                    directions.append((slot, self.differential(child, x, known)))
                known[tree] = self.fields[name].derivative([x[s] for s in states], directions)
        return known[tree]


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
