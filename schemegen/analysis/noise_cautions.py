"""What the analysis warns of where a scheme has noise: Levy areas (W0504) and skewed noises (W0505)."""

from __future__ import annotations

from collections.abc import Iterator

from schemegen.analysis.weak_model import Area, Skewness, WeakAnalysis
from schemegen.diagnostics import Diagnostic, Label, Span
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.expressions import shortened
from schemegen.scheme.model import Scheme

__all__ = ["noise_cautions"]


def noise_cautions(scheme: Scheme, weak: WeakAnalysis) -> Iterator[Diagnostic]:
    """Yield W0504 for each pair of noises that do not commute and W0505 for each skewed noise."""
    spans = {noise.name: noise.span for noise in scheme.noises}
    for area in weak.areas:
        yield _area(area, spans, weak)
    for skewness in weak.skewed:
        yield _skewed(skewness, spans)


def _area(area: Area, spans: dict[str, Span], weak: WeakAnalysis) -> Diagnostic:
    names = f"noises `{area.first}` and `{area.second}` do not commute"
    if area.first == area.second:
        names = f"the components of `{area.first}` do not commute"
    stays = f"; strong order stays {weak.strong_order}" if weak.strong_order is not None else ""
    labels = () if area.first == area.second else (Label(spans[area.first], "and this one"),)
    return Diagnostic(
        "W0504",
        names + stays,
        spans[area.second],
        "more needs their Levy areas, which are not generated; weak orders do not",
        labels=labels,
    )


def _skewed(skewness: Skewness, spans: dict[str, Span]) -> Diagnostic:
    moment = shortened(printed(skewness.moment))
    return Diagnostic(
        "W0505",
        f"`{skewness.noise}` has third moment {moment}: no modified SDE at order h^{skewness.h_power}",
        spans[skewness.noise],
        "the generator is printed instead",
    )
