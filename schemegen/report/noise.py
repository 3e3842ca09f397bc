"""The modified stochastic equation in the report: JSON data and lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sympy

from schemegen.analysis.weak_model import ForestTerm, MeanSquare, ModifiedSDE
from schemegen.report.notation import Script, parse_tree
from schemegen.scheme.expressions import format_exact

__all__ = ["equation_lines", "mean_square_data", "mean_square_lines", "sde_data"]

CONSTANT = re.compile(r"(?:^|[\[,])1")  # the field that is 1 everywhere, at a node
MOST_TERMS = 12  # of one line
LEVELS = 1  # powers of h beyond the first that a line shows


def sde_data(sde: ModifiedSDE) -> dict[str, Any]:
    """Return the value of ``modified_sde``; powers of h are integers, or halves as text."""
    return {
        "interpretation": "Ito",
        "scaling": sde.scaling,
        "drift": _by_state(sde.drift),
        "diffusion_squared": [_term(item) for item in sde.diffusion_squared],
        "stratonovich_drift": _by_state(sde.stratonovich_drift),
        "exists_to": _power(sde.exists_to),
        "truncation": _power(sde.truncation),
        "only_when": sde.only_when,
        "generator": [_term(item) for item in sde.generator],
        "valid": ", ".join(sde.valid),
    }


def mean_square_data(found: MeanSquare) -> dict[str, Any]:
    """Return the value of ``mean_square``."""
    matrix = found.matrix
    return {
        "variables": dict(found.variables),
        "function": None if found.function is None else format_exact(found.function),
        "matrix": matrix and [[format_exact(entry) for entry in row] for row in matrix],
        "stable": found.stable,
    }


def mean_square_lines(found: MeanSquare, script: Script) -> Iterator[tuple[str, str]]:
    """Yield the growth of second moments on linear problems and where they decay."""
    label = "mean square"
    if found.function is not None:
        square = "²" if script.unicode else "^2"
        yield label, f"E R{square} = {script.exact(found.function)}"
        label = ""
    match found.stable:
        case None:
            return
        case str():
            text = f"stable iff {script.pretty(found.stable)}"
        case always:
            text = "always stable" if always else "never stable"
    meaning = ", ".join(
        f"{name} = {'h' if name[0] == 'z' else 'sqrt(h)'} times the number of {field}"
        for name, field in found.variables
    )
    yield label, f"{text}; {meaning}" if len(found.variables) > 1 else text


def _by_state(
    drift: Sequence[tuple[str, Sequence[ForestTerm]]],
) -> list[dict[str, Any]]:
    return [{"state": state, **_term(item)} for state, terms in drift for item in terms]


def _term(item: ForestTerm) -> dict[str, Any]:
    return {
        "term": item.term,
        "h_power": _power(item.h_power),
        "coefficient": format_exact(item.coefficient),
    }


def _power(value: sympy.Expr) -> int | str:
    return int(value) if value.is_Integer else str(value)


# --- text ----------------------------------------------------------------------------------------


def equation_lines(sde: ModifiedSDE, script: Script) -> Iterator[tuple[str, str]]:
    """Yield labels and texts: the equation, what it is worth, and the generator where it is no SDE's."""
    label = "modified SDE"
    for state, terms in sde.drift:
        name = script.name(state)
        yield label, f"d{name} = ( {_sum(terms, script, _tree)} ) dt{_noise(sde)}, Ito"
        label = ""
    if sde.diffusion_squared:
        yield "B B^T", _sum(sde.diffusion_squared, script, _matrix)
    label = "Stratonovich"
    for (state, terms), (_, ito) in zip(sde.stratonovich_drift, sde.drift, strict=True):
        if terms != ito:
            yield label, f"drift {script.name(state)}: {_sum(terms, script, _tree)}"
            label = ""
    where = "the noise stays as h tends to 0" if sde.scaling == "sqrt(h)" else "vanishes with h"
    size = script.pretty(sde.scaling)
    if sde.scaling == "sqrt(h)" and script.unicode:
        size = "√h"
    yield "noise", f"of the size {size}: {where}"
    if sde.stops_at is not None:
        first = sde.stops_at
        text = (
            f"{_order(sde.exists_to, script)}; the generator is no SDE's at {_order(first, script)}"
        )
        yield "exists up to", text
        kept = [item for item in sde.generator if item.h_power <= first]
        yield "generator L", _sum(kept, script, _operator, levels=len(kept))
    yield from _control(sde, script)
    if any("." in item.term for item in sde.generator):
        yield "letters", "equal ones (f.i, g.i) are equal components, capital ones equal channels"


def _noise(sde: ModifiedSDE) -> str:
    return " + B dW" if sde.diffusion_squared else ""


def _control(sde: ModifiedSDE, script: Script) -> Iterator[tuple[str, str]]:
    """Yield the backward Kolmogorov equation, leading powers, and the curvature that training penalises.

    ``v(t, x)`` is the mean loss at the end from x at t. To first order in the noise the mean loss is that of the
    path without noise and the integral of ``1/2 B B^T : Hess v`` along it.
    """
    if not sde.diffusion_squared:
        return
    first = min(item.h_power for item in sde.diffusion_squared)
    leading = [item for item in sde.diffusion_squared if item.h_power == first]
    halves = [replace(item, coefficient=item.coefficient / 2) for item in leading]
    curvature = f"( {_sum(halves, script, _matrix)} ) : Hess v"
    moved = []
    for state, terms in sde.drift:
        limit = [item for item in terms if item.h_power <= 0]
        if limit:
            gradient = "grad v" if len(sde.drift) == 1 else f"grad_{state} v"
            moved.append(f"( {_sum(limit, script, _tree)} ) . {gradient}")
    yield "Kolmogorov", " + ".join(["v_t", *moved, curvature]) + " = 0, v = the loss at the end"
    yield "training adds", f"to first order the integral of {curvature} along the path"


def _sum(terms: Sequence[ForestTerm], script: Script, written: Any, levels: int = LEVELS) -> str:
    """Return the terms by powers of h, the leading ones in full and what is left out counted."""
    ordered = sorted(terms, key=lambda item: item.h_power)
    groups = [(power, list(items)) for power, items in groupby(ordered, key=_h_power)]
    shown = [g for g in groups if g[0] <= 0] + [g for g in groups if g[0] > 0][:levels]
    if not any(g[0] <= 0 for g in groups):
        shown = groups[: 1 + levels]
    texts: list[str] = []
    for power, items in shown:
        h = _h(power, script)
        for item in items[:MOST_TERMS]:
            negative, text = script.scaled(item.coefficient, h, written(item, script))
            sign = ("-" if not texts else "- ") if negative else ("" if not texts else "+ ")
            texts.append(sign + text)
        if len(items) > MOST_TERMS:
            texts.append(f"+ {len(items) - MOST_TERMS} more")
    rest = [power for power, _ in groups if power > max((p for p, _ in shown), default=0)]
    if rest:
        texts.append(f"+ O({_h(min(rest), script)})")
    return " ".join(texts) or "0"


def _h_power(item: ForestTerm) -> sympy.Expr:
    return item.h_power


def _order(power: sympy.Expr, script: Script) -> str:
    return _h(power, script) or "h^0"


def _h(power: sympy.Expr, script: Script) -> str:
    if power.is_Integer:
        return script.power("h", int(power))
    return f"h^({power})"


def _differential(text: str, script: Script) -> str:
    """Return a tree as its differential; one with letters or names of states as it stands."""
    if "." in text or ":" in text or CONSTANT.search(text):
        return text
    return script.differential(parse_tree(text))


def _tree(item: ForestTerm, script: Script) -> str:
    return _differential(item.trees[0], script)


def _matrix(item: ForestTerm, script: Script) -> str:
    if "^T" not in item.term:
        return item.term
    left, right = (_differential(text, script) for text in item.trees)
    wrapped = f"({right})" if "'" in right else right
    if item.trees[0] == item.trees[1]:
        return f"{left} {wrapped}^T"
    turned = f"({left})" if "'" in left else left
    return f"({left} {wrapped}^T + {right} {turned}^T)"


def _operator(item: ForestTerm, script: Script) -> str:
    inner = ", ".join(_differential(text, script) for text in item.trees)
    return f"{script.power('D', len(item.trees))}({inner})"
