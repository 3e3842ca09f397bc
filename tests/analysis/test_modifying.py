"""The modifying integrator: put into the scheme as a concrete field, it gives the exact solution.

The check knows nothing of cuts or substitution: elementary differentials of a quadratic field are written out
as polynomials, the scheme is run on power series in h, and the result is compared with the Taylor series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sympy
from series_programs import EULER, MIDPOINT, RK4, H, Q, combine, evaluate, program, runge_kutta
from sympy.polys.rings import ring
from test_modified_equation import ab2, backward_euler, implicit_midpoint, lm, symplectic_euler

from schemegen.analysis.expansion import expand, read
from schemegen.analysis.modifying import modifying_terms
from schemegen.analysis.order import collected
from schemegen.report.notation import parse_tree
from schemegen.step.program import Program

R, X, V = ring("x, v", sympy.QQ)
Terms = dict[tuple[str, int], Any]
Series = list[Any]
Field = Callable[[list[Series]], list[Series]]
FIELDS = {"f": (X * V + V, X - V**2 / 2), "x": (X * V + V,), "v": (X - V**2 / 2,)}


def modifying(source: Program, nodes: int, state: str = "u") -> Terms:
    found = dict(modifying_terms(source, read(source, nodes), nodes))[state]
    return {(t.tree, t.h_power): t.coefficient for t in found}


# --- power series in h --------------------------------------------------------------------------


def times(a: Series, b: Series) -> Series:
    return [sum(a[i] * b[n - i] for i in range(n + 1)) for n in range(len(a))]


def put(polynomial: Any, at: Sequence[Series]) -> Series:
    size = len(at[0])
    total: Series = [sympy.QQ(0)] * size
    for exponents, c in polynomial.terms():
        product: Series = [c] + [sympy.QQ(0)] * (size - 1)
        for series, power in zip(at, exponents, strict=True):
            for _ in range(power):
                product = times(product, series)
        total = [a + b for a, b in zip(total, product, strict=True)]
    return total


def plus(u: list[Series], c: Any, k: list[Series]) -> list[Series]:
    """Return u + c h k."""
    return [
        [a + c * b for a, b in zip(x, [sympy.QQ(0), *y], strict=False)]
        for x, y in zip(u, k, strict=True)
    ]


def exact(step: int, size: int) -> list[Series]:
    """Return the Taylor series in h of the solution at ``step h`` from (1, 2)."""
    current = [X, V]
    result: list[Series] = [[], []]
    for n in range(size):
        for series, function in zip(result, current, strict=True):
            series.append(function(1, 2) * sympy.QQ(step) ** n / sympy.factorial(n))
        current = [p.diff(X) * FIELDS["f"][0] + p.diff(V) * FIELDS["f"][1] for p in current]
    return [[sympy.QQ.from_sympy(sympy.sympify(c)) for c in s] for s in result]


# --- the field from its trees -------------------------------------------------------------------


def differential(text: str, functions: Sequence[Any]) -> list[Any]:
    """Return F(tree) for one state of two components; ``f[f,f[f]]`` as text."""
    children, depth, start = [], 0, 2
    for i, character in enumerate(text[2:-1], 2):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            children.append(text[start:i])
            start = i + 1
    if len(text) > 1:
        children.append(text[start:-1])
    result = list(functions)
    directions = [differential(child, functions) for child in children]
    values = [[g] for g in result]
    for degree, _ in enumerate(directions):
        values = [[p.diff(y) for p in row for y in (X, V)] for row in values]
        assert len(values[0]) == 2 ** (degree + 1)
    for direction in reversed(directions):
        values = [
            [row[i] * direction[0] + row[i + 1] * direction[1] for i in range(0, len(row), 2)]
            for row in values
        ]
    return [row[0] for row in values]


def concrete(terms: Terms, size: int) -> Field:
    by_power = [[R.zero, R.zero] for _ in range(size)]
    for (tree, power), coefficient in terms.items():
        number = sympy.QQ.from_sympy(coefficient)
        for i, value in enumerate(differential(tree, FIELDS["f"])):
            by_power[power][i] += number * value

    def field(at: list[Series]) -> list[Series]:
        result = []
        for i in range(2):
            total: Series = [sympy.QQ(0)] * len(at[0])
            for power, functions in enumerate(by_power):
                shifted = [sympy.QQ(0)] * power + put(functions[i], at)
                total = [a + b for a, b in zip(total, shifted, strict=False)]
            result.append(total)
        return result

    return field


def through(a: Sequence[Sequence[Any]], b: Sequence[Any], field: Field, u: list[Series]) -> Any:
    slopes: list[list[Series]] = []
    for row in a:
        y = u
        for c, k in zip(row, slopes, strict=False):
            y = plus(y, sympy.QQ(*c), k)
        slopes.append(field(y))
    for c, k in zip(b, slopes, strict=True):
        u = plus(u, sympy.QQ(*c), k)
    return u


TABLEAUS = {
    "euler": (EULER, [[]], [(1,)]),
    "midpoint": (MIDPOINT, [[], [(1, 2)]], [(0,), (1,)]),
    "rk4": (
        RK4,
        [[], [(1, 2)], [(0,), (1, 2)], [(0,), (0,), (1,)]],
        [(1, 6), (1, 3), (1, 3), (1, 6)],
    ),
}


@pytest.mark.parametrize("name", TABLEAUS)
def test_the_scheme_with_the_modifying_field_is_exact_to_order_8(name: str) -> None:
    source, a, b = TABLEAUS[name]
    field = concrete(modifying(source, 8), 8)
    start = exact(0, 9)
    assert through(a, b, field, start) == exact(1, 9)
    without_last = concrete({k: c for k, c in modifying(source, 8).items() if k[1] < 7}, 8)
    assert through(a, b, without_last, start) != exact(1, 9)
    assert through(a, b, without_last, start)[0][:8] == exact(1, 9)[0][:8]


def test_two_steps_with_remembered_slopes_are_exact_to_order_8() -> None:
    field = concrete(modifying(ab2(), 8), 8)
    now = plus(exact(0, 9), sympy.QQ(3, 2), field(exact(0, 9)))
    assert plus(now, -sympy.QQ(1, 2), field(exact(-1, 9))) == exact(1, 9)


def test_an_implicit_step_is_exact_to_order_8() -> None:
    field = concrete(modifying(backward_euler(), 8), 8)
    assert plus(exact(0, 9), sympy.QQ(1), field(exact(1, 9))) == exact(1, 9)


# --- a partitioned step -------------------------------------------------------------------------


def coupled_symplectic_euler() -> Program:
    return program(
        [
            evaluate("k", "f", "x[n]", "v[n]"),
            combine("x[n+1]", (1, "x[n]"), (H, "k")),
            evaluate("l", "g", "x[n+1]", "v[n]"),
            combine("v[n+1]", (1, "v[n]"), (H, "l")),
        ],
        states=("x", "v"),
        fields=(("f", ("x", "v")), ("g", ("x", "v"))),
    )


def coupled_differential(tree: Any) -> Any:
    """F(tree) of the P-series: a node ``f`` acts on x, a node ``g`` on v."""
    value = FIELDS["x" if tree.field == "f" else "v"][0]
    pending = [value]
    factors = []
    for child in tree.branches:
        pending = [p.diff(X if child.field == "f" else V) for p in pending]
        factors.append(coupled_differential(child))
    result = pending[0]
    for factor in factors:
        result = result * factor
    return result


def test_a_partitioned_scheme_with_its_modifying_fields_is_exact() -> None:
    size = 7
    found = dict(modifying_terms(p := coupled_symplectic_euler(), read(p, size - 1), size - 1))

    def slope(state: str, at: list[Series]) -> Series:
        total: Series = [sympy.QQ(0)] * size
        for term in found[state]:
            function = coupled_differential(parse_tree(term.tree))
            function = function * sympy.QQ.from_sympy(term.coefficient)
            shifted = [sympy.QQ(0)] * term.h_power + put(function, at)
            total = [a + b for a, b in zip(total, shifted, strict=False)]
        return total

    x, v = exact(0, size)
    (x_next,) = plus([x], sympy.QQ(1), [slope("x", [x, v])])
    (v_next,) = plus([v], sympy.QQ(1), [slope("v", [x_next, v])])
    assert [x_next, v_next] == exact(1, size)


# --- published values ---------------------------------------------------------------------------


def test_implicit_midpoint() -> None:
    """Chartier, Hairer, Vilmart (2007), sec. 3: f - h^2 (1/12 f'f'f - 1/24 f''(f,f)) + .."""
    assert modifying(implicit_midpoint(), 4) == {
        ("f", 0): 1,
        ("f[f[f]]", 2): -Q(1, 12),
        ("f[f,f]", 2): Q(1, 24),
    }


def test_eulers_modifying_field_is_the_exact_flow() -> None:
    """u + h f^(u) = exact: the coefficients are 1/(gamma sigma)."""
    reading = read(EULER, 6)
    trees = reading.trees
    expected = {}
    for n in range(1, 7):
        inverse = [reading.ring.rational(1, trees.density[t]) for t in range(len(trees))]
        for (text, _), c in collected(reading, inverse, n).items():
            expected[text, n - 1] = sympy.Rational(int(c.p), int(c.q))
    assert modifying(EULER, 6) == expected


def test_memory_is_undone_too() -> None:
    """LM: (1 + k) u' = f is the limit, and at k = 0 Euler is left."""
    k = sympy.Symbol("k")
    found = modifying(lm(), 4)
    assert sympy.cancel(found["f[f]", 1] - (1 - k) / (2 * (1 + k) ** 2)) == 0
    assert {key: c.subs(k, 0) for key, c in found.items()} == modifying(EULER, 4)


def test_where_there_is_none_the_reason_is_said() -> None:
    result = expand(symplectic_euler(), 3)
    assert result.modifying_equation is None
    assert any(
        n.key == "modifying_equation" and "depends on all states" in n.text for n in result.notes
    )


def test_many_symbols_are_kept_to_fewer_nodes() -> None:
    a, b, c = sympy.symbols("a b c")
    result = expand(runge_kutta([[0], [a]], [b, c]), 5)
    assert result.modifying_equation is not None
    assert max(t.nodes for t in result.modifying_equation[0][1]) == 4
    assert any(n.key == "modifying_equation" and "4 nodes" in n.text for n in result.notes)
