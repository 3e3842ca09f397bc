"""Weights that change with depth: the first term they add to the modified equation.

A network's step n uses the weights of its own, ``f(u, theta(t_n))``, and remembered slopes those of their steps.
Where ``theta`` is smooth in depth the step is ``u[n+1] = sum_l a_l u[n-l] + h sum_j b_j f(Y_j, t_n + tau_j h)``
with ``tau_j = 0`` for its own evaluations and ``-l`` for those l steps ago,
``c_j`` for a drift that takes the time itself, and the modified equation
``u' = c f + h (.. + B f_t)`` has::

    c = sum b_j / d        B = (sum b_j tau_j - c/2 (1 - sum_l a_l l^2)) / d        d = 1 + sum_l a_l l

by comparing the powers of h. A one-step method has B = -1/2: it is of order 1 in the depth, whatever its order.
Source: Hairer, Lubich, Wanner (2006), IX.1, applied to ``(u, t)``; Lu et al. (2018) freeze the weights.
"""

from __future__ import annotations

from typing import Any

import sympy

from schemegen.analysis.stages import Stages
from schemegen.scheme.model import Scheme

__all__ = ["depth_term"]

Element = Any


def depth_term(scheme: Scheme, found: Stages | None) -> tuple[sympy.Expr | None, str]:
    """Return B in front of ``h f_t``, else None and the reason."""
    if found is None or len(scheme.states) != 1 or len(scheme.drifts) != 1:
        return None, "worked out for one state and one drift"
    weights, timed = scheme.drifts[0].weights, scheme.drifts[0].timed
    if weights == "network" and not timed:
        return None, "all steps share their weights, so nothing changes with depth"
    if timed and weights != "network":
        return None, "the time is given to weights that change with depth themselves"
    if weights not in ("step", "smooth", "network"):
        return None, "several sets of weights a step are no samples of one smooth function"
    state = f"{scheme.states[0].name}[n]"
    field = found.coefficients.field
    slopes = {
        slope.name: found.coefficients.split(slope.time).get(0, field.zero)
        for slope in found.slopes
    }
    total, delayed, first, second = field.zero, field.zero, field.zero, field.zero
    for column, entry in found.new[state].items():
        name, _, text = column.partition("@")
        lag = int(text or 0)
        if name == state:
            if set(entry) != {0}:
                return None, "a power of h multiplies a state"
            first += entry[0] * lag
            second += entry[0] * lag**2
        elif (name in slopes or text) and set(entry) == {1}:
            total += entry[1]
            delayed += entry[1] * (slopes.get(name, field.zero) - lag)
        else:
            return None, "the update is no sum of states and slopes"
    d = field.one + first
    if not d:
        return None, "the equation at h = 0 is of second order"
    c = total / d
    b = (delayed - c / 2 * (field.one - second)) / d
    return sympy.factor(found.coefficients.expr(b)), ""
