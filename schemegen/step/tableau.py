"""Runge-Kutta updates as equations::

    Y_i = u + h sum_f sum_j a_ij^f f(Y_j)        u' = u + h sum_f sum_i b_i^f f(Y_i)

Several parts (``tableau .. for f``) share their stages: additive and IMEX methods. Sources: Butcher
(2016), sec. 232; Ascher, Ruuth, Spiteri (1997); integrating factors: Lawson (1967).
"""

from __future__ import annotations

from collections.abc import Sequence

from schemegen.diagnostics import Span
from schemegen.exact import is_zero
from schemegen.scheme.model import Coefficient, TableauPart, Tableaus
from schemegen.step.builder import ONE, Builder, Linear, add, after, now, scale
from schemegen.step.damping import Damped
from schemegen.step.program import H, Origin

__all__ = ["write_tableaus"]

Rows = Sequence[tuple[Coefficient, ...]]


def write_tableaus(builder: Builder, update: Tableaus, damped: Damped) -> None:
    """Write stages, slopes, the update and, where there is one, the embedded solution."""
    parts, state = update.parts, builder.states[0]
    arguments = [_argument(builder, update, row, damped) for row in range(len(parts[0].tableau.b))]
    for row, argument in enumerate(arguments):
        span = _row_span(parts[0], row)
        if argument != now(state):
            entries = [part.tableau.a[row] for part in parts]
            time = parts[0].tableau.c[row]
            linear = _sum(builder, update, entries, time, arguments, damped)
            builder.combine(argument, linear, Origin(span, argument))
        for part in parts:
            for field in part.drifts:
                at = (argument,) * len(builder.drifts[field].arguments)
                name = _slope(builder, field, row, arguments)
                origin = Origin(_row_span(part, row) or span, name)
                time = part.tableau.c[row]
                builder.evaluate(field, at, origin, name=name, stage=row, time=time)
    _write_end(builder, update, arguments, damped)


def _write_end(
    builder: Builder, update: Tableaus, arguments: Sequence[str], damped: Damped
) -> None:
    parts, state = update.parts, builder.states[0]
    rows = {after(state): [part.tableau.b for part in parts]}
    if any(part.tableau.b_hat is not None for part in parts):
        rows[f"{state}_hat[n+1]"] = [part.tableau.b_hat or part.tableau.b for part in parts]
        builder.embedded.append((state, f"{state}_hat[n+1]"))
    for target, weights in rows.items():
        linear = damped.finish(_sum(builder, update, weights, ONE, arguments, damped))
        builder.combine(target, linear, Origin(_end_span(parts[0]), target))


def _sum(
    builder: Builder,
    update: Tableaus,
    entries: Rows,
    time: Coefficient,
    arguments: Sequence[str],
    damped: Damped,
) -> Linear:
    """Return ``u + h sum_f sum_j entries_fj f(Y_j)`` at ``time``, with integrating factors if exact."""
    if damped.mode == "exact" and _is_euler(update):
        slopes = {
            _slope(builder, field, 0, arguments): H * row[0]
            for part, row in zip(update.parts, entries, strict=True)
            for field in part.drifts
        }
        state = now(builder.states[0])
        return damped.euler(state, {state: ONE}, slopes)
    total: Linear = {now(builder.states[0]): damped.decay(time)}
    for leading, (part, row) in enumerate(zip(update.parts, entries, strict=True)):
        for column, entry in enumerate(row):
            if is_zero(entry):
                continue
            factor = H * entry * damped.decay(time - part.tableau.c[column])
            for number, field in enumerate(part.drifts):
                slope, at = _slope(builder, field, column, arguments), arguments[column]
                field_value = damped.field(slope, at, lead=leading == 0 and number == 0)
                total = add(total, scale(factor, field_value))
    return total


def _is_euler(update: Tableaus) -> bool:
    """Whether the method is one explicit stage, for which exact damping means ETD1."""
    return all(part.tableau.stages == 1 and is_zero(part.tableau.a[0][0]) for part in update.parts)


def _argument(builder: Builder, update: Tableaus, row: int, damped: Damped) -> str:
    """Return the name of stage ``row``: ``u[n]`` itself where the stage is equal to it."""
    at_start = all(is_zero(entry) for part in update.parts for entry in part.tableau.a[row])
    moved = damped.mode == "exact" and not is_zero(update.parts[0].tableau.c[row])
    return now(builder.states[0]) if at_start and not moved else f"Y{row + 1}"


def _slope(builder: Builder, field: str, row: int, arguments: Sequence[str]) -> str:
    """Return the name of a slope; stages equal to ``u[n]`` have one, unless each has its own weights."""
    start = now(builder.states[0])
    if arguments[row] == start and builder.drifts[field].weights not in {"stage", "call"}:
        row = arguments.index(start)
    return f"k{row + 1}_{field}" if len(builder.drifts) > 1 else f"k{row + 1}"


def _row_span(part: TableauPart, row: int) -> Span | None:
    """Return the place of a row's cells as written."""
    spans = part.tableau.a_spans[row] if row < len(part.tableau.a_spans) else ()
    return _whole([span for span in spans if span is not None]) or part.span


def _end_span(part: TableauPart) -> Span | None:
    return _whole([span for span in part.tableau.b_spans if span is not None]) or part.span


def _whole(spans: Sequence[Span]) -> Span | None:
    return spans[0].to(spans[-1]) if spans else None
