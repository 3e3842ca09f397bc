"""Orders and modified equations: slopes of distances against the step size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from schemegen.analysis.model import Analysis
from schemegen.step.program import Evaluate
from schemegen.verification.model import Check
from schemegen.verification.modified import ModifiedField
from schemegen.verification.problem import LONG, Derivative, State, fields_of, flow, gap
from schemegen.verification.subject import Subject

__all__ = ["TOLERANCE", "convergence", "global_slope"]

TOLERANCE = 0.15  # of a slope
FIRST = 12  # steps per unit of time of the first try
MOST = {1: 360, 2: 180}  # and of the last
SMALLEST = 1e-15  # the distance aimed at, above rounding for this problem
RUN_IN = 45  # steps at least in which an auxiliary state finds its own value
SLOW = (
    120  # steps after which no slope is measured: the memory outlasts the steps that a slope takes
)


def convergence(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Yield the checks of order, embedded order, and modified and modifying equation."""
    equation = analysis.modified_equation
    if equation is None or equation.field is None or analysis.order is None:
        text = "no modified equation near u' = f is claimed"
        yield Check("order", "order", _text(analysis.order), note=text)
        return
    if subject.auxiliary and settling(subject, start_of(subject)) > SLOW:
        text = (
            f"{', '.join(subject.auxiliary)} keeps its start for too many steps to measure a slope"
        )
        yield Check("order", "order", _text(analysis.order), note=text)
        return
    modified = ModifiedField(subject, equation.field)
    if (
        analysis.order_nearly is not None
    ):  # the step sizes here see the decimals as what they stand for
        order = analysis.order_nearly.order
        yield _compared("order_nearly", "order", order, global_slope(subject, modified, 0, order))
        return
    yield _compared(
        "order", "order", analysis.order, global_slope(subject, modified, 0, analysis.order)
    )
    powers = modified.powers()
    cuts = [power for power in powers if power >= analysis.order]
    for cut, following in pairwise(cuts):
        what = f"distance from the modified equation up to h^{cut}"
        found = global_slope(subject, modified, cut, following)
        yield _compared("modified_equation", what, following, found)
    if cuts and not subject.program.history:  # a history that is cut too starts parasitic solutions
        yield _rest(subject, modified, cuts[-1], equation.truncation)
    if analysis.embedded_order is not None:
        yield from _embedded(subject, modified, analysis.embedded_order)
    yield from _modifying(subject, analysis, modified)
    yield from _principal(subject, analysis, modified)


def _rest(subject: Subject, modified: ModifiedField, cut: int, truncation: int) -> Check:
    """Check the power of what follows the last term kept: the truncation, or higher."""
    what = f"distance from the modified equation up to h^{cut}"
    found = global_slope(subject, modified, cut, truncation)
    holds = found >= truncation - TOLERANCE
    claimed, note = f"at least {truncation}", "slope against h"
    return Check("modified_equation", what, claimed, f"{found:.2f}", holds, note)


def _text(order: int | None) -> str:
    return "not decided" if order is None else str(order)


def _compared(key: str, what: str, claimed: int, found: float) -> Check:
    holds = abs(found - claimed) <= TOLERANCE
    return Check(key, what, str(claimed), f"{found:.2f}", holds, "slope against h")


# --- many steps ---------------------------------------------------------------------------------------


def history(
    subject: Subject, field: Derivative, start: State, h: Any, aux: State
) -> list[dict[str, Any]]:
    """Return what the inputs refer to, 1, 2, .. steps ago, on the solution of ``field``."""
    program = subject.program
    fields = fields_of(program)
    held = []
    for lag in range(1, program.history + 1):
        past = flow(field, start, -lag * h)
        values = {f"{name}[n]": x for name, x in {**past, **aux}.items()}
        for statement in program.statements:
            if isinstance(statement, Evaluate) and all(at in values for at in statement.at):
                at = [values[name] for name in statement.at]
                values.setdefault(statement.target, fields[statement.field](*at))
        held.append(values)
    return held


def solution(subject: Subject, field: Derivative, start: State, h: Any, steps: int) -> State:
    """Follow the scheme from ``start`` with the history on the solution of ``field``."""
    program = subject.program
    fields = fields_of(program)
    zero = 0 * next(iter(start.values()))
    current = {**start, **dict.fromkeys(subject.auxiliary, zero)}
    past = history(subject, field, start, h, dict.fromkeys(subject.auxiliary, zero))
    for _ in range(steps):
        values = {f"{name}[n]": x for name, x in current.items()}
        values |= {item.name: past[item.lag - 1][item.of] for item in program.inputs}
        result = subject.step(values, fields, h)
        past = [result, *past][: program.history]
        current = {name: result[f"{name}[n+1]"] for name in current}
    return current


def start_of(subject: Subject) -> State:
    """Return the state at which the test problems begin."""
    points = np.array([0.3, -0.5, 0.8, 0.1, -0.4, 0.6], dtype=LONG)
    return {
        name: np.roll(points, -2 * i)[:2] + LONG(i // 3) / 10
        for i, name in enumerate(subject.principal)
    }


def distance(subject: Subject, modified: ModifiedField, h: Any, power: int, steps: int) -> float:
    """Return how far the scheme and the truncated equation are apart after ``steps`` steps.

    The history is on the best equation known, so that no parasitic solution is started. An auxiliary
    state finds its own value during the first steps, which are left out.
    """
    start = start_of(subject)
    best = modified.truncated(h, max(modified.powers()))
    waiting = settling(subject, start) if subject.auxiliary else 0
    if waiting:
        begin = flow(best, start, -waiting * h)
        run_in = solution(subject, best, begin, h, waiting)
        found = solution(subject, best, begin, h, waiting + steps)
        start = {name: run_in[name] for name in start}
    else:
        found = solution(subject, best, start, h, steps)
    return gap(found, flow(modified.truncated(h, power), start, h * steps))


def settling(subject: Subject, start: State) -> int:
    """Return how many steps an auxiliary state needs to forget its start: down to rounding, if it decays."""
    fields, zero = fields_of(subject.program), 0 * next(iter(start.values()))
    found = []
    for value in (zero, zero + 1):
        states = {**start, **dict.fromkeys(subject.auxiliary, value)}
        values = {f"{name}[n]": x for name, x in states.items()}
        result = subject.step(values, fields, LONG(1) / 10**6)
        found.append([result[f"{name}[n+1]"] for name in subject.auxiliary])
    rate = max(float(abs(a - b).max()) for a, b in zip(*found, strict=True))
    if not 0 < rate < 1:
        return RUN_IN
    return max(RUN_IN, math.ceil(math.log(1e-18) / math.log(rate)))


def global_slope(subject: Subject, modified: ModifiedField, cut: int, expected: int) -> float:
    """Return the slope of the distance from the equation with the terms up to ``h^cut``.

    Slopes between three step sizes, h, 2/3 h and 4/9 h, are extrapolated to h = 0 as ``s + c h``. The step
    is as small as the expected slope allows before rounding sets in, or as time does.
    """

    def at(count: int) -> float:
        return distance(subject, modified, LONG(1) / count, cut, count // 2)

    aim = FIRST * (max(at(FIRST), 1e-30) / SMALLEST) ** (1 / max(expected, 1))
    unit = 2 * round(min(max(aim, 18), MOST.get(expected, 126)) / 18)
    return extrapolated(*(at(count * unit) for count in (4, 6, 9)))


def extrapolated(first: float, second: float, third: float) -> float:
    """Return the slope at h = 0 of distances at h, 2/3 h and 4/9 h."""
    if min(first, second, third) <= 0:
        return math.inf
    coarse, fine = (math.log(a / b, 1.5) for a, b in ((first, second), (second, third)))
    return 3 * fine - 2 * coarse


# --- one step -----------------------------------------------------------------------------------------


def local_slope(error: Callable[[Any], float], expected: int) -> float:
    """Return the slope of a local error that should be ``h^expected``."""
    aim = SMALLEST * 100
    first = LONG(1) / 4
    size = error(first)
    ratio = (aim / max(size, 1e-30)) ** (1 / max(expected, 1))
    h = first * LONG(min(max(ratio, 1e-3), 1.0)) * LONG(9) / 4
    h = min(h, LONG(1) / 4)
    return extrapolated(error(h), error(h * 2 / 3), error(h * 4 / 9))


def one_step(subject: Subject, limit: Derivative, fields: Any, h: Any) -> dict[str, Any]:
    """Return every value of one step from the start, with the history on the solution of ``limit``."""
    start = start_of(subject)
    past = history(subject, limit, start, h, {})
    values = {f"{name}[n]": x for name, x in start.items()}
    values |= {item.name: past[item.lag - 1][item.of] for item in subject.program.inputs}
    return subject.step(values, fields, h)


def _embedded(subject: Subject, modified: ModifiedField, claimed: int) -> Iterator[Check]:
    program = subject.program
    limit = modified.truncated(LONG(1), 0)
    hats = {state: value for state, value in program.embedded if state in subject.principal}

    def error(h: Any) -> float:
        values = one_step(subject, limit, fields_of(program), h)
        return gap({s: values[v] for s, v in hats.items()}, flow(limit, start_of(subject), h))

    found = local_slope(error, claimed + 1) - 1
    yield _compared("embedded_order", "embedded order", claimed, found)


def _modifying(subject: Subject, analysis: Analysis, modified: ModifiedField) -> Iterator[Check]:
    """Feed the modifying field to the scheme: the step follows the exact flow one power further a term."""
    program = subject.program
    if analysis.modifying_equation is None:
        return
    what = "scheme of the modifying field against the exact flow"
    drifts = [item for item in program.fields if item.kind == "drift"]
    if len(drifts) != 1 or len(program.states) != 1 or program.history or subject.scaled:
        text = "measured for one-step schemes of one field"
        yield Check("modifying_equation", what, "exact", note=text)
        return
    modifying = ModifiedField(subject, analysis.modifying_equation)
    limit = modified.truncated(LONG(1), 0)
    state, last = (
        program.states[0].name,
        max(term.h_power for _, t in analysis.modifying_equation for term in t),
    )
    claimed = last + 2

    def error(h: Any) -> float:
        better = modifying.truncated(h, last)
        fields = {drifts[0].name: lambda x: better({state: x})[state]}
        values = one_step(subject, limit, fields, h)
        return gap({state: values[f"{state}[n+1]"]}, flow(limit, start_of(subject), h))

    found = local_slope(error, claimed)
    measured = f"{found:.2f}"
    holds = found >= claimed - TOLERANCE  # symmetric methods gain a power
    yield Check(
        "modifying_equation", what, f"at least {claimed}", measured, holds, "slope against h"
    )


def _principal(subject: Subject, analysis: Analysis, modified: ModifiedField) -> Iterator[Check]:
    """Compare the local error over h^(p+1) with the claimed leading terms."""
    program = subject.program
    if analysis.order is None or not analysis.principal_error:
        return
    if program.history or subject.auxiliary or subject.scaled or len(subject.principal) != 1:
        return
    state = subject.principal[0]
    leading = ModifiedField(subject, ((state, analysis.principal_error),), modified.terms)
    limit = modified.truncated(LONG(1), 0)
    power = analysis.order + 1

    def ratio(h: Any) -> Any:
        values = one_step(subject, limit, fields_of(program), h)
        exact = flow(limit, start_of(subject), h)
        return (values[f"{state}[n+1]"] - exact[state]) / h**power

    sizes = [LONG(1) / 6 * (LONG(3) / 4) ** i for i in range(6)]
    rows = [ratio(h) for h in sizes]
    for level in range(1, len(sizes)):  # Neville's extrapolation to h = 0
        rows = [
            b + (b - a) * sizes[i + level] / (sizes[i] - sizes[i + level])
            for i, (a, b) in enumerate(pairwise(rows))
        ]
    wanted = leading.truncated(LONG(1), power)(start_of(subject))[state]
    off = float(abs(rows[0] - wanted).max() / max(abs(wanted).max(), LONG(1e-12)))
    yield Check(
        "principal_error",
        f"leading error term, h^{power}",
        "as derived",
        f"off by {off:.1e}",
        off < 0.05,
        "local error over its power of h, extrapolated",
    )
