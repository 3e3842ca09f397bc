"""Means, intervals and paired tests over seeds.

Two schemes that are trained with equal seeds see equal data in equal order, so their differences are paired. With
n seeds an exact test can say no less than ``2/2^n``: 0.0625 for 5, so that the t test carries what few seeds show.
Source: Student (1908); Wilcoxon (1945); Fisher (1935), ch. III (exact permutations); Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemegen.diagnostics import UsageError

__all__ = ["LEVEL", "Difference", "Spread", "difference", "holm", "spread"]

LEVEL = 0.95
ENUMERATED = 16  # seeds up to which all signs are tried
DRAWS = 9999


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation (of the sample) over ``n`` seeds; ``low`` to ``high``: Student's 95 % interval.

    With one seed there is a mean alone.
    """

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The paired difference to the reference over the seeds that both have.

    ``p_t``: paired t test. ``p_exact``: permutation test of the mean, all signs. ``p_wilcoxon``: signed ranks,
    exact where no two differences tie. ``p_holm``: ``p_t`` corrected for the schemes compared with one reference.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    p_t: float | None
    p_exact: float | None
    p_wilcoxon: float | None
    p_holm: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """Return mean, deviation and interval of the values of one scheme."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return Spread(n, mean, None, None, None)
    deviation = float(np.std(values, ddof=1))
    low, high = _interval(mean, deviation, n)
    return Spread(n, mean, deviation, low, high)


def _interval(mean: float, deviation: float, n: int) -> tuple[float, float]:
    reach = float(_stats().t.ppf((1 + LEVEL) / 2, n - 1)) * deviation / math.sqrt(n)
    return mean - reach, mean + reach


def difference(own: Sequence[float], reference: Sequence[float]) -> Difference:
    """Return the paired difference ``own - reference``, seed by seed."""
    gaps = np.asarray(own, dtype=float) - np.asarray(reference, dtype=float)
    n, mean = len(gaps), float(gaps.mean())
    if n < 2:
        return Difference(n, mean, None, None, None, None, None)
    deviation = float(gaps.std(ddof=1))
    low, high = _interval(mean, deviation, n)
    if not gaps.any():
        return Difference(n, mean, low, high, 1.0, 1.0, 1.0)
    stats = _stats()
    p_t = 0.0 if deviation == 0 else float(stats.ttest_1samp(gaps, 0.0).pvalue)
    # `wilcox` leaves out differences of 0; ties make the exact distribution another one.
    sizes = np.abs(gaps[gaps != 0])
    exact = len(np.unique(sizes)) == len(gaps)
    p_wilcoxon = float(stats.wilcoxon(gaps, method="exact" if exact else "asymptotic").pvalue)
    return Difference(n, mean, low, high, p_t, _signs(gaps), p_wilcoxon)


def _signs(gaps: Any) -> float:
    """Return the part of all changes of signs whose mean is as far from 0 as that of the differences."""
    n = len(gaps)
    if n <= ENUMERATED:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        extra = 0
    else:
        patterns = np.random.default_rng(0).integers(0, 2, (DRAWS, n))
        extra = 1
    means = np.abs(((1 - 2 * patterns) * gaps).mean(axis=1))
    hits = int((means >= abs(gaps.mean()) * (1 - 1e-12)).sum())
    return (hits + extra) / (len(patterns) + extra)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number: the smallest times m, the next times m - 1, never falling."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    result, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        result[index] = largest
    return result


def _stats() -> Any:
    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise UsageError(
            "intervals and tests need scipy, which is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    return stats
