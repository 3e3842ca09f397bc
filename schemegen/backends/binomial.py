"""Binomial checkpointing: the fewest steps run again for a given number of kept carries.

With s carries kept at any time, the carry before the first step among them, a chain of l steps is pulled back with
``p(l, s) = r l - C(s + r, s + 1)`` steps run without their activations, the first sweep included, where r is
the number with ``C(s + r - 1, s) < l <= C(s + r, s)``; no plan needs fewer.

Source: Griewank, Walther (2000), Algorithm 799: revolve, ACM TOMS 26, proposition 1.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

from schemegen.network.replay import Plan, Rerun

__all__ = ["advances", "binomial", "enough", "fewest", "kept_at_once"]


def repetitions(steps: int, snapshots: int) -> int:
    """Return r, how often a step is run without its activations at most."""
    r = 0
    while comb(snapshots + r, snapshots) < steps:
        r += 1
    return r


def fewest(steps: int, snapshots: int) -> int:
    """Return ``p(l, s)``, the least number of steps run without their activations."""
    r = repetitions(steps, snapshots)
    return r * steps - comb(snapshots + r, snapshots + 1)


def enough(steps: int, repeated: int) -> int:
    """Return the least number of carries with which no step runs more than ``repeated`` times before its last."""
    snapshots = 1
    while comb(snapshots + repeated, snapshots) < steps:
        snapshots += 1
    return snapshots


@lru_cache(maxsize=65536)
def split(steps: int, snapshots: int) -> int:
    """Return how far to run before the next carry is kept."""
    return min(
        range(1, steps),
        key=lambda m: m + fewest(m, snapshots) + fewest(steps - m, snapshots - 1),
    )


def binomial(start: int, stop: int, snapshots: int) -> Plan:
    """Return an optimal plan for steps ``start`` to ``stop`` (not included)."""
    items: list[int | Rerun] = []
    while stop - start > 1:
        last = snapshots == 1
        middle = stop - 1 if last else start + split(stop - start, snapshots)
        items.append(Rerun(start, middle, binomial(start, middle, snapshots)))
        start, snapshots = middle, snapshots - (not last)
    return (*items, start)


def advances(plan: Plan) -> int:
    """Return how many steps a plan runs without their activations, the first sweep included."""
    total = 0
    for item in plan:
        if not isinstance(item, int):
            total += item.stop - item.start
            total += advances(item.inner) if isinstance(item, Rerun) else 0
    return total


def kept_at_once(plan: Plan) -> int:
    """Return the largest number of carries that a plan of reruns keeps at one time.

    The carry before a step with its activations is part of these, except that of the plan's first step.
    """
    most = held = 0
    for item in plan:
        if isinstance(item, Rerun):
            held += 1
            most = max(most, held, held - 1 + kept_at_once(item.inner))
    return max(most, 1)
