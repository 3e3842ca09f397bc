"""Schemes with noise: what the report says of expectations against many draws, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import sympy

from schemegen.analysis.expansion import expand
from schemegen.analysis.model import Analysis
from schemegen.analysis.weak_model import ForestTerm
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
    scaled = expand(program).scaled
    fixed = with_numbers(program, numbers, scaled)
    sde = analysis.modified_sde
    remembers = program.inputs or (sde is not None and len(sde.drift) < len(program.states))
    if sde is not None:
        terms = tuple(_settled(term, numbers, scaled) for term in sde.generator)
        analysis = replace(analysis, modified_sde=replace(sde, generator=terms))
    yield from (principal_growth if remembers else one_step)(fixed, analysis, numbers)
    yield from weak_order(fixed, analysis, numbers)
    yield from growth(fixed, analysis, numbers, scaled)
    yield from variance(fixed, analysis, numbers, scaled)


def _settled(
    term: ForestTerm, numbers: Mapping[str, sympy.Rational], scaled: Sequence[str]
) -> ForestTerm:
    """Return a term with numbers for its symbols; those that stand for h times a constant raise its power of h."""
    symbols = [sympy.Symbol(name) for name in scaled]
    degree = 0
    if symbols:
        degree = sympy.Poly(sympy.numer(sympy.together(term.coefficient)), *symbols).total_degree()
    values = {sympy.Symbol(name): value for name, value in numbers.items()}
    return replace(
        term, coefficient=term.coefficient.xreplace(values), h_power=term.h_power + degree
    )
