"""A share of a number of trials, with its confidence interval."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["clustered", "share", "wilson"]

_NORMAL = 1.959963984540054  # 97.5 % of the standard normal distribution


def wilson(successes: float, trials: float, quantile: float = _NORMAL) -> tuple[float, float]:
    """Return Wilson's interval for a probability, of 95 % where the quantile is not given.

    The p with ``|successes/n - p| <= z sqrt(p (1 - p)/n)``: right also for shares of 0 and 1 and for few trials.
    Trials need not be whole: those of a sample whose trials hang together are fewer than their number.
    Source: Wilson (1927); Agresti, Coull (1998).
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, quantile**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = (
        quantile
        / (1 + square / trials)
        * sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    )
    # The ends are 0 and 1 exactly where nothing or everything succeeded.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return low, high


def share(right: Tensor) -> dict[str, Any]:
    """Return how many of a vector of truth values hold, their share, and its interval."""
    correct, count = int(right.sum()), len(right)
    return {
        "correct": correct,
        "accuracy": correct / count,
        "interval": list(wilson(correct, count)),
    }


def clustered(right: Tensor) -> tuple[float, float]:
    """Return the interval of the share of all entries of ``right`` ``(trials, subjects)``, subjects independent.

    Trials of one subject hang together, so Wilson's interval is taken for the number of independent trials whose
    share has the same variance, ``n = p (1 - p)/Var(mean)``. Source: Kish (1965), the design effect.
    """
    shares = right.double().mean(0)
    mean, count = float(shares.mean()), len(shares)
    variance = float(shares.var()) / count if count > 1 else 0.0
    trials = mean * (1 - mean) / variance if variance > 0 else count
    return wilson(mean * trials, trials)
