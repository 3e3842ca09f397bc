"""The moments of schemes with noise on linear problems, exactly: weak order, growth with a memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from schemegen.analysis.linear_moments import (
    LinearStepWithNoise,
    NoLinearMomentsError,
    linear_step_with_noise,
)
from schemegen.analysis.model import Analysis
from schemegen.analysis.weak_model import ForestTerm
from schemegen.step.program import ONES, Program
from schemegen.verification.draws import number_of
from schemegen.verification.forests import Reader
from schemegen.verification.model import Check

__all__ = ["principal_growth", "weak_order"]

SLOPE = 0.25
STEPS = (8, 16, 32, 64)
DEGREE = 4  # of the moments whose convergence is looked at

Array = Any


def weak_order(
    program: Program, analysis: Analysis, numbers: Mapping[str, sympy.Rational]
) -> Iterator[Check]:
    """Measure how fast the first moments of a linear problem converge to those of the limit, without draws."""
    claim, sde = analysis.weak_order, analysis.modified_sde
    if claim is None or sde is None:
        return
    what, key = "weak order", "weak_order"
    if len(sde.drift) > 1:
        yield Check(key, what, str(claim), note="measured for one principal state only")
        return
    rates = {field.name: sympy.Rational(-3 + 4 * i, 5) for i, field in enumerate(program.fields)}
    try:
        step = linear_step_with_noise(program, rates)
        if len(step.values) > 1:  # the growth of the principal root against that of the limit
            limit_terms = [term for term in sde.generator if term.h_power <= 0]
            state = sde.drift[0][0]
            errors = [
                n
                * max(
                    _growth_error(step, program, state, limit_terms, rates, numbers, 1 / n, degree)
                    for degree in (1, 2, 3)
                )
                for n in STEPS
            ]
        else:
            limit = _limit_moments(program, sde.generator, rates, numbers)
            errors = [np.abs(_after(step, n) - limit).max() for n in STEPS]
    except (NoLinearMomentsError, OverflowError) as error:
        yield Check(key, what, str(claim), note=str(error))
        return
    slope = float(np.log2(errors[-2] / errors[-1]))
    holds = None if slope > float(claim) + SLOPE else slope > float(claim) - SLOPE
    note = f"moments 1 to {DEGREE} of a linear problem"
    if holds is None:
        note += ", on which the scheme does better"
    yield Check(key, what, str(claim), f"{slope:.2f}", holds, note)


def _after(step: LinearStepWithNoise, count: int) -> Array:
    """Return ``E u^d`` for d up to DEGREE at time 1 from u = 1, after ``count`` steps."""
    size = 1.0 / count
    y = step.values[0]
    matrix = np.zeros((DEGREE + 1, DEGREE + 1))
    matrix[0, 0] = 1
    for degree in range(1, DEGREE + 1):
        (image,) = step.map(degree)
        for monomial, coefficient in image.items():
            power = sympy.Poly(monomial, y).degree() if monomial.has(y) else 0
            matrix[degree, power] += number_of(coefficient, {"h": size})
    moments = np.ones(DEGREE + 1)
    for _ in range(count):
        moments = matrix @ moments
    return moments


def _limit_moments(
    program: Program,
    terms: Sequence[ForestTerm],
    rates: Mapping[str, sympy.Rational],
    numbers: Mapping[str, sympy.Rational],
) -> Array:
    """Return the same moments of the limit: ``d/dt E u^d = E L u^d`` for the terms of the generator at h^0."""
    reader = Reader(program, [program.states[0].name], terms)
    matrix = np.zeros((DEGREE + 1, DEGREE + 1))
    for term in terms:
        if term.h_power > 0:
            continue
        forest = reader.forest(term)
        factor, power = number_of(term.coefficient, numbers), 0
        for _, node in forest:
            value, linear = _linear_tree(reader, node, rates)
            factor, power = factor * value, power + linear
        for degree in range(len(forest), DEGREE + 1):
            falling = float(np.prod([degree - i for i in range(len(forest))]))
            matrix[degree, degree - len(forest) + power] += factor * falling
    return _exponential(matrix) @ np.ones(DEGREE + 1)


def _linear_tree(
    reader: Reader, node: Any, rates: Mapping[str, sympy.Rational]
) -> tuple[float, int]:
    """Return a tree on ``f(u) = lambda u`` as ``value * u^power``."""
    colour = reader.colours[node[0]]
    if colour.identity:
        return 1.0, 1
    if colour.name == ONES:
        return 1.0, 0
    rate = float(rates[colour.name])
    if not node[2]:
        return rate, 1
    if len(node[2]) > 1:
        return 0.0, 0
    value, power = _linear_tree(reader, node[2][0][1], rates)
    return rate * value, power


def _exponential(matrix: Array) -> Array:
    """Return ``exp(matrix)`` of a small matrix by scaling and squaring."""
    scaled, result, term = matrix / 1024, np.eye(len(matrix)), np.eye(len(matrix))
    for k in range(1, 20):
        term = term @ scaled / k
        result = result + term
    for _ in range(10):
        result = result @ result
    return result


def principal_growth(
    program: Program, analysis: Analysis, numbers: Mapping[str, sympy.Rational]
) -> Iterator[Check]:
    """Compare the growth of moments on a linear problem with ``exp(h L)``; for a scheme with a memory.

    The moments of degree d grow by the eigenvalue next to 1 of the mean of the d-th symmetric power of a step.
    """
    sde = analysis.modified_sde
    if sde is None:
        return
    key, what = "modified_sde.generator", "growth of moments 1 to 3"
    if len(sde.drift) > 1:
        yield Check(
            key, what, f"to h^{sde.truncation}", note="measured for one principal state only"
        )
        return
    rates = {field.name: sympy.Rational(-3 + 4 * i, 5) for i, field in enumerate(program.fields)}
    state = sde.drift[0][0]
    try:
        step = linear_step_with_noise(program, rates)
        errors = [
            max(
                _growth_error(step, program, state, sde.generator, rates, numbers, h, degree)
                for degree in (1, 2, 3)
            )
            for h in (1 / 32, 1 / 64)
        ]
    except NoLinearMomentsError as error:
        yield Check(key, what, f"to h^{sde.truncation}", note=str(error))
        return
    wanted = float(sde.truncation) + 2
    slope = float(np.log2(errors[0] / errors[1])) if errors[1] > 1e-12 else wanted
    yield Check(
        key,
        what,
        f"to h^{sde.truncation}",
        f"misses by h^{slope:.2f}",
        slope > wanted - SLOPE,
        "linear problem",
    )


def _growth_error(
    step: LinearStepWithNoise,
    program: Program,
    state: str,
    terms: Sequence[ForestTerm],
    rates: Mapping[str, sympy.Rational],
    numbers: Mapping[str, sympy.Rational],
    size: float,
    degree: int,
) -> float:
    matrix = np.array(
        [[number_of(entry, {"h": size}) for entry in row] for row in step.matrix(degree).tolist()]
    )
    roots = np.linalg.eigvals(matrix)
    root = roots[np.abs(roots - 1).argmin()]
    reader = Reader(program, [state], terms)
    rate = 0.0
    for term in terms:
        forest = reader.forest(term)
        trees = [_linear_tree(reader, node, rates) for _, node in forest]
        if all(power == 1 for _, power in trees) and len(forest) <= degree:
            falling = float(np.prod([degree - i for i in range(len(forest))]))
            factor = float(np.prod([value for value, _ in trees]))
            h = size ** (float(term.h_power) + 1)
            rate += number_of(term.coefficient, numbers) * falling * factor * h
    return float(abs(np.log(root) - rate))
