"""What a diagnosis of a trained network finds: frozen data, the same keys as its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemegen.training.lyapunov import StepMeasure

__all__ = ["Correction", "Diagnosis", "LearnedStage", "Outside", "Smoothness", "Spectrum"]


@dataclass(frozen=True, slots=True)
class Outside:
    """A step whose coefficients left an exact set: the entry that is farthest out, and how fast its mode grows.

    ``growth`` is the largest modulus of a root of the characteristic polynomial at z = 0.
    """

    step: int
    value: float
    growth: float | None


@dataclass(frozen=True, slots=True)
class LearnedStage:
    """A learned coefficient in a stage of the network, over the ``steps`` that have it.

    ``sets``: by claim and exact set the steps outside, ``count`` values in all (more than a step has where a
    coefficient is one a channel). ``initial``: its mean before training, None where that is not known.
    ``values``: its mean by step. ``ends``: the finite ends of the sets.
    """

    param: str
    stage: int
    steps: tuple[int, ...]
    minimum: float
    mean: float
    maximum: float
    count: int
    initial: float | None
    values: tuple[float, ...]
    sets: tuple[tuple[str, str, tuple[Outside, ...]], ...]
    ends: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues ``z = h lambda`` of the Jacobian of a step's field at some inputs.

    ``complete``: all of them, else the largest and the rightmost. ``growth``: the largest growth of a step at
    these z with the learned coefficients, ``inside`` how many of them lie in the stability region; None where
    the scheme has no region in one z, or the step is not the scheme's own. ``symbols``: its coefficients.
    """

    stage: int
    step: int
    symbols: tuple[tuple[str, float], ...]
    eigenvalues: tuple[complex, ...]
    complete: bool
    growth: float | None
    inside: int | None


@dataclass(frozen=True, slots=True)
class Smoothness:
    """How much the field of a stage changes from step to step, relative to its size.

    ``weights``: mean of ``2 |w[n+1] - w[n]|/(|w[n+1]| + |w[n]|)``, square root of 2 for independent weights.
    ``field``: the same of the values at the data, ``|f[n+1](u[n]) - f[n](u[n])|`` over the mean size: it does not
    change when channels inside a branch are permuted. ``*_initial``: before training. ``order_p``: how often the
    steps in a random order are as smooth as in theirs, None for too few steps to tell.
    """

    stage: int
    steps: int
    weights: float
    field: float | None
    weights_initial: float | None
    field_initial: float | None
    order_p: float | None


@dataclass(frozen=True, slots=True)
class Correction:
    """The modified equation of a step at the data, relative to the field: medians over the inputs.

    ``terms``: ``|h^p (..)|/|f|`` by power p of h. ``local_error``: ``|step - exact flow|/|h f|`` over one step of
    the frozen field, computed with small steps; it needs no derivative of the field.
    """

    stage: int
    step: int
    terms: tuple[tuple[int, float], ...]
    local_error: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that is measured of one trained network; what could not be has its reason in ``notes``."""

    scheme: str
    network: str
    epochs: int | None
    sha256: str
    data: str
    samples: int
    learned: tuple[LearnedStage, ...] = ()
    spectrum: tuple[Spectrum, ...] = ()
    smoothness: tuple[Smoothness, ...] = ()
    distances: tuple[StepMeasure, ...] = ()
    correction: tuple[Correction, ...] = ()
    notes: tuple[tuple[str, str], ...] = field(default=())
