"""Intervals and tests against numbers from tables and by hand."""

from __future__ import annotations

import math

import pytest

from schemegen.comparison.statistics import difference, holm, spread

# Student (1908), table I: hours of sleep gained by ten patients with two drugs.
FIRST = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SECOND = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def test_students_own_interval() -> None:
    found = spread(SECOND)
    assert (found.n, round(found.mean, 2)) == (10, 2.33)
    assert found.deviation == pytest.approx(2.002, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    reach = 2.262157 * found.deviation / math.sqrt(10)  # t(0.975, 9)
    assert found.high - found.mean == pytest.approx(reach, rel=1e-6)
    assert found.mean - found.low == pytest.approx(reach, rel=1e-6)


def test_students_own_pairs() -> None:
    """t = 4.0621 with 9 degrees of freedom, p = 0.002833."""
    found = difference(SECOND, FIRST)
    assert found.mean == pytest.approx(1.58)
    assert found.p_t == pytest.approx(0.002833, abs=5e-7)
    assert (found.low, found.high) == (
        pytest.approx(0.7001, abs=1e-4),
        pytest.approx(2.4599, abs=1e-4),
    )
    # One difference is 0, so 2 signs change nothing: of 2^10 patterns 4 are as far out.
    assert found.p_exact == pytest.approx(4 / 1024)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_exact_tests_of_one_sided_differences(n: int) -> None:
    """All differences of one sign: 2 of the 2^n patterns are as extreme, in both exact tests."""
    found = difference([float(k * k) for k in range(1, n + 1)], [0.0] * n)
    assert found.p_exact == pytest.approx(2 / 2**n)
    assert found.p_wilcoxon == pytest.approx(2 / 2**n)


def test_many_seeds_are_drawn() -> None:
    found = difference([1.0 + k / 100 for k in range(20)], [0.0] * 20)
    assert found.p_exact == pytest.approx(1 / 10000)


def test_equal_and_constant_differences() -> None:
    same = difference([0.5, 0.7], [0.5, 0.7])
    assert (same.mean, same.p_t, same.p_exact, same.p_wilcoxon) == (0.0, 1.0, 1.0, 1.0)
    shifted = difference([0.75, 1.0, 1.25], [0.5, 0.75, 1.0])
    assert shifted.p_t == 0.0
    assert (shifted.low, shifted.high) == (0.25, 0.25)
    assert shifted.p_exact == pytest.approx(0.25)


def test_one_seed_has_no_interval() -> None:
    alone = spread([0.9])
    assert (alone.n, alone.mean, alone.deviation, alone.low) == (1, 0.9, None, None)
    assert difference([0.9], [0.8]).p_t is None


def test_holm_steps_down() -> None:
    """Holm (1979): the smallest times 4, the next times 3, and never below what came before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
