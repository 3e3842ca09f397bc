"""Regrouped programs: fewer terms, the same values in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from schemegen.pipeline import load_all
from schemegen.resources import resource_dir
from schemegen.scheme.builders import from_butcher
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic
from schemegen.step.interpret import run
from schemegen.step.passes import drop_embedded
from schemegen.step.program import Combine, Program
from schemegen.step.regroup import regroup

small = st.fractions(min_value=-2, max_value=2, max_denominator=4)


def scrambled(*values: Fraction) -> Fraction:
    """A field of bounded size that tells different values apart."""
    total = sum(((i + 2) * x for i, x in enumerate(values)), Fraction(0))
    return Fraction((31 * total.numerator + 57 * total.denominator) % 997, 991)


def rational(value: sympy.Expr) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def values(program: Program) -> dict[str, Fraction]:
    arithmetic = Arithmetic(rational, {"h": Fraction(3, 7)})
    start = {f"{state.name}[n]": Fraction(i + 2, 5) for i, state in enumerate(program.states)}
    start |= {item.name: Fraction(i + 3, 11) for i, item in enumerate(program.inputs)}
    fields = {item.name: scrambled for item in program.fields}
    return run(program, start, fields, arithmetic)


def terms(program: Program) -> int:
    found = (item for item in program.statements if isinstance(item, Combine))
    return sum(max(len(item.terms) - 1, 0) for item in found)


def same(program: Program) -> Program:
    other = regroup(program)
    assert values(other) == values(program)
    assert terms(other) <= terms(program)
    assert [type(item) for item in other.statements] == [type(item) for item in program.statements]
    return other


@st.composite
def shu_osher(draw: st.DrawFn) -> tuple[list[list[Fraction]], list[Fraction], int]:
    """A tableau from stages ``Y_i = (1 - c) Y_j + c Y_{i-1} + h d k_{i-1}``: two terms to be added in each."""
    stages = draw(st.integers(2, 5))
    rows = [[Fraction(0)] * stages]
    for i in range(1, stages + 1):
        j = draw(st.integers(0, i - 1))
        c, d = draw(small), draw(st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(-2, 3)]))
        row = [(1 - c) * x + c * y for x, y in zip(rows[j], rows[i - 1], strict=True)]
        row[i - 1] += 1 - sum(row) if i == stages else d  # consistent
        rows.append(row)
    return rows[:-1], rows[-1], 2 * stages


@settings(max_examples=25, deadline=None)
@given(shu_osher())
def test_stages_through_stages_are_found(
    tableau: tuple[list[list[Fraction]], list[Fraction], int],
) -> None:
    a, b, count = tableau
    program = drop_embedded(lower(from_butcher(a, b)))
    assert terms(same(program)) <= count


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_values_of_random_tableaus_stay(data: st.DataObject) -> None:
    stages = data.draw(st.integers(2, 5))
    a = [[data.draw(small) if j < i else Fraction(0) for j in range(stages)] for i in range(stages)]
    b = [data.draw(small) for _ in range(stages - 1)]
    same(lower(from_butcher(a, [*b, 1 - sum(b, Fraction(0))])))


@pytest.mark.parametrize(("name", "before", "after"), [
    ("ssprk104", 55, 20), ("ssprk43", 10, 5), ("ssprk32", 6, 4), ("ssprk3", 6, 5), ("williamson3", 6, 5),
    ("rk38", 10, 9), ("rk4", 7, 7),
])  # fmt: skip
def test_fewest_terms(name: str, before: int, after: int) -> None:
    (scheme,) = load_all(resource_dir("zoo") / "schemes" / f"{name}.scheme")
    program = drop_embedded(lower(scheme))
    assert (terms(program), terms(same(program))) == (before, after)


def test_what_is_not_rational_stays_as_it_is() -> None:
    for name in ("lm_resnet", "gill4", "milstein", "exp_euler"):
        (scheme,) = load_all(resource_dir("zoo") / "schemes" / f"{name}.scheme")
        program = lower(scheme)
        assert regroup(program) == program
