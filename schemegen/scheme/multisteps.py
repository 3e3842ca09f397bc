"""``multistep``: columns ``n+1 n n-1 ..``, a row for the state and one for each drift."""

from __future__ import annotations

import sympy

from schemegen import exact
from schemegen.diagnostics import Span
from schemegen.language.nodes import MultistepBlock, MultistepRow
from schemegen.scheme.expressions import coefficient
from schemegen.scheme.model import Coefficient, Drift, Multistep, State
from schemegen.scheme.names import Names

__all__ = ["HISTORY", "multistep"]

HISTORY = 16
FUNCTIONS = frozenset({"sqrt"})


def _column(offset: int) -> str:
    return "n" if offset == 0 else f"n{offset:+d}"


def _columns_run_down(names: Names, node: MultistepBlock) -> bool:
    """Whether the columns are ``n+1 n n-1 ..`` without a gap (E0214)."""
    expected = 1
    for place, column in enumerate(node.columns):
        if column.offset != expected:
            found = f"`{_column(column.offset)}`"
            after = f" after `{_column(node.columns[place - 1].offset)}`" if place else " first"
            names.report.add(
                "E0214",
                f"multistep columns must run `n+1 n n-1 ..`, found {found}{after}",
                column.span,
                f"add `{_column(expected)}`",
            )
            return False
        expected -= 1
    if len(node.columns) < 2:
        names.report.add(
            "E0214",
            "multistep columns must run `n+1 n n-1 ..`, found only one",
            node.columns[0].span,
            "add `n`",
        )
        return False
    if len(node.columns) - 2 > HISTORY:
        names.report.add(
            "E0118",
            f"the method reaches {len(node.columns) - 2} steps back, the limit is {HISTORY}",
            node.columns[HISTORY + 2].span,
            "limits are listed in `explain E0118`",
        )
        return False
    return True


def _row(
    names: Names, row: MultistepRow, count: int
) -> tuple[tuple[Coefficient, ...], tuple[Span, ...]] | None:
    if len(row.cells) != count:
        names.report.add(
            "E0201",
            f"row `{row.label.id}` has {len(row.cells)} entries, the columns are {count}",
            row.cells[0].span.to(row.cells[-1].span),
            "give each column one entry, 0 where it is not used",
        )
        return None
    known = names.without("noise")
    values = [coefficient(cell, known, names.report, functions=FUNCTIONS) for cell in row.cells]
    if any(value is None for value in values):
        return None
    spans = tuple(cell.span for cell in row.cells)
    return tuple(value for value in values if value is not None), spans


def multistep(
    names: Names,
    node: MultistepBlock,
    states: tuple[State, ...],
    drifts: tuple[Drift, ...],
    *,
    has_solver: bool,
) -> Multistep | None:
    """Return a checked multistep method, or None after reporting what is wrong with it."""
    report = names.report
    if node.span.start in report.damaged or not _columns_run_down(names, node):
        return None
    state_names = {item.name for item in states}
    drift_names = {item.name for item in drifts}
    alpha: tuple[str, tuple[Coefficient, ...]] | None = None
    beta: dict[str, tuple[Coefficient, ...]] = {}
    sound = True
    for row in node.rows:
        label = row.label.id
        if label not in state_names | drift_names:
            report.unknown(
                "E0301",
                f"`{label}` is neither a state nor a drift",
                label,
                row.label.span,
                state_names | drift_names,
                "name",
            )
            sound = False
            continue
        if label in beta or (alpha is not None and label == alpha[0]):
            report.add("E0219", f"row `{label}` is given twice", row.label.span, "keep one")
            sound = False
            continue
        found = _row(names, row, len(node.columns))
        if found is None:
            sound = False
            continue
        values, spans = found
        if label in state_names:
            if alpha is not None:
                report.add(
                    "E0220",
                    "a multistep block is about one state",
                    row.label.span,
                    "write several states as `step { }` equations",
                )
                sound = False
            alpha = (label, values)
            if exact.is_zero(values[0]):
                report.add(
                    "E0215",
                    f"the coefficient of `{label}` at `n+1` is 0, so nothing is updated",
                    spans[0],
                    "write `1`",
                )
                sound = False
        else:
            beta[label] = values
            if not has_solver and not exact.is_zero(values[0]):
                report.add(
                    "E0216",
                    f"`{label}` at `n+1` makes the scheme implicit",
                    spans[0],
                    "set it to 0 or add `solve:`",
                )
    if alpha is None and sound:
        report.add(
            "E0220", "the multistep block has no row for a state", node.span, "add its row first"
        )
    if alpha is None or not sound:
        return None
    if not beta:
        report.add("E0220", "the multistep block has no row for a drift", node.span, "add one")
        return None
    _sums(names, node, alpha[1])
    spans_of = {row.label.id: tuple(cell.span for cell in row.cells) for row in node.rows}
    written = tuple(spans_of[label] for label in (alpha[0], *beta))
    return Multistep(alpha[0], alpha[1], tuple(beta.items()), node.span, written)


def _sums(names: Names, node: MultistepBlock, alpha: tuple[Coefficient, ...]) -> None:
    """Report ``rho(1) != 0``: a constant solution would not be kept (E0204)."""
    total = exact.canonical(sum(alpha, sympy.Integer(0)))
    if total.free_symbols or exact.is_zero(total):
        return
    row = next(row for row in node.rows if len(row.cells) == len(alpha))
    names.report.add(
        "E0204",
        f"the coefficients of `{row.label.id}` sum to {total}, so the method is not consistent",
        row.cells[0].span.to(row.cells[-1].span),
        "they must sum to 0",
    )
