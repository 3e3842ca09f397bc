"""Modified equations in field form, against values worked out by hand or in the literature.

GNI: Hairer, Lubich, Wanner, Geometric Numerical Integration (2006), ch. IX.
"""

from __future__ import annotations

from typing import Any

import sympy
from series_programs import (
    EULER,
    HEUN,
    MIDPOINT,
    RK4,
    H,
    Q,
    combine,
    evaluate,
    program,
    solve,
)

from schemegen.analysis.expansion import Expansion, expand
from schemegen.step.program import Program

Terms = dict[tuple[str, int], Any]


def terms(result: Expansion, state: str) -> Terms:
    assert result.modified_equation is not None
    assert result.modified_equation.field is not None
    field = dict(result.modified_equation.field)[state]
    return {(t.tree, t.h_power): t.coefficient for t in field}


def field(source: Program, order: int, state: str = "u", **options: Any) -> Terms:
    return terms(expand(source, order, **options), state)


def same(found: Terms, expected: Terms) -> bool:
    return found.keys() == expected.keys() and all(
        sympy.cancel(sympy.together(found[key] - value)) == 0 for key, value in expected.items()
    )


def test_explicit_euler() -> None:
    """GNI IX.1, Example 1.1 and 1.4: f - h/2 f'f + h^2 (1/12 f''(f,f) + 1/3 f'f'f) - .."""
    assert field(EULER, 4) == {
        ("f", 0): 1,
        ("f[f]", 1): -Q(1, 2),
        ("f[f,f]", 2): Q(1, 12),
        ("f[f[f]]", 2): Q(1, 3),
        ("f[f,f[f]]", 3): -Q(1, 12),
        ("f[f[f,f]]", 3): -Q(1, 12),
        ("f[f[f[f]]]", 3): -Q(1, 4),
    }


def test_explicit_euler_for_a_quadratic_field() -> None:
    """GNI IX.1, Example 1.1: y' = y^2 - h y^3 + 3/2 h^2 y^4 - 8/3 h^3 y^5 + 31/6 h^4 y^6 - 157/15 h^5 y^7."""

    def differential(tree: str) -> int:
        """F(tree) at y = 1 for f = y^2: a node without children is 1, with one or two 2, else 0."""
        values: list[list[int]] = [[]]
        for character in tree.replace(",", ""):
            match character:
                case "f":
                    values[-1].append(1)
                case "[":
                    values.append([])
                case "]":
                    children = values.pop()
                    product = 2 if len(children) <= 2 else 0
                    for child in children:
                        product *= child
                    values[-1][-1] = product
        return values[0][0]

    sums = [sympy.Integer(0)] * 6
    for (tree, power), coefficient in field(EULER, 6).items():
        sums[power] += coefficient * differential(tree)
    assert sums == [1, -1, Q(3, 2), -Q(8, 3), Q(31, 6), -Q(157, 15)]


def test_explicit_midpoint() -> None:
    """h^2 (-1/24 f''(f,f) - 1/6 f'f'f) + h^3 (1/16 f'f''(f,f) + 1/8 f'f'f'f)."""
    assert field(MIDPOINT, 4) == {
        ("f", 0): 1,
        ("f[f,f]", 2): -Q(1, 24),
        ("f[f[f]]", 2): -Q(1, 6),
        ("f[f[f,f]]", 3): Q(1, 16),
        ("f[f[f[f]]]", 3): Q(1, 8),
    }


def test_heun() -> None:
    assert field(HEUN, 3) == {
        ("f", 0): 1,
        ("f[f,f]", 2): Q(1, 12),
        ("f[f[f]]", 2): -Q(1, 6),
    }


def test_classical_runge_kutta() -> None:
    """The h^4 terms, 1/2880 f''''(f,f,f,f) to -1/120 f'f'f'f'f, are the local error's."""
    found = field(RK4, 5)
    assert found[("f[f,f,f,f]", 4)] == Q(1, 2880)
    assert found[("f[f[f[f[f]]]]", 4)] == -Q(1, 120)
    assert found[("f[f[f],f[f]]", 4)] == Q(1, 160)
    assert found[("f[f[f[f,f]]]", 4)] == Q(1, 480)
    assert {power for _, power in found} == {0, 4}
    assert len(found) == 1 + 9


def implicit_midpoint(sweeps: int = 4) -> Program:
    group = solve(
        ["Y1"], [evaluate("k1", "f", "Y1"), combine("Y1", (1, "u[n]"), (H / 2, "k1"))], sweeps
    )
    return program([group, evaluate("k", "f", "Y1"), combine("u[n+1]", (1, "u[n]"), (H, "k"))])


def backward_euler() -> Program:
    group = solve(
        ["u[n+1]"],
        [evaluate("k1", "f", "u[n+1]"), combine("u[n+1]", (1, "u[n]"), (H, "k1"))],
    )
    return program([group])


def test_backward_euler_is_the_adjoint_of_euler() -> None:
    """The odd powers of h change sign (GNI IX.2, theorem 2.2)."""
    forward, backward = field(EULER, 6), field(backward_euler(), 6)
    assert backward == {(t, p): c * (-1) ** p for (t, p), c in forward.items()}


def test_implicit_midpoint_has_even_powers_only() -> None:
    """GNI IX.2: h^2 (-1/24 f''(f,f) + 1/12 f'f'f), no odd powers: the method is symmetric."""
    found = field(implicit_midpoint(), 6)
    assert found[("f[f,f]", 2)] == -Q(1, 24)
    assert found[("f[f[f]]", 2)] == Q(1, 12)
    assert {power for _, power in found} == {0, 2, 4}


def test_truncated_sweeps_change_the_equation_where_the_sweeps_end() -> None:
    """Two sweeps from u[n] give Y = u + h/2 f(u + h/2 f(u)): a 3-stage explicit method."""
    ideal, swept = field(implicit_midpoint(2), 4), field(implicit_midpoint(2), 4, sweeps=True)
    low = {key for key in ideal if key[1] < 3}
    assert {key: ideal[key] for key in low} == {key: swept[key] for key in low}
    assert ideal != swept


def lm() -> Program:
    k = sympy.Symbol("k")
    return program(
        [evaluate("k1", "f", "u[n]"), combine("u[n+1]", (1 - k, "u[n]"), (k, "u[n-1]"), (H, "k1"))],
        inputs=[("u[n-1]", "u[n]", 1)],
        params=["k"],
    )


def test_lm_architecture() -> None:
    """Lu et al. (2018), carried one order further."""
    k = sympy.Symbol("k")
    assert same(
        field(lm(), 3),
        {
            ("f", 0): 1 / (1 + k),
            ("f[f]", 1): -(1 - k) / (2 * (1 + k) ** 3),
            ("f[f[f]]", 2): (k**2 - 4 * k + 1) / (3 * (1 + k) ** 5),
            ("f[f,f]", 2): (k**2 - 10 * k + 1) / (12 * (1 + k) ** 5),
        },
    )


def test_lm_without_memory_is_euler() -> None:
    at_zero = {key: c.subs(sympy.Symbol("k"), 0) for key, c in field(lm(), 5).items()}
    assert {key: c for key, c in at_zero.items() if c} == field(EULER, 5)


def ab2() -> Program:
    return program(
        [
            evaluate("f(u[n])", "f", "u[n]"),
            combine("u[n+1]", (1, "u[n]"), (Q(3, 2) * H, "f(u[n])"), (-Q(1, 2) * H, "f(u[n-1])")),
        ],
        inputs=[("f(u[n-1])", "f(u[n])", 1)],
    )


def leapfrog() -> Program:
    return program(
        [evaluate("k1", "f", "u[n]"), combine("u[n+1]", (1, "u[n-1]"), (2 * H, "k1"))],
        inputs=[("u[n-1]", "u[n]", 1)],
    )


def test_adams_bashforth_2() -> None:
    """Leading term -C h^2 u''' with C = 5/12, and u''' = f''(f,f) + f'f'f."""
    found = field(ab2(), 3)
    assert found == {("f", 0): 1, ("f[f,f]", 2): -Q(5, 12), ("f[f[f]]", 2): -Q(5, 12)}


def test_two_step_midpoint_has_even_powers_only() -> None:
    found = field(leapfrog(), 6)
    assert found[("f[f,f]", 2)] == -Q(1, 6)
    assert found[("f[f[f]]", 2)] == -Q(1, 6)
    assert {power for _, power in found} == {0, 2, 4}


def momentum() -> Program:
    gamma = sympy.Symbol("gamma")
    return program(
        [
            evaluate("k", "f", "x[n]"),
            combine("v[n+1]", (gamma, "v[n]"), (1 - gamma, "k")),
            combine("x[n+1]", (1, "x[n]"), (H, "v[n+1]")),
        ],
        states=("x", "v"),
        fields=(("f", ("x",)),),
        params=["gamma"],
    )


def test_momentum() -> None:
    """The velocity is a series of x; eliminating it gives LM with k = -gamma and (1 - gamma) f."""
    g = sympy.Symbol("gamma")
    expected = {
        ("f", 0): sympy.Integer(1),
        ("f[f]", 1): -(1 + g) / (2 * (1 - g)),
        ("f[f[f]]", 2): (g**2 + 4 * g + 1) / (3 * (1 - g) ** 2),
        ("f[f,f]", 2): (g**2 + 10 * g + 1) / (12 * (1 - g) ** 2),
    }
    result = expand(momentum(), 3)
    assert result.principal == ("x",)
    assert result.auxiliary == ("v",)
    assert same(terms(result, "x"), expected)


def test_momentum_is_lm_with_negative_memory() -> None:
    g, k = sympy.symbols("gamma k")
    of_lm = {
        (tree, p): c.subs(k, -g) * (1 - g) ** tree.count("f")
        for (tree, p), c in field(lm(), 5).items()
    }
    assert same(field(momentum(), 5, "x"), of_lm)


def test_heavy_ball_whose_velocity_holds_h() -> None:
    """v' = gamma v + h f(x), x' = x + v': the velocity starts at h, x' = f/(1 - gamma)."""
    g = sympy.Symbol("gamma")
    found = expand(
        program(
            [
                evaluate("k", "f", "x[n]"),
                combine("v[n+1]", (g, "v[n]"), (H, "k")),
                combine("x[n+1]", (1, "x[n]"), (1, "v[n+1]")),
            ],
            states=("x", "v"),
            fields=(("f", ("x",)),),
        ),
        2,
    )
    assert same(
        terms(found, "x"),
        {("f", 0): 1 / (1 - g), ("f[f]", 1): -(1 + g) / (2 * (1 - g) ** 3)},
    )


def symplectic_euler() -> Program:
    return program(
        [
            evaluate("k", "f", "v[n]"),
            combine("x[n+1]", (1, "x[n]"), (H, "k")),
            evaluate("l", "g", "x[n+1]"),
            combine("v[n+1]", (1, "v[n]"), (H, "l")),
        ],
        states=("x", "v"),
        fields=(("f", ("v",)), ("g", ("x",))),
    )


def test_symplectic_euler() -> None:
    """RevNet; GNI IX.3, Example 3.4."""
    result = expand(symplectic_euler(), 3)
    assert terms(result, "x") == {
        ("f", 0): 1,
        ("f[g]", 1): -Q(1, 2),
        ("f[g[f]]", 2): -Q(1, 6),
        ("f[g,g]", 2): Q(1, 12),
    }
    assert terms(result, "v") == {
        ("g", 0): 1,
        ("g[f]", 1): Q(1, 2),
        ("g[f[g]]", 2): -Q(1, 6),
        ("g[f,f]", 2): Q(1, 12),
    }


def test_stoermer_verlet() -> None:
    """Half x, full v, half x; GNI IX.3."""
    verlet = program(
        [
            evaluate("k1", "f", "v[n]"),
            combine("X", (1, "x[n]"), (H / 2, "k1")),
            evaluate("l", "g", "X"),
            combine("v[n+1]", (1, "v[n]"), (H, "l")),
            evaluate("k2", "f", "v[n+1]"),
            combine("x[n+1]", (1, "X"), (H / 2, "k2")),
        ],
        states=("x", "v"),
        fields=(("f", ("v",)), ("g", ("x",))),
    )
    result = expand(verlet, 3)
    assert terms(result, "x") == {
        ("f", 0): 1,
        ("f[g[f]]", 2): Q(1, 12),
        ("f[g,g]", 2): Q(1, 12),
    }
    assert terms(result, "v") == {
        ("g", 0): 1,
        ("g[f[g]]", 2): -Q(1, 6),
        ("g[f,f]", 2): -Q(1, 24),
    }


def damped_euler(scheme: str) -> Program:
    lam = sympy.Symbol("lam")
    phi1 = sympy.Function("phi1")
    state, drift = {
        "explicit": (1 - lam, H),
        "exact": (sympy.exp(-lam), H * phi1(-lam)),
        "implicit": (1 / (1 + lam), H / (1 + lam)),
    }[scheme]
    return program(
        [evaluate("k1", "f", "u[n]"), combine("u[n+1]", (state, "u[n]"), (drift, "k1"))],
        params=["lam"],
    )


def test_damping_is_analysed_with_the_rate_times_h() -> None:
    """With g = f - (lam/h) u: u' = g - h/2 g'g + ..; the h-term expanded."""
    lam = sympy.Symbol("lam")
    result = expand(damped_euler("explicit"), 2)
    assert result.scaled == ("lam",)
    assert result.consistent == "u' = f - (lam/h) u"
    assert same(
        terms(result, "u"),
        {
            ("u", -1): -lam - lam**2 / 2,
            ("f", 0): 1 + lam / 2,
            ("f[u]", 0): lam / 2,
            ("f[f]", 1): -Q(1, 2),
        },
    )


def test_exponential_euler_treats_the_damping_exactly() -> None:
    """ETD1: only -(h/2) f'g is left of the h-term, with g = f - (lam/h) u."""
    lam = sympy.Symbol("lam")
    assert same(
        field(damped_euler("exact"), 2),
        {("u", -1): -lam, ("f", 0): 1, ("f[u]", 0): lam / 2, ("f[f]", 1): -Q(1, 2)},
    )


def test_exponential_euler_with_a_rate_per_time() -> None:
    """exp(-h lam): the same with lam/h replaced by lam, no scaling needed."""
    lam = sympy.Symbol("lam")
    phi1 = sympy.Function("phi1")
    etd = program(
        [
            evaluate("k1", "f", "u[n]"),
            combine("u[n+1]", (sympy.exp(-H * lam), "u[n]"), (H * phi1(-H * lam), "k1")),
        ],
        params=["lam"],
    )
    result = expand(etd, 2)
    assert result.scaled == ()
    assert same(
        terms(result, "u"),
        {("u", 0): -lam, ("f", 0): 1, ("f[u]", 1): lam / 2, ("f[f]", 1): -Q(1, 2)},
    )


def test_implicit_damping_agrees_with_the_other_modes_to_first_order_only() -> None:
    lam = sympy.Symbol("lam")
    found = field(damped_euler("implicit"), 2)
    assert found[("u", -1)] == -lam + lam**2 / 2
    assert found[("f", 0)] == 1 - lam / 2


def zerosnet() -> Program:
    q = sympy.Symbol("q")
    return program(
        [
            evaluate("k1", "f", "u[n]"),
            combine(
                "u[n+1]",
                (3 * (q + 1) / (4 * q), "u[n]"),
                (-1 / q, "u[n-1]"),
                ((q + 1) / (4 * q), "u[n-2]"),
                (H * (3 * q - 1) / (2 * q), "k1"),
            ),
        ],
        inputs=[("u[n-1]", "u[n]", 1), ("u[n-2]", "u[n]", 2)],
        params=["q"],
    )


def test_zerosnet() -> None:
    """Family constant -(3q + 1)/(3 (3q - 1)); -11/48 at the default q = -9/5."""
    q = sympy.Symbol("q")
    found = field(zerosnet(), 3)
    constant = -(3 * q + 1) / (3 * (3 * q - 1))
    assert same(
        found, {("f", 0): sympy.Integer(1), ("f[f,f]", 2): constant, ("f[f[f]]", 2): constant}
    )
    assert found[("f[f,f]", 2)].subs(q, -Q(9, 5)) == -Q(11, 48)


def test_picard_polynet() -> None:
    """u + h f(u + h f(u)): (1/2; -2/3, 1/12)."""
    picard = program(
        [
            evaluate("k1", "f", "u[n]"),
            combine("Y2", (1, "u[n]"), (H, "k1")),
            evaluate("k2", "f", "Y2"),
            combine("u[n+1]", (1, "u[n]"), (H, "k2")),
        ]
    )
    assert field(picard, 3) == {
        ("f", 0): 1,
        ("f[f]", 1): Q(1, 2),
        ("f[f[f]]", 2): -Q(2, 3),
        ("f[f,f]", 2): Q(1, 12),
    }
