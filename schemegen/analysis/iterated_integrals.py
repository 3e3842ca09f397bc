"""Iterated Stratonovich integrals as words: shuffle products and means.

``J_w`` of a word ``l1 .. ln`` is the integral over ``0 < s1 < .. < sn < h`` along the paths of its letters; the
letter 0 is time. Products are sums over shuffles (Ree 1958), and the mean is that of Fawcett's formula.

Source: Kloeden, Platen (1992), 5.2 and 5.7; Gaines (1994), Stochastics 49, 169-179.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from math import factorial

import sympy

__all__ = ["TIME", "Letter", "Word", "expected", "shuffled", "times"]

Letter = tuple[int, int]  # (0, 0): time; (1 + draw, component): a path
Word = tuple[Letter, ...]
TIME: Letter = (0, 0)


@cache
def shuffled(left: Word, right: Word) -> tuple[tuple[Word, int], ...]:
    """Return the shuffle product of two words."""
    if not left or not right:
        return ((left or right, 1),)
    result: dict[Word, int] = defaultdict(int)
    for word, count in shuffled(left[:-1], right):
        result[(*word, left[-1])] += count
    for word, count in shuffled(left, right[:-1]):
        result[(*word, right[-1])] += count
    return tuple(sorted(result.items()))


def times(words: dict[Word, int], run: Word, factor: int) -> dict[Word, int]:
    result: dict[Word, int] = defaultdict(int)
    for word, count in words.items():
        for longer, ways in shuffled(word, run):
            result[longer] += count * ways * factor
    return dict(result)


@cache
def expected(word: Word) -> sympy.Rational:
    """Return ``E J_w / h^n``: 0 unless w is made of zeros and pairs, else ``1 / (2^pairs n!)``, n zeros and pairs.

    Source: Kloeden, Platen (1992), 5.7; the Stratonovich integral of a pair has the mean h/2.
    """
    index = pairs = count = 0
    while index < len(word):
        if word[index] == TIME:
            index += 1
        elif index + 1 < len(word) and word[index] == word[index + 1]:
            index += 2
            pairs += 1
        else:
            return sympy.Integer(0)
        count += 1
    return sympy.Rational(1, 2**pairs * factorial(count))
