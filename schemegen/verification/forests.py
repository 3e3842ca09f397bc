"""Forests of a report read back from their text and evaluated on the test problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import Any

import numpy as np

from schemegen.analysis.forest_text import LETTERS
from schemegen.analysis.weak_model import ForestTerm
from schemegen.series import Colour
from schemegen.series.exotic import Forest, Graded, Node, Operators
from schemegen.series.tree_text import ParsedTree, parsed
from schemegen.step.program import ONES, Program
from schemegen.verification.problem import Sine

__all__ = ["Floats", "Reader", "tensors"]

Array = Any


class Floats:
    """Floating-point numbers as a ring."""

    zero = 0.0
    one = 1.0

    def rational(self, numerator: int, denominator: int = 1) -> float:
        return numerator / denominator

    def inverse(self, number: float) -> float:
        return 1.0 / number


class Reader:
    """The colours of a program's forests; texts become nodes."""

    def __init__(
        self, program: Program, states: Sequence[str], terms: Sequence[ForestTerm]
    ) -> None:
        self.states = tuple(states)
        self.arguments = {field.name: field.states for field in program.fields}
        self.colours: list[Colour] = []
        self._numbers: dict[str, int] = {}
        self._moves: dict[str, set[int]] = defaultdict(set)
        for term in terms:
            for text in term.trees:
                slot, tree = self._root(text)
                self._moves[tree[0].split(".")[0]].add(slot)

    def forest(self, term: ForestTerm) -> Forest:
        """Return the forest of a term of a generator."""
        roots = map(self._root, term.trees)
        return tuple(sorted((slot, self._node(tree)) for slot, tree in roots))

    def _root(self, text: str) -> tuple[int, ParsedTree]:
        if len(self.states) == 1:
            return 0, parsed(text)
        state, _, rest = text.partition(":")
        return self.states.index(state), parsed(rest)

    def _node(self, tree: ParsedTree) -> Node:
        name, *letters = tree[0].split(".")
        classes = tuple(
            sorted(2 * LETTERS.index(c.lower()) + (1 if c.isupper() else 0) for c in letters)
        )
        number = self._colour(name)
        slots = self.colours[number].slots
        children = []
        for label, child in tree[1]:
            node = self._node(child)
            slot = self.states.index(label) if label else self._slot(child[0], slots)
            children.append((slot, node))
        return (number, classes, tuple(sorted(children)))

    def _slot(self, name: str, slots: tuple[int, ...]) -> int:
        """Return the slot of an unlabelled child: the only one, or that of the one state it moves."""
        if len(slots) == 1:
            return slots[0]
        return next(slot for slot in slots if slot in self._moves[name.split(".", maxsplit=1)[0]])

    def _colour(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.colours)
            self.colours.append(self._made(name))
        return self._numbers[name]

    def _made(self, name: str) -> Colour:
        if name == ONES:
            return Colour(ONES, ())
        if name in self.states and name not in self.arguments:
            return Colour(name, (self.states.index(name),), identity=True)
        base, _, rest = name.partition("(")
        at = rest[:-1].split(",") if rest else self.arguments[base]
        return Colour(name, tuple(self.states.index(state) for state in at))


def tensors(
    operators: Operators,
    series: Graded,
    step: float,
    fields: Mapping[str, Sine],
    at: Sequence[Array],
    degree: int,
) -> tuple[Array, Array]:
    """Return ``E d_i .. d_k`` of the increments d of all components, and the part of the last power kept.

    Only forests of ``degree`` trees act on a product of so many increments: each order of the trees counts.
    """
    size = len(at) * len(at[0])
    last = max(series, default=0)
    total, tail = np.zeros((size,) * degree), np.zeros((size,) * degree)
    for power, level in series.items():
        for forest, number in level.items():
            if len(forest) == degree:
                value = float(number) * step**power * _symmetric(operators, forest, fields, at)
                total += value
                tail += value if power >= last - 1 else 0
    return total, tail


def _symmetric(
    operators: Operators, forest: Forest, fields: Mapping[str, Sine], at: Sequence[Array]
) -> Array:
    width = len(at[0])
    size = len(at) * width
    classes = sorted({c for _, node in forest for c in _classes(node)})
    total = np.zeros((size,) * len(forest))
    for places in product(range(width), repeat=len(classes)):
        chosen = dict(zip(classes, places, strict=True))
        vectors = []
        for slot, node in forest:
            vector = np.zeros(size)
            vector[slot * width : (slot + 1) * width] = _value(operators, node, fields, at, chosen)
            vectors.append(vector)
        for order in permutations(vectors):
            outer: Array = np.array(1.0)
            for vector in order:
                outer = np.multiply.outer(outer, vector)
            total += outer
    return total


def _classes(node: Node) -> Iterator[int]:
    yield from node[1]
    for _, child in node[2]:
        yield from _classes(child)


def _value(
    operators: Operators,
    node: Node,
    fields: Mapping[str, Sine],
    at: Sequence[Array],
    chosen: Mapping[int, int],
) -> Array:
    colour = operators.colours[node[0]]
    if colour.identity:
        value = at[colour.slots[0]].copy()
    elif colour.name == ONES:
        value = np.ones(len(at[0]))
    else:
        field = fields[colour.name.partition("(")[0]]
        directions = [
            (colour.slots.index(slot), _value(operators, child, fields, at, chosen))
            for slot, child in node[2]
        ]
        value = field.derivative([at[slot] for slot in colour.slots], directions).astype(float)
    for c in node[1]:
        mask = np.zeros(len(value))
        mask[chosen[c]] = 1
        value = value * mask
    return value
