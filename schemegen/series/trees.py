"""Coloured rooted trees: hash-consed, generated level by level, with their single-edge cuts.

A node is a vector field (its *colour*); an edge ends in one of the states the field depends on (its
*slot*). With one field of one state these are Butcher's rooted trees. A tree is the integer index of a
:class:`Trees` table; trees of fewer nodes have smaller indices, so coefficients live in flat lists.

Source: Hairer, Norsett, Wanner (1993), II.2 and II.15; Hairer, Lubich, Wanner (2006), III.1 and IX.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Colour", "Cut", "Trees", "rooted_trees"]


@dataclass(frozen=True, slots=True)
class Colour:
    """A vector field ``name`` of the states ``slots`` (numbers of states).

    ``identity``: the field ``x_s`` of its one slot; second derivatives vanish, so a node has at most
    one child.
    """

    name: str
    slots: tuple[int, ...]
    identity: bool = False


Cut = tuple[int, int, int, int]
"""``(multiplicity, branch, slot, trunk)``: the edges of a tree that fall apart in this way."""


class Trees:
    """All trees over ``colours``, grown level by level by :meth:`grow`.

    ``allowed[state]`` holds the colours that may stand at the root of a child in that slot. A child is the
    number ``tree * states + slot``; the children of a tree are a descending tuple of them.

    Attributes, each indexed by tree:
        nodes: number of nodes.        colour: number of the root's colour.
        children: see above.           density, symmetry: ``gamma``, ``sigma``.
        first_cut: where the tree's cuts begin in ``multiplicities``, ``branches`` (children, as above) and
        ``trunks``: flat lists of integers, because many small objects keep the garbage collector busy.
    """

    def __init__(
        self,
        colours: Sequence[Colour],
        allowed: Sequence[frozenset[int]],
        state_names: Sequence[str],
    ) -> None:
        self.colours = tuple(colours)
        self.allowed = tuple(allowed)
        self.state_names = tuple(state_names)
        self.states = len(self.allowed)
        self.nodes: list[int] = []
        self.colour: list[int] = []
        self.children: list[tuple[int, ...]] = []
        self.multiplicities: list[int] = []
        self.branches: list[int] = []
        self.trunks: list[int] = []
        self.first_cut = [0]
        self.density: list[int] = []
        self.symmetry: list[int] = []
        self._first = [0]  # _first[n]: the first tree of n + 1 nodes
        self._rest: list[int] = []  # child, multiplicity, tree without it, child, ..
        self._first_rest = [0]
        self._grafted: list[dict[int, int] | None] = []  # of a tree: child to tree with one more
        self._printed: dict[tuple[int, bool], tuple[str, int]] = {}

    @property
    def levels(self) -> int:
        """The largest number of nodes grown so far."""
        return len(self._first) - 1

    def level(self, nodes: int) -> range:
        """Return the trees of exactly ``nodes`` nodes."""
        return range(self._first[nodes - 1], self._first[nodes])

    def leaf(self, colour: int) -> int:
        """Return the tree that is a single node of this colour."""
        return colour

    def graft(self, base: int, child: int, slot: int) -> int:
        """Return ``base`` with one more ``child`` at its root."""
        return self._with(base)[child * self.states + slot]

    def _with(self, base: int) -> dict[int, int]:
        grafted = self._grafted[base]
        if grafted is None:
            grafted = self._grafted[base] = {}
        return grafted

    def __len__(self) -> int:
        return len(self.nodes)

    def grow(self, nodes: int) -> None:
        """Make sure that all trees of up to ``nodes`` nodes are there."""
        while self.levels < nodes:
            if self.levels == 0:
                for number in range(len(self.colours)):
                    self._plant(number)
            else:
                self._grow_level(self.levels + 1)
            self._first.append(len(self.nodes))

    def _plant(self, colour: int) -> None:
        self._append(1, colour, (), 1, 1, [])

    def _append(
        self,
        nodes: int,
        colour: int,
        children: tuple[int, ...],
        density: int,
        symmetry: int,
        rest: list[int],
    ) -> None:
        self.nodes.append(nodes)
        self.colour.append(colour)
        self.children.append(children)
        self.density.append(density)
        self.symmetry.append(symmetry)
        self._rest += rest
        self._first_rest.append(len(self._rest))
        self._grafted.append(None)
        self._add_cuts(rest)

    def _grow_level(self, nodes: int) -> None:
        """Attach to every smaller tree every child that is not smaller than those it has."""
        for colour, field in enumerate(self.colours):
            for size in range(1, nodes):
                bases = [
                    tree
                    for tree in self.level(nodes - size)
                    if self.colour[tree] == colour and not (field.identity and self.children[tree])
                ]
                if not bases:
                    continue
                for child in self.level(size):
                    for slot in field.slots:
                        if self.colour[child] in self.allowed[slot]:
                            self._attach(nodes, bases, child, slot)

    def _attach(self, nodes: int, bases: list[int], child: int, slot: int) -> None:
        key = child * self.states + slot
        starts = self._first_rest
        for base in bases:
            children = self.children[base]
            if children and children[0] > key:
                continue
            tree = len(self.nodes)
            rest: list[int] = []
            multiplicity = 1
            for position in range(starts[base], starts[base + 1], 3):
                other, count, smaller = self._rest[position : position + 3]
                if other == key:
                    multiplicity = count + 1
                else:
                    without = self._with(smaller)[key]
                    rest += (other, count, without)
                    self._with(without)[other] = tree
            rest += (key, multiplicity, base)
            self._with(base)[key] = tree
            self._append(
                nodes,
                self.colour[base],
                (key, *children),
                self.density[base] // self.nodes[base] * self.density[child] * nodes,
                self.symmetry[base] * self.symmetry[child] * multiplicity,
                rest,
            )

    def _add_cuts(self, rest: list[int]) -> None:
        """Cut each edge at the root, or an edge inside a child, which is then grafted back."""
        states, starts = self.states, self.first_cut
        for position in range(0, len(rest), 3):
            key, multiplicity, without = rest[position : position + 3]
            child, slot = divmod(key, states)
            first, last = starts[child], starts[child + 1]
            inner = self.multiplicities[first:last]
            if multiplicity > 1:
                inner = [multiplicity * count for count in inner]
            grafted = self._with(without)
            self.multiplicities.append(multiplicity)
            self.multiplicities += inner
            self.branches.append(key)
            self.branches += self.branches[first:last]
            self.trunks.append(without)
            self.trunks += [grafted[t * states + slot] for t in self.trunks[first:last]]
        starts.append(len(self.trunks))

    def cuts(self, tree: int) -> list[Cut]:
        """Return the single-edge cuts of a tree."""
        return [
            (self.multiplicities[i], *divmod(self.branches[i], self.states), self.trunks[i])
            for i in range(self.first_cut[tree], self.first_cut[tree + 1])
        ]

    def text(self, tree: int) -> str:
        """Return ``f[f,g[f]]``: the root's field, its children in brackets sorted by their text.

        A child is written ``x:g`` where its parent depends on several states and ``g`` may act on
        more than one of them.
        """
        return self._print(tree, reduce=False)[0]

    def differential(self, tree: int) -> tuple[str, int]:
        """Return the text and the number of nodes of the elementary differential ``F(tree)``.

        An identity node with a child is its child, ``F(u[f]) = F(f)``, so trees that stand for the
        same function of x have the same differential.
        """
        return self._print(tree, reduce=True)

    def _print(self, tree: int, reduce: bool) -> tuple[str, int]:
        if (tree, reduce) not in self._printed:
            field = self.colours[self.colour[tree]]
            parts = []
            nodes = 1
            for key in self.children[tree]:
                child, slot = divmod(key, self.states)
                text, size = self._print(child, reduce)
                places = [s for s in field.slots if self.colour[child] in self.allowed[s]]
                parts.append(f"{self.state_names[slot]}:{text}" if len(places) > 1 else text)
                nodes += size
            if reduce and field.identity and parts:
                self._printed[tree, reduce] = (parts[0], nodes - 1)
            else:
                brackets = f"[{','.join(sorted(parts))}]" if parts else ""
                self._printed[tree, reduce] = (field.name + brackets, nodes)
        return self._printed[tree, reduce]


def rooted_trees(nodes: int, name: str = "f") -> Trees:
    """Return the uncoloured rooted trees of up to ``nodes`` nodes: 1, 1, 2, 4, 9, 20, 48, 115, .."""
    trees = Trees((Colour(name, (0,)),), (frozenset((0,)),), ("u",))
    trees.grow(nodes)
    return trees
