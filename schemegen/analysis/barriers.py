"""Bounds on what a class of methods can do, named where a method attains them."""

from __future__ import annotations

import sympy

from schemegen.analysis.model import Barrier, Stability
from schemegen.scheme.model import Multistep, Scheme, Tableaus

__all__ = ["barriers"]

EXPLICIT = {5: 6, 6: 7, 7: 9, 8: 11}
"""The least number of stages of an explicit method of order p, p itself up to 4 (Butcher 2016, sec. 32)."""


def barriers(scheme: Scheme, order: int | None, stability: Stability) -> tuple[Barrier, ...]:
    """Return the bounds that a Runge-Kutta or linear multistep method attains."""
    if order is None:
        return ()
    match scheme.update:
        case Tableaus(parts=(part,)):
            return _runge_kutta(part.tableau.kind, part.tableau.stages, order)
        case Multistep(alpha=alpha, beta=((_, beta),)):
            return _multistep(alpha, beta, order, stability)
        case _:
            return ()


def _runge_kutta(kind: str, stages: int, order: int) -> tuple[Barrier, ...]:
    if kind == "explicit" and EXPLICIT.get(order) == stages:
        text = f"an explicit method of order {order} has at least {stages} stages"
        return (Barrier("Butcher", text, "Butcher (2016), sec. 32"),)
    if kind == "dirk" and order == stages + 1:
        text = f"a diagonally implicit method of {stages} stages has at most order {stages + 1}"
        return (Barrier("diagonally implicit order", text, "Norsett, Wolfbrandt (1977)"),)
    if kind == "implicit" and order == 2 * stages:
        text = f"a method of {stages} stages has at most order {2 * stages}"
        return (Barrier("Gauss", text, "Hairer, Wanner (1996), IV.5"),)
    return ()


def _multistep(
    alpha: tuple[sympy.Expr, ...], beta: tuple[sympy.Expr, ...], order: int, stability: Stability
) -> tuple[Barrier, ...]:
    used = [i for i, (a, b) in enumerate(zip(alpha, beta, strict=True)) if a != 0 or b != 0]
    k = max(used)
    found = []
    explicit = beta[0] == 0
    most = k if explicit else k + 2 - k % 2
    if stability.zero_stable is True and order == most:
        which = "an explicit" if explicit else "a"
        text = f"{which} zero-stable method of {k} step{'s' * (k != 1)} has at most order {most}"
        found.append(Barrier("first Dahlquist barrier", text, "Dahlquist (1956)"))
    if stability.a_stable and order == 2:
        text = "an A-stable linear multistep method has at most order 2"
        found.append(Barrier("second Dahlquist barrier", text, "Dahlquist (1963)"))
    return tuple(found)
