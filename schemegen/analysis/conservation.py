"""To which power of h a step is symplectic, and keeps the energy, for every Hamiltonian field.

``f = J grad H``. The modified field is Hamiltonian at n nodes where, for all trees of together n nodes,
``b(u o v) + b(v o u) = 0``; ``u o v`` is u with v grafted to its root. It keeps H there where
``sum b(t)/sigma(t) grad H . F(t)`` vanishes: ``grad H . F(t)`` is, up to the sign that each move of the root
along an edge makes, a number of the free tree that t is with a leaf added to its root, zero where a move
turns a tree into itself. Of two states ``q' = f(p)``, ``p' = g(q)`` with ``H = T(p) + V(q)`` the same holds
with the fields as colours.

Source: Hairer, Lubich, Wanner (2006), IX.9.2 and theorem IX.9.3; Faou, Hairer, Pham (2004), BIT 44, 699-709;
Aubry, Chartier (1998), BIT 38, 439-461, for pseudo-symplectic methods.
"""

from __future__ import annotations

from functools import cached_property

from schemegen.analysis.reading import Reading
from schemegen.series import Number, Trees

__all__ = ["Conservation"]


class Conservation:
    """The two questions, level by level; ``applies`` says whether the fields can be Hamiltonian in this shape."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.trees = reading.trees

    @cached_property
    def applies(self) -> bool:
        trees = self.trees
        colours = trees.colours
        if any(colour.identity or not colour.slots for colour in colours):
            return False
        if trees.states == 1:
            everywhere = len(trees.allowed[0]) == len(colours) > 0  # each field drives the state
            return everywhere and all(colour.slots == (0,) for colour in colours)
        return (
            trees.states == 2
            and len(colours) == 2
            and all(
                len(trees.allowed[state]) == 1
                and colours[next(iter(trees.allowed[state]))].slots == (1 - state,)
                for state in (0, 1)
            )
        )

    def symplectic_to(self, nodes: int) -> int | None:
        """Return q with a defect of the symplectic form of ``O(h^(q+1))`` a step; None if none up to ``nodes``."""
        return self._first(nodes, self._is_hamiltonian)

    def energy_preserving_to(self, nodes: int) -> int | None:
        """Return q with an error of the energy of ``O(h^(q+1))`` a step; None if there is none up to ``nodes``."""
        return self._first(nodes, self._keeps_energy)

    def _first(self, nodes: int, holds: object) -> int | None:
        assert callable(holds)
        return next((n - 1 for n in range(2, nodes + 1) if not holds(n)), None)

    def _state(self, tree: int) -> int:
        """Return the state that the root's field drives."""
        if self.trees.states == 1:
            return 0
        return next(s for s in (0, 1) if self.trees.colour[tree] in self.trees.allowed[s])

    def _coefficient(self, tree: int) -> Number:
        return self.reading.field.coefficients[self._state(tree)][tree]

    def _is_hamiltonian(self, nodes: int) -> bool:
        trees = self.trees
        for size in range(1, nodes // 2 + 1):
            for u in trees.level(size):
                for v in trees.level(nodes - size):
                    if trees.states == 2 and self._state(u) == self._state(v):
                        continue
                    one = trees.graft(u, v, self._state(v))
                    other = trees.graft(v, u, self._state(u))
                    if self._coefficient(one) + self._coefficient(other):
                        return False
        return True

    def _keeps_energy(self, nodes: int) -> bool:
        trees = self._larger
        trees.grow(nodes + 1)
        sums: dict[int, Number] = {}
        ring = self.reading.ring
        for tree in trees.level(nodes):
            number = self._coefficient(tree)
            if not number:
                continue
            if trees.symmetry[tree] > 1:
                number = number * ring.rational(1, trees.symmetry[tree])
            for leaf in range(len(trees.colours)):
                if trees.states == 2 and self._state(leaf) == self._state(tree):
                    continue
                weight = number * self._coefficient(leaf)
                if trees.states == 2 and self._state(tree) == 0:
                    weight = -weight
                found, sign = self._free(trees.graft(tree, leaf, self._state(leaf)))
                if sign:
                    term = weight if sign > 0 else -weight
                    sums[found] = sums[found] + term if found in sums else term
        return not any(sums.values())

    @cached_property
    def _larger(self) -> Trees:
        """The same trees with one node more, apart from those of the reading, which grow with its values."""
        return Trees(self.trees.colours, self.trees.allowed, self.trees.state_names)

    def _free(self, tree: int) -> tuple[int, int]:
        """Return the first of the rooted trees that differ by the place of the root, and the sign; 0: none."""
        turning = -1 if self.trees.states == 1 else 1
        signs = {tree: 1}
        pending = [tree]
        while pending:
            root = pending.pop()
            for other in self._moved(root):
                sign = turning * signs[root]
                if other not in signs:
                    signs[other] = sign
                    pending.append(other)
                elif signs[other] != sign:
                    return tree, 0
        first = min(signs)
        return first, signs[first]

    def _moved(self, tree: int) -> list[int]:
        """Return the trees with the root moved along one edge: ``v o u`` for ``u o v``."""
        trees = self._larger
        result = []
        children = trees.children[tree]
        for key in dict.fromkeys(children):
            child, _ = divmod(key, trees.states)
            rest = trees.leaf(trees.colour[tree])
            kept = list(children)
            kept.remove(key)
            for item in reversed(kept):  # from the smallest child on, as trees grow
                branch, slot = divmod(item, trees.states)
                rest = trees.graft(rest, branch, slot)
            result.append(trees.graft(child, rest, self._state(rest)))
        return result
