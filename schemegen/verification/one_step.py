"""One step with noise on a nonlinear problem: its first moments over many draws, against the generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.model import Analysis
from schemegen.analysis.weak_model import ForestTerm
from schemegen.series.exotic import Graded, Operators
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Program
from schemegen.verification.draws import DRAWS, SEED, SIGMAS, drawn, number_of
from schemegen.verification.forests import Floats, Reader, tensors
from schemegen.verification.model import Check
from schemegen.verification.problem import Sine, fields_of

__all__ = ["one_step"]

STEP = 1 / 32
NAMES = ("", "mean", "covariance", "third moment")

Array = Any


def one_step(
    program: Program, analysis: Analysis, numbers: Mapping[str, sympy.Rational]
) -> Iterator[Check]:
    """Compare mean, covariance and third central moment of a step with ``exp(h L)``; for a step without memory."""
    sde = analysis.modified_sde
    if sde is None:
        return
    principal = [state for state, _ in sde.drift]
    fields = fields_of(program)
    at = [np.array([0.3, -0.2]) + 0.1 * i for i in range(len(principal))]
    found = _simulated(program, principal, fields, at)
    reader = Reader(program, principal, sde.generator)
    series = generator_of(reader, sde.generator, numbers)
    derived = _moments(reader, series, fields, at)
    for degree in (1, 2, 3):
        wanted, allowance = derived[degree]
        measured, error = found[degree]
        off = np.abs(measured - wanted) - allowance
        worst = float((off / np.maximum(error, 1e-15)).max())
        text = f"{worst:.1f} standard errors off at most" if worst > 0 else "inside"
        yield Check(
            "modified_sde.generator",
            f"{NAMES[degree]} of a step",
            f"to h^{sde.truncation}",
            f"{text}, {DRAWS:,} draws",
            worst < SIGMAS,
            f"h = {STEP:g}",
        )


def _simulated(
    program: Program, principal: Sequence[str], fields: Mapping[str, Sine], at: Sequence[Array]
) -> dict[int, tuple[Array, Array]]:
    """Return the central moments of the increments of a step, each with its standard error."""
    random = np.random.default_rng(SEED)
    draws = drawn(program.noises, STEP, len(at[0]), DRAWS, random)
    real = lambda item: float(item.evalf(30))  # noqa: E731
    arithmetic = Arithmetic(real, {"h": STEP, **draws}, functions_of(np))
    values = {f"{name}[n]": x[:, None] for name, x in zip(principal, at, strict=True)}
    known = run(program, values, {k: _columns(f) for k, f in fields.items()}, arithmetic)
    new = [np.broadcast_to(known[f"{s}[n+1]"], (len(at[0]), DRAWS)) for s in principal]
    moved = np.concatenate([x1 - x0[:, None] for x1, x0 in zip(new, at, strict=True)])
    mean = moved.mean(1)
    d = moved - mean[:, None]
    result = {1: (mean, d.std(1) / np.sqrt(DRAWS))}
    for degree, letters in ((2, "an,bn->abn"), (3, "an,bn,cn->abcn")):
        products = np.einsum(letters, *([d] * degree))
        result[degree] = (products.mean(-1), products.std(-1) / np.sqrt(DRAWS))
    return result


def _columns(field: Sine) -> Any:
    weight, constant = field.weight.astype(float)[:, None], field.constant.astype(float)[:, None]
    matrices = [matrix.astype(float) for matrix in field.matrices]

    def value(*at: Array) -> Array:
        inner = sum((m @ x for m, x in zip(matrices, at, strict=True)), constant)
        return weight * np.sin(inner)

    return value


def generator_of(
    reader: Reader, terms: Sequence[ForestTerm], numbers: Mapping[str, sympy.Rational]
) -> Graded:
    """Return ``h L`` by powers of sqrt(h), read from the texts of the report."""
    series: Graded = {}
    for term in terms:
        forest = reader.forest(term)
        level = series.setdefault(int(2 * term.h_power) + 2, {})
        value = number_of(term.coefficient, numbers)
        level[forest] = level.get(forest, 0.0) + value
    return series


def _moments(
    reader: Reader, series: Graded, fields: Mapping[str, Sine], at: Sequence[Array]
) -> dict[int, tuple[Array, Array]]:
    """Return central moments by ``exp(h L)``, with an allowance for what is left out."""
    most = max(series, default=2)
    operators = Operators(Floats(), reader.colours, most, states=len(at))
    whole = operators.exponential(series, {0: {(): 1.0}})
    root = float(np.sqrt(STEP))
    raw = {d: tensors(operators, whole, root, fields, at, d) for d in (1, 2, 3)}
    m, s, t = (raw[d][0] for d in (1, 2, 3))
    second = s - np.multiply.outer(m, m)
    third = (
        t
        - np.einsum("ab,c->abc", s, m)
        - np.einsum("ac,b->abc", s, m)
        - np.einsum("bc,a->abc", s, m)
        + 2 * np.einsum("a,b,c->abc", m, m, m)
    )
    # The next power is about as large as the last one kept times h, and never quite 0.
    allowed = {d: 4 * STEP * np.abs(raw[d][1]).max() + STEP ** (most / 2 + 1) for d in raw}
    return {1: (m, allowed[1]), 2: (second, allowed[2]), 3: (third, allowed[3])}
