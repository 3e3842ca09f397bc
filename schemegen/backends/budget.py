"""The plan that runs the fewest steps again within a memory budget, found exactly.

A row of steps from a carry that is kept can be pulled back in two ways. Its first step is run with its
activations, which stay until the rest is done. Or it is run up to a carry further on without them, that carry is
kept, the rest is done, and then the first part is done from the start. For every row the pairs (memory, steps run
again) that no other beats are kept; equal rows, such as those inside one stage, are solved once.

Source: Beaumont, Eyraud-Dubois, Hermann, Joly, Shilova (2019), arXiv 1911.13214; here without rounding sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from schemegen.network.conditions import Carry
from schemegen.network.memory import Bytes, size_of
from schemegen.network.replay import Plan, Rerun
from schemegen.network.rerun import Run

__all__ = ["MOST_SPLITS", "Costs", "Option", "costs", "options", "plan_of"]

MOST_SPLITS = 100
"""Rows of more steps are split at distances that grow by a quarter, so that long networks stay cheap to plan."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Bytes of one step: its carry after, what its activations hold (that carry included), and three peaks.

    ``run`` without activations, ``tape`` with them, ``back`` when the gradient is pulled back through them; peaks
    are beyond the carry before and the gradient after.
    """

    carry: int
    held: int
    run: int
    tape: int
    back: int


@dataclass(frozen=True, slots=True)
class Option:
    """``memory`` bytes and ``again`` steps for one row; how it starts, and the options of its two parts."""

    memory: int
    again: int
    middle: int
    first: Option | None = None
    rest: Option | None = None


def costs(run: Run, carry: Carry) -> list[Costs]:
    """Measure every step on tensors of the ``meta`` device, steps that look the same once."""
    known: dict[object, Costs] = {}
    result = []
    for index, call in enumerate(run.calls):
        given = [*carry, *run.parameters.values()]
        with Bytes(given) as bytes_:
            after = run.bare(index, carry, {})
        shapes = [tuple(item.shape for item in value) for value in (carry, after)]
        key = (call.form, *shapes)
        if key not in known:
            gradients = [torch.empty_like(item) for item in after]
            known[key] = measured(run, index, carry, gradients, bytes_.peak)
        result.append(known[key])
        carry = tuple(item.detach() for item in after)
    return result


def measured(run: Run, index: int, carry: Carry, gradients: Sequence[Tensor], peak: int) -> Costs:
    given = [
        *carry,
        *gradients,
        *run.parameters.values(),
        *(b for m in run.modules(index) for b in m.buffers()),
    ]
    with Bytes(given) as bytes_:
        tape, outputs = run.tape(index, carry)
        size, held, most = size_of(outputs), bytes_.now, bytes_.peak
        del outputs
        bytes_.reset()
        run.pull(tape, gradients, {})
        return Costs(size, held, peak, most, bytes_.peak)


def options(steps: Sequence[Costs]) -> tuple[Option, ...]:
    """Return all ways to pull back through the steps that no other beats, the least memory first."""
    known: dict[tuple[Costs, ...], tuple[Option, ...]] = {}
    steps = tuple(steps)
    for length in range(1, len(steps) + 1):
        for start in range(len(steps) - length + 1):
            row = steps[start : start + length]
            if row not in known:
                known[row] = best(row, known)
    return known[steps]


def best(
    row: tuple[Costs, ...], known: dict[tuple[Costs, ...], tuple[Option, ...]]
) -> tuple[Option, ...]:
    """Return the options of one row from those of shorter ones."""
    first = row[0]
    alone = max(first.tape, first.back)
    if len(row) == 1:
        return (Option(alone, 0, 0),)
    found = [
        Option(max(alone, first.held + rest.memory), rest.again, 0, None, rest)
        for rest in known[row[1:]]
    ]
    way = 0
    for middle in range(1, len(row)):
        before = 0 if middle == 1 else row[middle - 2].carry
        way = max(way, before + row[middle - 1].run)
        if splits(middle, len(row)):
            kept = row[middle - 1].carry
            found += merged(way, kept, middle, known[row[:middle]], known[row[middle:]])
    return frontier(found)


def splits(middle: int, length: int) -> bool:
    """Return whether a row is split here: anywhere, or in long rows at distances that grow."""
    if length <= MOST_SPLITS:
        return True
    near = min(middle, length - middle)
    distance = 1
    while distance < near:
        distance = max(distance + 1, distance * 5 // 4)
    return distance == near


def merged(
    way: int, kept: int, middle: int, first: Sequence[Option], rest: Sequence[Option]
) -> list[Option]:
    """Return what both parts of a row need together: for each memory the best of either that fits."""
    result = []
    levels = sorted(
        {max(way, item.memory) for item in first} | {max(way, kept + item.memory) for item in rest}
    )
    i = j = 0
    for level in levels:
        while i < len(first) and first[i].memory <= level:
            i += 1
        while j < len(rest) and kept + rest[j].memory <= level:
            j += 1
        if i and j:
            one, other = first[i - 1], rest[j - 1]
            result.append(Option(level, middle + one.again + other.again, middle, one, other))
    return result


def frontier(found: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options that no other beats, the least memory first."""
    result: list[Option] = []
    for item in sorted(found, key=lambda option: (option.memory, option.again)):
        if not result or item.again < result[-1].again:
            result.append(item)
    return tuple(result)


def plan_of(option: Option, start: int, stop: int) -> Plan:
    """Return an option for steps ``start`` to ``stop`` (not included) as a plan."""
    items: list[int | Rerun] = []
    while option.rest is not None:
        if option.first is None:
            items.append(start)
            start += 1
        else:
            middle = start + option.middle
            items.append(Rerun(start, middle, plan_of(option.first, start, middle)))
            start = middle
        option = option.rest
    return (*items, start)
