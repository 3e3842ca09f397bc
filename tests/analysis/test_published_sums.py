"""Sums that other packages print for the explicit midpoint rule up to nine nodes.

The benchmarks page of BSeries.jl runs three packages on it ("Comparison with other packages"; the outputs are in
dev/benchmark_python_bseries.txt and dev/benchmark_python_pybs.txt of its documentation, version 0.1.64): the sum
over all trees of the coefficients ``b(t)`` in the convention that has the symmetry outside of ``b``, as here.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from schemegen.analysis.conservation import Conservation
from schemegen.analysis.expansion import read
from schemegen.analysis.modifying import ModifyingReading
from schemegen.pipeline import load
from schemegen.step import lower

NODES = 9
TREES = 1 + 1 + 2 + 4 + 9 + 20 + 48 + 115 + 286


@pytest.fixture(scope="module")
def reading():
    return read(lower(load("rk2")), NODES)


def total(numbers) -> Fraction:
    found = sum(numbers[1:], numbers[0])
    return Fraction(int(found.p), int(found.q))


def test_the_modified_equation(reading) -> None:
    numbers = reading.field.coefficients[0]
    assert len(numbers) == TREES
    assert total(numbers) == Fraction(19063, 26880)


def test_the_modifying_integrator(reading) -> None:
    modifying = ModifyingReading(lower(load("rk2")), reading)
    while modifying.nodes < NODES:
        modifying.advance()
    assert len(modifying.modifying[0]) == TREES
    assert total(modifying.modifying[0]) == Fraction(5460293, 241920)


def test_neither_the_form_nor_the_energy_is_kept_beyond_the_order(reading) -> None:
    found = Conservation(reading)
    assert (found.symplectic_to(NODES), found.energy_preserving_to(NODES)) == (2, 2)
