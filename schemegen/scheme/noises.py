"""``noise``: random variables drawn once a step."""

from __future__ import annotations

from collections.abc import Sequence

from schemegen import exact
from schemegen.diagnostics import Span
from schemegen.language.nodes import Attribute, Call, Declaration
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.declarations import plain
from schemegen.scheme.expressions import coefficient, format_exact
from schemegen.scheme.model import Coefficient, Noise, Param, Schedule
from schemegen.scheme.moments import mean, off
from schemegen.scheme.names import Names
from schemegen.scheme.noise_ranges import check_arguments

__all__ = ["KINDS", "noises"]

KINDS = {"wiener": 0, "gaussian": 1, "bernoulli": 1, "uniform": 2, "rademacher": 0}
KNOWN = (*KINDS, "scope", "active", "eval", "backward", "compute")


def _arguments(
    names: Names, attribute: Attribute
) -> tuple[tuple[Coefficient, ...], tuple[Span, ...]] | None:
    kind = attribute.name.id
    count = KINDS[kind]
    call = attribute.values[0] if attribute.values else None
    given = call.arguments if isinstance(call, Call) and call.name == kind else ()
    if len(given) != count or len(attribute.values) > (1 if count else 0):
        names.report.add(
            "E0316",
            f"`{kind}` takes {count} argument{'s' * (count != 1)}, found {len(given)}",
            attribute.span,
            f"write `{kind}({', '.join(('p', 'q')[:count])})`" if count else f"write `{kind}`",
        )
        return None
    known = names.without("noise")
    values = [coefficient(item, known, names.report) for item in given]
    if any(value is None for value in values):
        return None
    return tuple(value for value in values if value is not None), tuple(item.span for item in given)


def noises(
    names: Names, node: Declaration, schedules: Sequence[Schedule], params: Sequence[Param]
) -> tuple[Noise, ...]:
    """Return the noises of ``noise b: bernoulli(p), scope batch, active train, eval mean``."""
    report = names.report
    attributes = Attributes(report, "noise", node.attributes, KNOWN)
    kinds = [name for name in attributes.by_name if name in KINDS]
    if len(kinds) != 1:
        listed = ", ".join(f"`{kind}`" for kind in KINDS)
        found = "none" if not kinds else " and ".join(f"`{kind}`" for kind in kinds)
        report.add(
            "E0120",
            f"a noise has one distribution, found {found}",
            attributes[kinds[1]].span if kinds else node.span,
            f"one of {listed}",
        )
        return ()
    kind = kinds[0]
    arguments = _arguments(names, attributes[kind])
    scope = attributes.word("scope", ("element", "channel", "sample", "batch"), "element")
    active = attributes.word("active", ("train", "always"), "train")
    evaluation = attributes.word("eval", ("mean", "sample", "off"), "mean")
    backward = attributes.word("backward", ("same", "redraw", "mean"), "same")
    compute = attributes.word("compute", ("kept", "all"), "kept")
    if arguments is None:
        return ()
    values, spans = arguments
    place = attributes[kind].span
    if kind != "bernoulli" and spans:
        place = spans[0].to(spans[-1])
    found_noises = []
    for target in node.targets:
        if not plain(report, target) or names.spans.get(target.name.id) != target.name.span:
            continue
        noise = Noise(
            target.name.id,
            kind,
            values,
            target.name.span,
            scope,
            active,
            evaluation,
            backward,
            compute,
        )
        found_noises.append(noise)
        if kind == "wiener":
            names.increments.add(noise.name)
        check_arguments(names, noise, schedules, params, place)
        _mean_differs(names, noise, attributes)
    return tuple(found_noises)


def _mean_differs(names: Names, noise: Noise, attributes: Attributes) -> None:
    """Warn where what ``eval off`` puts is not the mean that training has (W0506)."""
    if noise.evaluation != "off" or noise.active == "always":
        return
    value = mean(noise)
    absent = off(noise)
    if not exact.equal(value, absent):
        names.report.add(
            "W0506",
            f"mean of `{noise.name}` is {format_exact(value)} in training and "
            f"{format_exact(absent)} with `eval off`",
            attributes["eval"].span,
            "use `eval mean`, or divide by the mean",
        )
