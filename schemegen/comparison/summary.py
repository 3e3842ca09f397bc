"""Runs put together: for each group and measure the spread of every scheme and its difference to the reference."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from schemegen.comparison.measures import measure_names
from schemegen.comparison.model import Group, RunResult, Size
from schemegen.comparison.request import Plan
from schemegen.comparison.statistics import Difference, Spread, difference, holm, spread
from schemegen.diagnostics import UsageError

__all__ = ["Cell", "Comparison", "comparison_data", "comparison_of", "runs_csv"]

FORMAT = "schemegen-compare-1"
DIGITS = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """One scheme in one group under one measure; ``against``: None for the reference itself, or too few pairs."""

    arm: str
    group: Group
    measure: str
    spread: Spread | None
    against: Difference | None
    failed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that a comparison found, in the order of its plan."""

    plan: Plan
    results: tuple[RunResult, ...]
    cells: tuple[Cell, ...]
    missing: int

    @property
    def measures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.measure for cell in self.cells))

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(arm.label for arm in self.plan.request.arms)

    def size(self, arm: str, group: Group) -> Size:
        return self.plan.sizes[arm, group]


def comparison_of(plan: Plan, results: Mapping[str, RunResult]) -> Comparison:
    """Put results together by the plan, which may lack some: other shares of it compute them."""
    found = []
    for run in plan.runs:
        result = results.get(run.key)
        if result is not None:  # a result may have been computed under another label
            found.append(replace(result, arm=run.arm, group=run.group, seed=run.seed))
    missing = len(plan.runs) - len(found)
    if not found:
        raise UsageError("no run is finished", "leave `--share` out, or run its other parts")
    known = {name for item in found for name in item.measures}
    measures = [name for name in measure_names(plan.request.measures) if name in known]
    cells = [
        cell for group in plan.groups for m in measures for cell in _row(plan, group, m, found)
    ]
    return Comparison(plan, tuple(found), tuple(cells), missing)


def _row(plan: Plan, group: Group, measure: str, results: Sequence[RunResult]) -> list[Cell]:
    """Return the cells of all schemes; p values are corrected for their number."""
    values: dict[str, dict[int, float]] = {arm.label: {} for arm in plan.request.arms}
    failed = dict.fromkeys(values, 0)
    for item in results:
        if item.group == group:
            failed[item.arm] += item.failed is not None
            if measure in item.measures:
                values[item.arm][item.seed] = item.measures[measure]
    reference = values[plan.reference]
    cells = []
    for arm, own in values.items():
        pairs = sorted(own.keys() & reference.keys()) if arm != plan.reference else []
        against = None
        if pairs:
            against = difference([own[s] for s in pairs], [reference[s] for s in pairs])
        over = spread([own[seed] for seed in sorted(own)]) if own else None
        cells.append(Cell(arm, group, measure, over, against, failed[arm]))
    return _corrected(cells)


def _corrected(cells: Sequence[Cell]) -> list[Cell]:
    tested = [i for i, c in enumerate(cells) if c.against is not None and c.against.p_t is not None]
    values = [cells[i].against.p_t for i in tested]  # type: ignore[union-attr]
    result = list(cells)
    for index, value in zip(tested, holm([v for v in values if v is not None]), strict=True):
        against = result[index].against
        assert against is not None
        result[index] = replace(result[index], against=replace(against, p_holm=value))
    return result


# --- forms ---------------------------------------------------------------------------------------------


def comparison_data(found: Comparison) -> dict[str, Any]:
    """Return plain values: what was asked, sizes, every run, and the table; no times and no paths."""
    request = found.plan.request
    return {
        "format": FORMAT,
        "reference": found.plan.reference,
        "arms": [asdict(arm) for arm in request.arms],
        "seeds": list(request.seeds),
        "match": request.match,
        "settings": dict(found.plan.runs[0].settings),
        "measures": asdict(request.measures),
        "sizes": [
            {"arm": arm, "group": asdict(group), **asdict(size)}
            for (arm, group), size in found.plan.sizes.items()
        ],
        "missing": found.missing,
        "runs": [_plain(asdict(result)) for result in found.results],
        "table": [_plain(asdict(cell)) for cell in found.cells],
    }


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float():
            return float(f"{value:.{DIGITS}g}")
        case _:
            return value


def runs_csv(found: Comparison) -> str:
    """Return a line a run and measure, for a spreadsheet or a data frame."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ("arm", "data", "network", "depth", "seed", "parameters", "flops", "measure", "value")
    )
    writer.writerows(_lines(found))
    return stream.getvalue()


def _lines(found: Comparison) -> Iterator[tuple[Any, ...]]:
    for item in found.results:
        size, group = found.size(item.arm, item.group), item.group
        head = (item.arm, group.data, group.network, group.depth or "", item.seed)
        for measure, value in item.measures.items():
            yield (*head, size.parameters, size.flops, measure, f"{value:.{DIGITS}g}")
        if item.failed is not None:
            yield (*head, size.parameters, size.flops, "failed", item.failed)
