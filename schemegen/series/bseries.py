"""B-series by levels: a vector field as a series, its Lie derivative, and the flow along it.

A series over coloured trees with coefficients ``a`` stands for::

    B(a) = sum_s z_s x_s + sum_t h^|t| / sigma(t) a(t) F(t)(x)

The field ``f~_s = sum_t h^(|t|-1) / sigma(t) b_s(t) F(t)`` moves it by ``h d/dt B(a) = B(L_b a)``::

    (L_b a)(t) = sum_s z_s b_s(t) + sum over the edges of t of b_slot(branch) a(trunk)

so a tree of n nodes costs at most n - 1 products a power of ``L_b``. Everything is computed level by
level: numbers at n nodes need those below n, and those of the field at n only through ``z``.

Source: Hairer, Lubich, Wanner (2006), IX.9.1, Lemma 9.1; Chartier, Hairer, Vilmart (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import mul

from schemegen.series.rings import Number, Ring
from schemegen.series.trees import Trees

__all__ = ["Flow", "VectorField", "exponential", "logarithm"]


class VectorField:
    """``b_s(t)``, grown level by level, and the cuts of every tree with a non-zero weight.

    ``first[t]`` is where those of tree t begin in ``weights`` (multiplicity times b) and ``trunks``.
    """

    def __init__(self, trees: Trees, ring: Ring) -> None:
        self.trees = trees
        self.ring = ring
        self.coefficients: list[list[Number]] = [[] for _ in range(trees.states)]
        self.weights: list[Number] = []
        self.trunks: list[int] = []
        self.first = [0]

    def open(self, nodes: int) -> None:
        """Add zeros for the trees of ``nodes`` nodes, and their weighted cuts from the levels below."""
        trees = self.trees
        trees.grow(nodes)
        level = trees.level(nodes)
        flat = self.coefficients[0] if trees.states == 1 else self._by_child()
        for tree in level:
            for cut in range(trees.first_cut[tree], trees.first_cut[tree + 1]):
                weight = flat[trees.branches[cut]]
                if weight:
                    multiplicity = trees.multiplicities[cut]
                    self.weights.append(weight * multiplicity if multiplicity > 1 else weight)
                    self.trunks.append(trees.trunks[cut])
            self.first.append(len(self.trunks))
        zeros = [self.ring.zero] * len(level)
        for numbers in self.coefficients:
            numbers.extend(zeros)

    def moved(self, numbers: Sequence[Number], nodes: int) -> list[Number]:
        """Return ``sum b(branch) a(trunk)`` over the edges of every tree of ``nodes`` nodes."""
        level = self.trees.level(nodes)
        start, zero = self.first[level.start], self.ring.zero
        ends = self.first[level.start : level.stop + 1]
        trunks = self.trunks[start : ends[-1]]
        products = list(map(mul, self.weights[start : ends[-1]], map(numbers.__getitem__, trunks)))
        return [sum(products[first - start : last - start], zero) for first, last in pairwise(ends)]

    def _by_child(self) -> list[Number]:
        """Return ``b_slot(tree)`` at the index ``tree * states + slot``."""
        return [number for row in zip(*self.coefficients, strict=True) for number in row]


class Flow:
    """The powers ``L_b^m a / m!`` of one series ``a`` along ``field``, so ``exp(j L_b) a`` for each j.

    ``constant`` is ``z``. Use: ``open(n, values)`` with the coefficients of level n, then ``shifted(j, n)``;
    when b or a of level n become known only afterwards, ``settle`` adds them.
    """

    def __init__(self, field: VectorField, constant: Sequence[Number]) -> None:
        self.field = field
        self.constant = tuple(constant)
        self.powers: list[list[Number]] = [[]]

    def open(self, nodes: int, values: Sequence[Number]) -> None:
        """Take the coefficients ``values`` of level ``nodes`` and derive those of all powers."""
        field, powers = self.field, self.powers
        level = field.trees.level(nodes)
        powers[0].extend(values)
        while len(powers) <= nodes:
            powers.append([field.ring.zero] * level.start)
        moved = field.moved(powers[0], nodes)
        for z, numbers in zip(self.constant, field.coefficients, strict=True):
            if z:
                own = numbers[level.start : level.stop]
                moved = [value + z * b for value, b in zip(moved, own, strict=True)]
        powers[1].extend(moved)
        for power in range(2, nodes + 1):
            inverse = field.ring.rational(1, power)
            powers[power].extend(
                [total * inverse for total in field.moved(powers[power - 1], nodes)]
            )

    def settle(self, nodes: int, corrections: Sequence[Number]) -> None:
        """Add ``corrections`` to the series at level ``nodes``, after the field's level was set."""
        level = self.field.trees.level(nodes)
        for tree, value in zip(level, corrections, strict=True):
            self.powers[0][tree] += value

    def settle_field(self, nodes: int, state: int, corrections: Sequence[Number]) -> None:
        """Account for ``corrections`` that were added to ``b_state`` at level ``nodes``."""
        z = self.constant[state]
        if z:
            for tree, value in zip(self.field.trees.level(nodes), corrections, strict=True):
                self.powers[1][tree] += z * value

    def shifted(self, steps: int, nodes: int) -> list[Number]:
        """Return the coefficients of ``exp(steps L_b) a`` at level ``nodes``."""
        level = self.field.trees.level(nodes)
        result = self.powers[0][level.start : level.stop]
        for power in range(1, len(self.powers)):
            factor = self.field.ring.rational(steps**power)
            row = self.powers[power][level.start : level.stop]
            if power > nodes:
                break
            if steps == 1:
                result = [total + value for total, value in zip(result, row, strict=True)]
            else:
                result = [total + factor * value for total, value in zip(result, row, strict=True)]
        return result


def exponential(
    trees: Trees, ring: Ring, field: Sequence[Sequence[Number]], nodes: int
) -> list[list[Number]]:
    """Return per state the series of the exact flow ``exp(L_b) x_s`` of the field ``b``, without x_s."""
    vector_field = VectorField(trees, ring)
    flows = _identity_flows(vector_field)
    result: list[list[Number]] = [[] for _ in flows]
    for n in range(1, nodes + 1):
        vector_field.open(n)
        level = trees.level(n)
        for own, given in zip(vector_field.coefficients, field, strict=True):
            own[level.start : level.stop] = given[level.start : level.stop]
        for state, flow in enumerate(flows):
            flow.open(n, [ring.zero] * len(level))
            result[state].extend(flow.shifted(1, n))
    return result


def logarithm(
    trees: Trees, ring: Ring, series: Sequence[Sequence[Number]], nodes: int
) -> list[list[Number]]:
    """Return the field ``b`` with ``exp(L_b) x_s = x_s + series[s]``: the modified field of a one-step map.

    Source: Hairer, Lubich, Wanner (2006), IX.9.1.
    """
    vector_field = VectorField(trees, ring)
    flows = _identity_flows(vector_field)
    for n in range(1, nodes + 1):
        vector_field.open(n)
        level = trees.level(n)
        for state, flow in enumerate(flows):
            flow.open(n, [ring.zero] * len(level))
            missing = [
                wanted - found
                for wanted, found in zip(
                    series[state][level.start : level.stop], flow.shifted(1, n), strict=True
                )
            ]
            vector_field.coefficients[state][level.start : level.stop] = missing
            flow.settle_field(n, state, missing)
    return vector_field.coefficients


def _identity_flows(field: VectorField) -> list[Flow]:
    zero, one = field.ring.zero, field.ring.one
    states = range(field.trees.states)
    return [Flow(field, [one if r == s else zero for r in states]) for s in states]
