"""The modifying integrator: the field ``f^`` that, fed to the scheme, makes it exact for ``f``.

The roles of the modified equation are swapped: the states flow along the limit of the step, which is known,
and every slope is ``h f^`` at its argument with ``f^ = sum_t h^(|t|-1)/sigma(t) b(t) F(t)``. For ``y = B(a)``::

    h f^(y) has the coefficient  sum over the subtrees s of t at the root of  b(s) prod a(branches of t - s)

so ``b(t)`` itself enters with the factor 1, and all values linearly: one matrix serves all levels again.

Source: Chartier, Hairer, Vilmart (2007), Numerical integrators based on modified differential equations;
Hairer, Lubich, Wanner (2006), III.1.4 for the composition law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product as combinations

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.linear_algebra import identity, inverse
from schemegen.analysis.modified_equation import FieldTerms, field_terms
from schemegen.analysis.operations import Slope
from schemegen.analysis.reading import Reading
from schemegen.analysis.values import Row, Skeleton
from schemegen.series import Number
from schemegen.step.program import ONES, Program

__all__ = ["ModifyingReading", "modifying_terms"]

Pruning = tuple[int, tuple[tuple[int, int], ...]]
"""A subtree at the root, and the branches ``(slot, tree)`` that fall off."""


def modifying_terms(program: Program, reading: Reading, nodes: int) -> FieldTerms:
    """Return ``f^`` up to ``nodes`` nodes, per state; ``reading`` is the program's own.

    Raises:   NoSeriesError, see :class:`ModifyingReading`.
    """
    modifying = ModifyingReading(program, reading)
    while modifying.nodes < nodes:
        modifying.advance()
    return field_terms(modifying, nodes, modifying.modifying)


class ModifyingReading(Reading):
    """The values of a program that is fed the field ``modifying`` (per state) instead of its own.

    Raises NoSeriesError where no such field is fed to the scheme: a state moved by several fields or by a
    linear term of its own, or a field that does not depend on all states.
    """

    def __init__(self, program: Program, reading: Reading) -> None:
        super().__init__(program, reading.skeleton, reading.coefficients)
        self.modifying: list[list[Number]] = [[] for _ in self.skeleton.principal]
        self._prunings: dict[int, list[Pruning]] = {}
        self._limit = [numbers[: len(self.trees.colours)] for numbers in reading.field.coefficients]
        self._state_of = self._states_of_colours()
        self.skeleton = self._response(reading.skeleton)

    def _states_of_colours(self) -> dict[int, int]:
        """Return which state each field moves: one field a state, one state a field."""
        states = set(range(len(self.skeleton.principal)))
        colours = self.trees.colours
        if any(colour.identity or colour.name == ONES for colour in colours):
            raise NoSeriesError("the step has a linear term of its own beside the field")
        if any(set(colour.slots) != states for colour in colours):
            raise NoSeriesError(
                "the field that makes the step exact depends on all states, and those fed to it do not"
            )
        found = {
            c: s for s, row in enumerate(self._limit) for c, number in enumerate(row) if number
        }
        moved = [sum(map(bool, row)) for row in self._limit]
        if moved != [1] * len(states) or len(found) != len(colours):
            raise NoSeriesError("not every state is moved by one field of its own")
        return found

    def _response(self, skeleton: Skeleton) -> Skeleton:
        """Find how all values depend on the unknowns of the same number of nodes, ``b`` among them."""
        operations, ring = skeleton.operations, self.ring
        units = identity(ring, len(skeleton.unknowns))
        zero = [ring.zero] * len(units)
        rows: dict[str, Row] = {ONES: zero} | {f"{s}[n]": zero for s in skeleton.principal}
        for unknown, unit in zip(skeleton.unknowns, units, strict=True):
            if unknown.kind != "field":
                rows[f"{unknown.name}[n]" if unknown.kind == "series" else unknown.name] = unit
        rows |= {name: rows[of] for name, of, _ in operations.lags}
        given = set(rows) - set(operations.remembered)
        for step in operations.steps:
            if isinstance(step, Slope):
                row = units[self._state_of[self._colour_of[step.name]]]
            else:
                row = zero
                for number, shift, value in skeleton.terms[step.name]:
                    if shift == 0:
                        row = [a + number * b for a, b in zip(row, rows[value], strict=True)]
            if step.name not in given:
                rows[step.name] = row
        matrix = []
        for unknown, name, unit in zip(skeleton.unknowns, skeleton.equations, units, strict=True):
            left = zero if unknown.kind == "field" else unit
            matrix.append([a - b for a, b in zip(left, rows[name], strict=True)])
        solved = inverse(ring, matrix)
        if solved is None:
            raise NoSeriesError("the step does not move with the field that is fed to it")
        return replace(skeleton, linear=rows, solved=solved)

    def _open_field(self, nodes: int) -> None:
        """Flow along the limit: single nodes only."""
        self.field.open(nodes)
        level = self.trees.level(nodes)
        if nodes == 1:
            for own, limit in zip(self.field.coefficients, self._limit, strict=True):
                own[level.start : level.stop] = limit
        for numbers in self.modifying:
            numbers.extend([self.ring.zero] * len(level))

    def _slope(self, name: str, at: Sequence[str], nodes: int) -> list[Number]:
        """Return the coefficients of ``h f^`` at a value, with ``b`` still zero at this level."""
        trees, zero = self.trees, self.ring.zero
        colour = self._colour_of.get(name, -1)
        by_slot = {self.bases[value]: self.values[value] for value in at}
        result = []
        for tree in trees.level(nodes):
            total = zero
            if trees.colour[tree] == colour:
                own = self.modifying[self._state_of[colour]]
                for subtree, branches in self._pruned(tree):
                    number = own[subtree]
                    for slot, branch in branches if number else ():
                        number = number * by_slot[slot][branch]
                    total += number
            result.append(total)
        return result

    def _pruned(self, tree: int) -> list[Pruning]:
        """Return every subtree at the root with the branches cut off it, one for each set of edges."""
        if tree not in self._prunings:
            trees, states = self.trees, self.trees.states
            options: list[list[tuple[int, int | None, tuple[tuple[int, int], ...]]]] = []
            for key in trees.children[tree]:
                child, slot = divmod(key, states)
                kept = [(slot, subtree, cut) for subtree, cut in self._pruned(child)]
                options.append([(slot, None, ((slot, child),)), *kept])
            found = []
            for choice in combinations(*options):
                subtree = trees.leaf(trees.colour[tree])
                for slot, kept_child, _ in choice:
                    if kept_child is not None:
                        subtree = trees.graft(subtree, kept_child, slot)
                found.append((subtree, tuple(branch for _, _, cut in choice for branch in cut)))
            self._prunings[tree] = found
        return self._prunings[tree]

    def _settle(self, nodes: int) -> None:
        """Solve for ``b`` and the inner unknowns at this level, and correct what depends on them."""
        level = self.trees.level(nodes)
        solution = self._solution(nodes)
        for numbers, found in zip(self.modifying, solution, strict=False):
            numbers[level.start : level.stop] = found
        self._correct(nodes, solution)
