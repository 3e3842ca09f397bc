"""What the analysis derives, measured: orders, and modified equations followed to the order they are cut.

Implicit groups make the declared number of sweeps here, and are analysed so; ``schemegen verify`` iterates them to
their solution (tests/verification).
"""

from __future__ import annotations

from functools import cache

import pytest
import sympy

from schemegen.analysis.expansion import Expansion, expand
from schemegen.pipeline import load
from schemegen.sources import zoo_names
from schemegen.step import lower
from schemegen.step.program import Program, Solve
from schemegen.verification.convergence import TOLERANCE, global_slope
from schemegen.verification.modified import ModifiedField
from schemegen.verification.subject import Subject, subject_of

PARAMS = {"k": "1/3", "gamma": "1/3", "lam": "1/2", "q": "-9/5", "p": "4/5", "sigma": "1/10"}
PARAMS |= {"k0": "1/3", "k1": "1/4", "k2": "1/5"}
WITHOUT_LIMIT = {"plain_cnn", "fractalnet", "leapfrog_net"}
TRUNCATED_NEUMANN = {"polynet", "polynet_mpoly"}  # follows no equation near u' = f unless f(0) = 0
ALWAYS_DRAWN = {
    "en_resnet",
    "neural_sde",
    "neural_sde_multiplicative",
}  # no equation of the evaluation mode
NONE = WITHOUT_LIMIT | TRUNCATED_NEUMANN | ALWAYS_DRAWN
ANALYSED = [name for name in zoo_names() if name not in NONE]


@cache
def program_of(name: str) -> Program:
    return lower(load(name))


def sweeps_limited(program: Program) -> bool:
    """Say whether implicit groups are left after a fixed number of sweeps."""
    solvers = [s.solver for s in program.statements if isinstance(s, Solve)]
    return any(s.method == "fixed_point" and s.tolerance is None for s in solvers)


@cache
def expansion_of(name: str, order: int | None = None) -> Expansion:
    program = program_of(name)
    return expand(program, order, sweeps=sweeps_limited(program))


def subject(name: str, expansion: Expansion) -> Subject:
    program = program_of(name)
    items = (*program.params, *program.schedules)
    numbers = {item.name: sympy.Rational(PARAMS[item.name]) for item in items}
    return subject_of(program, expansion, solved=not sweeps_limited(program), numbers=numbers)


def slope(
    name: str, expansion: Expansion, cut: int | None, expected: int | None
) -> tuple[float, int]:
    """Return a measured slope and the one expected: by default of the first term beyond the order."""
    assert expansion.modified_equation is not None
    assert expansion.modified_equation.field is not None
    chosen = subject(name, expansion)
    modified = ModifiedField(chosen, expansion.modified_equation.field)
    if cut is None or expected is None:
        assert expansion.order is not None
        cut, expected = [power for power in modified.powers() if power >= expansion.order][:2]
    return global_slope(chosen, modified, cut, expected), expected


@pytest.mark.parametrize("name", ANALYSED)
def test_the_measured_order_is_the_derived_order(name: str) -> None:
    expansion = expansion_of(name)
    assert expansion.order is not None
    found, _ = slope(name, expansion, 0, expansion.order)
    assert found == pytest.approx(expansion.order, abs=TOLERANCE)


@pytest.mark.parametrize("name", ANALYSED)
def test_the_solution_follows_the_truncated_modified_equation(name: str) -> None:
    """With the terms up to h^r the distance is h^s, s > r the power of the first term left out."""
    order = expansion_of(name).order
    assert order is not None
    found, expected = slope(name, expansion_of(name, order + 3), None, None)
    assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("name", sorted(WITHOUT_LIMIT))
def test_schemes_without_a_limit_say_so(name: str) -> None:
    expansion = expansion_of(name)
    assert not expansion.small_step_limit
    assert expansion.order is None


@pytest.mark.parametrize("name", sorted(TRUNCATED_NEUMANN | ALWAYS_DRAWN))
def test_schemes_without_a_series_say_so(name: str) -> None:
    expansion = expansion_of(name)
    assert not expansion.is_series
    assert expansion.order is None
