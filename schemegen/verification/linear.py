"""Stability on ``u' = lambda u``: the matrix that advances states and history, by running the step."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np
import sympy

from schemegen.analysis.model import Analysis
from schemegen.diagnostics import InternalError
from schemegen.step.arithmetic import KEPT, Arithmetic, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Evaluate, Program, Solve, walk
from schemegen.verification.model import Check
from schemegen.verification.subject import Subject, number

__all__ = ["advance_matrix", "linear"]

ROUNDING = 1e-9  # of a spectral radius
GROWTH = 1e-11
NEAR = 1e-3  # relative distance from an end that is probed on both sides
POLE = (ZeroDivisionError, OverflowError, np.linalg.LinAlgError, InternalError)  # no solution there
POINTS = np.array([-0.7 + 0.4j, -0.2 - 1.1j, -1.3 + 0.1j, 0.3 + 0.6j])


@lru_cache(KEPT)
def _rounded(expression: sympy.Expr) -> complex:
    return complex(expression.evalf(30))


def advance_matrix(subject: Subject, z: complex, h: float = 1.0) -> Any:
    """Return M(z) with (states, remembered values) at n+1 = M (the same) at n; None where fields are not linear.

    Every drift is multiplication by z/h; implicit groups are solved exactly.
    """
    symbols = {name: complex(value) for name, value in subject.values(h).items()}
    arithmetic = Arithmetic(_rounded, symbols, functions_of(cmath))
    rows = _advance(subject.program, arithmetic, z / h, complex(1))
    return None if rows is None else np.array(rows, dtype=complex)


def _advance(
    program: Program, arithmetic: Arithmetic, factor: Any, one: Any
) -> list[list[Any]] | None:
    """Return the rows of the matrix in any numbers, ``one`` among them; drifts multiply by ``factor``."""
    drifts = [item for item in program.fields if item.kind == "drift"]
    used = {item.field for item in walk(program.statements) if isinstance(item, Evaluate)}
    if any(item.kind != "drift" and item.name in used for item in program.fields):
        return None
    acting = [item.states for item in drifts if item.name in used]
    if any(len(states) != 1 for states in acting) or len(set(acting)) != len(acting):
        return None
    fields = {item.name: lambda x: factor * x for item in drifts}
    lags: dict[str, int] = {}
    for item in program.inputs:
        lags[item.of] = max(item.lag, lags.get(item.of, 0))
    slots = [(state.name, 0) for state in program.states]
    slots += [(of, lag) for of, most in lags.items() for lag in range(1, most + 1)]
    neumann = any(isinstance(s, Solve) and s.solver.method == "neumann" for s in program.statements)
    implicit = "declared" if neumann else "exact"  # a truncated series is what it is
    columns = []
    for index in range(len(slots)):
        unit = {slot: one * (i == index) for i, slot in enumerate(slots)}
        given = {f"{state.name}[n]": unit[state.name, 0] for state in program.states}
        given |= {item.name: unit[item.of, item.lag] for item in program.inputs}
        values = run(program, given, fields, arithmetic, implicit=implicit)
        columns.append(
            [
                values[f"{name}[n+1]"]
                if lag == 0
                else values[name]
                if lag == 1
                else unit[name, lag - 1]
                for name, lag in slots
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)]


def radius(subject: Subject, z: complex) -> float:
    """Return the spectral radius of M(z); infinite at a pole."""
    try:
        matrix = advance_matrix(subject, z)
        return float(max(abs(np.linalg.eigvals(matrix))))
    except POLE:
        return math.inf


def linear(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Yield the checks of everything that is claimed of the linear test equation."""
    stability = analysis.stability
    try:
        matrix = advance_matrix(subject, POINTS[0])
    except POLE:
        matrix = None
    if matrix is None:
        return
    yield from _function(subject, analysis)
    yield from _zero_stable(subject, analysis)
    yield from _interval(subject, "real_interval", "real interval", stability.real_interval, 1)
    yield from _interval(
        subject, "imaginary_interval", "imaginary interval", stability.imaginary_interval, 1j
    )
    yield from _half_plane(subject, analysis)
    yield from _angle(subject, stability.a_alpha_degrees)
    if stability.l_stable is not None and stability.a_stable:
        found = radius(subject, -1e9)
        holds = (found < 1e-4) == stability.l_stable
        yield Check(
            "stability.L", "L-stable", _yes(stability.l_stable), f"|R(-1e9)| = {found:.1e}", holds
        )
    yield from _error_constant(subject, analysis)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _function(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Compare the claimed function with what the step does at a few z."""
    s = analysis.stability
    values = subject.values(1.0)

    def polynomial(coefficients: Any, x: complex) -> complex:
        found = (complex(number(c, values)) * x**i for i, c in enumerate(coefficients))
        return sum(found, 0j)

    key, what = "stability.function", "stability function at four points"
    if s.numerator is not None and s.denominator is not None and len(subject.program.states) == 1:
        if subject.program.history:
            return
        gaps = []
        for z in POINTS:
            found = advance_matrix(subject, z)[0, 0]
            claimed = polynomial(s.numerator, z) / polynomial(s.denominator, z)
            gaps.append(abs(found - claimed))
    elif s.rho is not None and s.sigma is not None:
        gaps = []
        for z in POINTS:
            for zeta in np.linalg.eigvals(advance_matrix(subject, z)):
                if abs(zeta) > 1e-6:
                    gaps.append(abs(polynomial(s.rho, zeta) - z * polynomial(s.sigma, zeta)))
    else:
        return
    off = float(max(gaps))
    yield Check(key, what, "as derived", f"off by {off:.1e}", off < 1e-7)


def _zero_stable(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    claim = analysis.stability.zero_stable
    if not isinstance(claim, bool):
        if isinstance(claim, str):
            text = f"at {_chosen(subject)}" if subject.numbers else ""
            found = _bounded(subject)
            yield Check(
                "stability.zero_stable", "zero-stable", claim, f"{_yes(found)} {text}".strip()
            )
        return
    found = _bounded(subject)
    yield Check(
        "stability.zero_stable",
        "zero-stable",
        _yes(claim),
        _yes(found),
        found == claim,
        "powers as h tends to 0",
    )


def _chosen(subject: Subject) -> str:
    return ", ".join(f"{name} = {value}" for name, value in subject.numbers.items())


def _bounded(subject: Subject) -> bool:
    """Return whether the powers of M(0) stay bounded: they double where a root on the circle is multiple."""
    matrix = advance_matrix(subject, 1e-9, 1e-9)
    power = np.linalg.matrix_power(matrix, 500)
    once, twice = float(np.linalg.norm(power)), float(np.linalg.norm(power @ power))
    return bool(twice < 1.5 * max(once, 1.0))


def _interval(subject: Subject, key: str, what: str, claim: Any, unit: complex) -> Iterator[Check]:
    """Probe inside an interval, and just inside and outside of each end."""
    if claim is None:
        return
    values = subject.values(1.0)
    low, high = (_end(end, values) for end in claim)
    text = f"[{_shown(claim[0])}, {_shown(claim[1])}]"
    inner_low: float = max(low, -1e6)
    inner_high: float = min(high, 1e6)
    inside = (
        np.linspace(inner_low, inner_high, 23)[1:-1] if inner_high > inner_low else np.array([])
    )
    inside = np.concatenate([inside, [x * (1 - NEAR) for x in (inner_low, inner_high) if x != 0]])
    worst = max([radius(subject, unit * x) for x in inside], default=1.0)
    problems = []
    if worst > 1 + ROUNDING:
        problems.append(f"grows inside by {worst:.4g}")
    for end, sign in ((low, -1), (high, 1)):
        if not math.isfinite(end):
            continue
        beyond = end * (1 + NEAR) if end else sign * 0.05
        outside = max(radius(subject, unit * x) for x in (beyond, end + 20 * (beyond - end)))
        if outside <= 1 + GROWTH:
            problems.append(f"does not grow at {beyond:.4g}")
    found = "; ".join(problems) or "bounded inside, growing beyond the ends"
    yield Check(f"stability.{key}", what, text, found, not problems, "spectral radius of the step")


def _end(end: Any, values: Any) -> float:
    if isinstance(end, sympy.Expr):
        return float(end) if not end.free_symbols else float(number(end, values))
    return float(end)


def _shown(end: Any) -> str:
    if isinstance(end, float):
        return f"{end:.6g}"
    return str(end).replace("oo", "inf")


def _half_plane(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    claim = analysis.stability.a_stable
    if claim is None:
        return
    heights = np.concatenate([np.logspace(-3, 4, 50), -np.logspace(-3, 4, 8)])
    points = [
        complex(-depth, y) for y in heights for depth in (1e-9, 1e-2 * abs(y), abs(y), 10 * abs(y))
    ]
    points += [complex(-x, 0) for x in np.logspace(-3, 6, 30)]
    worst = max(radius(subject, z) for z in points)
    if claim:
        text = f"largest radius {worst:.6g}"
        yield Check(
            "stability.A",
            "A-stable",
            "yes",
            text,
            worst <= 1 + 1e-7,
            f"{len(points)} points of the half plane",
        )
    else:
        text = f"radius {worst:.4g} in the half plane" if worst > 1 + 1e-7 else "no growth found"
        yield Check("stability.A", "A-stable", "no", text, True if worst > 1 + 1e-7 else None)


def _angle(subject: Subject, claim: float | None) -> Iterator[Check]:
    if claim is None or not 0 < claim < 90:
        return

    def worst(degrees: float) -> float:
        turn = np.exp(1j * math.radians(180 - degrees))
        return max(radius(subject, turn * r) for r in np.logspace(-1.5, 2, 150))

    inside, outside = worst(claim - 0.1), worst(claim + 0.1)
    holds = inside <= 1 + ROUNDING and outside > 1 + GROWTH
    text = f"radius {inside:.6g} at -0.1 degree, {outside:.6g} at +0.1 degree"
    yield Check("stability.A_alpha_degrees", "A(alpha)", f"{claim:.4f} degrees", text, holds)


def _error_constant(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Compare ``(exp(s z) - zeta_1(z)) / (s z)^(p+1)`` with C, in 100 digits; s is the rescaling of time."""
    claim, order = analysis.error_constant, analysis.order
    if claim is None or order is None or len(subject.program.states) != 1 or subject.scaled:
        return
    with mpmath.workdps(100):
        tiny = mpmath.mpf(10) ** -45
        rate = (_principal_root(subject, tiny) - 1) / tiny
        z = mpmath.mpf(10) ** -5
        error = mpmath.exp(rate * z) - _principal_root(subject, z)
        found = float((error / (rate * z) ** (order + 1)).real)
    wanted = float(number(claim, subject.values(1.0)))
    off = abs(found - wanted) / max(abs(wanted), 1e-12)
    what, note = "error constant", "principal root"
    yield Check("error_constant", what, f"{wanted:.6g}", f"{found:.6g}", off < 1e-3, note)


def _principal_root(subject: Subject, z: Any) -> Any:
    """Return the eigenvalue of M(z) next to 1 for a small z, in mpmath's present precision."""
    symbols = {
        name: mpmath.mpf(int(value.p)) / int(value.q) for name, value in subject.numbers.items()
    }
    symbols["h"] = mpmath.mpf(1)
    digits = mpmath.mp.dps + 10
    arithmetic = Arithmetic(
        lambda item: mpmath.mpf(str(item.evalf(digits))), symbols, functions_of(mpmath)
    )
    rows = _advance(subject.program, arithmetic, z, mpmath.mpf(1))
    roots = mpmath.eig(mpmath.matrix(rows), left=False, right=False)
    return min(roots, key=lambda root: abs(root - 1))
