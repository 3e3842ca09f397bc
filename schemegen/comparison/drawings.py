"""The curves of a comparison: over depth, over a perturbation, over the epochs."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from schemegen.comparison.model import Group
from schemegen.comparison.summary import Cell, Comparison
from schemegen.comparison.tables import headline
from schemegen.report.plots.curves import Curve, Panel

__all__ = ["panels"]

TEST = "test_accuracy"


def panels(found: Comparison) -> dict[str, tuple[str, tuple[Panel, ...]]]:
    """Return by the name of its file a title and the panels of each picture that there is something for."""
    made = {
        "learning": tuple(_learning(found, group) for group in found.plan.groups),
        "depth": tuple(_depth(found)),
        "perturbation": tuple(_perturbation(found)),
    }
    return {name: (headline(found), parts) for name, parts in made.items() if parts}


def _learning(found: Comparison, group: Group) -> Panel:
    curves = []
    for arm in found.arms:
        own = [r for r in found.results if r.arm == arm and r.group == group and r.history]
        if not own:
            continue
        length = min(len(result.history) for result in own)
        values = np.array([[100 * e[TEST] for e in r.history[:length]] for r in own])
        mean = values.mean(axis=0)
        spread = values.std(axis=0, ddof=1) if len(own) > 1 else np.zeros(length)
        epochs = np.arange(1.0, length + 1)
        curves.append(Curve(arm, epochs, mean, mean - spread, mean + spread, band=True))
    return Panel(str(group), "epoch", "test accuracy, %", tuple(curves))


def _depth(found: Comparison) -> Iterator[Panel]:
    """Yield accuracy over the number of steps, where schemes were trained at several depths."""
    places = dict.fromkeys((group.data, group.network) for group in found.plan.groups)
    for data, network in places:
        groups = [g for g in found.plan.groups if (g.data, g.network) == (data, network)]
        if len(groups) < 2:
            continue
        curves = []
        for arm in found.arms:
            cells = [
                (sum(found.size(arm, g).steps), _cell(found, arm, g, "accuracy")) for g in groups
            ]
            points = [(float(x), cell) for x, cell in cells if cell is not None]
            if points:
                curves.append(_curve(arm, points))
        yield Panel(f"{data}, {network}", "steps of the network", "test accuracy, %", tuple(curves))


def _perturbation(found: Comparison) -> Iterator[Panel]:
    """Yield accuracy over the bound of each attack and the severity of each noise."""
    measures = found.plan.request.measures
    for group in found.plan.groups:
        for kind in measures.attacks:
            yield _over(found, group, kind, "bound of the attack", list(measures.eps))
        for kind in measures.corruptions:
            yield _over(found, group, kind, "severity", [str(level) for level in range(1, 6)])


def _over(found: Comparison, group: Group, kind: str, axis: str, levels: list[str]) -> Panel:
    curves = []
    for arm in found.arms:
        first = _cell(found, arm, group, "accuracy")
        points = [(0.0, first)] if first is not None else []
        for level in levels:
            cell = _cell(found, arm, group, f"{kind} {level}")
            if cell is not None:
                points.append((float(Fraction(level)), cell))
        if points:
            curves.append(_curve(arm, sorted(points, key=lambda point: point[0])))
    return Panel(f"{kind.replace('_', ' ')}: {group}", axis, "accuracy, %", tuple(curves))


def _cell(found: Comparison, arm: str, group: Group, measure: str) -> Cell | None:
    return next(
        (
            cell
            for cell in found.cells
            if (cell.arm, cell.group, cell.measure) == (arm, group, measure) and cell.spread
        ),
        None,
    )


def _curve(arm: str, points: list[tuple[float, Cell]]) -> Curve:
    mean, low, high = [], [], []
    for _, cell in points:
        own = cell.spread
        assert own is not None
        mean.append(100 * own.mean)
        low.append(100 * (own.mean if own.low is None else own.low))
        high.append(100 * (own.mean if own.high is None else own.high))
    x = np.array([x for x, _ in points])
    return Curve(arm, x, np.array(mean), np.array(low), np.array(high))
