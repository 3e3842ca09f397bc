"""Whether the drifts of a scheme and the blocks of a network go together."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from schemegen.diagnostics import Span
from schemegen.scheme.blocks import BLOCKS, divided
from schemegen.scheme.extents import behind_stem
from schemegen.scheme.layers import LAYERS
from schemegen.scheme.mentions import mentioned
from schemegen.scheme.model import Drift, Equations, Noise, Scheme, Tableaus
from schemegen.scheme.network import Block, Layer, NetworkSpec
from schemegen.scheme.report import Report

__all__ = ["chosen", "fit_blocks", "word_span"]


def fit_blocks(report: Report, scheme: Scheme, spec: NetworkSpec, given: frozenset[str]) -> None:
    """Report what is wrong between drifts and blocks; ``given`` are names of the command line."""
    _names(report, scheme, spec, given)
    for block in spec.blocks:
        _keeps_shape(report, block)
    for drift in scheme.drifts:
        if drift.block not in given:
            _maps(report, spec, drift)
            _divides(report, scheme, spec, drift)
            _takes_time(report, spec, drift)
        _inner(report, scheme, spec, drift, given)
    _norm_statistics(report, scheme, spec)
    _drops(report, scheme, spec)
    _drawn(report, scheme, spec)


def word_span(near: Span, word: str) -> Span:
    """Return the place of ``word`` after ``near`` on its line, or ``near`` itself."""
    source = near.source
    end = source.text.find("\n", near.start)
    place = source.text.find(word, near.end, end if end >= 0 else len(source.text))
    return Span(source, place, place + len(word)) if place >= 0 else near


def chosen(spec: NetworkSpec, drift: Drift) -> Block | None:
    """Return the block of a drift: that of the network, or the registered one; None where there is none."""
    for block in spec.blocks:
        if block.name == drift.block:
            return block
    return Block(drift.block, drift.block, (), (), None) if drift.block in BLOCKS else None


def _names(report: Report, scheme: Scheme, spec: NetworkSpec, given: frozenset[str]) -> None:
    """Report drifts of unknown blocks (E0601), and blocks that are meant for a drift but miss it (E0613)."""
    declared = {block.name: block for block in spec.blocks}
    known = declared.keys() | BLOCKS.keys() | given
    for drift in scheme.drifts:
        if drift.block not in known:
            span = word_span(drift.span, drift.block)
            message = f"unknown block `{drift.block}`"
            report.unknown("E0601", message, drift.block, span, known, "block")
    named = {drift.block for drift in scheme.drifts}
    built_in = sorted(named & BLOCKS.keys() - declared.keys() - given)
    for name, block in declared.items():
        if name in named or not built_in or block.span is None:
            continue
        near = next(iter(get_close_matches(name, built_in, n=1, cutoff=0.8)), None)
        if near is None and (spec.source != scheme.source or named & declared.keys()):
            continue
        wanted = near or built_in[0]
        message = (
            f"no drift of `{scheme.name}` names block `{name}`; `{wanted}` is the built-in one"
        )
        span = word_span(Span(block.span.source, block.span.start, block.span.start), name)
        report.add(
            "E0613", message, span, f"write `block {wanted}: ..`, or `block {name}` at the drift"
        )


def _keeps_shape(report: Report, block: Block) -> None:
    """Report layers that change the shape a drift must keep (E0605)."""
    for layer in block.layers:
        if LAYERS[layer.name].reshapes or (
            layer.name == "conv" and layer.arguments[1:] not in ((), ("1",))
        ):
            report.add(
                "E0605",
                f"block `{block.name}` changes the shape by `{layer.text}`, a drift must keep it",
                layer.span,
                f"write `conv({layer.arguments[0]})`; stages have a `stride`"
                if layer.name == "conv"
                else f"remove `{layer.text}`",
            )


def _maps(report: Report, spec: NetworkSpec, drift: Drift) -> None:
    """Report blocks of images in a network of vectors, and the other way round (E0605)."""
    here = "image" if behind_stem(spec).size else "vector"
    block = chosen(spec, drift)
    if block is None:
        return
    cure = "name a block for vectors: `mlp`, or `seq [linear]`"
    if here == "image":
        cure = "name a block for images: `preact`, `conv1x1`, or `seq [conv(3)]`"
    if block.kind in BLOCKS:
        maps, what = BLOCKS[block.kind].maps, f"block `{block.kind}`"
        span = block.span or word_span(drift.span, drift.block)
    else:
        wrong = [item for item in block.layers if LAYERS[item.name].maps not in ("", here)]
        if not wrong or LAYERS[wrong[0].name].reshapes:
            return
        maps, what, span = LAYERS[wrong[0].name].maps, f"`{wrong[0].text}`", wrong[0].span
    if maps and maps != here:
        message = f"{what} maps {maps}s, the states of `{spec.name}` are {here}s"
        report.add("E0605", message, span, cure)


def _divides(report: Report, scheme: Scheme, spec: NetworkSpec, drift: Drift) -> None:
    """Report groups and heads that do not divide the channels of a stage (E0612)."""
    block = chosen(spec, drift)
    if block is None or block.kind not in BLOCKS or any(state.split for state in scheme.states):
        return
    options = {name: int(text) for name, text in block.options}
    for number, into, out in _passages(scheme, spec, drift):
        option, widths = divided(block.kind, options, into, out)
        count = options.get(option, 4)
        wrong = [width for width in widths if width % count or width < count]
        if wrong:
            near = block.span or word_span(drift.span, drift.block)
            message = (
                f"block `{block.kind}` has {count} {option}, which do not divide its {wrong[0]} channels "
                f"in stage {number}"
            )
            report.add("E0612", message, near, f"set `{option}` to a divisor of {wrong[0]}")
            return


def _passages(scheme: Scheme, spec: NetworkSpec, drift: Drift) -> Iterator[tuple[int, int, int]]:
    """Yield stage, channels in and channels out of a drift, for equal shares of the states."""
    count = len(scheme.states) - len(scheme.start.zero)
    before = spec.stem_width
    for number, stage in enumerate(spec.stages, start=1):
        if stage.width % count == 0:
            out = stage.width // count
            for width in dict.fromkeys((before, stage.width)):
                yield number, width // count * len(drift.arguments), out
        before = stage.width


def _norm_statistics(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Warn where stages with different inputs share batch-norm statistics (W0610)."""
    if not isinstance(scheme.update, Tableaus):
        return
    for part in scheme.update.parts:
        for drift in scheme.drifts:
            if drift.name not in part.drifts or drift.norm_stats != "shared":
                continue
            if part.tableau.stages < 2 or drift.weights in {"stage", "call"}:
                continue
            block = chosen(spec, drift)
            normed = block is not None and (
                any(layer.name == "bn" for layer in block.layers)
                if block.kind == "seq"
                else BLOCKS[block.kind].normed
            )
            if normed:
                report.add(
                    "W0610",
                    f"BatchNorm statistics are shared by {part.tableau.stages} stages with different "
                    "inputs",
                    word_span(drift.span, "norm_stats"),
                    "use `norm_stats per stage`",
                )


def _drops(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Report ``drop(b)`` in a block where ``b`` is no noise, or one that a block cannot draw."""
    noises = {item.name: item for item in scheme.noises}
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
            reason, cure = _undrawable(scheme, noises[layer.draws], used[block.name])
            if reason:
                message = f"a block cannot draw `{layer.draws}`: {reason}"
                report.add("E0608", message, layer.span, cure)


def _undrawable(scheme: Scheme, noise: Noise, drift: Drift) -> tuple[str, str]:
    """Return why the block of a drift cannot draw a noise, and what to do; empty where it can."""
    learnable = {item.symbol: item.name for item in scheme.params if item.learnable}
    schedules = {item.symbol: item.name for item in scheme.schedules}
    symbols = set().union(*(item.free_symbols for item in noise.arguments))
    told = sorted(learnable[item] for item in symbols if item in learnable)
    if told:
        return f"`{told[0]}` is learnable", "use a const or a schedule"
    if noise.backward != "same":
        cure = "let it multiply the drift in the equations"
        return f"it has `backward {noise.backward}`", cure
    if drift.weights in ("network", "smooth") and symbols & set(schedules):
        name = sorted(schedules[item] for item in symbols & set(schedules))[0]
        reason = f"`{name}` changes from step to step and the block does not"
        return reason, "use a const, or `weights per step`"
    return "", ""


def _takes_time(report: Report, spec: NetworkSpec, drift: Drift) -> None:
    """Report a drift `f(u, t)` with a block that takes no time, and the other way round (E0608)."""
    block = chosen(spec, drift)
    if block is None:
        return
    kind = BLOCKS.get(block.kind)
    takes = any(layer.name == "time" for layer in block.layers) if kind is None else kind.timed
    if takes == drift.timed:
        return
    gives, cure = "gives it none", f"declare `{drift.name}({', '.join(drift.arguments)}, t)`"
    if drift.timed:
        gives = "gives it `t`"
        cure = "use block `ode`, or a `seq [..]` with a layer `time` before a kernel"
    message = f"block `{drift.block}` takes {'the' if takes else 'no'} time, `{drift.name}` {gives}"
    report.add("E0608", message, word_span(drift.span, drift.block), cure)


def _inner(
    report: Report, scheme: Scheme, spec: NetworkSpec, drift: Drift, given: frozenset[str]
) -> None:
    """Report ``inner m`` where the block has no place for it, or cannot draw it (E0608)."""
    noise = next((item for item in scheme.noises if item.name == drift.inner), None)
    block = chosen(spec, drift)
    if noise is None or (block is None and drift.block not in given):
        return
    span = word_span(drift.span, f"inner {noise.name}")
    fits = block is not None and drift.block not in given
    if block is not None and fits:
        kind = BLOCKS.get(block.kind)
        kernels = any(LAYERS[layer.name].kernel for layer in block.layers)
        fits = kernels if kind is None else kind.inner
    if not fits:
        known = ", ".join(f"`{name}`" for name, kind in BLOCKS.items() if kind.inner)
        message = f"block `{drift.block}` has no place inside for `{noise.name}`"
        report.add("E0608", message, span, f"use one of {known}, or a `seq [..]` with a kernel")
    elif (why := _undrawable(scheme, noise, drift))[0]:
        report.add("E0608", f"a block cannot draw `{noise.name}`: {why[0]}", span, why[1])


def _drawn(report: Report, scheme: Scheme, spec: NetworkSpec) -> None:
    """Report noises that neither the equations nor a block of the network draw (E0614)."""
    in_blocks = {layer.draws for drift in scheme.drifts for layer in _layers_of(spec, drift)}
    in_blocks |= {drift.inner for drift in scheme.drifts}
    if in_blocks - {item.name for item in scheme.noises} - {"", None}:
        return  # a name that is no noise was reported, and may stand for the one that is not drawn
    for noise in scheme.noises:
        if noise.name not in in_blocks and not _in_equations(scheme, noise):
            message = f"no block of `{spec.name}` that `{scheme.name}` uses draws its noise `{noise.name}`"
            cure = f"write `drop({noise.name})` in a block, or use the noise in an equation"
            report.add("E0614", message, noise.span, cure)


def _layers_of(spec: NetworkSpec, drift: Drift) -> tuple[Layer, ...]:
    block = chosen(spec, drift)
    return () if block is None else block.layers


def _in_equations(scheme: Scheme, noise: Noise) -> bool:
    damped = scheme.damping
    if damped is not None and noise.symbol in damped.rate.free_symbols | damped.gain.free_symbols:
        return True
    if isinstance(scheme.update, Equations):
        values = [item.value for item in scheme.update.assignments]
        return noise.name in mentioned([*values, *(item.body for item in scheme.update.maps)])
    return True
