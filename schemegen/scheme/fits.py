"""Whether a scheme and a network go together: widths, strides, history, blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from schemegen import exact
from schemegen.diagnostics import Diagnostic, Span
from schemegen.language.nodes import Index
from schemegen.scheme.extents import behind_stem
from schemegen.scheme.fit_blocks import fit_blocks, word_span
from schemegen.scheme.fit_shortcuts import fit_shortcuts
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Equations, Multistep, Scheme, Tableaus
from schemegen.scheme.network import Block, NetworkSpec
from schemegen.scheme.report import Report

__all__ = ["bind", "fit", "history"]


def history(scheme: Scheme) -> int:
    """Return how many earlier steps the update reads."""
    match scheme.update:
        case Multistep(alpha=alpha, beta=beta):
            columns = [alpha, *(row for _, row in beta)]
            deepest = max(
                place
                for row in columns
                for place, value in enumerate(row)
                if not exact.is_zero(value)
            )
            return max(deepest - 1, 0)
        case Equations(assignments=assignments):
            offsets = [
                part.offset
                for item in assignments
                for part in parts(item.value)
                if isinstance(part, Index)
            ]
            return max((-offset for offset in offsets), default=0)
        case Tableaus() | None:
            return 0


def fit(
    scheme: Scheme, spec: NetworkSpec, *, python_blocks: Iterable[str] = ()
) -> tuple[Diagnostic, ...]:
    """Return what is wrong or remarkable about building ``scheme`` into ``spec``.

    ``python_blocks`` are names that were given on the command line as ``module:Class``.
    """
    report = Report()
    given = frozenset(python_blocks)
    fit_blocks(report, scheme, spec, given)
    fit_shortcuts(report, scheme, spec, given)
    _widths(report, scheme, spec)
    _strides(report, spec)
    _history(report, scheme, spec)
    _after(report, scheme, spec)
    return tuple(report.diagnostics)


def bind(scheme: Scheme, spec: NetworkSpec) -> NetworkSpec:
    """Return the network with the noises of ``scheme`` in its layers ``drop(b)``."""
    noises = {item.name: item for item in scheme.noises}

    def bound(block: Block) -> Block:
        layers = (
            replace(item, noise=noises[item.draws]) if item.draws in noises else item
            for item in block.layers
        )
        return replace(block, layers=tuple(layers))

    return replace(spec, blocks=tuple(map(bound, spec.blocks)))


def _widths(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Report widths that the states cannot share (E0602); states that start at zero take no channels."""
    zero = () if scheme.start is None else scheme.start.zero
    states = [state for state in scheme.states if state.name not in zero]
    if len(states) < 2:
        return
    splits = [state.split for state in states if state.split is not None]
    if splits and len(spec.stages) == 1 and sum(splits) != spec.stages[0].width:
        report.add(
            "E0602",
            f"the split adds up to {sum(splits)}, stage 1 has {spec.stages[0].width}",
            spec.stages[0].span,
            f"use `width {sum(splits)}`",
        )
        return
    shares = splits if len(splits) == len(states) else [1] * len(states)
    places = [
        (f"stage {place}", stage.width, stage.span) for place, stage in enumerate(spec.stages, 1)
    ]
    for place, width, span in (("the stem", spec.stem_width, _stem(spec)), *places):
        if all(width * share % sum(shares) == 0 for share in shares):
            continue
        unit = sum(shares) // math.gcd(*shares)
        fair = width + unit - width % unit
        ratio = "" if len(set(shares)) == 1 else f" in the ratio {':'.join(map(str, shares))}"
        need = "an even width" if unit == 2 else f"a width divisible by {unit}"
        other = ""
        if not ratio and place != "the stem":
            parts = [width // unit + (index < width % unit) for index in range(unit)]
            other = f", or `split {parts}`"
        report.add(
            "E0602",
            f"{_count(len(states))} states{ratio} need {need}, {place} has {width}",
            word_span(Span(span.source, span.start, span.start), str(width)),
            f"use {fair}{other}",
        )


def _stem(spec: NetworkSpec) -> Span:
    """Return where the stem of a network is written."""
    start = spec.source.text.find("stem", spec.span.start)
    return spec.span if start < 0 else Span(spec.source, start, start + len("stem"))


def _count(number: int) -> str:
    words = {2: "two", 3: "three", 4: "four"}
    return words.get(number, str(number))


def _strides(report: Report, spec: NetworkSpec) -> None:
    """Report strides that the extents of the states cannot take (E0606)."""
    size = behind_stem(spec).size
    if not size:
        for stage in spec.stages:
            if stage.stride > 1:
                report.add(
                    "E0606",
                    "a vector has no extent to stride over",
                    stage.span,
                    "remove `stride`",
                )
        return
    height, width = size
    left = min(size)
    halvings = 0
    for stage in spec.stages:
        if stage.stride == 1:
            continue
        halvings += 1
        if left < stage.stride:
            times = "once" if halvings == 1 else f"{halvings} times"
            what = f"input {height} x {width}"
            if size != spec.input_shape[1:]:
                what = f"the state behind the stem, {height} x {width},"
            report.add(
                "E0606",
                f"{what} cannot be divided {times}",
                word_span(Span(stage.span.source, stage.span.start, stage.span.start), "stride"),
                "remove a stride, or use a larger input",
            )
            return
        left = -(-left // stage.stride)


def _after(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Warn that what follows each step is outside of what the analysis says (W0615)."""
    if spec.after is not None:
        message = (
            f"`after: {spec.after.name}` follows each step of `{scheme.name}`: its orders and its modified "
            "equation hold where the step is not negative"
        )
        cure = "elsewhere the step is projected on the states without negative entries"
        report.add("W0615", message, spec.after.span, cure)


def _history(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    depth = history(scheme)
    if not depth or scheme.start.method == "partial":
        return
    width = spec.stem_width
    for index, stage in enumerate(spec.stages):
        changes = stage.stride > 1 or stage.width != width
        width = stage.width
        if index and changes and scheme.transition.history is None:
            kind = "two-step" if depth == 1 else f"{depth + 1}-step"
            state = scheme.states[0].name
            report.add(
                "E0603",
                f"stage {index + 1} changes shape: a {kind} scheme must say what happens to "
                f"`{state}[n-1]`",
                word_span(
                    Span(stage.span.source, stage.span.start, stage.span.start),
                    "stride" if stage.stride > 1 else "width",
                ),
                "add `transition: history project` (or `each`, `reset`)",
            )
            return
        if stage.steps < depth + 1:
            report.add(
                "E0604",
                f"stage {index + 1} has {stage.steps} step{'s' * (stage.steps != 1)}, the scheme "
                f"needs {depth + 1} to use its history",
                word_span(Span(stage.span.source, stage.span.start, stage.span.start), "steps"),
                f"use `steps {depth + 1}` or more",
            )
    if any(param.per == "step" and param.learnable for param in scheme.params):
        _dead_steps(report, scheme, spec, depth)


def _dead_steps(report: Report, scheme: Scheme, spec: NetworkSpec, depth: int) -> None:
    """Warn of the steps at which a per-step param has no effect (W0608)."""
    dead, total = [], 0
    for index, stage in enumerate(spec.stages):
        lost = depth if index == 0 else int(scheme.transition.scheme == "off")
        lost += depth if index and scheme.transition.history == "reset" else 0
        dead += [total + place for place in range(min(lost, stage.steps))]
        total += stage.steps
    for param in scheme.params:
        if param.per == "step" and param.learnable:
            listed = ", ".join(str(item) for item in dead)
            report.add(
                "W0608",
                f"`{param.name}` has no effect at step{'s' * (len(dead) != 1)} {listed} (start and "
                "transition); no parameter is made there",
                param.span,
            )
