"""What the analysis warns of (W04xx, W0703), and E0402: facts on the scheme that no claim asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import sympy

from schemegen.analysis.admissible import AdmissibleSets
from schemegen.analysis.expansion import Expansion
from schemegen.analysis.model import Admissible
from schemegen.analysis.ranges import (
    bounds_of,
    box_of,
    fixed_value,
    outside,
    point_outside,
    spelled_bounds,
    within,
    within_region,
)
from schemegen.analysis.semialgebraic import Region
from schemegen.analysis.stability import LinearAnalysis
from schemegen.analysis.stable_region import symbols_in
from schemegen.diagnostics import Diagnostic, Span
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.expressions import shortened
from schemegen.scheme.model import Equations, Interval, Multistep, Scheme, Tableaus
from schemegen.step.program import Evaluate, Program, Solve, walk

__all__ = ["cautions", "update_span"]


def cautions(
    scheme: Scheme,
    program: Program,
    linear: LinearAnalysis,
    expansion: Expansion | None,
    admissible: AdmissibleSets,
) -> list[Diagnostic]:
    """Return every warning that the coefficients call for, and E0402."""
    found = [*_damping(scheme), *_neumann(scheme, program)]
    if expansion is None or expansion.small_step_limit:
        found += _zero_stability(scheme, linear)
        if "zero_stable" in admissible.regions:
            found += _region(scheme, admissible.regions["zero_stable"])
    if expansion is not None:
        found += _consistency(scheme, program, expansion, admissible.found)
        found += _separate_weights(scheme, program, expansion)
        found += _frozen(scheme, expansion)
        found += _solver(scheme, expansion)
        if not expansion.small_step_limit:
            found.append(_no_limit(scheme, admissible.found))
    return found


def part_of(span: Span, word: str) -> Span:
    """Return the place of ``word`` inside a span, or the span itself where it is not written."""
    start = span.text.find(word)
    if start < 0:
        return span
    return Span(span.source, span.start + start, span.start + start + len(word))


def update_span(scheme: Scheme) -> Span:
    """Return the place that states the update: the equation of the last state, or the rows."""
    match scheme.update:
        case Equations(assignments=assignments) if assignments:
            return assignments[-1].span
        case Equations(span=span) | Multistep(span=span):
            return span
        case Tableaus(parts=parts) if parts:
            return parts[0].span
        case _:
            return scheme.span


# --- zero-stability ----------------------------------------------------------------------------------


def _zero_stability(scheme: Scheme, linear: LinearAnalysis) -> Iterator[Diagnostic]:
    found = linear.stability.zero_stable
    if found is False:
        message = f"the scheme is not zero-stable: {_offending_root(linear)}"
        yield Diagnostic(
            "E0402",
            message,
            update_span(scheme),
            "all roots must lie in the unit disk, those on the circle once",
        )
    if isinstance(found, str):
        param = next((p for p in scheme.params if p.name == linear.zero_stable_symbol), None)
        bounds = None if param is None else bounds_of(param)
        value = None if param is None else fixed_value(param)
        if param is not None and value is not None:
            if not within(Interval(value, value, True, True), linear.zero_stable_cells):
                yield Diagnostic(
                    "E0402",
                    f"the scheme is not zero-stable: it is for {found}, and `{param.name}` is "
                    f"{printed(value)}",
                    part_of(param.span, param.name),
                    "choose a value of the set",
                )
        elif param is not None and not (bounds and within(bounds, linear.zero_stable_cells)):
            left = bounds and outside(bounds, linear.zero_stable_cells, param.name)
            tail = f", and `{param.name}` is not bounded"
            advice = "nothing is clamped; `schemegen analyze --checkpoint RUN` tells which values left it"
            if bounds and left:
                tail = f"; {spelled_bounds(bounds, param.name)} leaves that set for {left}"
                advice = "narrow the range: learned values are kept inside a declared range"
            yield Diagnostic(
                "W0402",
                f"zero-stable only for {found}{tail}",
                part_of(param.span, param.name),
                advice,
            )


def _region(scheme: Scheme, region: Region) -> Iterator[Diagnostic]:
    """Compare the ranges of several params with the set they must stay in."""
    symbols, text = symbols_in(region), region.text
    box = box_of(scheme.params, symbols)
    if not isinstance(text, str) or box is None or within_region(box, region):
        return
    point = point_outside(box, region)
    if point is None:
        return
    where = ", ".join(f"{symbol.name} = {printed(value)}" for symbol, value in point.items())
    params = [p for p in scheme.params if p.symbol in symbols]
    moving = next((p for p in params if fixed_value(p) is None), None)
    if moving is None:
        yield Diagnostic(
            "E0402",
            f"the scheme is not zero-stable: it is for {text}, and the params are {where}",
            part_of(params[0].span, params[0].name),
            "choose values of the set",
        )
        return
    yield Diagnostic(
        "W0402",
        f"zero-stable only for {text}, and the params may be {where}",
        part_of(moving.span, moving.name),
        "declare ranges inside the set: learned values are kept inside a declared range",
    )


def _offending_root(linear: LinearAnalysis) -> str:
    rho = linear.stability.rho
    if rho is not None and any(c.free_symbols for c in rho):
        return "for no values of its params do the powers of its matrix at h = 0 stay bounded"
    if rho is None:
        return "the powers of its matrix at h = 0 grow"
    roots = np.roots([complex(c) for c in reversed(rho)])
    largest = max(roots, key=lambda root: (round(abs(root), 6), root.imag))
    polynomial = "of the first characteristic polynomial"
    if abs(largest) < 1 + 1e-5:
        return f"a multiple root on the unit circle {polynomial}"
    exact = _rational_root(rho, largest)
    if exact is not None:
        return f"root {exact} {polynomial}"
    return f"a root of modulus {abs(largest):.4g} {polynomial}"


def _rational_root(rho: Sequence[sympy.Expr], near: complex) -> str | None:
    zeta = sympy.Dummy("zeta")
    if abs(near.imag) > 1e-6 or not all(c.is_Rational for c in rho):
        return None
    for root in sympy.Poly(list(reversed(rho)), zeta).ground_roots():
        if abs(float(root) - near.real) < 1e-6:
            return printed(root)
    return None


# --- consistency, weights, frozen params -------------------------------------------------------------


def _consistency(
    scheme: Scheme, program: Program, expansion: Expansion, sets: Admissible | None
) -> Iterator[Diagnostic]:
    states = {state.name for state in scheme.states}  # a linear term, as damping adds, is meant
    factors = [c for _, terms in expansion.limit for field, c in terms if field not in states]
    if not isinstance(expansion.consistent, str) or all(c in (1, -1) for c in factors):
        return
    if sets is not None and any(proof.claim == "consistent" for proof in sets.proofs):
        return
    conditions = ", ".join(sets.order[0].conditions) if sets is not None and sets.order else ""
    symbols = {s.name for c in factors for s in c.free_symbols}
    learned = [p for p in scheme.params if p.learnable and p.name in symbols]
    if learned and isinstance(scheme.update, Tableaus) and not program.inputs:
        names = " and ".join(f"`{p.name}`" for p in learned)
        yield Diagnostic(
            "W0403",
            f"learning {names} freely breaks consistency"
            + (f", which holds only for {conditions}" if conditions else ""),
            part_of(learned[0].span, learned[0].name),
            f"tie them: write `(1 - {learned[0].name})` for the weight that is left",
        )
        return
    plain = ", ".join(
        f"{state}' = {' + '.join(f for f, _ in terms if f not in states)}"
        for state, terms in expansion.limit
    )
    yield Diagnostic(
        "W0404",
        f"consistent with {shortened(expansion.consistent)}, not with {plain}"
        + (f" (that only for {conditions})" if conditions else ""),
        update_span(scheme),
        "read orders for the rescaled field; the report prints both",
    )


def _separate_weights(
    scheme: Scheme, program: Program, expansion: Expansion
) -> Iterator[Diagnostic]:
    if expansion.order is None or expansion.order < 2:
        return
    for drift in scheme.drifts:
        used = {
            s.weights
            for s in walk(program.statements)
            if isinstance(s, Evaluate) and s.field == drift.name
        }
        if len(used) > 1:
            yield Diagnostic(
                "W0405",
                f"order {expansion.order} assumes one `{drift.name}`; weights are `per {drift.weights}`",
                part_of(drift.span, f"weights per {drift.weights}"),
                "use `weights per step`, or read order 1 for the mean field",
            )


def _frozen(scheme: Scheme, expansion: Expansion) -> Iterator[Diagnostic]:
    equation = expansion.modified_equation
    if equation is None or equation.field is None:
        return
    symbols = {
        s.name for _, terms in equation.field for t in terms for s in t.coefficient.free_symbols
    }
    for param in scheme.params:
        if param.name in symbols and param.learnable and param.per == "step":
            yield Diagnostic(
                "W0408",
                f"the modified equation is for frozen `{param.name}`; `{param.name}` differs by step",
                part_of(param.span, "per step"),
            )
    for schedule in scheme.schedules:
        if schedule.name in symbols:
            yield Diagnostic(
                "W0408",
                f"the modified equation is for frozen `{schedule.name}`; "
                f"`{schedule.name}` differs by step",
                schedule.span,
            )


# --- solvers, damping, limits ------------------------------------------------------------------------


def _neumann(scheme: Scheme, program: Program) -> Iterator[Diagnostic]:
    groups = [
        s for s in program.statements if isinstance(s, Solve) and s.solver.method == "neumann"
    ]
    if groups and scheme.solver is not None:
        terms = groups[0].solver.iterations
        yield Diagnostic(
            "W0406",
            "a truncated Neumann series of a nonlinear `f` does not approximate u' = f unless f(0) = 0",
            part_of(scheme.solver.span, "neumann"),
            f"`fixed_point, iterations {terms}` is the Runge-Kutta form",
        )


def _solver(scheme: Scheme, expansion: Expansion) -> Iterator[Diagnostic]:
    solver, order, left = scheme.solver, expansion.order, expansion.solver_order
    if solver is None or order is None or left is None or left >= order:
        return
    count = solver.iterations
    start = "`u[n]`" if solver.init == "copy" else "an Euler step"
    plural = "iteration" if count == 1 else "iterations"
    limits = "limits" if count == 1 else "limit"
    yield Diagnostic(
        "W0703",
        f"{count} fixed-point {plural} from {start} {limits} order {order} to order {left}",
        part_of(solver.span, f"iterations {count}"),
        f"use {count + order - left} or more",
    )


def _damping(scheme: Scheme) -> Iterator[Diagnostic]:
    damping = scheme.damping
    if damping is None or damping.mode != "explicit":
        return
    rate = damping.rate
    param = next((p for p in scheme.params if p.symbol == rate), None)
    part = ""
    if param is not None:
        bounds = bounds_of(param)
        if bounds is not None and bool(bounds.high <= 1):
            return
        if bounds is not None and bounds.high != sympy.oo:
            above = Interval(
                max(bounds.low, sympy.Integer(1)),
                bounds.high,
                bool(bounds.low > 1) and bounds.low_closed,
                bounds.high_closed,
            )
            part = f": {spelled_bounds(above, param.name)} of its range"
    elif not (rate.is_number and bool(rate > 1)):
        return
    name = printed(rate)
    verb = "may exceed" if param is not None else "exceeds"
    yield Diagnostic(
        "W0407",
        f"`{name}` {verb} 1, where 1 - {name} changes sign{part}",
        damping.span,
        f"add `range [0, 1]`, or `damping {name}: exact`",
    )


def _no_limit(scheme: Scheme, sets: Admissible | None) -> Diagnostic:
    span = update_span(scheme)
    name = scheme.states[0].name
    known = sets is not None and sets.order and sets.order[0].conditions
    only = f"; consistent only for {', '.join(known)}" if known else ""
    if isinstance(scheme.update, Equations):
        targets = {a.span.text.partition("=")[0].strip(): a for a in scheme.update.assignments}
        first = next((a for text, a in targets.items() if text.startswith(f"{name}[")), None)
        span = first.target.span if first is not None else span
    return Diagnostic(
        "W0409",
        f"`{name}[n+1]` does not tend to `{name}[n]` as h tends to 0{only}",
        span,
        "no small-step limit; analysis is skipped",
    )
