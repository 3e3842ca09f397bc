"""Forests of rooted trees with equal components: the terms of expectations of random steps.

A *node* is ``(colour, classes, children)``, children a sorted tuple of ``(slot, node)``. A *forest* is a sorted
tuple of ``(slot, node)`` and stands for the differential operator::

    D_F phi = sum over components of prod_r F(tree_r)_{i_r}(x) * d^k phi / dx_{i_1} .. dx_{i_k}

Nodes that carry the same *class* have the same component (even classes) or the same channel (odd classes): these
are the lianas of Laurent and Vilmart. A draw a component makes them, because a product of draws at different
components has no joint cumulant. The product of two operators is the sum over all ways to attach the roots of
the first to nodes of the second or to leave them (Grossman and Larson).

Source: Grossman, Larson (1989); Laurent, Vilmart (2020), Math. Comp. 89, 169-202, exotic aromatic B-series.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations
from math import comb
from typing import Any

from schemegen.series.rings import Number, Ring
from schemegen.series.trees import Colour

__all__ = ["Forest", "Graded", "Node", "Operators", "Root", "nodes_of", "relabelled"]

Node = tuple[int, tuple[Any, ...], tuple[Any, ...]]
Root = tuple[int, Node]
Forest = tuple[Root, ...]
Graded = dict[int, dict[Forest, Number]]
"""Coefficients of operators by their power of the expansion variable."""

FRESH = 1000
"""Added to the classes of one factor, so that those of two factors differ."""


def nodes_of(forest: Forest) -> Iterator[Node]:
    """Yield every node of a forest."""
    for _, node in forest:
        yield node
        yield from nodes_of(node[2])


def relabelled(node: Node, rename: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Node:
    """Return ``node`` with the classes of each of its nodes replaced, children in order again."""
    colour, classes, children = node
    return (
        colour,
        rename(classes),
        tuple(sorted((slot, relabelled(child, rename)) for slot, child in children)),
    )


class Operators:
    """The algebra of the operators over ``colours``, truncated beyond the power ``most``.

    A node of a colour takes children in the colour's slots. An identity node that gets a child is that child:
    ``F(u[f]) = F(f)``. Slots from ``states`` on are those of unknowns, ``leaves`` their colours: such a leaf
    stands for a value that is not expanded yet, of the size ``sizes[slot]``, and takes no children.
    """

    def __init__(
        self,
        ring: Ring,
        colours: Sequence[Colour],
        most: int,
        *,
        states: int = 1,
        leaves: Mapping[int, int] | None = None,
        sizes: Mapping[int, int] | None = None,
    ) -> None:
        self.ring = ring
        self.colours = tuple(colours)
        self.most = most
        self.states = states
        self.leaves = dict(leaves or {})  # slot -> colour
        self.sizes = dict(sizes or {})  # slot -> power
        self._leaf_slots = {colour: slot for slot, colour in self.leaves.items()}
        self.canonical = cache(self._canonical)
        self._products: dict[tuple[Forest, Forest], dict[Forest, int]] = {}
        self._grown: dict[tuple[Node, Forest], dict[Node, int]] = {}

    # --- canonical forms --------------------------------------------------------------------------
    def _canonical(self, forest: Forest) -> Forest:
        """Return the one form of a forest under renaming of classes, with classes that say nothing left out."""
        if not any(node[1] for node in nodes_of(forest)):
            return tuple(sorted(forest))
        classes = _joined([node[1] for node in nodes_of(forest)])
        count = iter(range(len(classes)))
        numbered = tuple((slot, _renumbered(node, count)) for slot, node in forest)
        best: Forest | None = None
        elements = sorted({c for group in classes for c in group if c % 2 == 0})
        channels = sorted({c for group in classes for c in group if c % 2})
        for even in permutations(range(len(elements))):
            for odd in permutations(range(len(channels))):
                names = {c: 2 * i for c, i in zip(elements, even, strict=True)}
                names |= {c: 2 * i + 1 for c, i in zip(channels, odd, strict=True)}
                new = [tuple(sorted(names[c] for c in group)) for group in classes]
                found = tuple(
                    sorted(
                        (slot, relabelled(node, lambda own, new=new: new[own[0]]))  # type: ignore[misc]
                        for slot, node in numbered
                    )
                )
                if best is None or found < best:
                    best = found
        assert best is not None
        return best

    # --- attaching --------------------------------------------------------------------------------
    def _on(self, node: Node, roots: Forest) -> dict[Node, int]:
        """Return all ways to attach every one of ``roots`` to nodes of ``node``."""
        if not roots:
            return {node: 1}
        key = (node, roots)
        if key not in self._grown:
            self._grown[key] = self._attached(node, roots)
        return self._grown[key]

    def _attached(self, node: Node, roots: Forest) -> dict[Node, int]:
        colour, classes, children = node
        kind = self.colours[colour]
        if colour in self._leaf_slots:
            return {}
        if kind.identity:
            slot, child = roots[0]
            if len(roots) > 1 or slot not in kind.slots:
                return {}
            return {(child[0], tuple(sorted({*child[1], *classes})), child[2]): 1}
        result: dict[Node, int] = defaultdict(int)
        for own, rest, ways in _splits(roots):
            if all(slot in kind.slots for slot, _ in own):
                for inner, count in self._over(children, rest).items():
                    grown = (colour, classes, tuple(sorted((*inner, *own))))
                    result[grown] += ways * count
        return dict(result)

    def _over(self, trees: Forest, roots: Forest) -> dict[Forest, int]:
        """Return all ways to attach every one of ``roots`` to nodes of ``trees``."""
        if not trees:
            return {(): 1} if not roots else {}
        if not roots:
            return {trees: 1}
        (slot, first), others = trees[0], trees[1:]
        result: dict[Forest, int] = defaultdict(int)
        for here, rest, ways in _splits(roots):
            for grown, count in self._on(first, here).items():
                for tail, times in self._over(others, rest).items():
                    result[((slot, grown), *tail)] += ways * count * times
        return dict(result)

    def attach(self, roots: Forest, forest: Forest) -> dict[Forest, int]:
        """Return ``D_roots D_forest`` as forests with multiplicities.

        A root in the slot of an unknown takes the place of one leaf of it; every leaf must be taken.
        """
        key = (roots, forest)
        if key not in self._products:
            self._products[key] = self._product(roots, forest)
        return self._products[key]

    def graft(self, root: Root, onto: Root) -> dict[Forest, int]:
        """Return ``t's`` of two trees ``s = root`` and ``t = onto`` of one forest, whose classes are common."""
        slot, node = onto
        result: dict[Forest, int] = defaultdict(int)
        for grown, count in self._on(node, (root,)).items():
            result[self.canonical(((slot, grown),))] += count
        return dict(result)

    def on(self, node: Node, root: Root) -> dict[Node, int]:
        """Return all ways to attach ``root`` to a node of ``node``, classes as they are."""
        return self._on(node, (root,))

    def _product(self, roots: Forest, forest: Forest) -> dict[Forest, int]:
        moved = tuple(
            sorted(
                (slot, relabelled(node, lambda own: tuple(c + FRESH for c in own)))
                for slot, node in roots
            )
        )
        plain = tuple(root for root in moved if root[0] < self.states)
        unknown = tuple(root for root in moved if root[0] >= self.states)
        wanted = Counter(
            self._leaf_slots[node[0]] for node in nodes_of(forest) if node[0] in self._leaf_slots
        )
        if wanted != Counter(slot for slot, _ in unknown):
            return {}
        result: dict[Forest, int] = defaultdict(int)
        for left, rest, ways in _splits(plain):
            for grown, count in self._over(forest, rest).items():
                for full, times in self._filled(grown, unknown).items():
                    result[self.canonical(tuple(sorted((*full, *left))))] += ways * count * times
        return dict(result)

    def _filled(self, forest: Forest, roots: Forest) -> dict[Forest, int]:
        """Replace the leaves of unknowns by ``roots`` in all ways."""
        if not roots:
            return {forest: 1}
        result: dict[Forest, int] = defaultdict(int)
        for order in permutations(range(len(roots))):
            supply: dict[int, list[Node]] = defaultdict(list)
            for index in order:
                supply[roots[index][0]].append(roots[index][1])
            queues = {slot: iter(nodes) for slot, nodes in supply.items()}
            result[tuple((slot, self._fill(node, queues)) for slot, node in forest)] += 1
        repeated = 1  # orders that differ only between slots give the same filling
        total = len(roots)
        for count in Counter(slot for slot, _ in roots).values():
            repeated *= comb(total, count)
            total -= count
        return {found: count // repeated for found, count in result.items()}

    def _fill(self, node: Node, queues: Mapping[int, Iterator[Node]]) -> Node:
        colour, classes, children = node
        if colour in self._leaf_slots:
            new = next(queues[self._leaf_slots[colour]])
            return (new[0], tuple(sorted({*new[1], *classes})), new[2])
        return (
            colour,
            classes,
            tuple(sorted((slot, self._fill(child, queues)) for slot, child in children)),
        )

    # --- series of operators ----------------------------------------------------------------------
    def compose(self, first: Graded, second: Graded, most: int | None = None) -> Graded:
        """Return the product ``first second``: ``second`` acts on the test function first."""
        limit = self.most if most is None else most
        ring = self.ring
        result: Graded = {}
        for left, forests in first.items():
            for right, others in second.items():
                for forest, number in forests.items():
                    power = left + right - sum(self.sizes.get(slot, 0) for slot, _ in forest)
                    if power > limit:
                        continue
                    level = result.setdefault(power, {})
                    for other, factor in others.items():
                        product = number * factor
                        for found, count in self.attach(forest, other).items():
                            add = product * ring.rational(count) if count > 1 else product
                            level[found] = level[found] + add if found in level else add
        return _cleaned(result)

    def logarithm(self, operator: Graded) -> Graded:
        """Return ``log(1 + p) = p - p^2/2 + p^3/3 - ..`` of ``operator = 1 + p``, ``p`` from power 1 on."""
        small = {power: level for power, level in operator.items() if power > 0}
        if not small:
            return {}
        total: Graded = {power: dict(level) for power, level in small.items()}
        lowest, step = min(small), 1
        power = small
        while lowest * (step + 1) <= self.most:
            step += 1
            power = self.compose(power, small)
            factor = self.ring.rational((-1) ** (step + 1), step)
            _add_to(total, power, factor)
        return _cleaned(total)

    def exponential(self, operator: Graded, base: Graded) -> Graded:
        """Return ``exp(operator) base`` without the unit, for an operator from power 1 on."""
        if any(power < 1 for power in operator):
            raise ValueError(
                "the exponential of an operator with a part of power 0 is no finite sum"
            )
        total: Graded = {power: dict(level) for power, level in base.items()}
        term, step = base, 0
        while term:
            step += 1
            factor = self.ring.rational(1, step)
            term = {
                power: {forest: factor * number for forest, number in level.items()}
                for power, level in self.compose(operator, term).items()
            }
            _add_to(total, term, self.ring.one)
        return _cleaned(total)


def _add_to(total: Graded, part: Graded, factor: Number) -> None:
    for power, level in part.items():
        own = total.setdefault(power, {})
        for forest, number in level.items():
            add = factor * number
            own[forest] = own[forest] + add if forest in own else add


def _cleaned(series: Graded) -> Graded:
    kept = {
        power: {forest: number for forest, number in sorted(level.items()) if number}
        for power, level in sorted(series.items())
    }
    return {power: level for power, level in kept.items() if level}


@cache
def _splits(roots: Forest) -> tuple[tuple[Forest, Forest, int], ...]:
    """Return the ways to split a multiset in two, with their numbers for distinct members."""
    counted = sorted(Counter(roots).items())
    result: list[tuple[Forest, Forest, int]] = [((), (), 1)]
    for root, count in counted:
        result = [
            (own + (root,) * taken, rest + (root,) * (count - taken), ways * comb(count, taken))
            for own, rest, ways in result
            for taken in range(count + 1)
        ]
    return tuple(result)


def _renumbered(node: Node, count: Iterator[int]) -> Node:
    """Replace the classes of each node by its number in the order of :func:`nodes_of`."""
    number = next(count)
    return (node[0], (number,), tuple((slot, _renumbered(child, count)) for slot, child in node[2]))


def _joined(groups: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the classes of each node after all that follows: classes of one node are one class.

    Equal components have equal channels. A class of a single node says nothing, nor does a channel whose nodes
    have one component anyway.
    """
    size = len(groups)
    component = _partition(
        size, [[i for i, g in enumerate(groups) if c in g] for c in _all(groups, 0)]
    )
    links = [[i for i, g in enumerate(groups) if c in g] for c in _all(groups, 1)]
    if links:
        links += [[i for i in range(size) if component[i] == j] for j in set(component)]
    channel = _partition(size, links)
    result = []
    for i in range(size):
        own: list[int] = []
        alike = [j for j in range(size) if component[j] == component[i]]
        near = [j for j in range(size) if channel[j] == channel[i]]
        if len(alike) > 1:
            own.append(2 * component[i])
        if len(near) > len(alike):
            own.append(2 * channel[i] + 1)
        result.append(tuple(own))
    return result


def _all(groups: Sequence[tuple[int, ...]], parity: int) -> list[int]:
    return sorted({c for group in groups for c in group if c % 2 == parity})


def _partition(size: int, links: Sequence[Sequence[int]]) -> list[int]:
    """Return, for each of ``size`` members, the smallest member linked to it."""
    parent = list(range(size))
    for link in links:
        names = {parent[i] for i in link}
        if names:
            least = min(names)
            parent = [least if name in names else name for name in parent]
    return parent
