"""Schemes with noise: what the report says of expectations against many draws, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator

from schemegen.analysis.model import Analysis
from schemegen.step.program import Program
from schemegen.verification.draws import with_numbers, without_draws
from schemegen.verification.mean_square import growth, variance
from schemegen.verification.model import Check
from schemegen.verification.noise_order import principal_growth, weak_order
from schemegen.verification.one_step import one_step
from schemegen.verification.subject import chosen_numbers

__all__ = ["stochastic"]


def stochastic(program: Program, analysis: Analysis) -> Iterator[Check]:
    """Measure what ``analysis`` says of the expectations of a program with noise.

    One step from a fixed point on a nonlinear problem over many seeded draws; the moments of linear problems,
    whose convergence is measured without draws; and the growth and the stationary variance by simulation.
    """
    if not program.noises:
        return
    numbers = chosen_numbers(without_draws(program))
    fixed = with_numbers(program, numbers)
    sde = analysis.modified_sde
    remembers = program.inputs or (sde is not None and len(sde.drift) < len(program.states))
    yield from (principal_growth if remembers else one_step)(fixed, analysis, numbers)
    yield from weak_order(fixed, analysis, numbers)
    yield from growth(fixed, analysis, numbers)
    yield from variance(fixed, analysis, numbers)
