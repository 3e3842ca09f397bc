"""Sizes of networks, and the width or depth at which two of them are equally large or equally expensive."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from schemegen.backends.names import attribute
from schemegen.comparison.model import Size
from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.pipeline import Unit, emit, raise_errors
from schemegen.scheme import bind, fit
from schemegen.scheme.network import NetworkSpec
from schemegen.selection import read_network

__all__ = ["matched", "resized", "size_of", "with_network"]

MOST = 32  # times the width or the depth of the network as written


def size_of(unit: Unit) -> Size:
    """Return what the network of a scheme costs. Errors: :class:`SchemeError` where a block does not fit."""
    assert unit.network is not None
    network = emit(unit).eval()
    counter = FlopCounterMode(display=False)
    with _counted(network, unit) as calls, torch.no_grad(), counter:
        network(torch.zeros(1, *unit.network.input_shape))
    return Size(
        parameters=sum(item.numel() for item in network.parameters() if item.requires_grad),
        evaluations=calls.count,
        flops=int(counter.get_total_flops()),
        steps=tuple(stage.steps for stage in unit.network.stages),
        widths=tuple(stage.width for stage in unit.network.stages),
    )


class _counted:  # noqa: N801 - a context manager
    """Counts how often the branches of a network are evaluated."""

    def __init__(self, network: fx.GraphModule, unit: Unit) -> None:
        names = "|".join(re.escape(attribute(drift.name)) for drift in unit.scheme.drifts)
        pattern = re.compile(rf"(shared_)?({names})(_\d+)?")
        self.branches = [
            module
            for path, module in network.named_modules()
            if pattern.fullmatch(path.rpartition(".")[2]) and path.startswith(("stage", "shared_"))
        ]
        self.count = 0
        self.handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> _counted:
        self.handles = [branch.register_forward_hook(self._count) for branch in self.branches]
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _count(self, _module: nn.Module, _inputs: object, _output: object) -> None:
        self.count += 1


def with_network(unit: Unit, text: str, name: str) -> Unit:
    """Return a scheme with another network. Errors: :class:`SchemeError` where they do not fit."""
    assert unit.network is not None
    spec = read_network(Source(unit.network.source.name, text), name)
    raise_errors(fit(unit.scheme, spec, python_blocks=dict(unit.blocks)))
    return replace(unit, network=bind(unit.scheme, spec))


def resized(
    spec: NetworkSpec,
    *,
    steps: tuple[int, ...] | None = None,
    widths: tuple[int, ...] | None = None,
) -> str:
    """Return the text of a network with other numbers of steps or other widths of its stages.

    The stem becomes as wide as the first stage where it was.
    """
    edits: list[tuple[int, int, str]] = []
    for index, stage in enumerate(spec.stages):
        start, text = stage.span.start, stage.span.text
        if steps is not None:
            edits.append(_edit("steps", steps[index], text, start))
        if widths is not None:
            edits.append(_edit("width", widths[index], text, start))
    if widths is not None and spec.stem_width == spec.stages[0].width:
        match = re.search(r"\bstem\s*:[^\n;]*?\bwidth\s+(\d+)", spec.span.text)
        if match is not None:
            at = spec.span.start
            edits.append((at + match.start(1), at + match.end(1), str(widths[0])))
    text = spec.source.text
    for first, last, new in sorted(edits, reverse=True):
        text = text[:first] + new + text[last:]
    return text


def _edit(word: str, value: int, text: str, start: int) -> tuple[int, int, str]:
    match = re.search(rf"\b{word}\s+(\d+)", text)
    if match is None:
        raise UsageError(f"a stage of the network does not say its {word}: `{text}`")
    return start + match.start(1), start + match.end(1), str(value)


def matched(unit: Unit, target: int, what: str, adjust: str) -> tuple[Unit, Size]:
    """Return a scheme with a network whose ``parameters`` or ``flops`` are nearest to ``target``.

    Args: adjust: ``width`` (all stages in proportion) or ``depth`` (their steps in proportion).
    Errors: UsageError where no network of the kind fits the scheme.
    """
    spec = unit.network
    assert spec is not None
    unit_step = max(len(unit.scheme.states), 1) if adjust == "width" else 1
    first = spec.stages[0].width if adjust == "width" else spec.stages[0].steps

    def at(value: int) -> tuple[Unit, Size] | None:
        def share(own: int) -> int:
            return max(round(own * value / first / unit_step), 1) * unit_step

        if adjust == "width":
            text = resized(spec, widths=tuple(share(stage.width) for stage in spec.stages))
        else:
            text = resized(spec, steps=tuple(share(stage.steps) for stage in spec.stages))
        try:
            changed = with_network(unit, text, spec.name)
            return changed, size_of(changed)
        except SchemeError:
            return None

    found = _nearest(at, first, unit_step, target, what)
    if found is None:
        raise UsageError(f"no {adjust} of `{spec.name}` fits {unit.scheme.name}")
    return found


def _nearest(
    at: Callable[[int], tuple[Unit, Size] | None], first: int, by: int, target: int, what: str
) -> tuple[Unit, Size] | None:
    """Return the candidate nearest to ``target``, by bisection: sizes grow with the value.

    Values that do not fit count as too small.
    """
    low, high = 1, MOST * max(first // by, 1)
    best: tuple[Unit, Size] | None = None
    while low <= high:
        middle = (low + high) // 2 if best is not None else max(first // by, 1)
        found = at(middle * by)
        reached = -1 if found is None else getattr(found[1], what)
        if found is not None and (
            best is None or abs(reached - target) < abs(getattr(best[1], what) - target)
        ):
            best = found
        if reached < target:
            low = middle + 1
        elif reached > target:
            high = middle - 1
        else:
            break
    return best
