"""Weak modified equations: published generators, brute-force expectations, exact growth of moments."""

from __future__ import annotations

import math

import pytest
import sympy
from forests_by_components import applied, mean, program_of

from schemegen.analysis.expansion import expand
from schemegen.analysis.random_step import RandomStep
from schemegen.analysis.weak import weak_analysis
from schemegen.analysis.weak_operator import generator, slow_operator
from schemegen.sources import zoo_file
from schemegen.step.program import Program

H = sympy.Symbol("h")
Q = sympy.Rational


def zoo(name: str) -> Program:
    return program_of(zoo_file(name).read_text(encoding="utf-8"))


def terms_of(program: Program) -> dict[tuple[str, sympy.Expr], sympy.Expr]:
    found, _ = weak_analysis(program)
    assert found.sde is not None
    return {(t.term, t.h_power): sympy.factor(t.coefficient) for t in found.sde.generator}


def scheme(update: str, *lines: str) -> str:
    body = "\n  ".join(lines)
    return f"""scheme s {{
  state u
  drift f(u): block preact
  drift g(u): block preact
  {body}
  step {{ u[n+1] = {update} }}
}}
"""


def noisy(update: str, *lines: str) -> Program:
    return program_of(
        scheme(update, *lines).replace("  drift g(u): block preact\n", "", "g(" not in update)
    )


# --- published and derived generators ------------------------------------------------------------


def scalar_generator(
    m: str, s: sympy.Expr, t: sympy.Expr, c: sympy.Expr
) -> dict[tuple[str, int], sympy.Expr]:
    """Return catalogue 3.2 (M) for ``F = c-mean times f``: m = c f, S = s f^2, T = t f^3, by forests.

    ``L = m phi' + h(-m m'/2 phi' + S/2 phi'') + h^2((m m'^2/3 + m^2 m''/12 - S m''/4) phi'
    - (2 S m' + m S')/4 phi'' + T/6 phi''')``, with products of f written as trees.
    """
    f = m
    return {
        (f, 0): c,
        (f"{f}[{f}]", 1): -(c**2) / 2,
        (f"{f} {f}", 1): s / 2,
        (f"{f}[{f}[{f}]]", 2): c**3 / 3,
        (f"{f}[{f},{f}]", 2): c**3 / 12 - s * c / 4,
        (f"{f} {f}[{f}]", 2): -(2 * s * c + c * 2 * s) / 4,
        (f"{f} {f} {f}", 2): t / 6,
    }


p = sympy.Symbol("p")


@pytest.mark.parametrize(
    ("name", "c", "s", "t"),
    [
        ("stochastic_depth", p, p * (1 - p), p * (1 - p) * (1 - 2 * p)),
        (
            "stochastic_depth_inverted",
            sympy.Integer(1),
            (1 - p) / p,
            (1 - p) * (1 - 2 * p) / p**2,
        ),
    ],
)
def test_stochastic_depth_to_h2(name: str, c: sympy.Expr, s: sympy.Expr, t: sympy.Expr) -> None:
    """Lu et al. (2018), section 4; the scalar formulas of the modified equation to h^2."""
    wanted = {k: sympy.factor(v) for k, v in scalar_generator("f", s, t, c).items() if v != 0}
    assert terms_of(zoo(name)) == wanted


def test_the_limit_and_diffusion_of_shake_shake() -> None:
    """Lu et al. (2018): drift (f + g)/2, diffusion (f - g)/sqrt(12), here with the amplitude h."""
    found, _ = weak_analysis(zoo("shake_shake"))
    assert found.sde is not None
    matrix = {t.term: t.coefficient for t in found.sde.diffusion_squared if t.h_power == 1}
    assert matrix == {"f f^T": Q(1, 12), "f g^T + g f^T": -Q(1, 12), "g g^T": Q(1, 12)}
    assert found.sde.scaling == "h"
    assert found.skewed == ()
    assert found.sde.exists_to == 2


def test_shake_shake_in_the_diffusive_scaling() -> None:
    """Lu et al. (2018): X + (h/2 + sqrt(h)(eta - 1/2)) f1 + (h/2 + sqrt(h)(1/2 - eta)) f2, weak order 1."""
    program = noisy(
        "u[n] + (h/2 + sqrt(h)*(a - 1/2))*f(u[n]) + (h/2 + sqrt(h)*(1/2 - a))*g(u[n])",
        "noise a: uniform(0, 1), scope sample",
    )
    found, _ = weak_analysis(program)
    assert found.sde is not None
    assert found.sde.scaling == "sqrt(h)"
    assert found.weak_order == 1
    assert found.strong_order is None
    matrix = {t.term: t.coefficient for t in found.sde.diffusion_squared if t.h_power == 0}
    assert matrix == {"f f^T": Q(1, 12), "f g^T + g f^T": -Q(1, 12), "g g^T": Q(1, 12)}


@pytest.mark.parametrize(
    ("kind", "centre", "order"),
    [
        ("bernoulli(1/4)", "1/4", Q(1, 2)),
        ("bernoulli(1/2)", "1/2", Q(1)),
        ("uniform(0, 1)", "1/2", Q(1)),
        ("rademacher", "0", Q(1)),
        ("gaussian(2)", "0", Q(1)),
    ],
)
def test_a_skewed_noise_has_weak_order_one_half(kind: str, centre: str, order: sympy.Expr) -> None:
    """Catalogue 3.1 (D): a third moment leaves a local error of h^(3/2)."""
    program = noisy(
        f"u[n] + h*f(u[n]) + sqrt(h)*(b - {centre})*g(u[n])", f"noise b: {kind}, scope batch"
    )
    found, _ = weak_analysis(program)
    assert found.weak_order == order
    assert found.sde is not None
    assert (found.sde.exists_to == 0) is True


def test_additive_gaussian_noise_in_the_diffusive_scaling() -> None:
    """Catalogue 3.2 (D): drift a - h/2 (a a' + b^2/2 a''), variance b^2 - h b^2 a', for constant b."""
    found, _ = weak_analysis(zoo("euler_maruyama"))
    assert found.sde is not None
    sigma = sympy.Symbol("sigma")
    drift = {(t.term, t.h_power): t.coefficient for t in found.sde.drift[0][1] if t.h_power <= 1}
    assert drift == {("f", 0): 1, ("f[f]", 1): -Q(1, 2), ("f[1.i,1.i]", 1): -(sigma**2) / 4}
    matrix = {(t.term, t.h_power): t.coefficient for t in found.sde.diffusion_squared}
    assert matrix[("I", 0)] == sigma**2
    assert matrix[("1.i f[1.i]^T + f[1.i] 1.i^T", 1)] == -(sigma**2) / 2
    assert found.sde.exists_to >= 1


@pytest.mark.parametrize("kind", ["uniform(-1, 1)", "rademacher"])
def test_additive_noise_with_another_fourth_moment_has_no_modified_sde(kind: str) -> None:
    """Catalogue 3.2 (D): (kappa - 3)/24 b^4 phi'''' remains at h; kappa = 9/5 and 1."""
    program = noisy("u[n] + h*f(u[n]) + sqrt(h)*b", f"noise b: {kind}, scope sample")
    terms = terms_of(program)
    fourth, variance = (Q(1, 5), Q(1, 3)) if kind.startswith("uniform") else (Q(1), Q(1))
    assert terms["1 1 1 1", sympy.Integer(1)] == (fourth - 3 * variance**2) / 24


def test_multiplicative_noise_leaves_a_third_derivative() -> None:
    """Catalogue 3.2 (D): -(1/2) b^3 b' phi''' at h, so no modified SDE."""
    program = noisy("u[n] + h*f(u[n]) + dW*g(u[n])", "noise dW: wiener, scope batch")
    assert terms_of(program)["g g g[g]", sympy.Integer(1)] == -Q(1, 2)


def test_dropout_and_gaussian_injection() -> None:
    """Catalogue 3.3: inverted dropout ((1-p)/p) diag(f*f); Gaussian noise on the branch s^2 diag(f*f)."""
    found, _ = weak_analysis(zoo("dropout"))
    assert found.sde is not None
    assert next((t.term, t.h_power, t.coefficient) for t in found.sde.diffusion_squared) == (
        "diag(f*f)",
        1,
        Q(1, 4),
    )
    for scope, term in (("element", "diag(f*f)"), ("channel", "block(f*f)"), ("sample", "f f^T")):
        program = noisy("u[n] + h*(1 + s)*f(u[n])", f"noise s: gaussian(1/10), scope {scope}")
        found, _ = weak_analysis(program)
        assert found.sde is not None
        matrix = {t.term: t.coefficient for t in found.sde.diffusion_squared if t.h_power == 1}
        assert matrix == {term: Q(1, 100)}
        assert found.skewed == ()


def test_lm_with_stochastic_depth() -> None:
    """Catalogue 4, row 10: drift p f/(1 + k), variance h p(1 - p) f f^T/(1 + k)^2 to leading order."""
    found, _ = weak_analysis(zoo("lm_stochastic_depth"))
    k = sympy.Symbol("k")
    assert found.sde is not None
    drift = {t.h_power: t.coefficient for t in found.sde.drift[0][1] if t.term == "f"}
    assert sympy.simplify(drift[0] - p / (1 + k)) == 0
    (matrix,) = [t for t in found.sde.diffusion_squared if t.h_power == 1]
    assert matrix.term == "f f^T"
    assert sympy.simplify(matrix.coefficient - p * (1 - p) / (1 + k) ** 2) == 0
    assert "principal root" in found.sde.valid


# --- without noise it is the deterministic engine --------------------------------------------------

PLAIN = (
    *("resnet", "rk2", "rk4", "heun3", "lm_resnet", "ab3", "bdf2", "momentum_net", "zerosnet"),
    *("revnet", "strang", "implicit_midpoint", "gauss2", "ars222", "in_resnet", "in_resnet_exact"),
    *("lambda_in_resnet", "polynet_picard", "second_order", "stoermer_verlet", "fractal2", "am2"),
)


@pytest.mark.parametrize("name", PLAIN)
def test_without_noise_it_is_the_modified_equation(name: str) -> None:
    program = zoo(name)
    expansion = expand(program, 4)
    assert expansion.modified_equation is not None
    step = RandomStep(program, 4, expansion.scaled)
    found = generator(step)
    assert all(len(forest) == 1 for level in found.values() for forest in level)
    from schemegen.analysis.forest_text import ForestText

    text = ForestText(step.operators, step.principal, [f for v in found.values() for f in v])
    mine: dict[tuple[str, str, sympy.Expr], sympy.Expr] = {}
    for power, level in found.items():
        for forest, number in level.items():
            for degree, c in step.draws.coefficients.powers_of_scaled(number):
                key = (step.principal[forest[0][0]], text.tree(forest[0][1]), power - 1 - degree)
                mine[key] = mine.get(key, sympy.Integer(0)) + c
    theirs: dict[tuple[str, str, sympy.Expr], sympy.Expr] = {}
    for state, terms in expansion.modified_equation.field or ():
        for term in terms:
            key = (state, term.tree, term.h_power)
            theirs[key] = theirs.get(key, sympy.Integer(0)) + term.coefficient
    assert theirs
    for key in {*mine, *theirs}:
        difference = mine.get(key, sympy.Integer(0)) - theirs.get(key, sympy.Integer(0))
        assert sympy.cancel(sympy.together(difference)) == 0, key


# --- by brute force, component by component ---------------------------------------------------------

X = sympy.symbols("x y")
F = [X[0] ** 2 + X[1], 2 * X[0] * X[1] - 1]
G = [X[1] ** 2 - X[0], X[0] * X[1] + 3]
PHI = X[0] ** 3 + 2 * X[0] * X[1] ** 2 - X[1]


def at(field: list[sympy.Expr], point: list[sympy.Expr]) -> list[sympy.Expr]:
    values = dict(zip(X, point, strict=True))
    return [sympy.expand(e.xreplace(values)) for e in field]


def normal(variance: sympy.Expr):
    return lambda k: 0 if k % 2 else math.prod(range(k - 1, 0, -2)) * variance ** (k // 2)


def bernoulli(probability: sympy.Expr):
    return lambda k: probability if k else 1


def uniform(k: int) -> sympy.Expr:
    return Q(1, k + 1)


E = sympy.Symbol("eps")
A, B = sympy.symbols("a b")
x = list(X)

# update, noise lines, X_1 with E = eps (h = eps, or h = eps^2), moments of the draws
CASES = {
    "dropout inside a stage": (
        "u[n] + h*f(u[n] + h/2*b*f(u[n]))",
        ("noise b: bernoulli(1/3), scope element",),
        1,
        lambda: [
            xi + E * fi
            for xi, fi in zip(
                x,
                at(F, [xi + E / 2 * s * fi for xi, fi, s in zip(x, F, (A, B), strict=True)]),
                strict=True,
            )
        ],
        {A: bernoulli(Q(1, 3)), B: bernoulli(Q(1, 3))},
    ),
    "one uniform draw for two branches": (
        "u[n] + h*b*f(u[n]) + h*(1 - b)^2*g(u[n])",
        ("noise b: uniform(0, 1), scope sample",),
        1,
        lambda: [
            xi + E * A * fi + E * (1 - A) ** 2 * gi for xi, fi, gi in zip(x, F, G, strict=True)
        ],
        {A: uniform},
    ),
    "a path for each component times the state": (
        "u[n] + h*f(u[n]) + dW*u[n]",
        ("noise dW: wiener, scope element",),
        2,
        lambda: [xi + E**2 * fi + E * s * xi for xi, fi, s in zip(x, F, (A, B), strict=True)],
        {A: normal(sympy.Integer(1)), B: normal(sympy.Integer(1))},
    ),
    "one path inside a drift": (
        "u[n] + h*f(u[n] + dW*g(u[n])) + dW*g(u[n])",
        ("noise dW: wiener, scope batch",),
        2,
        lambda: [
            xi + E**2 * fi + E * A * gi
            for xi, fi, gi in zip(
                x,
                at(F, [xi + E * A * gi for xi, gi in zip(x, G, strict=True)]),
                G,
                strict=True,
            )
        ],
        {A: normal(sympy.Integer(1))},
    ),
    "a quotient by a draw of two values": (
        "u[n] + h/(2 + r)*f(u[n])",
        ("noise r: rademacher, scope batch",),
        1,
        lambda: [xi + E * (Q(2, 3) - A / 3) * fi for xi, fi in zip(x, F, strict=True)],
        {A: lambda k: 1 - k % 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_expectation_is_that_of_brute_force(name: str) -> None:
    update, lines, unit, exact, moments = CASES[name]
    step = RandomStep(noisy(update, *lines), 2)
    assert step.unit == unit
    fields = {"f": F, "g": G}
    expression = step.draws.coefficients.expression
    found = applied(step.operators, step.operator, expression, fields, PHI, X, E)
    point = exact()
    wanted = mean(PHI.xreplace(dict(zip(X, point, strict=True))), moments)
    kept = sum(
        sympy.Poly(wanted, E).coeff_monomial(E**power) * E**power for power in range(step.most + 1)
    )
    assert sympy.expand(found - kept) == 0
    # exp(log P) is P
    logarithm = step.operators.logarithm(step.operator)
    unit_operator = {0: {(): step.ring.one}}
    assert step.operators.exponential(logarithm, unit_operator) == step.operator


# --- schemes with a memory: the growth of moments on linear problems ------------------------------------

MEMORIES = {
    "(1 - 1/3)*u[n] + 1/3*u[n-1] + h*b*f(u[n])": (
        "noise b: bernoulli(1/4), scope batch",
        lambda z, s: sympy.Matrix([[Q(2, 3) + z * s, Q(1, 3)], [1, 0]]),
    ),
    "u[n] + h*(3/2*f(u[n]) - b*f(u[n-1]))": (
        "noise b: bernoulli(1/2), scope batch",
        lambda z, s: sympy.Matrix([[1 + Q(3, 2) * z, -s * z], [1, 0]]),
    ),
}


@pytest.mark.parametrize("update", MEMORIES)
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_moments_grow_as_the_generator_says(update: str, degree: int) -> None:
    """For f(u) = u the moment of degree d of the principal root grows by exp(h L): an eigenvalue."""
    noise, matrix = MEMORIES[update]
    text = scheme(update, noise).replace("  drift g(u): block preact\n", "")
    text = text.replace("  step {", "  start: euler\n  step {")
    program = program_of(text)
    step = RandomStep(program, 3)
    (x0,) = sympy.symbols("x0,")
    found = applied(
        step.operators,
        step.operators.logarithm(slow_operator(step)),
        step.draws.coefficients.expression,
        {"f": [x0]},
        x0**degree,
        (x0,),
        H,
    )
    rate = sympy.expand(found / x0**degree)
    probability = program.noises[0].arguments[0]
    root = _eigenvalue(matrix, probability, degree)
    logarithm = sympy.series(sympy.log(root), H, 0, 4).removeO()
    assert sympy.expand(rate - logarithm) == 0


def _eigenvalue(matrix, probability: sympy.Expr, degree: int) -> sympy.Expr:
    """Return the eigenvalue next to 1 of the mean of the Kronecker power, as a series in h."""
    mean_power = sympy.zeros(2**degree)
    for value, weight in ((1, probability), (0, 1 - probability)):
        one = matrix(H, sympy.Integer(value))
        power = one
        for _ in range(degree - 1):
            power = sympy.kronecker_product(power, one)
        mean_power += weight * power
    zeta = sympy.Symbol("zeta")
    polynomial = mean_power.charpoly(zeta).as_expr()
    guess = sympy.Integer(1)
    for order in range(1, 4):  # the next coefficient, by Newton's method with the slope at h = 0
        slope = sympy.diff(polynomial, zeta).subs({zeta: 1, H: 0})
        rest = sympy.expand(polynomial.subs(zeta, guess)).coeff(H, order)
        guess = guess - rest / slope * H**order
    return guess


# --- refusals, limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("update", "noise", "reason"),
    [
        ("b*u[n] + h*f(u[n])", "noise b: bernoulli(1/2), scope element", "does not tend to"),
        ("u[n] + h*f(u[n]) + sqrt(h)*b*f(u[n])", "noise b: bernoulli(1/2)", "is not 0"),
        ("u[n] + h/(1 + b)*f(u[n])", "noise b: uniform(0, 1)", "no polynomial"),
        ("u[n] + h*f(b*u[n])", "noise b: bernoulli(1/2), scope batch", "does not tend to a state"),
    ],
)
def test_what_has_no_limit_is_refused_with_a_reason(update: str, noise: str, reason: str) -> None:
    found, notes = weak_analysis(noisy(update, noise))
    assert found.sde is None
    assert found.weak_order is None
    assert {note.key for note in notes} == {"weak_order", "strong_order", "modified_sde"}
    assert all(reason in note.text for note in notes)


def test_a_memory_whose_noise_never_dies_out_is_refused() -> None:
    """The root -1 of the leapfrog method keeps every draw for ever."""
    text = scheme("u[n-1] + 2*h*b*f(u[n])", "noise b: bernoulli(1/2), scope batch")
    text = text.replace("  drift g(u): block preact\n", "").replace(
        "  step {", "  start: euler\n  step {"
    )
    found, notes = weak_analysis(program_of(text))
    assert found.sde is None
    assert any("unit circle" in note.text for note in notes)


def test_damping_counts_as_h() -> None:
    """A damping rate stands for h times a constant: the third cumulant of its noise stops the SDE at h^2 too."""
    program = program_of("""scheme s {
  state u
  drift f(u): block preact
  param lam: learnable, init 1/5, range [0, 1]
  damping lam: explicit, gain (1 + lam)
  noise b: bernoulli(9/10), scope channel
  step { u[n+1] = u[n] + h*b*f(u[n]) }
}
""")
    found, _ = weak_analysis(program, ("lam",))
    assert found.sde is not None
    assert (found.sde.exists_to, found.sde.stops_at) == (1, 2)
    assert found.weak_order == 1


def test_two_noises_in_two_fields() -> None:
    """Independent draws: the diffusions add; products of the two noises have no joint cumulant."""
    program = noisy(
        "u[n] + h*f(u[n]) + dW*f(u[n]) + dV*g(u[n])",
        "noise dW: wiener, scope batch",
        "noise dV: wiener, scope element",
    )
    found, _ = weak_analysis(program)
    assert found.sde is not None
    matrix = {t.term: t.coefficient for t in found.sde.diffusion_squared if t.h_power == 0}
    assert matrix == {"f f^T": 1, "diag(g*g)": 1}
    assert found.weak_order == 1
