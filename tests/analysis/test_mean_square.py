"""Second moments on linear problems: published stability conditions, stationary variances."""

from __future__ import annotations

import pytest
import sympy
from forests_by_components import program_of

from schemegen.analysis.mean_square import mean_square
from schemegen.sources import zoo_file
from schemegen.step.program import Program

Q = sympy.Rational
z, w, p, h = sympy.symbols("z w p h")


def zoo(name: str) -> Program:
    return program_of(zoo_file(name).read_text(encoding="utf-8"))


def theta(value: str) -> Program:
    return program_of(f"""scheme theta {{
  state u
  drift f(u): block preact
  drift g(u): block preact
  const th = {value}
  noise dW: wiener, scope sample
  solve fixed_point, iterations 4
  step {{ u[n+1] = u[n] + h*(1 - th)*f(u[n]) + h*th*f(u[n+1]) + dW*g(u[n]) }}
}}
""")


@pytest.mark.parametrize("value", [Q(0), Q(1, 4), Q(1, 2), Q(1)])
def test_the_stochastic_theta_method(value: sympy.Rational) -> None:
    """Higham (2000), (3.2): ``E R^2 = ((1 + (1 - theta) z)^2 + w^2)/(1 - theta z)^2``."""
    found, _, _ = mean_square(theta(str(value)), ("g",))
    assert found is not None
    assert found.function is not None
    wanted = ((1 + (1 - value) * z) ** 2 + w**2) / (1 - value * z) ** 2
    assert sympy.cancel(found.function - wanted) == 0


def test_the_trapezoidal_rule_has_the_condition_of_the_equation() -> None:
    """Higham (2000), section 3: for theta = 1/2 stable iff 2 lambda + mu^2 < 0, as the equation is."""
    found, _, _ = mean_square(theta("1/2"), ("g",))
    assert found is not None
    assert found.stable == "2*z + w^2 < 0"


@pytest.mark.parametrize(
    ("name", "function", "stable"),
    [
        ("stochastic_depth", 1 + 2 * p * z + p * z**2, "-2 < z < 0"),
        ("stochastic_depth_inverted", 1 + 2 * z + z**2 / p, "-2*p < z < 0"),
        ("dropout", 1 + 2 * z + Q(5, 4) * z**2, "-8/5 < z < 0"),
        ("euler_maruyama", (1 + z) ** 2, "-2 < z < 0"),
    ],
)
def test_growth_of_the_zoo(name: str, function: sympy.Expr, stable: str) -> None:
    """Dropping with probability 1 - p leaves the interval; dividing by p shortens it to p times it."""
    found, _, _ = mean_square(zoo(name), ())
    assert found is not None
    assert found.function is not None
    assert sympy.cancel(found.function - function) == 0
    assert found.stable == stable


def test_the_stationary_variance_of_euler_maruyama() -> None:
    """Ornstein-Uhlenbeck: -sigma^2/(2 lambda), and with steps h over 1 + z/2 of it."""
    _, found, _ = mean_square(zoo("euler_maruyama"), ())
    assert found is not None
    sigma = sympy.Symbol("sigma")
    assert sympy.cancel(found.scheme - sigma**2 * h / (1 - (1 + z) ** 2)) == 0
    assert sympy.cancel(found.limit + sigma**2 * h / (2 * z)) == 0


def test_the_stationary_variance_of_a_trapezoidal_rule_is_exact() -> None:
    """The midpoint and trapezoidal rules keep the variance of Ornstein-Uhlenbeck processes."""
    program = program_of("""scheme s {
  state u
  drift f(u): block preact
  noise dW: wiener, scope sample
  solve fixed_point, iterations 4
  step { u[n+1] = u[n] + h/2*f(u[n]) + h/2*f(u[n+1]) + dW }
}
""")
    _, found, _ = mean_square(program, ())
    assert found is not None
    assert sympy.cancel(found.scheme + h / (2 * z)) == 0


def test_noise_with_a_mean_moves_the_mean_and_not_the_variance() -> None:
    program = program_of("""scheme s {
  state u
  drift f(u): block preact
  noise b: bernoulli(1/3), scope sample
  step { u[n+1] = u[n] + h*f(u[n]) + h*b }
}
""")
    _, found, _ = mean_square(program, ())
    assert found is not None
    assert sympy.cancel(found.scheme - h**2 * Q(2, 9) / (1 - (1 + z) ** 2)) == 0


def test_two_values_by_the_roots_of_their_second_moments() -> None:
    """Heavy ball with noise: ``zeta^2 - (1 + k + z) zeta + k`` is stable for -2(1 + k) < z < 0."""
    program = program_of("""scheme s {
  state u
  state v
  drift f(u): block preact
  noise dW: wiener, scope sample
  step {
    v[n+1] = 3/4*v[n] + h*f(u[n]) + dW
    u[n+1] = u[n] + v[n+1]
  }
}
""")
    found, variance, _ = mean_square(program, ())
    assert found is not None
    assert found.stable == "-7/2 < z < 0"
    assert variance is not None
    x, k = z, Q(3, 4)  # AR(2) with a1 = 1 + k + z, a2 = -k (Box, Jenkins, eq. 3.2.28)
    a1, a2 = 1 + k + x, -k
    wanted = h * (1 - a2) / ((1 + a2) * ((1 - a2) ** 2 - a1**2))
    assert sympy.cancel(variance.scheme - wanted) == 0


def test_what_has_no_moments_says_why() -> None:
    program = program_of("""scheme s {
  state u
  drift f(u): block preact
  noise a: uniform(0, 1), scope sample
  step { u[n+1] = u[n] + h/(2 + a)*f(u[n]) }
}
""")
    found, variance, notes = mean_square(program, ())
    assert found is None
    assert variance is None
    assert {note.key for note in notes} == {"mean_square", "stationary_variance"}
    assert all("no polynomial" in note.text for note in notes)
