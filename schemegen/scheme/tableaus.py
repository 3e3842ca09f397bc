"""``tableau``: shapes, abscissae and weights, each mistake at its own cell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import sympy

from schemegen import exact
from schemegen.diagnostics import Label, Span
from schemegen.language.nodes import Cell, TableauBlock, TableauRow, Unary, WeightRow
from schemegen.scheme.expressions import coefficient, format_exact
from schemegen.scheme.model import Coefficient, Drift, Tableau, TableauPart
from schemegen.scheme.names import Names
from schemegen.scheme.report import Report

__all__ = ["STAGES", "tableau_part"]

STAGES = 32
KINDS = ("explicit", "dirk", "implicit")
FUNCTIONS = frozenset({"sqrt"})
ZERO = sympy.Integer(0)


def _header(
    names: Names, node: TableauBlock, drifts: tuple[Drift, ...]
) -> tuple[str, tuple[str, ...]]:
    """Return the kind and the drifts of ``tableau KIND [for f, g]``."""
    report = names.report
    kind = ""
    targets: list[str] = []
    words = list(node.modifiers)
    while words:
        word = words.pop(0)
        if word.id == "for":
            for target in words:
                if any(drift.name == target.id for drift in drifts):
                    targets.append(target.id)
                    continue
                known = [drift.name for drift in drifts]
                report.unknown(
                    "E0301", f"`{target.id}` is not a drift", target.id, target.span, known, "drift"
                )
            if not words:
                report.add("E0218", "`for` names no drift", word.span, "write `for f`")
            break
        if word.id not in KINDS:
            report.unknown(
                "E0115",
                f"`tableau` has no kind `{word.id}`",
                word.id,
                word.span,
                KINDS,
                "kind",
            )
        elif kind:
            report.add("E0116", f"`{word.id}` contradicts `{kind}`", word.span, "keep one")
        kind = kind or word.id
    return (kind if kind in KINDS else "explicit"), tuple(targets)


def _values(
    cells: tuple[Cell, ...], known: Mapping[str, sympy.Expr], report: Report
) -> tuple[Coefficient, ...] | None:
    values = [coefficient(cell, known, report, functions=FUNCTIONS) for cell in cells]
    if any(value is None for value in values):
        return None
    return tuple(value for value in values if value is not None)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _row_length(report: Report, kind: str, index: int, row: TableauRow, stages: int) -> bool:
    """Whether row ``index`` (from 0) has as many entries as its kind takes (E0201)."""
    short = index if kind == "explicit" else index + 1
    allowed = {short, stages} if kind != "implicit" else {stages}
    if len(row.cells) in allowed or (not row.cells and not index and kind == "explicit"):
        return True
    takes = " or ".join(str(item) for item in sorted(allowed))
    span = row.cells[0].span.to(row.cells[-1].span) if row.cells else row.span
    help_text, text = _join_help(row, allowed)
    article = "an" if kind[0] in "aeiou" else "a"
    report.add(
        "E0201",
        f"row {index + 1} has {_entries(len(row.cells))}, {article} {kind} tableau of {stages} "
        f"stages takes {takes}",
        span,
        help_text,
        text=text,
    )
    return False


def _join_help(row: TableauRow, allowed: set[int]) -> tuple[str, str]:
    """Return the help for a row whose entries were meant as one difference, else the plain one."""
    cells = row.cells
    if len(cells) - 1 in allowed and len(cells) > 1:
        for left, right in pairwise(cells):
            if isinstance(right, Unary):
                sign = " ".join((left.span.text, right.operator, right.operand.span.text))
                said = f"two entries: `{left.span.text}` and `{right.span.text}`"
                return f"for one entry write `({sign})`", said if len(cells) == 2 else ""
    return "give each earlier stage one entry, 0 where it is not used", ""


def _abscissa(
    report: Report,
    known: Mapping[str, sympy.Expr],
    row: TableauRow,
    entries: tuple[Coefficient, ...],
    fallback: Span,
) -> Coefficient:
    """Return c of a row; one that is not the row sum is E0203."""
    total = sum(entries, ZERO)
    if row.abscissa is None:
        return total
    value = coefficient(row.abscissa, known, report, functions=FUNCTIONS)
    if value is None:
        return total
    if not exact.equal(value, total):
        cells = row.cells[0].span.to(row.cells[-1].span) if row.cells else fallback
        shown = format_exact(exact.canonical(total))
        report.add(
            "E0203",
            f"c = {format_exact(value)} differs from the row sum {shown}",
            row.abscissa.span,
            f"write `{shown}`, or leave c out",
            labels=[Label(cells, f"row sum {shown}")],
            text="column c",
            replacement=shown,
        )
    return value


def _diagonal(
    report: Report, kind: str, row: TableauRow, index: int, entries: tuple[Coefficient, ...]
) -> None:
    """Report entries on or above the diagonal that the declared kind excludes (E0205)."""
    first = index if kind == "explicit" else index + 1
    for column in range(first, len(entries)):
        if kind == "implicit" or exact.is_zero(entries[column]):
            continue
        cell = row.cells[column]
        where = "on" if column == index else "above"
        instead = "`tableau dirk` or `implicit`" if column == index else "`tableau implicit`"
        help_text = f"write {instead}"
        if isinstance(cell, Unary):
            help_text += (
                "; after a blank, a sign starts a new entry: for one entry write `(.. - ..)`"
            )
        report.add(
            "E0205",
            f"a[{index + 1},{column + 1}] = {format_exact(entries[column])} is {where} the diagonal, "
            f"but the tableau is declared {kind}",
            cell.span,
            help_text,
        )


def _decimal_thirds(report: Report, cells: tuple[Cell, ...]) -> None:
    """Warn of decimals that look like a cut-off fraction (W0207)."""
    for cell in cells:
        inner = cell.operand if isinstance(cell, Unary) else cell
        text = getattr(inner, "text", "")
        if "." not in text or "e" in text.lower():
            continue
        digits = text.partition(".")[2]
        if len(digits) < 3:
            continue
        value = sympy.Rational(inner.value.numerator, inner.value.denominator)  # type: ignore[union-attr]
        near = value.limit_denominator(12)
        slack = sympy.Rational(1, 10 ** len(digits))
        if near != value and abs(near - value) < slack:
            report.add(
                "W0207",
                f"`{text}` is {value}, not {near}: the order conditions miss by {abs(near - value)}",
                inner.span,
                f"write `{near}`",
                replacement=str(near),
                applicability="maybe",
            )


def _weights(
    report: Report,
    known: Mapping[str, sympy.Expr],
    node: TableauBlock,
    stages: int,
) -> tuple[dict[str, tuple[Coefficient, ...]], dict[str, WeightRow]]:
    """Return the weight rows by label; the first unlabelled one is ``b``."""
    values: dict[str, tuple[Coefficient, ...]] = {}
    rows: dict[str, WeightRow] = {}
    for index, row in enumerate(node.weights):
        label = row.label.id if row.label is not None else ("b" if index == 0 else "bhat")
        if label not in {"b", "bhat"} or label in rows:
            span = row.label.span if row.label is not None else row.span
            said = f"`{label}` is given twice" if label in rows else f"unknown weights `{label}`"
            report.add("E0219", said, span, "a tableau has weights `b` and, embedded, `bhat`")
            continue
        rows[label] = row
        if len(row.cells) != stages:
            count = len(row.cells)
            span = row.cells[0].span.to(row.cells[-1].span)
            report.add(
                "E0202",
                f"the tableau has {stages} stage{'s' * (stages != 1)} but {count} "
                f"weight{'s' * (count != 1)}",
                span,
                "give one weight a stage",
            )
            continue
        entries = _values(row.cells, known, report)
        _decimal_thirds(report, row.cells)
        if entries is None:
            continue
        values[label] = entries
        _consistency(report, row, entries)
    return values, rows


def _consistency(report: Report, row: WeightRow, entries: tuple[Coefficient, ...]) -> None:
    """Report weights that do not sum to 1 (E0204); free params may make them do so (W0403 later)."""
    total = exact.canonical(sum(entries, ZERO))
    if total.free_symbols or exact.equal(total, sympy.Integer(1)):
        return
    missing = format_exact(exact.canonical(1 - total))
    report.add(
        "E0204",
        f"the weights sum to {format_exact(total)}, so the method is not consistent",
        row.cells[0].span.to(row.cells[-1].span),
        f"they must sum to 1; `{missing}` is missing",
    )


def _unused_stages(report: Report, node: TableauBlock, tableau: Tableau) -> None:
    """Warn of stages that neither a later stage nor a weight uses (W0213)."""
    stages = tableau.stages
    live = {
        index
        for index in range(stages)
        if not exact.is_zero(tableau.b[index])
        or (tableau.b_hat is not None and not exact.is_zero(tableau.b_hat[index]))
    }
    pending = list(live)
    while pending:
        row = pending.pop()
        for column in range(stages):
            if column not in live and not exact.is_zero(tableau.a[row][column]):
                live.add(column)
                pending.append(column)
    for index in sorted(set(range(stages)) - live):
        report.add(
            "W0213",
            f"stage {index + 1} is computed but never used",
            node.rows[index].span,
            f"drop row {index + 1}",
        )


def tableau_part(
    names: Names, node: TableauBlock, drifts: tuple[Drift, ...], *, additive: bool
) -> TableauPart | None:
    """Return a checked tableau, or None after reporting what is wrong with it."""
    report = names.report
    kind, targets = _header(names, node, drifts)
    if node.span.start in report.damaged:
        return None
    stages = len(node.rows)
    if stages > STAGES:
        report.add(
            "E0118",
            f"the tableau has {stages} stages, the limit is {STAGES}",
            node.rows[STAGES].span,
            "limits are listed in `explain E0118`",
        )
        return None
    known = names.without("noise")
    before = len(report.diagnostics)
    a, a_spans, c = [], [], []
    for index, row in enumerate(node.rows):
        fits = _row_length(report, kind, index, row, stages)
        entries = _values(row.cells, known, report)
        _decimal_thirds(report, row.cells)
        if not fits or entries is None:
            continue
        _diagonal(report, kind, row, index, entries)
        c.append(_abscissa(report, known, row, entries, row.span))
        padding = stages - len(entries)
        a.append(entries + (ZERO,) * padding)
        a_spans.append(tuple(cell.span for cell in row.cells) + (None,) * padding)
    weights, rows = _weights(report, known, node, stages)
    if report.spoiled_since(before) or "b" not in weights:
        return None
    tableau = Tableau(
        kind,
        tuple(a),
        weights["b"],
        tuple(c),
        weights.get("bhat"),
        tuple(a_spans),
        tuple(cell.span for cell in rows["b"].cells),
        tuple(cell.span for cell in rows["bhat"].cells) if "bhat" in rows else (),
    )
    if not additive:
        _unused_stages(report, node, tableau)
    return TableauPart(targets or tuple(drift.name for drift in drifts), tableau, node.span)
