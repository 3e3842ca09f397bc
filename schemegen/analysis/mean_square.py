"""Mean-square stability on linear problems, and the variance that additive noise settles to.

With ``u' = lambda u``, ``z = h lambda``, and noise fields ``g(u) = mu u``, ``w = sqrt(h) mu``: a step is stable
in mean square where the spectral radius of ``E M (x) M`` is below 1, for one value where ``E R^2 < 1``. Additive
noise has a stationary variance then, ``E c^2 / (1 - E R^2)`` for a step ``R u + c``.

Source: Higham (2000), SIAM J. Numer. Anal. 38, 753-769; Buckwar, Sickenberger (2012), Appl. Numer. Math. 62.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from schemegen.analysis.linear_moments import (
    LinearStepWithNoise,
    NoLinearMomentsError,
    linear_step_with_noise,
)
from schemegen.analysis.model import Exact, Note
from schemegen.analysis.parameter_set import ZETA, X, critical_polynomials, solution_set, spelled
from schemegen.analysis.reals import RealField
from schemegen.analysis.root_condition import Gaussian, is_schur
from schemegen.analysis.weak_model import MeanSquare, StationaryVariance
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Constant
from schemegen.step.program import Program

__all__ = ["mean_square"]

H = sympy.Symbol("h")
MOST_VALUES = 2  # of a step whose second moments are given as a matrix


def mean_square(
    program: Program, diffusion: Sequence[str]
) -> tuple[MeanSquare | None, StationaryVariance | None, tuple[Note, ...]]:
    """Return both for a program with noise; ``diffusion`` names the fields that a Wiener increment drives."""
    try:
        step = linear_step_with_noise(program, _rates(program, diffusion))
        if len(step.values) > MOST_VALUES:
            raise NoLinearMomentsError("the second moments of more than two values are not given")
        found = _stability(program, step, diffusion)
        variance, reason = _variance(step)
    except NoLinearMomentsError as error:
        text = str(error)
        return None, None, (Note("mean_square", text), Note("stationary_variance", text))
    notes = []
    if found.stable is None:
        notes.append(Note("mean_square.stable", "not decided: it depends on several symbols"))
    if variance is None:
        notes.append(Note("stationary_variance", reason))
    return found, variance, tuple(notes)


def _rates(program: Program, diffusion: Sequence[str]) -> dict[str, sympy.Expr]:
    """Return ``z/h`` for drifts and ``w/sqrt(h)`` for fields of the noise, numbered where there are several."""
    result: dict[str, sympy.Expr] = {}
    plain = [field.name for field in program.fields if field.name not in diffusion]
    for letter, names, size in (("z", plain, H), ("w", list(diffusion), sympy.sqrt(H))):
        for name in names:
            symbol = sympy.Symbol(letter if len(names) == 1 else f"{letter}_{name}")
            result[name] = symbol / size
    return result


# --- stability -----------------------------------------------------------------------------------


def _stability(program: Program, step: LinearStepWithNoise, diffusion: Sequence[str]) -> MeanSquare:
    matrix = step.matrix(2).applyfunc(_tidy)
    rows = tuple(tuple(row) for row in matrix.tolist())
    function = rows[0][0] if len(rows) == 1 else None
    meaning = tuple(
        (str(rate.free_symbols.difference({H}).pop()), name)
        for name, rate in _rates(program, diffusion).items()
    )
    result = MeanSquare(meaning, function, rows if function is None else None, None)
    fixed = {
        p.symbol: p.init.value
        for p in program.params
        if not p.learnable and isinstance(p.init, Constant)
    }
    numbers = matrix.xreplace(fixed)
    symbols = sorted(numbers.free_symbols, key=str)
    if [str(s) for s in symbols] == ["z"] and numbers.has(sympy.Symbol("z")):
        return replace(result, stable=_set(numbers, symbols[0]))
    if function is not None:
        return replace(result, stable=_condition(program, _tidy(function.xreplace(fixed) - 1)))
    return result


def _tidy(value: sympy.Expr) -> sympy.Expr:
    return sympy.cancel(sympy.together(value))


def _set(matrix: sympy.Matrix, z: sympy.Symbol) -> bool | str | None:
    """Return the real z for which all eigenvalues of a matrix over QQ(z) lie inside the unit circle."""
    shifted = ZETA * sympy.eye(matrix.rows) - matrix.xreplace({z: X})
    numerator = sympy.numer(_tidy(shifted.det(method="berkowitz")))
    try:
        polynomial = sympy.Poly(numerator, ZETA, X, extension=True)
    except (sympy.PolynomialError, NotImplementedError):
        return None
    domain = polynomial.domain if polynomial.domain.is_Algebraic else sympy.QQ
    polynomial = polynomial.set_domain(domain)
    reals = RealField(domain)
    coefficients = sympy.Poly(polynomial.as_expr(), ZETA, domain=domain[X]).all_coeffs()[::-1]
    rows = [sympy.Poly(c, X, domain=domain) for c in coefficients]

    def decide(field: RealField, value: object) -> bool:
        numbers = []
        for row in rows:
            total = field.domain.zero
            for c in row.rep.to_list():
                total = total * value + field.domain.convert(c, domain)
            numbers.append(Gaussian(total, field.domain.zero))
        return bool(numbers[-1]) and is_schur(field, numbers)

    return spelled(solution_set(reals, critical_polynomials(polynomial), decide), "z", format_exact)


def _condition(program: Program, excess: sympy.Expr) -> bool | str | None:
    """Return ``E R^2 - 1 < 0`` in its shortest form: an interval of z where its ends are clear."""
    z = sympy.Symbol("z")
    kept = sympy.Integer(1)
    for factor in sympy.Mul.make_args(sympy.factor(excess)):
        base, exponent = factor.as_base_exp()
        even = exponent.is_Integer and int(exponent) % 2 == 0
        sign = 1 if even else _sign(program, factor)
        if sign is None:
            kept *= base if exponent.is_Integer and exponent < 0 else factor
        elif sign < 0:
            kept = -kept
    interval = _interval(program, sympy.expand(kept), z)
    if interval is not None:
        return interval
    return f"{format_exact(sympy.factor(kept))} < 0"


def _sign(program: Program, value: sympy.Expr) -> int | None:
    """Return the sign of a number, or of an expression in probabilities between 0 and 1; None: not known."""
    if value.is_number:
        return 1 if value.is_positive else -1 if value.is_negative else None
    probabilities = {
        noise.arguments[0]
        for noise in program.noises
        if noise.kind == "bernoulli" and noise.arguments[0].is_Symbol
    }
    if not value.free_symbols <= probabilities:
        return None
    odds = {p: 1 / (1 + sympy.Dummy(str(p))) for p in sorted(probabilities, key=str)}
    result = 1
    for part in sympy.fraction(sympy.together(value.xreplace(odds))):
        coefficients = (
            sympy.Poly(part, *sorted(part.free_symbols, key=str)).coeffs()
            if part.free_symbols
            else [part]
        )
        signs = {sympy.sign(c) for c in coefficients}
        if len(signs) != 1:
            return None
        result *= int(signs.pop())
    return result


def _interval(program: Program, kept: sympy.Expr, z: sympy.Symbol) -> str | None:
    """Return ``-b/a < z < 0`` for ``z (a z + b) < 0`` with positive a and b."""
    if z not in kept.free_symbols or not kept.is_polynomial(z):
        return None
    polynomial = sympy.Poly(kept, z)
    if polynomial.degree() != 2 or polynomial.nth(0) != 0:
        return None
    a, b = polynomial.nth(2), polynomial.nth(1)
    if _sign(program, a) != 1 or _sign(program, b) != 1:
        return None
    return f"{format_exact(sympy.factor(-b / a))} < z < 0"


# --- stationary variance -----------------------------------------------------------------------------


def _variance(step: LinearStepWithNoise) -> tuple[StationaryVariance | None, str]:
    """Solve ``E (M y + c)(M y + c)^T = E y y^T`` for the variance of the first state."""
    if not any(row.as_independent(*step.values)[0] != 0 for row in map(sympy.expand, step.rows)):
        return None, "no noise is added to the state"
    first, second = step.map(1), step.map(2)
    means = _fixed_point(step.monomials(1), first, {sympy.Integer(1): sympy.Integer(1)})
    squares = _fixed_point(step.monomials(2), second, {sympy.Integer(1): sympy.Integer(1), **means})
    y = step.values[0]
    variance = _tidy(squares[y**2] - means[y] ** 2)
    if variance == 0:
        return None, "no noise is added to the state"
    leading = _leading(variance)
    return StationaryVariance(sympy.factor(variance), leading), ""


def _fixed_point(
    basis: Sequence[sympy.Expr],
    images: Sequence[dict[sympy.Expr, sympy.Expr]],
    known: dict[sympy.Expr, sympy.Expr],
) -> dict[sympy.Expr, sympy.Expr]:
    size = len(basis)
    matrix = sympy.eye(size) - sympy.Matrix(
        [[image.get(m, sympy.Integer(0)) for m in basis] for image in images]
    )
    right = sympy.Matrix(
        [sympy.Add(*(c * known[m] for m, c in image.items() if m not in basis)) for image in images]
    )
    matrix, right = matrix.applyfunc(_tidy), right.applyfunc(_tidy)
    if _tidy(matrix.det()) == 0:
        raise NoLinearMomentsError("the step has no stationary moments")
    solution = matrix.LUsolve(right).applyfunc(_tidy)
    return dict(zip(basis, solution, strict=True))


def _leading(variance: Exact) -> Exact | None:
    """Return the leading term as z = h lambda and h tend to 0 at the same rate."""
    e = sympy.Dummy("e")
    scaled = {s: e * s for s in variance.free_symbols if str(s) == "h" or str(s)[:1] == "z"}
    scaled |= {s: sympy.sqrt(e) * s for s in variance.free_symbols if str(s)[:1] == "w"}
    top, bottom = (
        sympy.Poly(part.xreplace(scaled), e) if e in part.xreplace(scaled).free_symbols else None
        for part in sympy.fraction(_tidy(variance))
    )
    if top is None or bottom is None:
        return None
    low = [min(p.monoms())[0] for p in (top, bottom)]
    if low[0] != low[1]:
        return None
    return sympy.factor(top.nth(low[0]) / bottom.nth(low[1]))
