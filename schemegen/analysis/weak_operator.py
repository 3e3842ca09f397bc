"""The slow operator of a step with noise: ``E phi(X_n) = (P^n phi)(X_0)``, and its logarithm, the generator.

For a one-step scheme P is the operator of the step. A scheme with a memory has further variables delta; with A the
operator of one step on functions of (x, delta), a functional S (which averages over delta, with S = 1 on functions
of x alone) and P are found from ``S A = P S`` power by power of eps: after the parasitic parts have died out, the
principal states move with P. With no noise S is the slow manifold and log P the modified equation.

Source: for one-step methods Abdulle, Cohen, Vilmart, Zygalakis (2012), SIAM J. Sci. Comput. 34, A1800-A1823, and
Zygalakis (2011), SIAM J. Sci. Comput. 33, 102-130.
"""

from __future__ import annotations

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.linear_algebra import identity, inverse
from schemegen.analysis.random_step import RandomStep
from schemegen.series import Number
from schemegen.series.exotic import Forest, Graded

__all__ = ["generator", "slow_operator"]

MOST_UNKNOWNS = 400  # of one linear system


def generator(step: RandomStep) -> Graded:
    """Return ``log P`` as forests by powers of eps, that is ``h`` times the generator of the modified equation."""
    return step.operators.logarithm(slow_operator(step))


def slow_operator(step: RandomStep) -> Graded:
    """Return P, the unit included; raises NoSeriesError where the memory has no limit."""
    if not step.memories:
        return step.operator
    return _Averaging(step).slow()


class _Averaging:
    """Solve ``S A = P S`` for S and P; forests with a root in the slot of a memory belong to S."""

    def __init__(self, step: RandomStep) -> None:
        self.step = step
        self.operators = step.operators
        self.ring = step.ring
        self.full = step.operator
        sizes = self.operators.sizes
        self.level_zero: Graded = {}
        for power, level in self.full.items():
            kept = {f: c for f, c in level.items() if power == self._leaf_power(f, sizes)}
            if kept:
                self.level_zero[power] = kept

    def _leaf_power(self, forest: Forest, sizes: dict[int, int]) -> int:
        """Return the power that the leaves of unknowns in a forest of single leaves have; -1 for others."""
        leaves = {colour: slot for slot, colour in self.operators.leaves.items()}
        total = 0
        for _, (colour, classes, children) in forest:
            if colour not in leaves or classes or children:
                return -1
            total += sizes[leaves[colour]]
        return total

    def _fast(self, forest: Forest) -> bool:
        return any(slot >= self.operators.states for slot, _ in forest)

    def slow(self) -> Graded:
        averaged: Graded = {0: {(): self.ring.one}}
        slow: Graded = {0: {(): self.ring.one}}
        for power in range(1, self.step.most + 1):
            moved = self.operators.compose(averaged, self.full, power).get(power, {})
            carried = self.operators.compose(slow, averaged, power).get(power, {})
            right = {f: c for f, c in moved.items() if self._fast(f)}
            for forest, number in carried.items():
                if self._fast(forest):
                    right[forest] = right.get(forest, self.ring.zero) - number
            right = {f: c for f, c in right.items() if c}
            found, slow_part = self._solved(right, power)
            if found:
                averaged[power] = found
            plain = {f: c for f, c in moved.items() if not self._fast(f)}
            for forest, number in slow_part.items():
                plain[forest] = plain.get(forest, self.ring.zero) + number
            plain = {f: c for f, c in plain.items() if c}
            if plain:
                slow[power] = plain
        return slow

    def _solved(
        self, right: dict[Forest, Number], power: int
    ) -> tuple[dict[Forest, Number], dict[Forest, Number]]:
        """Solve ``s - s A_0 = right`` on forests with fast roots; return s and the slow part of ``s A_0``."""
        if not right:
            return {}, {}
        order: list[Forest] = []
        images: dict[Forest, dict[Forest, Number]] = {}
        pending = sorted(right)
        while pending:
            forest = pending.pop()
            if forest in images:
                continue
            if len(order) > MOST_UNKNOWNS:
                raise NoSeriesError("the step remembers too much for its noise to be analysed")
            order.append(forest)
            moved = self.operators.compose({power: {forest: self.ring.one}}, self.level_zero, power)
            images[forest] = moved.get(power, {})
            pending += [f for f in images[forest] if self._fast(f) and f not in images]
        order.sort()
        places = {forest: index for index, forest in enumerate(order)}
        matrix = identity(self.ring, len(order))
        for forest, image in images.items():
            for other, number in image.items():
                if other in places:
                    matrix[places[other]][places[forest]] -= number
        solved = inverse(self.ring, matrix)
        if solved is None:
            raise NoSeriesError("a parasitic root of the memory lies on the unit circle")
        values = [right.get(forest, self.ring.zero) for forest in order]
        found: dict[Forest, Number] = {}
        slow: dict[Forest, Number] = {}
        for forest, row in zip(order, solved, strict=True):
            total = self.ring.zero
            for factor, value in zip(row, values, strict=True):
                if factor and value:
                    total += factor * value
            if total:
                found[forest] = total
                for other, number in images[forest].items():
                    if not self._fast(other):
                        slow[other] = slow.get(other, self.ring.zero) + total * number
        return found, slow
