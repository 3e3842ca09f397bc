"""B-series along a field: exact flows, and exp and log as inverses of one another."""

from __future__ import annotations

from fractions import Fraction

import flint
from hypothesis import given, settings
from hypothesis import strategies as st

from schemegen.series import (
    Colour,
    Flow,
    Rationals,
    Trees,
    VectorField,
    exponential,
    logarithm,
    rooted_trees,
)
from schemegen.series.rational_functions import RationalFunctions

RING = Rationals()
NODES = 5
rationals = st.fractions(min_value=-2, max_value=2, max_denominator=6).map(
    lambda q: flint.fmpq(q.numerator, q.denominator)
)


def partitioned() -> Trees:
    trees = Trees(
        (Colour("f", (1,)), Colour("g", (0,))), (frozenset((0,)), frozenset((1,))), ("x", "v")
    )
    trees.grow(NODES)
    return trees


def test_the_exact_flow_has_the_reciprocal_densities() -> None:
    """HNW II.2, theorem 2.6: x(t+h) has the coefficients 1/gamma(t)."""
    trees = rooted_trees(7)
    field = [RING.one] + [RING.zero] * (len(trees) - 1)
    (flow,) = exponential(trees, RING, [field], 7)
    assert flow == [flint.fmpq(1, trees.density[t]) for t in range(len(trees))]


def test_the_exact_flow_of_a_partitioned_system() -> None:
    trees = partitioned()
    field = [
        [
            RING.one if trees.nodes[t] == 1 and trees.colour[t] == s else RING.zero
            for t in range(len(trees))
        ]
        for s in (0, 1)
    ]
    flows = exponential(trees, RING, field, NODES)
    for state, flow in enumerate(flows):
        assert flow == [
            flint.fmpq(1, trees.density[t]) if trees.colour[t] == state else RING.zero
            for t in range(len(trees))
        ]


@settings(max_examples=30, deadline=None)
@given(st.lists(rationals, min_size=17, max_size=17))
def test_log_of_exp_is_the_field(numbers: list[flint.fmpq]) -> None:
    trees = rooted_trees(NODES)
    assert len(trees) == 17
    assert logarithm(trees, RING, exponential(trees, RING, [numbers], NODES), NODES) == [numbers]


@settings(max_examples=20, deadline=None)
@given(st.lists(rationals, min_size=34, max_size=34))
def test_exp_of_log_is_the_series_of_a_partitioned_map(numbers: list[flint.fmpq]) -> None:
    trees = partitioned()
    size = len(trees)
    series = [
        [numbers[t] if trees.colour[t] == state else RING.zero for t in range(size)]
        for state in (0, 1)
    ]
    assert exponential(trees, RING, logarithm(trees, RING, series, NODES), NODES) == series


@settings(max_examples=20, deadline=None)
@given(st.lists(rationals, min_size=17, max_size=17), st.integers(-3, 3), st.integers(-3, 3))
def test_flows_add_up(numbers: list[flint.fmpq], first: int, second: int) -> None:
    """exp(i L) exp(j L) = exp((i + j) L): shift a series that is itself a shifted state."""
    trees = rooted_trees(NODES)
    field = VectorField(trees, RING)
    state = Flow(field, [RING.one])
    moved = Flow(field, [RING.one])
    for n in range(1, NODES + 1):
        field.open(n)
        level = trees.level(n)
        field.coefficients[0][level.start : level.stop] = numbers[level.start : level.stop]
        state.open(n, [RING.zero] * len(level))
        moved.open(n, state.shifted(first, n))
        assert moved.shifted(second, n) == state.shifted(first + second, n)


def test_a_level_that_is_settled_later_gives_the_same_flow() -> None:
    trees = rooted_trees(4)
    numbers = [flint.fmpq(i + 1, 7) for i in range(len(trees))]
    results = []
    for late in (False, True):
        field = VectorField(trees, RING)
        flow = Flow(field, [RING.one])
        for n in range(1, 5):
            field.open(n)
            level = trees.level(n)
            own = numbers[level.start : level.stop]
            if not late:
                field.coefficients[0][level.start : level.stop] = own
            flow.open(n, [RING.zero] * len(level) if late else own)
            if late:
                field.coefficients[0][level.start : level.stop] = own
                flow.settle_field(n, 0, own)
                flow.settle(n, own)
        results.append([flow.shifted(-2, n) for n in range(1, 5)])
    assert results[0] == results[1]


def test_rational_functions_are_in_lowest_terms() -> None:
    ring = RationalFunctions(["k"])
    k = ring.generator(0)
    quotient = (ring.one - k * k) * ring.inverse((ring.one + k) * ring.rational(2))
    assert quotient == (ring.one - k) * ring.rational(1, 2)
    assert not quotient - quotient
    assert ring.inverse(ring.inverse(quotient)) == quotient
    assert hash(quotient) == hash(ring.rational(1, 2) - k * ring.rational(1, 2))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=8, max_size=8))
def test_rational_functions_agree_with_their_values(numbers: list[int]) -> None:
    """Evaluate at k = 5 (no denominator below vanishes there)."""
    ring = RationalFunctions(["k"])
    k = ring.generator(0)
    at = Fraction(5)

    def make(a: int, b: int) -> tuple[object, Fraction]:
        top = ring.rational(a) + k * b
        bottom = k * k + ring.one
        return top * ring.inverse(bottom), (a + b * at) / (at * at + 1)

    (p, u), (q, v), (r, w), (s, x) = (make(*numbers[i : i + 2]) for i in range(0, 8, 2))
    found = p * q + r - s * 3  # type: ignore[operator]
    wanted = u * v + w - x * 3

    def value(polynomial: object) -> Fraction:
        terms = polynomial.to_dict().items()  # type: ignore[attr-defined]
        return sum((Fraction(int(c.p), int(c.q)) * at ** int(e) for (e,), c in terms), Fraction(0))

    assert value(found.numerator) / value(found.denominator) == wanted
