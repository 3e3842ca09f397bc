"""Whether a scheme and a network go together: widths, strides, history, blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemegen import exact
from schemegen.diagnostics import Diagnostic, Span
from schemegen.language.nodes import Index
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Equations, Multistep, Scheme, Tableaus
from schemegen.scheme.network import Block, NetworkSpec
from schemegen.scheme.networks import BLOCKS
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
    _blocks(report, scheme, spec, frozenset(python_blocks))
    _widths(report, scheme, spec)
    _strides(report, spec)
    _history(report, scheme, spec)
    _norm_statistics(report, scheme, spec)
    _drops(report, scheme, spec)
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


def _drops(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Report ``drop(b)`` in a block where ``b`` is no noise, or one that a block cannot draw."""
    noises = {item.name: item for item in scheme.noises}
    learnable = {item.symbol: item.name for item in scheme.params if item.learnable}
    schedules = {item.symbol: item.name for item in scheme.schedules}
    used = {drift.block: drift for drift in scheme.drifts}
    for block in spec.blocks:
        for layer in block.layers:
            if layer.draws is None or block.name not in used:
                continue
            if layer.draws not in noises:
                report.unknown(
                    "E0608",
                    f"`{scheme.name}` declares no noise `{layer.draws}` for block `{block.name}`",
                    layer.draws,
                    layer.span,
                    noises,
                    "noise",
                )
                continue
            noise = noises[layer.draws]
            symbols = set().union(*(item.free_symbols for item in noise.arguments))
            told = sorted(learnable[item] for item in symbols if item in learnable)
            if told:
                reason, cure = f"`{told[0]}` is learnable", "use a const or a schedule"
            elif noise.backward != "same":
                reason = f"it has `backward {noise.backward}`"
                cure = "let it multiply the drift in the equations"
            elif used[block.name].weights == "network" and symbols & set(schedules):
                name = sorted(schedules[item] for item in symbols & set(schedules))[0]
                reason = f"`{name}` changes from step to step and the block does not"
                cure = "use a const, or `weights per step`"
            else:
                continue
            report.add("E0608", f"a block cannot draw `{noise.name}`: {reason}", layer.span, cure)


def _blocks(report: Report, scheme: Scheme, spec: NetworkSpec, given: frozenset[str]) -> None:
    known = {block.name for block in spec.blocks} | set(BLOCKS) | given
    for drift in scheme.drifts:
        if drift.block in known:
            continue
        span = _word_span(drift.span, drift.block)
        report.unknown("E0601", f"unknown block `{drift.block}`", drift.block, span, known, "block")
    for block in spec.blocks:
        _keeps_shape(report, block)


def _word_span(near: Span, word: str) -> Span:
    """Return the place of ``word`` after ``near`` on its line, or ``near`` itself."""
    source = near.source
    end = source.text.find("\n", near.start)
    place = source.text.find(word, near.end, end if end >= 0 else len(source.text))
    return Span(source, place, place + len(word)) if place >= 0 else near


def _keeps_shape(report: Report, block: Block) -> None:
    """Report layers that change the shape a drift must keep (E0605)."""
    for layer in block.layers:
        if layer.name in {"avgpool", "flatten"}:
            report.add(
                "E0605",
                f"block `{block.name}` changes the shape by `{layer.name}`, a drift must keep it",
                layer.span,
                f"remove `{layer.name}`",
            )


def _widths(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    count = len(scheme.states)
    if count < 2:
        return
    splits = [state.split for state in scheme.states if state.split is not None]
    for index, stage in enumerate(spec.stages):
        if splits and len(spec.stages) == 1:
            if sum(splits) != stage.width:
                report.add(
                    "E0602",
                    f"the split adds up to {sum(splits)}, stage {index + 1} has {stage.width}",
                    stage.span,
                    f"use `width {sum(splits)}`",
                )
        elif stage.width % count:
            fair = stage.width + count - stage.width % count
            shares = [
                stage.width // count + (place < stage.width % count) for place in range(count)
            ]
            need = "an even width" if count == 2 else f"a width divisible by {count}"
            span = _word_span(
                Span(stage.span.source, stage.span.start, stage.span.start), str(stage.width)
            )
            report.add(
                "E0602",
                f"{_count(count)} states need {need}, stage {index + 1} has {stage.width}",
                span,
                f"use {fair}, or `split {shares}`",
            )


def _count(number: int) -> str:
    words = {2: "two", 3: "three", 4: "four"}
    return words.get(number, str(number))


def _strides(report: Report, spec: NetworkSpec) -> None:
    """Report strides that the input's size cannot take (E0606)."""
    if len(spec.input_shape) != 3:
        for stage in spec.stages:
            if stage.stride > 1:
                report.add(
                    "E0606",
                    "a vector input has no extent to stride over",
                    stage.span,
                    "remove `stride`",
                )
        return
    height, width = spec.input_shape[1:]
    size = min(height, width)
    halvings = 0
    for stage in spec.stages:
        if stage.stride == 1:
            continue
        halvings += 1
        if size < stage.stride:
            times = "once" if halvings == 1 else f"{halvings} times"
            report.add(
                "E0606",
                f"input {height} x {width} cannot be divided {times}",
                _word_span(Span(stage.span.source, stage.span.start, stage.span.start), "stride"),
                "remove a stride, or use a larger input",
            )
            return
        size = -(-size // stage.stride)


def _history(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    depth = history(scheme)
    if not depth:
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
                _word_span(
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
                _word_span(Span(stage.span.source, stage.span.start, stage.span.start), "steps"),
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


def _norm_statistics(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Warn where stages with different inputs share batch-norm statistics (W0610)."""
    blocks = {block.name: block for block in spec.blocks}
    if not isinstance(scheme.update, Tableaus):
        return
    for part in scheme.update.parts:
        for drift in scheme.drifts:
            if drift.name not in part.drifts or drift.norm_stats != "shared":
                continue
            if part.tableau.stages < 2 or drift.weights in {"stage", "call"}:
                continue
            block = blocks.get(drift.block)
            normed = (
                block is None
                or block.kind != "seq"
                or any(layer.name == "bn" for layer in block.layers)
            )
            if normed:
                report.add(
                    "W0610",
                    f"BatchNorm statistics are shared by {part.tableau.stages} stages with different "
                    "inputs",
                    _word_span(drift.span, "norm_stats"),
                    "use `norm_stats per stage`",
                )
