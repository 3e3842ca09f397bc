"""What the expectation of a random step says: modified equation in the sense of Ito, weak and strong order."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

__all__ = [
    "Area",
    "ForestTerm",
    "MeanSquare",
    "ModifiedSDE",
    "Skewness",
    "StationaryVariance",
    "WeakAnalysis",
]


@dataclass(frozen=True, slots=True)
class ForestTerm:
    """``coefficient * h^h_power`` times what ``term`` stands for; ``trees`` are its factors, one for
    each derivative.

    ``f f[g]`` in a generator is ``sum_ij f_i (f'g)_j d_i d_j``; equal letters mark equal components, so
    ``f.i f.i`` is ``sum_i f_i^2 d_i d_i`` (capital letters: equal channels). In a diffusion matrix ``f g^T`` and
    ``diag(f*g)`` are written out.
    """

    term: str
    trees: tuple[str, ...]
    h_power: sympy.Expr
    coefficient: sympy.Expr


@dataclass(frozen=True, slots=True)
class ModifiedSDE:
    """``dX = drift dt + B dW`` with ``B B^T = diffusion_squared``, in the sense of Ito, and its generator.

    ``generator`` holds all terms up to ``truncation`` (a power of h). ``exists_to`` is the power of h up to which
    it is that of an SDE; at ``stops_at`` products of three or more trees occur, ``obstacles``.
    ``scaling`` is ``sqrt(h)`` where noise remains in the limit h -> 0 and ``h`` where the limit is the equation of
    the mean. ``only_when``: values of a symbol for which the obstacles vanish, as text.
    """

    drift: tuple[tuple[str, tuple[ForestTerm, ...]], ...]
    diffusion_squared: tuple[ForestTerm, ...]
    stratonovich_drift: tuple[tuple[str, tuple[ForestTerm, ...]], ...]
    generator: tuple[ForestTerm, ...]
    exists_to: sympy.Expr
    truncation: sympy.Expr
    obstacles: tuple[ForestTerm, ...]
    scaling: str
    only_when: str | None
    stops_at: sympy.Expr | None
    valid: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skewness:
    """The third central moment of a noise that stands against a modified SDE at ``h_power``."""

    noise: str
    moment: sympy.Expr
    h_power: sympy.Expr


@dataclass(frozen=True, slots=True)
class Area:
    """Two noises whose fields do not commute (one name twice: components of one noise)."""

    first: str
    second: str


@dataclass(frozen=True, slots=True)
class MeanSquare:
    """Second moments of a step on linear problems: ``E R^2`` (``function``), else the ``matrix`` of all of them.

    ``variables``: ``("z", "f")`` says that z is h times the number of the field f, ``("w", "g")`` that w is
    sqrt(h) times that of g, a field of the noise. ``stable``: where they decay, as a set, or the inequality.
    """

    variables: tuple[tuple[str, str], ...]
    function: sympy.Expr | None
    matrix: tuple[tuple[sympy.Expr, ...], ...] | None
    stable: bool | str | None


@dataclass(frozen=True, slots=True)
class StationaryVariance:
    """The variance that additive noise settles to on a linear problem, and that of the limit h -> 0."""

    scheme: sympy.Expr
    limit: sympy.Expr | None


@dataclass(frozen=True, slots=True)
class WeakAnalysis:
    """Orders are None where they were not found; the notes of the analysis say why."""

    sde: ModifiedSDE | None = None
    weak_order: sympy.Expr | None = None
    weak_at_least: sympy.Expr | None = None
    strong_order: sympy.Expr | None = None
    strong_at_least: sympy.Expr | None = None
    skewed: tuple[Skewness, ...] = ()
    areas: tuple[Area, ...] = ()
    diffusion: tuple[str, ...] = ()  # fields that a Wiener increment drives at sqrt(h)
