"""Follow a step program over many steps: history, starts, weights and noises of each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemegen.step.arithmetic import Arithmetic, Number
from schemegen.step.interpret import Fields, run
from schemegen.step.program import Program
from schemegen.step.shortened import shortened

__all__ = ["trajectory"]


@dataclass(frozen=True, slots=True)
class _Past:
    """What each earlier step held, newest first, of the values that inputs refer to."""

    steps: tuple[Mapping[str, Number], ...] = ()

    def inputs(self, program: Program) -> dict[str, Number]:
        return {item.name: self.steps[item.lag - 1][item.of] for item in program.inputs}

    def after(self, program: Program, values: Mapping[str, Number]) -> _Past:
        held = {item.of: values[item.of] for item in program.inputs}
        return _Past((held, *self.steps)[: program.history])


def trajectory(
    program: Program,
    initial: Mapping[str, Number],
    steps: int,
    *,
    fields: Fields | Callable[[int], Fields],
    arithmetic: Arithmetic | Callable[[int], Arithmetic],
    implicit: str = "declared",
    tolerance: float = 1e-13,
) -> list[dict[str, Number]]:
    """Return the states, by name, at steps ``0..steps``.

    ``fields`` and ``arithmetic`` may depend on the number of the step: weights, params and noises of a
    network do. ``initial`` gives the states by name; one that starts at zero may be left out. First
    steps follow ``program.start``: the starter (``euler``), a history equal to the start (``copy``),
    or another scheme's step.
    """
    states = [state.name for state in program.states]
    template = next(iter(initial.values()))
    current = {
        name: 0 * template if name in program.start.zero else initial[name] for name in states
    }
    past, path = _Past(), [dict(current)]
    opening = program.first or program.starter

    def take(chosen: Program, index: int) -> dict[str, Number]:
        values = {f"{name}[n]": value for name, value in current.items()}
        return run(
            chosen,
            {**values, **(past.inputs(chosen) if chosen.inputs else {})},
            fields(index) if callable(fields) else fields,
            arithmetic(index) if callable(arithmetic) else arithmetic,
            implicit=implicit,
            tolerance=tolerance,
        )

    if program.history and program.start.method == "copy" and program.starter is not None:
        held = take(program.starter, 0)
        for _ in range(program.history):
            past = past.after(program, held)
    for index in range(steps):
        chosen = program
        if index == 0 and program.opening is not None:
            chosen = program.opening
        elif len(past.steps) < program.history and program.start.method == "partial":
            chosen = shortened(program, len(past.steps))
        elif len(past.steps) < program.history and opening is not None:
            chosen = opening
        result = take(chosen, index)
        past = past.after(program, result)
        current = {name: result[f"{name}[n+1]"] for name in states}
        path.append(dict(current))
    return path
