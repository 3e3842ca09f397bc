"""Forests as text: trees with letters for equal components, diffusion matrices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from schemegen.series.exotic import Forest, Node, Operators, nodes_of
from schemegen.step.program import ONES

__all__ = ["ForestText"]

LETTERS = "ijklmnpq"


class ForestText:
    """The texts of forests over the colours of ``operators``; ``states`` names the slots."""

    def __init__(
        self, operators: Operators, states: Sequence[str], forests: Iterable[Forest]
    ) -> None:
        self.colours = operators.colours
        self.states = tuple(states)
        self._slots: dict[int, set[int]] = defaultdict(set)
        for forest in forests:
            for slot, node in forest:
                self._learn(slot, node)

    def _learn(self, slot: int, node: Node) -> None:
        self._slots[node[0]].add(slot)
        for child_slot, child in node[2]:
            self._learn(child_slot, child)

    def tree(self, node: Node) -> str:
        """Return ``f.i[g,f[g.i]]``."""
        colour, classes, children = node
        field = self.colours[colour]
        parts = []
        for slot, child in children:
            text = self.tree(child)
            several = len(self._slots[child[0]].intersection(field.slots)) > 1
            parts.append(f"{self.states[slot]}:{text}" if several else text)
        letters = "".join(f".{_letter(c)}" for c in classes)
        return field.name + letters + (f"[{','.join(sorted(parts))}]" if parts else "")

    def forest(self, forest: Forest) -> str:
        """Return the trees in order; with several states each says which state it moves."""
        return " ".join(self.trees(forest))

    def trees(self, forest: Forest) -> tuple[str, ...]:
        """Return the texts of the trees, sorted."""
        return tuple(sorted(self._root(slot, node) for slot, node in forest))

    def _root(self, slot: int, node: Node) -> str:
        text = self.tree(node)
        return f"{self.states[slot]}:{text}" if len(self.states) > 1 else text

    def matrix(self, forest: Forest) -> tuple[str, int]:
        """Return a forest of two trees as a symmetric matrix, and its factor.

        ``c D^2(s, t)`` is half of the matrix's double contraction with the Hessian: the matrix is ``2 c s s^T``,
        ``c (s t^T + t s^T)``, or ``2 c diag(s*t)`` where the two roots have one component.
        """
        (a, first), (b, second) = forest
        alone = self._alone(forest)
        if alone is not None:
            left, right = sorted(
                (self._plain(a, first, alone), self._plain(b, second, alone)), key=_ones_first
            )
            name = "diag" if alone % 2 == 0 else "block"
            if name == "diag" and left.endswith(ONES):
                inner = "I" if right.endswith(ONES) else f"diag({right})"
                return (inner if len(self.states) == 1 else f"diag({left}*{right})"), 2
            return f"{name}({left}*{right})", 2
        left, right = sorted((self._root(a, first), self._root(b, second)))
        if left == right:
            return f"{left} {left}^T", 2
        return f"{left} {right}^T + {right} {left}^T", 1

    def _alone(self, forest: Forest) -> int | None:
        """Return the class of two roots that share one, where no other node has a class."""
        marked = [node for node in nodes_of(forest) if node[1]]
        roots = [node for _, node in forest]
        if len(marked) != 2 or any(not node[1] for node in roots):
            return None
        own = roots[0][1]
        return own[0] if own == roots[1][1] and len(own) == 1 else None

    def _plain(self, slot: int, node: Node, alone: int) -> str:
        return self._root(slot, (node[0], tuple(c for c in node[1] if c != alone), node[2]))


def _letter(index: int) -> str:
    letter = LETTERS[index // 2 % len(LETTERS)]
    return letter if index % 2 == 0 else letter.upper()


def _ones_first(text: str) -> tuple[bool, str]:
    return (not text.endswith(ONES), text)
