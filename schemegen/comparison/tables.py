"""A comparison as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemegen.comparison.model import Group, Size
from schemegen.comparison.statistics import LEVEL, Difference, Spread
from schemegen.comparison.summary import Cell, Comparison
from schemegen.report.tables import Table, without_empty

__all__ = ["headline", "interval", "percent", "sizes", "tables", "verdict"]

SURE = 0.05
SEVERITY = tuple(f" {level}" for level in range(1, 6))


def headline(found: Comparison) -> str:
    """Return what was compared."""
    seeds = len(found.plan.request.seeds)
    return (
        f"{', '.join(found.arms)}: {seeds} seed{'s' * (seeds != 1)}, against {found.plan.reference}"
    )


def tables(found: Comparison, *, severities: bool = False) -> list[Table]:
    """Return a table for each group and measure; single ``severities`` of noise only where they are asked for."""
    made = []
    for group in found.plan.groups:
        made.append(sizes(group, [(arm, found.size(arm, group)) for arm in found.arms]))
        for measure in found.measures:
            if severities or not _single(measure):
                made.append(_measure(found, group, measure))
    return made


def _single(measure: str) -> bool:
    return "noise" in measure and measure.endswith(SEVERITY)


def percent(value: float | None, digits: int = 2) -> str:
    """Return a share in percent, without the sign."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def interval(item: Spread | Difference | None) -> str:
    """Return ``[95.1, 96.3]`` in percent, a dash where there is none."""
    if item is None or item.low is None or item.high is None:
        return "-"
    return f"[{percent(item.low)}, {percent(item.high)}]"


def verdict(item: Difference | None) -> str:
    """Return what the corrected paired t test says at 5 %: higher, lower, or open."""
    if item is None or item.p_holm is None:
        return "-"
    if item.p_holm >= SURE:
        return "open"
    return "higher" if item.mean > 0 else "lower"


def sizes(group: Group, items: Sequence[tuple[str, Size]]) -> Table:
    """Return what the networks of a group cost."""
    rows = []
    for arm, size in items:
        rows.append(
            (
                arm,
                " + ".join(map(str, size.steps)),
                ", ".join(map(str, size.widths)),
                f"{size.parameters:,}",
                str(size.evaluations),
                f"{size.flops:,}",
            )
        )
    columns = ("scheme", "steps", "widths", "parameters", "evaluations", "FLOPs an image")
    return Table(f"Networks: {group}", columns, tuple(rows), 3)


def _measure(found: Comparison, group: Group, measure: str) -> Table:
    cells = [cell for cell in found.cells if cell.group == group and cell.measure == measure]
    rows = tuple(_row(cell) for cell in cells)
    columns = (
        "scheme",
        "mean %",
        "sd",
        f"{LEVEL:.0%} interval",
        "difference",
        f"{LEVEL:.0%} interval",
        "p",
        "exact",
        "ranks",
        "Holm",
        "verdict",
    )
    return without_empty(Table(f"{measure}: {group}", columns, rows, 1, tuple(_remarks(cells))))


def _row(cell: Cell) -> tuple[str, ...]:
    own, gap = cell.spread, cell.against
    tests = ("-",) * 4
    if gap is not None:
        tests = (_p(gap.p_t), _p(gap.p_exact), _p(gap.p_wilcoxon), _p(gap.p_holm))
    return (
        cell.arm,
        percent(None if own is None else own.mean),
        percent(None if own is None else own.deviation),
        interval(own),
        "-" if gap is None else f"{100 * gap.mean:+.2f}",
        interval(gap),
        *tests,
        verdict(gap),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _remarks(cells: list[Cell]) -> Iterator[str]:
    for cell in cells:
        if cell.failed:
            done = 0 if cell.spread is None else cell.spread.n
            yield f"{cell.arm}: {cell.failed} of {cell.failed + done} runs diverged and are left out"
