"""Learned coefficients beside the exact sets in which the scheme keeps its properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import sympy
from torch import Tensor, nn

from schemegen.analysis.membership import ValueSet
from schemegen.analysis.model import Stability
from schemegen.diagnosis.model import LearnedStage, Outside
from schemegen.report.plots.characteristic import Characteristic, characteristic
from schemegen.scheme.model import Param, Scheme
from schemegen.training.coefficients import belongs, keys_of, value_of

__all__ = ["frozen", "learned_coefficients"]

Places = Sequence[tuple[int, int]]


def learned_coefficients(
    model: nn.Module,
    scheme: Scheme,
    places: Places,
    sets: Sequence[ValueSet],
    stability: Stability,
    initial: nn.Module | None = None,
) -> Iterator[LearnedStage]:
    """Yield what each learnable param has become, a stage of the network at a time.

    Args: places: ``(stage, step)`` of every step. initial: the same network before it was trained.
    """
    stored = dict(model.named_parameters())
    first = dict(initial.named_parameters()) if initial is not None else {}
    for param in scheme.params:
        if not param.learnable:
            continue
        keys = keys_of(model, param)
        for stage in dict.fromkeys(stage for stage, _ in places):
            own = {}
            for place in places:
                key = next(
                    (k for k in keys if place[0] == stage and belongs(k, param, place)), None
                )
                if key is not None:
                    own[place[1]] = key
            if not own:
                continue
            values = {step: value_of(param, stored[key]) for step, key in own.items()}
            start = [float(value_of(param, first[k]).mean()) for k in own.values() if k in first]
            yield _stage(param, stage, values, sets, stability, start)


def _stage(
    param: Param,
    stage: int,
    values: Mapping[int, Tensor],
    sets: Sequence[ValueSet],
    stability: Stability,
    start: Sequence[float],
) -> LearnedStage:
    entries = {step: value.double().flatten().tolist() for step, value in values.items()}
    means = tuple(sum(numbers) / len(numbers) for numbers in entries.values())
    every = [number for numbers in entries.values() for number in numbers]
    return LearnedStage(
        param=param.name,
        stage=stage,
        steps=tuple(entries),
        minimum=min(every),
        mean=sum(means) / len(means),
        maximum=max(every),
        count=len(every),
        initial=sum(start) / len(start) if start else None,
        values=means,
        sets=tuple(
            (item.claim, item.text, tuple(_outside(param, item, entries, stability)))
            for item in sets
            if item.symbols == (param.name,)
        ),
        ends=tuple(end for item in sets if item.symbols == (param.name,) for end in item.ends),
    )


def _outside(
    param: Param, item: ValueSet, entries: Mapping[int, list[float]], stability: Stability
) -> Iterator[Outside]:
    """Yield the steps with an entry outside a set: the one whose mode grows fastest."""
    for step, numbers in entries.items():
        out = [number for number in numbers if item.holds({param.name: number}) is False]
        if not out:
            continue
        rates = {number: _growth(stability, {param.name: number}) for number in dict.fromkeys(out)}
        worst = max(rates, key=lambda number: rates[number] or 0.0)
        yield Outside(step, worst, rates[worst])


def _growth(stability: Stability, values: Mapping[str, float]) -> float | None:
    found = frozen(stability, values)
    return None if found is None else float(found.growth(np.zeros(1, dtype=complex))[0])


def frozen(stability: Stability, values: Mapping[str, float]) -> Characteristic | None:
    """Return the characteristic polynomial with every symbol at a number; None where it has none there."""
    at = {sympy.Symbol(name): sympy.Rational(value) for name, value in values.items()}
    try:
        return characteristic(stability, at)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
