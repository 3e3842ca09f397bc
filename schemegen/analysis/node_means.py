"""Means of forests with draws at their nodes: partitions of the nodes into equal components.

A product of one draw at several components has the mean ``sum over partitions prod of joint cumulants``, where the
nodes of a block have one component: cumulants of independent draws vanish.

Source: McCullagh (1987), Tensor Methods in Statistics, 2.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product

from schemegen.analysis.draws import COMPONENT, Draws, partitions
from schemegen.series import Number
from schemegen.series.exotic import Forest, Node, Operators, nodes_of

__all__ = ["NodeMeans"]


class NodeMeans:
    """The means of forests over the draws of a step, each found once."""

    def __init__(self, draws: Draws, operators: Operators) -> None:
        self.draws = draws
        self.operators = operators
        self.ring = draws.ring
        self._known: dict[Forest, list[tuple[Forest, Number]]] = {}

    def of(self, forest: Forest) -> list[tuple[Forest, Number]]:
        """Return the mean of a forest with draws at its nodes as forests with equal components."""
        if forest not in self._known:
            self._known[forest] = list(self._means(forest))
        return self._known[forest]

    def _means(self, forest: Forest) -> Iterator[tuple[Forest, Number]]:
        marked: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, node in enumerate(nodes_of(forest)):
            for draw, exponent in node[1]:
                marked[draw].append((index, exponent))
        if not marked:
            yield self.operators.canonical(forest), self.ring.one
            return
        choices = [list(self._blocks(draw, places)) for draw, places in sorted(marked.items())]
        for choice in product(*choices):
            number = self.ring.one
            classes: dict[int, list[int]] = defaultdict(list)
            fresh = 0
            for (draw, _), (factor, blocks) in zip(sorted(marked.items()), choice, strict=True):
                number = number * factor
                parity = COMPONENT[self.draws.noises[draw].scope]
                for block in blocks:
                    for index in block:
                        classes[index].append(2 * fresh + parity)
                    fresh += 1
            yield self.operators.canonical(_classed(forest, classes)), number

    def _blocks(
        self, draw: int, places: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[Number, list[list[int]]]]:
        """Yield the partitions of the places of one draw: product of cumulants, blocks of two or more."""
        for partition in partitions(len(places)):
            number = self.ring.one
            for block in partition:
                exponents = tuple(sorted(places[i][1] for i in block))
                number = number * self.draws.cumulant(draw, exponents)
                if not number:
                    break
            if number:
                yield number, [[places[i][0] for i in b] for b in partition if len(b) > 1]


def _classed(forest: Forest, classes: dict[int, list[int]]) -> Forest:
    count = iter(range(sum(1 for _ in nodes_of(forest))))

    def renewed(node: Node) -> Node:
        own = tuple(sorted(classes.get(next(count), ())))
        return (node[0], own, tuple((slot, renewed(child)) for slot, child in node[2]))

    return tuple((slot, renewed(node)) for slot, node in forest)
