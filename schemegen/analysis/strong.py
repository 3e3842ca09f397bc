"""Strong order: a step against the exact solution driven by the same Brownian paths.

Both are series over trees whose coefficients are polynomials in iterated Stratonovich integrals ``J_w`` of words
over the letters 0 (time) and one for each Brownian path. A product of integrals is their shuffle product, so an
increment to a power, ``h^k`` and the exact solution ``sum_w J_w D_w1 .. D_wn x`` are compared word by word. Where
the mean of the local error is O(h^p1) and its root mean square O(h^p2), the strong order is
``min(p1 - 1, p2 - 1/2)``.

Source: Milstein, Tretyakov (2004), Theorem 1.1.1; Kloeden, Platen (1992), 5.6 (Stratonovich-Taylor expansion);
Burrage, Burrage (2000), SIAM J. Numer. Anal. 38, 1626-1646.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from math import factorial

import sympy

from schemegen.analysis.component_patterns import (
    POSITION,
    coarser,
    first_seen,
    links_of,
    numbered,
    orders,
    plain,
    raised,
    respects,
)
from schemegen.analysis.draws import COMPONENT, Monomial, partitions
from schemegen.analysis.iterated_integrals import TIME, Letter, Word, expected, times
from schemegen.analysis.model import Exact, Note
from schemegen.analysis.random_step import RandomStep
from schemegen.analysis.stratonovich import stratonovich
from schemegen.analysis.weak_model import Area
from schemegen.series import Number
from schemegen.series.exotic import Forest, Graded, Node, nodes_of

__all__ = ["strong_orders"]

MOST_POWER_H = 2  # of the local error that is looked at
NO_PATH = "the noise that remains as h tends to 0 is not the increment of a Brownian path"

Place = tuple[
    int, Node, tuple[int, ...], tuple[int, ...]
]  # state, tree, equal components, equal channels
Key = tuple[tuple[tuple[Letter, int], ...], int, Word]  # other draws, odd root of h, word
Random = dict[Key, Number]


def strong_orders(
    step: RandomStep, found: Graded
) -> tuple[Exact | None, Exact | None, tuple[Area, ...], tuple[Note, ...]]:
    """Return the strong order, or a lower bound, noises that do not commute, and notes."""
    if step.memories:
        return None, None, (), (Note("strong_order", "only decided for one-step schemes"),)
    paths = _Paths(step, found)
    if not paths.driven:
        return None, None, (), (Note("strong_order", NO_PATH),)
    mean, square = paths.errors()
    half = sympy.Rational(1, 2)
    bounds = []
    if mean is not None:
        bounds.append(sympy.Rational(mean, step.unit) - 1)
    if square is not None:
        bounds.append(sympy.Rational(square, step.unit) - half)
    areas = tuple(paths.areas())
    least = MOST_POWER_H * step.unit + 1
    beyond = min(sympy.Rational(least, step.unit) - 1, sympy.Rational(least, step.unit) - half)
    if bounds and min(bounds) <= beyond:
        return min(bounds), None, areas, ()
    text = f"at least {beyond}; higher orders were not tried"
    return None, beyond, areas, (Note("strong_order", text),)


class _Paths:
    """The step and the exact solution of its limit, by trees with patterns of equal components."""

    def __init__(self, step: RandomStep, found: Graded) -> None:
        self.step = step
        self.ring = step.ring
        self.most = MOST_POWER_H * step.unit
        scopes = {noise.scope for noise in step.draws.noises}
        self._component = "element" in scopes
        self._channel = "channel" in scopes
        self.wiener = {i for i, n in enumerate(step.draws.noises) if n.kind == "wiener"}
        self.limit = dict(found.get(step.unit, {}))
        self.fields = self._fields()
        self.driven = self._driven()

    # --- the limit --------------------------------------------------------------------------------
    def _fields(self) -> dict[int, list[tuple[int, Node, Number]]]:
        """Return, by Wiener draw, the terms ``(state, tree, factor)`` of its field: linear, at sqrt(h)."""
        result: dict[int, list[tuple[int, Node, Number]]] = defaultdict(list)
        for power, slot, node, polynomial in self.step.groups:
            if power != 1 or self.step.unit != 2:
                continue
            for scalar, number in polynomial.items():
                draws = self._draws_of(node, scalar)
                if len(draws) == 1 and draws[0][1] == 1 and draws[0][0] in self.wiener:
                    result[draws[0][0]].append((slot, (node[0], (), node[2]), number))
        return dict(result)

    def _draws_of(self, node: Node, scalar: Monomial) -> list[tuple[int, int]]:
        inner = [pair for item in nodes_of(((0, node),)) for pair in item[1]]
        return [*inner, *scalar]

    def _driven(self) -> bool:
        """Say whether the limit's diffusion is that of the Wiener draws alone."""
        wanted: dict[Forest, Number] = {f: c for f, c in self.limit.items() if len(f) == 2}
        half = self.ring.rational(1, 2)
        operators = self.step.operators
        for draw, terms in self.fields.items():
            parity = COMPONENT.get(self.step.draws.noises[draw].scope)
            for (a, first, x), (b, second, y) in product(terms, repeat=2):
                own = () if parity is None else (parity,)
                forest = operators.canonical(
                    tuple(
                        sorted(((a, (first[0], own, first[2])), (b, (second[0], own, second[2]))))
                    )
                )
                wanted[forest] = wanted.get(forest, self.ring.zero) - half * x * y
        return not any(wanted.values())

    def _drift(self) -> list[tuple[int, Node, Number]]:
        """Return the limit's drift in the sense of Stratonovich."""
        level = stratonovich(self.step, {self.step.unit: self.limit}).get(self.step.unit, {})
        return [(forest[0][0], forest[0][1], c) for forest, c in level.items()]

    # --- the exact solution -----------------------------------------------------------------------
    def exact(self) -> dict[Place, Random]:
        """Return ``sum_w J_w D_w1 .. D_wn x_s``, the last letter acting first."""
        letters = [(TIME, self.step.unit, self._drift())]
        letters += [((1 + draw, 0), 1, terms) for draw, terms in sorted(self.fields.items())]
        result: dict[Place, Random] = {}
        # (weight, letters from last to first, {(state, node): number})
        level: list[tuple[int, tuple[Letter, ...], dict[tuple[int, Node], Number]]] = [(0, (), {})]
        while level:
            following = []
            for weight, word, terms in level:
                for letter, size, own in letters:
                    if weight + size > self.most:
                        continue
                    grown = self._extended(terms, own, letter, len(word))
                    if grown:
                        longer = (letter, *word)
                        following.append((weight + size, longer, grown))
                        self._record(result, longer, grown)
            level = following
        return result

    def _extended(
        self,
        terms: dict[tuple[int, Node], Number],
        own: Sequence[tuple[int, Node, Number]],
        letter: Letter,
        position: int,
    ) -> dict[tuple[int, Node], Number]:
        """Apply the field of one letter, which stands ``position`` letters before the last."""
        marked = []
        for slot, node, number in own:
            marks = node[1]
            if letter != TIME and self.step.draws.noises[letter[0] - 1].scope in COMPONENT:
                marks = (*marks, POSITION + position)
            shifted = raised((node[0], marks, node[2]), position)
            marked.append((slot, shifted, number))
        if position == 0:
            start: dict[tuple[int, Node], Number] = {}
            for slot, node, number in marked:
                start[slot, node] = start.get((slot, node), self.ring.zero) + number
            return start
        result: dict[tuple[int, Node], Number] = {}
        for (state, tree), factor in terms.items():
            for slot, node, number in marked:
                for grown, count in self.step.operators.on(tree, (slot, node)).items():
                    add = factor * number * self.ring.rational(count)
                    key = (state, grown)
                    result[key] = result[key] + add if key in result else add
        return result

    def _record(
        self, result: dict[Place, Random], word: Word, terms: dict[tuple[int, Node], Number]
    ) -> None:
        last = len(word) - 1
        for (state, node), number in terms.items():
            nodes = list(nodes_of(((0, node),)))
            links = links_of(nodes)
            for equal, channels in self._patterns(len(nodes)):
                if not respects(links, equal, channels):
                    continue
                letters = list(word)
                for index, item in enumerate(nodes):
                    for mark in item[1]:
                        if mark >= POSITION:
                            place = last - (mark - POSITION)
                            draw = word[place][0]
                            letters[place] = (draw, self._part(draw - 1, index, equal, channels))
                self._add(result, (state, node, equal, channels), ((), 0, tuple(letters)), number)

    def _part(
        self, draw: int, index: int, equal: tuple[int, ...], channels: tuple[int, ...]
    ) -> int:
        """Return the number of the path that a draw has at a node."""
        scope = self.step.draws.noises[draw].scope
        return 1 + (equal[index] if scope == "element" else channels[index])

    def _patterns(self, size: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield which nodes have equal components and which equal channels, all others being different."""
        every = [numbered(p, size) for p in partitions(size)]
        apart = tuple(range(size))
        for equal in every if self._component else [apart]:
            for channels in every if self._channel else [apart]:
                if not self._channel or not self._component or coarser(channels, equal):
                    yield equal, channels

    def _add(self, result: dict[Place, Random], place: Place, key: Key, number: Number) -> None:
        state, node, equal, channels = place
        if self._component or self._channel:
            tree, equal, channels, key = min(self._forms(node, equal, channels, key))
        else:
            tree = plain(node)
        own = result.setdefault((state, tree, equal, channels), {})
        own[key] = own[key] + number if key in own else number

    def _forms(
        self, node: Node, equal: tuple[int, ...], channels: tuple[int, ...], key: Key
    ) -> Iterator[tuple[Node, tuple[int, ...], tuple[int, ...], Key]]:
        """Yield a term for every order of equal children, components and channels numbered as they occur."""
        tree = plain(node)
        others, odd, word = key
        for order in orders(node, 0):
            parts = (
                first_seen([equal[i] for i in order]),
                first_seen([channels[i] for i in order]),
            )
            rename = partial(self._renamed, parts)
            renamed_word = tuple(rename(letter) for letter in word)
            renamed_others = tuple(sorted((rename(letter), e) for letter, e in others))
            yield (
                tree,
                tuple(parts[0][equal[i]] for i in order),
                tuple(parts[1][channels[i]] for i in order),
                (renamed_others, odd, renamed_word),
            )

    def _renamed(self, parts: tuple[dict[int, int], dict[int, int]], letter: Letter) -> Letter:
        draw, component = letter
        if not component:
            return letter
        scope = COMPONENT[self.step.draws.noises[draw - 1].scope]
        return (draw, 1 + parts[scope][component - 1])

    # --- the step ---------------------------------------------------------------------------------
    def approximate(self) -> dict[Place, Random]:
        """Return the step as it is, products of increments written as words."""
        result: dict[Place, Random] = {}
        for power, state, node, polynomial in self.step.groups:
            if power > self.most:
                continue
            nodes = list(nodes_of(((0, node),)))
            for scalar, number in polynomial.items():
                for equal, channels in self._patterns(len(nodes)):
                    others: dict[Letter, int] = defaultdict(int)
                    paths: dict[Letter, int] = defaultdict(int)
                    for draw, exponent in scalar:
                        (paths if draw in self.wiener else others)[1 + draw, 0] += exponent
                    for index, item in enumerate(nodes):
                        for draw, exponent in item[1]:
                            letter = (1 + draw, self._part(draw, index, equal, channels))
                            (paths if draw in self.wiener else others)[letter] += exponent
                    time, odd = divmod(power - sum(paths.values()), self.step.unit)
                    for word, count in self._increments(tuple(sorted(paths.items())), time):
                        self._add(
                            result,
                            (state, node, equal, channels),
                            (self._others(others), odd, word),
                            number * self.ring.rational(count),
                        )
        return result

    def _others(self, exponents: dict[Letter, int]) -> tuple[tuple[Letter, int], ...]:
        """Return the monomial in draws that are no increments of a path."""
        reduced = (
            (letter, self.step.draws.reduced(letter[0] - 1, e)) for letter, e in exponents.items()
        )
        return tuple(sorted((letter, e) for letter, e in reduced if e))

    def _increments(
        self, paths: tuple[tuple[Letter, int], ...], time: int
    ) -> list[tuple[Word, int]]:
        """Return ``prod J_l^e h^k`` as words: a power of one letter is ``e!`` times its word."""
        words: dict[Word, int] = {(): 1}
        for letter, exponent in (*paths, (TIME, time)):
            if exponent:
                run = (letter,) * exponent
                words = times(words, run, factorial(exponent))
        return sorted(words.items())

    # --- errors -----------------------------------------------------------------------------------
    @property
    def difference(self) -> dict[Place, Random]:
        result = {place: dict(random) for place, random in self.approximate().items()}
        for place, random in self.exact().items():
            own = result.setdefault(place, {})
            for key, number in random.items():
                own[key] = own.get(key, self.ring.zero) - number
        return result

    def errors(self) -> tuple[int | None, int | None]:
        """Return the first powers of eps in the mean and in the root mean square of the local error."""
        mean: list[int] = []
        square: list[int] = []
        for random in self.difference.values():
            means: dict[int, Number] = defaultdict(lambda: self.ring.zero)
            for (others, odd, word), number in random.items():
                if not number:
                    continue
                power = sum(self.step.unit if letter == TIME else 1 for letter in word) + odd
                square.append(power)
                mean_value = expected(word)
                if mean_value:
                    factor = self.ring.rational(int(mean_value.p), int(mean_value.q))
                    for letter, exponent in others:
                        factor = factor * self.step.draws.moment(letter[0] - 1, exponent)
                    means[power] += number * factor
            mean += [power for power, number in means.items() if number]
        return min(mean, default=None), min(square, default=None)

    def areas(self) -> Iterator[Area]:
        """Yield the pairs of noises whose fields do not commute: the exact solution has ``J_ab != J_ba``."""
        found: set[tuple[str, str]] = set()
        for random in self.exact().values():
            for (_, _, word), number in random.items():
                if len(word) == 2 and TIME not in word and word[0] != word[1]:
                    turned = random.get(((), 0, word[::-1]), self.ring.zero)
                    if number - turned:
                        names = [self.step.draws.noises[letter[0] - 1].name for letter in word]
                        found.add((min(names), max(names)))
        for first, second in sorted(found):
            yield Area(first, second)
