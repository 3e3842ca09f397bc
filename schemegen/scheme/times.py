"""The time of an evaluation: ``f(u, t + h/2)`` is at half a step after the step's own time ``t``."""

from __future__ import annotations

from collections.abc import Iterable

import sympy

from schemegen import exact
from schemegen.language.nodes import Call, Expression, Index, Name
from schemegen.scheme.expressions import coefficient
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Coefficient, Drift
from schemegen.scheme.names import Names
from schemegen.scheme.report import Report

__all__ = ["TIME", "abscissa", "check_times"]

TIME = sympy.Symbol("t")
STEP = sympy.Symbol("h")


def abscissa(time: Coefficient) -> Coefficient | None:
    """Return c of ``t + c h``, None where a time has another form."""
    shift = sympy.expand(time - TIME)
    c = sympy.cancel(shift / STEP)
    return None if c.free_symbols & {TIME, STEP} else c


def check_times(names: Names, root: Expression, drifts: Iterable[Drift]) -> None:
    """Report times that are no ``t + c h`` (E0316), and ``t`` where no drift takes it (E0301)."""
    timed = {drift.name for drift in drifts if drift.timed}
    if not timed:
        return
    taken: set[int] = set()
    for node in parts(root):
        if isinstance(node, Call) and node.name in timed and len(node.arguments) > 1:
            time = node.arguments[-1]
            taken |= {part.span.start for part in parts(time)}
            _check(names, node, time)
    for node in parts(root):
        if isinstance(node, Name) and node.id == "t" and node.span.start not in taken:
            names.report.add(
                "E0301",
                "`t` is the time, which only the last argument of a drift may be",
                node.span,
                "a coefficient that changes from step to step is a `schedule`",
            )


def _check(names: Names, call: Call, time: Expression) -> None:
    """Report a time of another form, or one that a remembered slope does not have."""
    report, quiet = names.report, Report()
    if any(isinstance(part, Index) for part in parts(time)):
        value = None
    else:
        value = coefficient(time, names.without("noise"), quiet)
    c = None if value is None else abscissa(value)
    if c is None:
        report.add(
            "E0316",
            f"the last argument of `{call.name}` is the time `t + c*h`, found `{time.span.text}`",
            time.span,
            f"write `{call.name}(.., t)` or `{call.name}(.., t + h/2)`",
        )
        return
    lags = [item.offset for item in call.arguments[:-1] if isinstance(item, Index)]
    if len(lags) == len(call.arguments) - 1 and max(lags) < 0 and not exact.is_zero(c - max(lags)):
        lag = -max(lags)
        own = "t - h" if lag == 1 else f"t - {lag}*h"
        report.add(
            "E0316",
            f"`{call.span.text}` is a slope that was kept, so its time is `{own}`",
            time.span,
            f"write `{own}`",
            replacement=own,
        )
