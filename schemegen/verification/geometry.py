"""Structure that a step preserves, measured on problems that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from schemegen.analysis.model import Analysis
from schemegen.step.program import Evaluate, Program, walk
from schemegen.verification.model import Check
from schemegen.verification.problem import LONG, fields_of
from schemegen.verification.subject import Subject

__all__ = ["geometry"]

EXACT = 1e-14  # what is left of an identity in long double, solvers included
BROKEN = 1e-9  # what a missing property leaves at least
H = LONG(1) / 8
MATRIX = np.array(
    [[0.0, 0.9, -0.4, 0.2], [-0.9, 0.0, 0.7, -0.3], [0.4, -0.7, 0.0, 0.5], [-0.2, 0.3, -0.5, 0.0]]
)
START = np.array([0.3, -0.5, 0.8, 0.1], dtype=LONG)


def geometry(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Yield the checks of symmetry, symplecticity, quadratic invariants, contractivity and FSAL."""
    g = analysis.geometry
    one_step = not subject.program.history and not subject.auxiliary
    yield from _decided("symmetric", "symmetric", g.symmetric, _asymmetry(subject))
    if one_step:
        yield from _decided("symplectic", "symplectic", g.symplectic, _symplectic_defect(subject))
        if len(subject.program.states) == 1:
            yield from _decided(
                "conserves_quadratic",
                "quadratic invariants",
                g.conserves_quadratic,
                _quadratic_defect(subject),
            )
            yield from _contractive(subject, g.algebraically_stable)
        yield from _fsal(subject, g.fsal)
        yield from _monotone(subject, analysis)


def _decided(key: str, what: str, claim: bool | None, defect: float | None) -> Iterator[Check]:
    if claim is None or defect is None:
        return
    holds = defect < EXACT if claim else defect > BROKEN or None
    yield Check(f"geometry.{key}", what, "yes" if claim else "no", f"defect {defect:.1e}", holds)


def _run(
    subject: Subject, states: Mapping[str, Any], fields: Mapping[str, Any], h: Any
) -> dict[str, Any]:
    given = {f"{name}[n]": value for name, value in states.items()}
    values = subject.step(given, fields, h)
    return {name: values[f"{name}[n+1]"] for name in states}


def _initial(subject: Subject) -> dict[str, Any]:
    return {state.name: np.roll(START, -i)[:2] for i, state in enumerate(subject.program.states)}


# --- symmetry -----------------------------------------------------------------------------------------


def _asymmetry(subject: Subject) -> float | None:
    """Return how far a step back with -h misses the start; of a two-step method, with its history turned round."""
    program, fields = subject.program, fields_of(subject.program)
    if subject.auxiliary or subject.scaled or any(item.kind != "drift" for item in program.fields):
        return None
    if not program.history:
        start = _initial(subject)
        back = _run(subject, _run(subject, start, fields, H), fields, -H)
        return float(max(abs(back[name] - start[name]).max() for name in start))
    if len(program.states) != 1:
        return None
    state = program.states[0].name
    old = [START[:2] + LONG(i) / 50 for i in range(program.history + 1)]  # u[n], u[n-1], ..
    result = _multistep(subject, state, old, fields, H)
    if result is None:
        return None
    turned = [*reversed(old[:-1]), result]
    again = _multistep(subject, state, turned, fields, -H)
    return None if again is None else float(abs(again - old[-1]).max())


def _multistep(
    subject: Subject, state: str, old: Sequence[Any], fields: Mapping[str, Any], h: Any
) -> Any:
    """Return u[n+1] from u[n], u[n-1], ..; None where more than states and their slopes is remembered."""
    program = subject.program
    slopes = {
        item.target: item.field
        for item in walk(program.statements)
        if isinstance(item, Evaluate) and item.at == (f"{state}[n]",)
    }
    given = {f"{state}[n]": old[0]}
    for item in program.inputs:
        if item.of == f"{state}[n]":
            given[item.name] = old[item.lag]
        elif item.of in slopes:
            given[item.name] = fields[slopes[item.of]](old[item.lag])
        else:
            return None
    return subject.step(given, fields, h)[f"{state}[n+1]"]


# --- symplecticity ------------------------------------------------------------------------------------


class Pendulums:
    """``H(y) = sum_k a_k cos(w_k . y + c_k)`` on (q, p), each of two components; gradients are sines.

    ``separable`` leaves terms in q or in p alone, as partitioned schemes ask for.
    """

    def __init__(self, separable: bool) -> None:
        random = np.random.default_rng(5)
        self.a = random.uniform(0.3, 1, 6).astype(LONG)
        self.w = random.uniform(-1, 1, (6, 4)).astype(LONG)
        self.c = random.uniform(-1, 1, 6).astype(LONG)
        if separable:
            self.w[:3, :2] = 0
            self.w[3:, 2:] = 0

    def gradient(self, q: Any, p: Any) -> Any:
        y = np.concatenate([q, p])
        return -(self.a * np.sin(self.w @ y + self.c)) @ self.w


def _symplectic_defect(subject: Subject) -> float | None:
    """Return the size of ``J^T Omega J - Omega``, J the Jacobian of a step by the complex step.

    One state holds (q, p); of two, the first is q and the second p, whatever order they are updated in.
    """
    found = _hamiltonian_fields(subject.program)
    if found is None or subject.scaled:
        return None
    fields, names = found
    size = 4 // len(names)
    omega = np.zeros((4, 4), dtype=LONG)
    omega[:2, 2:], omega[2:, :2] = np.eye(2), -np.eye(2)
    tiny = LONG(1e-30)

    def step(y: Any) -> Any:
        states = {name: y[i * size : (i + 1) * size] for i, name in enumerate(names)}
        result = _run(subject, states, fields, H)
        return np.concatenate([result[name] for name in names])

    columns = []
    for index in range(4):
        y = START.astype(np.clongdouble)
        y[index] += 1j * tiny
        columns.append(step(y).imag / tiny)
    jacobian = np.array(columns).T
    return float(abs(jacobian.T @ omega @ jacobian - omega).max())


def _hamiltonian_fields(program: Program) -> tuple[dict[str, Any], list[str]] | None:
    """Return the drifts of a Hamiltonian problem in the shape of the program."""
    drifts = [item for item in program.fields if item.kind == "drift"]
    if len(drifts) != len(program.fields):
        return None
    names = [state.name for state in program.states]
    if len(names) == 1:
        parts = [Pendulums(False) for _ in drifts]
        for index, part in enumerate(parts):
            part.a = part.a / (index + 1)

        def whole(part: Pendulums) -> Callable[[Any], Any]:
            def field(y: Any) -> Any:
                g = part.gradient(y[:2], y[2:])
                return np.concatenate([g[2:], -g[:2]])

            return field

        return {item.name: whole(part) for item, part in zip(drifts, parts, strict=True)}, names
    if len(names) != 2 or len(drifts) != 2:
        return None
    separable = all(len(item.states) == 1 for item in drifts)
    problem = Pendulums(separable)
    zero = np.zeros(2, dtype=LONG)
    driven = _driven(program)
    fields: dict[str, Any] = {}
    for item in drifts:
        state = driven.get(item.name)
        if state is None or (separable and item.states != (names[1 - names.index(state)],)):
            return None

        def field(*at: Any, item: Any = item, state: str = state) -> Any:
            values = dict.fromkeys(names, zero) | dict(zip(item.states, at, strict=True))
            g = problem.gradient(values[names[0]], values[names[1]])
            return g[2:] if state == names[0] else -g[:2]

        fields[item.name] = field
    return (fields, names) if set(driven.values()) == set(names) else None


def _driven(program: Program) -> dict[str, str]:
    """Return which state each field drives, by a step from rest with one field at a time switched on."""
    from schemegen.analysis.expansion import expand

    found: dict[str, str] = {}
    for state, terms in expand(program, 2).limit:
        for name, _ in terms:
            if name in found:
                return {}
            found[name] = state
    return found


# --- invariants, contractivity, FSAL -----------------------------------------------------------------


def _rotation(y: Any) -> Any:
    """Return S(y) y with S skew, so that |y|^2 is an invariant."""
    scale = 1 + y[0] / 2 + y[1] * y[2] / 3
    return scale * (MATRIX.astype(y.dtype) @ y)


def _quadratic_defect(subject: Subject) -> float | None:
    program = subject.program
    if (
        any(item.kind != "drift" or len(item.states) != 1 for item in program.fields)
        or subject.scaled
    ):
        return None
    state = program.states[0].name
    fields = {item.name: _rotation for item in program.fields}
    after = _run(subject, {state: START}, fields, H)[state]
    return float(abs(after @ after - START @ START))


def _contractive(subject: Subject, claim: bool | None) -> Iterator[Check]:
    """Follow two solutions of a monotone problem: an algebraically stable step brings them no further apart."""
    program = subject.program
    if claim is None or any(
        item.kind != "drift" or len(item.states) != 1 for item in program.fields
    ):
        return
    state = program.states[0].name

    def field(y: Any) -> Any:
        return MATRIX.astype(LONG) @ y * 2 - (y**3) / 20

    fields = {item.name: field for item in program.fields}
    left, right = {state: START}, {state: START[::-1] + LONG(1) / 10}
    growth = 0.0
    for _ in range(20):
        before = np.linalg.norm((left[state] - right[state]).astype(float))
        left, right = (_run(subject, side, fields, H) for side in (left, right))
        after = np.linalg.norm((left[state] - right[state]).astype(float))
        growth = max(growth, float(after / before - 1))
    holds = growth < 1e-13 if claim else growth > 1e-13 or None
    text = f"distance grows by {growth:.1e}" if growth > 1e-13 else "distance never grows"
    yield Check(
        "geometry.algebraically_stable",
        "algebraically stable",
        "yes" if claim else "no",
        text,
        holds,
    )


def _fsal(subject: Subject, claim: bool | None) -> Iterator[Check]:
    """Look for an evaluation at the new state itself."""
    program = subject.program
    if claim is None or len(program.states) != 1:
        return
    state = program.states[0].name
    given = {f"{state}[n]": START[:2]}
    values = subject.step(given, fields_of(program), H)
    new = values[f"{state}[n+1]"]
    last = any(
        all(at in values and abs(values[at] - new).max() < 1e-17 for at in item.at)
        for item in program.statements
        if isinstance(item, Evaluate)
    )
    if any(
        not isinstance(item, Evaluate) and hasattr(item, "statements")
        for item in program.statements
    ):
        return  # evaluations inside an implicit group are not visible outside of it
    text = "an evaluation at u[n+1]" if last else "no evaluation at u[n+1]"
    yield Check(
        "geometry.fsal", "first same as last", "yes" if claim else "no", text, last == claim
    )


def _monotone(subject: Subject, analysis: Analysis) -> Iterator[Check]:
    """Run on the upwind equation ``u_i' = u_(i-1) - u_i``, whose Euler step is monotone up to h = 1."""
    program = subject.program
    drifts = [item for item in program.fields if item.kind == "drift"]
    if len(program.states) != 1 or len(drifts) != len(program.fields) or len(drifts) != 1:
        return
    s = analysis.stability
    state = program.states[0].name
    implicit = any(hasattr(item, "statements") for item in program.statements)
    if implicit:
        return
    fields = {drifts[0].name: lambda u: np.concatenate([[LONG(0)], u[:-1]]) - u}
    delta = np.zeros(40, dtype=LONG)
    delta[4] = 1

    def least(h: float) -> float:
        return float(_run(subject, {state: delta}, fields, LONG(h))[state].min())

    for key, what, claim, sharp in (
        ("ssp", "SSP coefficient", s.ssp, False),
        ("linear_monotonicity", "linear monotonicity radius", s.linear_monotonicity, True),
    ):
        if claim is None or getattr(claim, "free_symbols", None):
            continue
        radius = float(claim)
        if not 0 < radius < 1e3:
            continue
        inside, outside = least(radius * (1 - 1e-4)), least(radius * (1 + 1e-2))
        holds = inside > -1e-15 and (outside < 0 or not sharp)
        text = f"least value {inside:.1e} inside, {outside:.1e} outside"
        yield Check(f"stability.{key}", what, f"{radius:.5g}", text, holds, "upwind differences")
