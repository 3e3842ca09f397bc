"""Series in eps whose terms are trees with monomials in the draws: their sums, products and coefficients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import sympy

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.draws import Draws, Monomial
from schemegen.series import Number
from schemegen.series.exotic import Forest, Node

__all__ = ["Group", "RandomSeries", "Series"]

MOST_TERMS = 20000  # of one value

Term = tuple[Node, Monomial]
Series = dict[int, dict[Term, Number]]
Group = tuple[int, int, Node, dict[Monomial, Number]]
"""``(power, slot, tree, coefficient as a polynomial in the draws of the step)``."""


class RandomSeries:
    """Calculates with the values of a step, up to the power ``limit`` of eps."""

    def __init__(self, draws: Draws, limit: int) -> None:
        self.draws = draws
        self.ring = draws.ring
        self.limit = limit

    def scaled(self, series: Series, number: Number) -> Series:
        """Return ``number * series``."""
        return {
            power: {term: number * c for term, c in level.items()}
            for power, level in series.items()
        }

    def sum(self, parts: Iterable[Series]) -> Series:
        """Return the sum without what cancels. Errors: NoSeriesError beyond ``MOST_TERMS``."""
        total: Series = {}
        for part in parts:
            for power, level in part.items():
                own = total.setdefault(power, {})
                for term, number in level.items():
                    own[term] = own[term] + number if term in own else number
        kept = {p: {t: c for t, c in level.items() if c} for p, level in total.items()}
        if sum(map(len, kept.values())) > MOST_TERMS:
            raise NoSeriesError("the step has too many terms")
        return {power: kept[power] for power in sorted(kept) if kept[power]}

    def times(self, coefficient: sympy.Expr, value: Series) -> Series:
        """Return ``coefficient * value``; draws for every component stand at the roots of the trees."""
        result: Series = {}
        for part in self.draws.parts(coefficient):
            for extra, number in enumerate(part.factor.numbers, part.factor.valuation):
                if not number:
                    continue
                for power, level in value.items():
                    if power + extra > self.limit:
                        continue
                    own = result.setdefault(power + extra, {})
                    for (node, scalar), c in level.items():
                        marks = self.draws.product(node[1], part.component)
                        key = ((node[0], marks, node[2]), self.draws.product(scalar, part.scalar))
                        add = number * c
                        own[key] = own[key] + add if key in own else add
        return result

    def deviations(self, series: Series, slot: int) -> list[Group]:
        """Return the terms of a value beyond its state, those of one tree together."""
        groups: list[Group] = []
        for power, level in series.items():
            if power <= 0:
                continue
            trees: dict[Node, dict[Monomial, Number]] = defaultdict(dict)
            for (node, scalar), number in level.items():
                trees[node][scalar] = number
            groups += [
                (power, slot, node, polynomial) for node, polynomial in sorted(trees.items())
            ]
        return groups

    def products(
        self, groups: Sequence[Group], most: int
    ) -> Iterator[tuple[int, Forest, dict[Monomial, Number]]]:
        """Yield ``prod_g d_g^m_g / m_g!`` for all multiplicities m, up to the power ``most``."""
        groups = sorted(groups, key=lambda group: group[0])

        def extended(
            index: int, power: int, chosen: Forest, polynomial: dict[Monomial, Number]
        ) -> Iterator[tuple[int, Forest, dict[Monomial, Number]]]:
            yield power, tuple(sorted(chosen)), polynomial
            for next_index in range(index, len(groups)):
                size, slot, node, factor = groups[next_index]
                if power + size > most:
                    return
                total, grown, count = polynomial, chosen, 0
                while power + size * (count + 1) <= most:
                    count += 1
                    total = self._multiplied(total, factor, count)
                    grown = (*grown, (slot, node))
                    if not total:
                        break
                    yield from extended(next_index + 1, power + size * count, grown, total)

        yield from extended(0, 0, (), {(): self.ring.one})

    def _multiplied(
        self, left: dict[Monomial, Number], right: dict[Monomial, Number], divisor: int
    ) -> dict[Monomial, Number]:
        result: dict[Monomial, Number] = {}
        inverse = self.ring.rational(1, divisor)
        for a, x in left.items():
            for b, y in right.items():
                key = self.draws.product(a, b)
                add = x * y * inverse if divisor > 1 else x * y
                result[key] = result[key] + add if key in result else add
        return {key: number for key, number in result.items() if number}
