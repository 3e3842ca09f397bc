"""A diagnosis as tables: what the terminal, Markdown and HTML show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from schemegen.diagnosis.model import Correction, Diagnosis, LearnedStage, Outside, Spectrum
from schemegen.diagnosis.smoothness import INDEPENDENT
from schemegen.report.tables import Table, number, without_empty
from schemegen.training.lyapunov import StepMeasure

__all__ = ["headline", "tables"]

CLAIMS = {"zero_stable": "zero-stable", "A_stable": "A-stable", "L_stable": "L-stable"}


def headline(found: Diagnosis) -> str:
    """Return what was measured: the network, how long it was trained, at which inputs."""
    trained = "" if found.epochs is None else f", {_counted(found.epochs, 'epoch')}"
    images = _counted(found.samples, "image")
    return f"{found.scheme} in {found.network}{trained}: measured at {images} of {found.data}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def tables(found: Diagnosis) -> list[Table]:
    """Return a table for each question that was answered, or the reason why it was not."""
    notes = dict(found.notes)
    made = [
        _learned(found.learned),
        _spectrum(found.spectrum, notes.get("spectrum")),
        _smoothness(found),
        _distances(found.distances),
        _correction(found.correction, notes.get("correction")),
    ]
    return [without_empty(table) for table in made if table.rows or table.remarks]


def span(steps: Sequence[int]) -> str:
    """Return ``1 .. 17``, or one number."""
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]} .. {steps[-1]}"


# --- coefficients ------------------------------------------------------------------------------------


def _learned(stages: Sequence[LearnedStage]) -> Table:
    rows = []
    remarks: list[str] = []
    for item in stages:
        outside = {claim: gone for claim, _, gone in item.sets}
        left = ", ".join(f"{len(gone)}" for gone in outside.values()) or "-"
        cells = (item.initial, item.minimum, item.mean, item.maximum)
        rows.append(
            (item.param, str(item.stage), span(item.steps), *(number(v) for v in cells), left)
        )
        for claim, text, gone in item.sets:
            if gone:
                remarks.append(_left(item, claim, text, gone))
    sets = dict.fromkeys((claim, text) for item in stages for claim, text, _ in item.sets)
    last = ", ".join(f"outside {text}" for _, text in sets) or "outside"
    kept = [f"{CLAIMS[claim]} for {text}" for claim, text in sets]
    if kept and not remarks:
        remarks = [f"all values lie where the scheme is {' and '.join(kept)}"]
    columns = ("learned", "stage", "steps", "before", "min", "mean", "max", last)
    return Table("Learned coefficients", columns, tuple(rows), 3, tuple(remarks))


def _left(item: LearnedStage, claim: str, text: str, gone: Sequence[Outside]) -> str:
    steps = ", ".join(str(out.step) for out in gone)
    rates = [number(out.growth) for out in gone if out.growth is not None]
    grows = f": mode grows by {', '.join(rates)} a step" if rates else ""
    word = "steps" if len(gone) > 1 else "step"
    return f"stage {item.stage}: not {CLAIMS[claim]} ({text}) in {word} {steps}{grows}"


# --- spectra -----------------------------------------------------------------------------------------


def _spectrum(items: Sequence[Spectrum], reason: str | None) -> Table:
    rows = []
    for item in items:
        real = [z.real for z in item.eigenvalues]
        inside = "-" if item.inside is None else f"{item.inside} of {len(item.eigenvalues)}"
        rows.append(
            (
                str(item.stage),
                str(item.step),
                number(max((abs(z) for z in item.eigenvalues), default=None)),
                number(min(real, default=None)),
                number(max(real, default=None)),
                inside,
                number(item.growth),
            )
        )
    columns = ("stage", "step", "max |z|", "min Re z", "max Re z", "in the region", "growth")
    remarks = [f"not measured: {reason}"] if reason else []
    if rows:
        remarks.append(
            "z = h lambda, lambda an eigenvalue of the branch's Jacobian at the data; growth: the "
            "largest factor of a step at these z, 1 or less where the linearised step is stable"
        )
        if not all(item.complete for item in items):
            remarks.append("of large states the largest and the rightmost eigenvalues are computed")
    return Table("Spectrum of the branches", columns, tuple(rows), 0, tuple(remarks))


# --- smoothness ----------------------------------------------------------------------------------------


def _smoothness(found: Diagnosis) -> Table:
    rows = []
    for item in found.smoothness:
        rows.append(
            (
                str(item.stage),
                str(item.steps),
                number(1 / item.steps),
                number(item.field),
                number(item.field_initial),
                number(item.weights),
                number(item.weights_initial),
                number(item.order_p),
            )
        )
    columns = (
        "stage",
        "steps",
        "1/N",
        "field",
        "(before)",
        "weights",
        "(before)",
        "p of the order",
    )
    remarks = [
        "relative change from step to step. A discretisation of one equation has changes of the size "
        f"of 1/N; independent steps have {INDEPENDENT:.3g}, whatever N. p: part of all orders of the steps "
        "that are as smooth as theirs (5 steps or more); small where neighbours in depth are alike"
    ]
    return Table("Smoothness in depth", columns, tuple(rows), 0, tuple(remarks if rows else ()))


# --- distances -----------------------------------------------------------------------------------------


def _distances(items: Sequence[StepMeasure]) -> Table:
    rows = []
    for item in items:
        norm = max((branch.lipschitz for branch in item.branches), default=None)
        mu = max((branch.logarithmic_norm for branch in item.branches), default=None)
        cells = (norm, mu, item.rate, item.ratio, item.local, item.bound)
        rows.append((str(item.stage), str(item.step), *(number(value) for value in cells)))
    columns = ("stage", "step", "|f'|", "mu", "rate", "ratio", "at the data", "bound")
    remark = (
        "|f'| and mu: norm and logarithmic norm of the branch's Jacobian at the data; rate: how fast two "
        "solutions of the equation part, negative where they approach; ratio: what a step does to a small "
        "distance; at the data and bound: Lipschitz constants of the step from |f'| and from the norms of layers"
    )
    return Table("Distances", columns, tuple(rows), 0, (remark,) if rows else ())


# --- corrections ---------------------------------------------------------------------------------------


def _correction(items: Sequence[Correction], reason: str | None) -> Table:
    powers = sorted({power for item in items for power, _ in item.terms})
    rows = []
    for item in items:
        sizes = dict(item.terms)
        rows.append(
            (
                str(item.stage),
                str(item.step),
                *(number(sizes.get(power)) for power in powers),
                number(item.local_error),
            )
        )
    columns = ("stage", "step", *(f"h^{power} terms" for power in powers), "error of a step")
    remarks = [f"not measured: {reason}"] if reason else []
    remarks += _reading(items, powers)
    return Table("Modified equation at the data", columns, tuple(rows), 0, tuple(remarks))


def _reading(items: Sequence[Correction], powers: Sequence[int]) -> Iterator[str]:
    """Yield what the sizes say."""
    if not items:
        return
    yield (
        "medians relative to |f|, exact coefficients times derivatives of the branch; error of a step: "
        "|step - exact flow|/|h f| of the frozen branch, without derivatives. Behind kinks (relu) second "
        "derivatives are 0 almost everywhere, and only the error of a step knows that kinks are crossed"
    )
    large = [item for item in items if any(size >= 1 for _, size in item.terms)]
    if large:
        places = groupby(large, key=lambda item: item.stage)
        where = "; ".join(
            f"stage {stage}: step {', '.join(str(item.step) for item in own)}"
            for stage, own in places
        )
        yield f"a correction is as large as the field itself ({where}): there h is no small step"
