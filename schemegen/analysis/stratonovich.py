"""The drift of an SDE in the sense of Stratonovich from its generator in the sense of Ito."""

from __future__ import annotations

from schemegen.analysis.random_step import RandomStep
from schemegen.series.exotic import Forest, Graded

__all__ = ["of_roots", "stratonovich"]


def of_roots(series: Graded, counts: tuple[int, ...]) -> Graded:
    """Return the forests of so many trees."""
    return {
        power: kept
        for power, level in series.items()
        if (kept := {forest: c for forest, c in level.items() if len(forest) in counts})
    }


def stratonovich(step: RandomStep, found: Graded) -> Graded:
    """Return the drift of Stratonovich's form: ``c D^2(s, t)`` in the diffusion takes off ``c/2 (t's + s't)``.

    Source: Kloeden, Platen (1992), eq. 4.9.11, with the factors of the diffusion as they stand.
    """
    result: Graded = {power: dict(level) for power, level in of_roots(found, (1,)).items()}
    half = step.ring.rational(-1, 2)
    for power, level in of_roots(found, (2,)).items():
        own = result.setdefault(power, {})
        for forest, number in level.items():
            for tree, count in _moved(step, forest).items():
                change = half * number * step.ring.rational(count)
                own[tree] = own[tree] + change if tree in own else change
    kept = {p: {f: c for f, c in level.items() if c} for p, level in sorted(result.items())}
    return {power: level for power, level in kept.items() if level}


def _moved(step: RandomStep, forest: Forest) -> dict[Forest, int]:
    """Return ``t's + s't`` of a forest of two trees, letters and all."""
    result: dict[Forest, int] = {}
    for root, other in ((0, 1), (1, 0)):
        for tree, count in step.operators.graft(forest[other], forest[root]).items():
            result[tree] = result.get(tree, 0) + count
    return result
