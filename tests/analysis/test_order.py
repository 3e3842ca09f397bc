"""Order, conditions, errors and derivative forms against the literature.

HNW: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993).
"""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from series_programs import (
    EULER,
    HEUN,
    MIDPOINT,
    RK4,
    SPAN,
    H,
    Q,
    combine,
    evaluate,
    program,
    runge_kutta,
    solve,
)
from test_modified_equation import (
    ab2,
    backward_euler,
    damped_euler,
    implicit_midpoint,
    leapfrog,
    lm,
    momentum,
    symplectic_euler,
    zerosnet,
)

from schemegen.analysis.expansion import expand
from schemegen.analysis.model import DerivativeTerm, SpecialOrder
from schemegen.scheme.model import Noise
from schemegen.step.program import Program

KUTTA3 = runge_kutta([[0], [Q(1, 2)], [-1, 2]], [Q(1, 6), Q(2, 3), Q(1, 6)])


@pytest.mark.parametrize(
    ("scheme", "order"),
    [
        (EULER, 1),
        (MIDPOINT, 2),
        (HEUN, 2),
        (KUTTA3, 3),
        (RK4, 4),
        (backward_euler(), 1),
        (implicit_midpoint(), 2),
        (lm(), 1),
        (ab2(), 2),
        (leapfrog(), 2),
        (momentum(), 1),
        (symplectic_euler(), 1),
        (zerosnet(), 2),
        (damped_euler("explicit"), 1),
        (damped_euler("exact"), 1),
    ],
)
def test_orders(scheme: Program, order: int) -> None:
    assert expand(scheme).order == order


def gauss2(sweeps: int = 4) -> Program:
    s = sympy.sqrt(3)
    a = [[Q(1, 4), Q(1, 4) - s / 6], [Q(1, 4) + s / 6, Q(1, 4)]]
    inner = [evaluate("k1", "f", "Y1"), evaluate("k2", "f", "Y2")]
    outer = [
        combine(f"Y{i + 1}", (1, "u[n]"), (a[i][0] * H, "k1"), (a[i][1] * H, "k2")) for i in (0, 1)
    ]
    return program(
        [
            solve(["Y1", "Y2"], [*inner, *outer], sweeps),
            evaluate("l1", "f", "Y1"),
            evaluate("l2", "f", "Y2"),
            combine("u[n+1]", (1, "u[n]"), (H / 2, "l1"), (H / 2, "l2")),
        ]
    )


def test_gauss_2_with_surds() -> None:
    """HNW II.7: order 2s = 4, stage order s = 2."""
    result = expand(gauss2())
    assert (result.order, result.stage_order) == (4, 2)
    assert dict(result.stage_orders) == {"Y1": 2, "Y2": 2}


@pytest.mark.parametrize("sweeps", [1, 2, 3, 4])
def test_each_sweep_from_the_old_state_gains_one_order(sweeps: int) -> None:
    """Jackson, Norsett (1995): the predictor has order 0, m sweeps give min(p, m + 1)."""
    assert expand(gauss2(sweeps)).solver_order == min(4, sweeps + 1)


def test_order_conditions_of_the_midpoint_rule() -> None:
    residuals = {c.tree: c.residual for c in expand(MIDPOINT).order_conditions}
    assert residuals == {"f": 0, "f[f]": 0, "f[f,f]": Q(1, 4) - Q(1, 3), "f[f[f]]": -Q(1, 6)}


def test_the_first_failing_tree() -> None:
    failure = expand(MIDPOINT).failure
    assert failure is not None
    assert (failure.tree, failure.weight, failure.needed) == ("f[f,f]", Q(1, 4), Q(1, 3))


def test_principal_error_of_the_classical_method() -> None:
    """HNW II.3, table 3.3 in the form of Prince and Dormand; nodepy gives 0.01450."""
    result = expand(RK4)
    assert len(result.principal_error) == 9
    assert {t.h_power for t in result.principal_error} == {5}
    assert result.principal_error_norm is not None
    exact, number = result.principal_error_norm
    assert exact.is_number
    assert number == pytest.approx(0.014504582, abs=1e-8)


def test_principal_error_of_the_midpoint_rule() -> None:
    result = expand(MIDPOINT)
    found = {t.tree: t.coefficient for t in result.principal_error}
    assert found == {"f[f,f]": -Q(1, 24), "f[f[f]]": -Q(1, 6)}
    assert result.principal_error_norm == (sympy.sqrt(17) / 24, pytest.approx(17**0.5 / 24))


def test_embedded_order() -> None:
    pair = runge_kutta([[0], [1]], [Q(1, 2), Q(1, 2)])
    low = combine("u_hat[n+1]", (1, "u[n]"), (H, "k1"))
    from dataclasses import replace

    pair = replace(pair, statements=(*pair.statements, low), embedded=(("u", "u_hat[n+1]"),))
    result = expand(pair)
    assert (result.order, result.embedded_order) == (2, 1)


def test_error_constants_of_multistep_methods() -> None:
    """HNW III.2, table 2.1: AB2 has 5/12; two-step midpoint 1/3 over sigma(1) = 2."""
    assert expand(ab2()).error_constant == Q(5, 12)
    assert expand(leapfrog()).error_constant == Q(1, 6)
    assert expand(MIDPOINT).error_constant is None
    q = sympy.Symbol("q")
    family = expand(zerosnet()).error_constant
    assert family is not None
    assert sympy.cancel(family - (3 * q + 1) / (3 * (3 * q - 1))) == 0


def test_consistency_is_read_from_the_limit() -> None:
    assert expand(MIDPOINT).consistent is True
    assert expand(symplectic_euler()).consistent is True
    k = sympy.Symbol("k")
    result = expand(lm())
    assert result.consistent == "(1 + k) u' = f"
    assert result.limit == (("u", (("f", 1 / (k + 1)),)),)
    assert expand(runge_kutta([[0]], [2])).consistent == "u' = 2 f"
    assert expand(runge_kutta([[0], [1]], [1, -1])).consistent is False


def test_weights_of_the_rescaled_equation() -> None:
    """In g = f/(1 + k) LM has c/2 with c = (1 - k)/(1 + k) for the weight it misses."""
    k = sympy.Symbol("k")
    failure = expand(lm()).failure
    assert failure is not None
    assert sympy.cancel(failure.needed - failure.weight - (1 - k) / (2 * (1 + k))) == 0


def test_special_orders() -> None:
    assert expand(lm()).order_special == (SpecialOrder("k = 1", 2),)
    assert expand(zerosnet()).order_special == (SpecialOrder("q = -1/3", 3),)


def test_special_order_of_a_family_of_two_stages() -> None:
    """b = (1 - b2, b2), c2 = 1/2: of order 2 at b2 = 1 only; HNW II.1."""
    b2 = sympy.Symbol("b2")
    family = runge_kutta([[0], [Q(1, 2)]], [1 - b2, b2], params=["b2"])
    result = expand(family)
    assert (result.order, result.order_special) == (1, (SpecialOrder("b2 = 1", 2),))


def test_derivative_form_of_lm() -> None:
    """Lu et al. (2018): (1 + k) u' + (1 - k) h/2 u'' + (1 + k) h^2/6 u''' + .. = f."""
    k = sympy.Symbol("k")
    equation = expand(lm(), 3).modified_equation
    assert equation is not None
    assert equation.derivative_form is not None
    found = {(t.derivative, t.h_power): t.coefficient for t in equation.derivative_form}
    wanted = {(1, 0): 1 + k, (2, 1): (1 - k) / 2, (3, 2): (1 + k) / 6}
    assert found.keys() == wanted.keys()
    assert all(sympy.expand(found[key] - wanted[key]) == 0 for key in wanted)


def test_derivative_forms_of_other_schemes() -> None:
    def form(scheme: Program, order: int) -> tuple[DerivativeTerm, ...] | None:
        equation = expand(scheme, order).modified_equation
        assert equation is not None
        return equation.derivative_form

    assert form(EULER, 2) == (DerivativeTerm(1, 0, Q(1)), DerivativeTerm(2, 1, Q(1, 2)))
    assert form(backward_euler(), 2) == (DerivativeTerm(1, 0, Q(1)), DerivativeTerm(2, 1, -Q(1, 2)))
    assert form(ab2(), 3) == (DerivativeTerm(1, 0, Q(1)), DerivativeTerm(3, 2, Q(5, 12)))
    assert form(MIDPOINT, 3) is None
    assert form(symplectic_euler(), 3) is None
    lam = sympy.Symbol("lam")
    damped = form(damped_euler("explicit"), 2)
    assert damped == (
        DerivativeTerm(0, -1, lam),
        DerivativeTerm(1, 0, Q(1)),
        DerivativeTerm(2, 1, Q(1, 2)),
    )


def test_momentum_in_derivative_form() -> None:
    """eps x'' + x' = f at leading order with eps = h (1 + gamma)/(2 (1 - gamma))."""
    g = sympy.Symbol("gamma")
    equation = expand(momentum(), 2).modified_equation
    assert equation is not None
    assert equation.derivative_form is not None
    first, second = equation.derivative_form
    assert first == DerivativeTerm(1, 0, sympy.Integer(1))
    assert sympy.cancel(second.coefficient - (1 + g) / (2 * (1 - g))) == 0


def test_what_holds_is_said() -> None:
    def valid(scheme: Program) -> tuple[str, ...]:
        equation = expand(scheme).modified_equation
        assert equation is not None
        return equation.valid

    assert valid(RK4) == ()
    assert valid(lm()) == ("principal root", "frozen parameters")
    assert valid(backward_euler()) == ("exactly solved stages",)


def test_no_small_step_limit() -> None:
    """u' = f(u) without the skip: a plain network."""
    result = expand(program([evaluate("k", "f", "u[n]"), combine("u[n+1]", (H, "k"))]))
    assert not result.small_step_limit
    assert result.modified_equation is None
    assert result.order is None
    assert result.notes[0].code == "W0409"


def test_second_order_equations_have_no_first_order_limit() -> None:
    """u[n+1] - 2 u[n] + u[n-1] = h^2 f: 1 is a double root of rho."""
    stoermer = program(
        [
            evaluate("k", "f", "u[n]"),
            combine("u[n+1]", (2, "u[n]"), (-1, "u[n-1]"), (H**2, "k")),
        ],
        inputs=[("u[n-1]", "u[n]", 1)],
    )
    result = expand(stoermer)
    assert not result.small_step_limit
    assert "multiple root" in result.notes[0].text


def test_a_drift_far_from_every_state_has_no_series() -> None:
    """PolyNet as written: f(h f(u)) is evaluated near the origin."""
    literal = program(
        [
            evaluate("k1", "f", "u[n]"),
            combine("F", (H, "k1")),
            evaluate("k2", "f", "F"),
            combine("u[n+1]", (1, "u[n]"), (H, "k1"), (H, "k2")),
        ]
    )
    result = expand(literal)
    assert not result.is_series
    assert result.order is None
    assert "does not tend to a state" in result.notes[0].text


def test_velocities_by_differences() -> None:
    """Y = u + h (u - u[n-1])/h extrapolates: the grades of 1/h and h cancel."""
    scheme = program(
        [
            combine("d", (1 / H, "u[n]"), (-1 / H, "u[n-1]")),
            combine("Y", (1, "u[n]"), (H / 2, "d")),
            evaluate("k", "f", "Y"),
            combine("u[n+1]", (1, "u[n]"), (H, "k")),
        ],
        inputs=[("u[n-1]", "u[n]", 1)],
    )
    result = expand(scheme)
    assert (result.order, result.consistent) == (2, True)


def test_explicit_powers_of_h_beside_a_slope() -> None:
    """u + (h - h^2) f: the same as Euler with a step that is not h, order 1, error -h^2 f."""
    scheme = program([evaluate("k", "f", "u[n]"), combine("u[n+1]", (1, "u[n]"), (H - H**2, "k"))])
    result = expand(scheme, 2)
    equation = result.modified_equation
    assert result.order == 1
    assert equation is not None
    assert equation.field is not None
    assert {(t.tree, t.h_power): t.coefficient for t in equation.field[0][1]} == {
        ("f", 0): 1,
        ("f", 1): -1,
        ("f[f]", 1): -Q(1, 2),
    }


def test_noise_is_read_in_evaluation_mode() -> None:
    b, p = sympy.symbols("b p")
    scheme = program(
        [evaluate("k", "f", "u[n]"), combine("u[n+1]", (1, "u[n]"), (H * b, "k"))],
        noises=(Noise("b", "bernoulli", (p,), SPAN),),
        params=["p"],
    )
    result = expand(scheme, 2)
    equation = result.modified_equation
    assert result.noise_replaced
    assert result.consistent == "u' = p f"
    assert equation is not None
    assert "eval mode" in equation.valid
    assert equation.field is not None
    assert {t.tree: t.coefficient for t in equation.field[0][1]} == {"f": p, "f[f]": -(p**2) / 2}


def test_noise_that_stays_on_has_no_mean_step_and_products_have_one() -> None:
    def scheme(coefficient: sympy.Expr, *noises: Noise) -> Program:
        return program(
            [evaluate("k", "f", "u[n]"), combine("u[n+1]", (1, "u[n]"), (coefficient, "k"))],
            noises=noises,
        )

    a, b = sympy.symbols("a b")
    always = scheme(H * a, Noise("a", "uniform", (Q(0), Q(1)), SPAN, active="always"))
    squared = scheme(H * a * b, *(Noise(n, "uniform", (Q(0), Q(1)), SPAN) for n in "ab"))
    result = expand(always)
    assert not result.is_series
    assert "stays on in evaluation" in result.notes[0].text
    result = expand(squared)
    assert result.limit == (("u", (("f", Q(1, 4)),)),)


def test_orders_asked_for_keep_that_many_nodes() -> None:
    result = expand(EULER, 6)
    assert result.nodes == 6
    assert result.modified_equation is not None
    assert result.modified_equation.truncation == 6
    assert result.order == 1
    assert expand(RK4, 2).order == 4


def test_many_fields_stop_early_and_say_so() -> None:
    """12 drifts of one state: 12, 144, 12^3 + .. trees; the order is found, the rest left out."""
    names = [f"f{i}" for i in range(12)]
    scheme = program(
        [
            *(evaluate(f"k{name}", name, "u[n]") for name in names),
            combine("u[n+1]", (1, "u[n]"), *((H, f"k{name}") for name in names)),
        ],
        fields=[(name, ("u",)) for name in names],
    )
    result = expand(scheme, 6)
    assert result.order == 1
    assert result.nodes < 6
    assert "too many trees" in result.notes[0].text


def test_pointwise_functions_have_no_series() -> None:
    from dataclasses import replace

    from schemegen.step.program import Field

    scheme = program([evaluate("k", "f", "u[n]"), combine("u[n+1]", (1, "u[n]"), (H, "k"))])
    scheme = replace(scheme, fields=(Field("f", "pointwise", ("u",), function="tanh"),))
    result = expand(scheme)
    assert not result.is_series
    assert result.notes[0].code == "W0312"


def test_a_multistep_method_without_a_slope_is_not_consistent() -> None:
    scheme = program(
        [
            evaluate("k", "f", "u[n]"),
            combine("Y", (1, "u[n]"), (H, "k")),
            evaluate("l", "f", "Y"),
            combine("u[n+1]", (Q(1, 2), "u[n]"), (Q(1, 2), "u[n-1]"), (H, "k"), (-H, "l")),
        ],
        inputs=[("u[n-1]", "u[n]", 1)],
    )
    assert expand(scheme).consistent is False


def test_a_truncated_neumann_series_follows_no_equation() -> None:
    """u + h f(u) + h f(h f(u)) as PolyNet runs it; the exactly solved step would be backward Euler."""
    from dataclasses import replace

    scheme = backward_euler()
    (group,) = scheme.statements
    neumann = replace(group.solver, method="neumann", iterations=2)  # type: ignore[union-attr]
    result = expand(replace(scheme, statements=(replace(group, solver=neumann),)))  # type: ignore[type-var]
    assert not result.is_series
    assert result.order is None
    assert result.notes[0].code == "W0406"


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.data())
def test_weights_of_random_tableaus(stages: int, data: st.DataObject) -> None:
    """Phi(t) = sum_i b_i Phi_i(t) by the recursion of HNW II.2, definition 2.9, on nested lists."""
    entry = st.fractions(-1, 1, max_denominator=4).map(lambda q: Q(q.numerator, q.denominator))
    a = [[data.draw(entry) if j < i else Q(0) for j in range(stages)] for i in range(stages)]
    b = [data.draw(entry) for _ in range(stages)]
    b[-1] += 1 - sum(b)

    def slopes(tree: str) -> list[sympy.Expr]:
        """Phi_i([t_1 .. t_m]) = prod_k sum_j a_ij Phi_j(t_k)."""
        inner, depth, start, children = tree[2:-1], 0, 0, []
        for position, character in enumerate(inner + ","):
            depth += (character == "[") - (character == "]")
            if character == "," and depth == 0 and inner:
                children.append(inner[start:position])
                start = position + 1
        result = [sympy.Integer(1)] * stages
        for child in children:
            below = slopes(child)
            for i in range(stages):
                result[i] *= sum(a[i][j] * below[j] for j in range(stages))
        return result

    density = {"f": 1, "f[f]": 2, "f[f,f]": 3, "f[f[f]]": 6, "f[f,f,f]": 4, "f[f,f[f]]": 8}
    for condition in expand(runge_kutta([row[:i] for i, row in enumerate(a)], b)).order_conditions:
        weight = sum(w * s for w, s in zip(b, slopes(condition.tree), strict=True))
        if condition.tree in density:
            assert condition.residual == weight - Q(1, density[condition.tree])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fractions(-1, 1, max_denominator=4), min_size=5, max_size=5))
def test_orders_of_random_two_step_methods(numbers: list[object]) -> None:
    """C_q = sum_j alpha_j j^q/q! - sum_j beta_j j^(q-1)/(q-1)! = 0 up to q = p; HNW III.2, eq. 2.6."""
    a0, b0, b1 = (Q(n.numerator, n.denominator) for n in numbers[:3])  # type: ignore[attr-defined]
    alpha = {0: -a0, 1: a0 - 1, 2: Q(1)}  # rho(1) = 0
    if sum(j * c for j, c in alpha.items()) == 0:
        return
    b0 = sum(j * c for j, c in alpha.items()) - b1  # rho'(1) = sigma(1)
    scheme = program(
        [
            evaluate("f(u[n])", "f", "u[n]"),
            combine(
                "u[n+1]",
                *[(c, v) for c, v in ((-alpha[1], "u[n]"), (-alpha[0], "u[n-1]")) if c],
                *[(c * H, v) for c, v in ((b1, "f(u[n])"), (b0, "f(u[n-1])")) if c],
            ),
        ],
        inputs=[("u[n-1]", "u[n]", 1), ("f(u[n-1])", "f(u[n])", 1)],
    )
    order = 1
    while True:
        q = order + 1
        constant = sum(c * Q(j) ** q for j, c in alpha.items()) / sympy.factorial(q)
        constant -= (b0 * Q(0) ** (q - 1) + b1) / sympy.factorial(q - 1)
        if constant != 0:
            break
        order += 1
    result = expand(scheme)
    assert result.order == order
    assert result.error_constant is not None
    assert sympy.cancel(result.error_constant - constant / (b0 + b1)) == 0
