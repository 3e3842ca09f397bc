"""Which nodes of a tree have equal components: patterns, and one form for trees with equal branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations, product

from schemegen.series.exotic import Node, nodes_of

__all__ = [
    "POSITION",
    "coarser",
    "first_seen",
    "links_of",
    "numbered",
    "orders",
    "plain",
    "raised",
    "respects",
]

POSITION = 10**6  # marks of the letters of a word at the nodes they belong to


def raised(node: Node, position: int) -> Node:
    """Make the classes of a term of the drift differ from those of other letters."""
    marks = tuple(m if m >= POSITION else m + 100 * (position + 1) for m in node[1])
    return (
        node[0],
        tuple(sorted(marks)),
        tuple(sorted((slot, raised(child, position)) for slot, child in node[2])),
    )


def links_of(nodes: Sequence[Node]) -> list[tuple[int, list[int]]]:
    """Return the nodes that a class of the drift makes equal, with its parity."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        for mark in node[1]:
            if mark < POSITION:
                groups[mark].append(index)
    return [(mark % 2, members) for mark, members in groups.items()]


def respects(
    links: Sequence[tuple[int, list[int]]], equal: tuple[int, ...], channels: tuple[int, ...]
) -> bool:
    return all(len({(equal, channels)[odd][i] for i in members}) == 1 for odd, members in links)


def numbered(partition: Sequence[Sequence[int]], size: int) -> tuple[int, ...]:
    place = {index: min(block) for block in partition for index in block}
    return tuple(place[i] for i in range(size))


def coarser(channels: tuple[int, ...], equal: tuple[int, ...]) -> bool:
    pairs = range(len(equal))
    return all(channels[i] == channels[j] for i in pairs for j in pairs if equal[i] == equal[j])


def plain(node: Node) -> Node:
    """Return the tree alone, children in order."""
    return (node[0], (), tuple(sorted((slot, plain(child)) for slot, child in node[2])))


def orders(node: Node, start: int) -> list[tuple[int, ...]]:
    """Return the orders of the nodes (numbered as in ``nodes_of``) that give ``plain(node)``."""
    groups: dict[tuple[int, Node], list[tuple[int, Node]]] = defaultdict(list)
    index = start + 1
    for slot, child in node[2]:
        groups[slot, plain(child)].append((index, child))
        index += sum(1 for _ in nodes_of(((0, child),)))
    result: list[tuple[int, ...]] = [(start,)]
    for _, members in sorted(groups.items()):
        tails = [
            tuple(i for part in choice for i in part)
            for order in permutations(members)
            for choice in product(*(orders(child, first) for first, child in order))
        ]
        result = [(*head, *tail) for head in result for tail in tails]
    return result


def first_seen(values: Sequence[int]) -> dict[int, int]:
    return {value: number for number, value in enumerate(dict.fromkeys(values))}
