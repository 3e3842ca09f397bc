"""The analysis as JSON: the keys of the machine-readable report, exact numbers as text.

A key that could not be decided is null, and ``notes`` holds the reason under its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy

from schemegen.analysis.model import (
    Admissible,
    Analysis,
    Concrete,
    ConcreteTerm,
    Contraction,
    Geometry,
    ModifiedEquation,
    Note,
    OrderCondition,
    OrderSet,
    ParamFact,
    PhaseTerm,
    Stability,
    TreeTerm,
)
from schemegen.report.noise import mean_square_data, sde_data
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Interval, Scheme

__all__ = ["analysis_data", "analysis_json"]

VERSION = 1

NOT_YET = "not analysed yet"

# Why a key is null where the analysis itself gives no reason.
REASONS = {
    "at": "no point was asked for",
    "order_nearly": "no higher order holds to within a rounding of decimals",
    "stage_order": "only a Runge-Kutta tableau has stages in this sense",
    "embedded_order": "the scheme has no embedded weights",
    "error_constant": "only multistep schemes have one",
    "modified_equation": NOT_YET,
    "modified_sde": "the scheme has no noise",
    "strong_order": "the scheme has no noise",
    "weak_order": "the scheme has no noise",
    "ssp": "only decided for explicit tableaus",
    "linear_monotonicity": NOT_YET,
    "derivative_form": "only for schemes of one state and one field",
}


def analysis_json(data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Return the text of ``analysis.json``: keys in the order of the report, a newline at the end."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def analysis_data(analysis: Analysis, scheme: Scheme | None = None) -> dict[str, Any]:
    """Return the analysis as JSON data; ``scheme`` tells what a null key is for."""
    a = analysis
    noise = bool(scheme.noises) if scheme is not None else a.kind == "stochastic"
    damping = scheme is not None and scheme.damping is not None
    norm = a.principal_error_norm
    data: dict[str, Any] = {
        "v": VERSION,
        "scheme": a.scheme,
        "title": a.title,
        "states": list(a.states),
        "fields": list(a.fields),
        "params": [_param(item) for item in a.params],
        "kind": a.kind,
        "consistent": a.consistent,
        "order": a.order,
        "stage_order": a.stage_order,
        "embedded_order": a.embedded_order,
        "strong_order": a.strong_order and str(a.strong_order),
        "weak_order": a.weak_order and str(a.weak_order),
        "order_nearly": a.order_nearly
        and {"order": a.order_nearly.order, "within": a.order_nearly.within},
        "order_special": [{"when": item.when, "order": item.order} for item in a.order_special],
        "order_conditions": _conditions(a.order_conditions),
        "principal_error": _trees(a.principal_error),
        "principal_error_norm": norm and {"exact": format_exact(norm[0]), "value": norm[1]},
        "error_constant": _exact(a.error_constant),
        "modified_equation": a.modified_equation and _modified(a.modified_equation),
        "modifying_equation": a.modifying_equation and _field(a.modifying_equation),
        "depth_term": None
        if a.depth_term is None
        else {"term": "f_t", "h_power": 1, "coefficient": format_exact(a.depth_term)},
        "modified_sde": a.modified_sde and sde_data(a.modified_sde),
        "mean_square": a.mean_square and mean_square_data(a.mean_square),
        "stationary_variance": a.stationary_variance
        and {
            "scheme": format_exact(a.stationary_variance.scheme),
            "limit": _exact(a.stationary_variance.limit),
        },
        "admissible": a.admissible and _admissible(a.admissible),
        "stability": _stability(a.stability),
        "geometry": _geometry(a.geometry),
        "dispersion": _phase(a.dispersion),
        "dissipation": _phase(a.dissipation),
        "limits": a.limits and [{"as": item.point, "becomes": item.becomes} for item in a.limits],
        "contraction": a.contraction and _contraction(a.contraction),
        "cost": {
            "evaluations": dict(a.cost.evaluations),
            "storage": a.cost.storage,
            "combination_flops": a.cost.combination_flops,
        },
        "expect": [
            {"claim": str(item.expectation), "holds": item.holds, "found": item.found}
            for item in a.verdicts
        ],
    }
    if a.concrete is not None:
        data["concrete"] = _concrete(a.concrete)
    data["notes"] = list(_notes(data, a.notes, noise=noise, damping=damping))
    return data


def _admissible(item: Admissible) -> dict[str, Any]:
    return {
        "symbols": list(item.symbols),
        "consistent": item.consistent,
        "zero_stable": item.zero_stable,
        "order": item.order and _order_sets(item.order),
        "order_rescaled": item.order_rescaled and _order_sets(item.order_rescaled),
        "a_stable": item.a_stable,
        "l_stable": item.l_stable,
        "proofs": [
            {"claim": proof.claim, "range": proof.range, "set": proof.set} for proof in item.proofs
        ],
    }


def _order_sets(items: Sequence[OrderSet]) -> list[dict[str, Any]]:
    return [
        {
            "order": item.order,
            "when": item.when,
            "conditions": list(item.conditions),
            "families": list(item.families),
        }
        for item in items
    ]


def _conditions(items: Sequence[OrderCondition]) -> list[dict[str, Any]]:
    return [
        {"state": item.state, "tree": item.tree, "residual": format_exact(item.residual)}
        for item in items
    ]


def _trees(items: Sequence[TreeTerm]) -> list[dict[str, Any]]:
    return [{"tree": item.tree, "coefficient": format_exact(item.coefficient)} for item in items]


def _concrete(found: Concrete) -> dict[str, Any]:
    def terms(items: Sequence[ConcreteTerm] | None) -> list[dict[str, Any]] | None:
        if items is None:
            return None
        return [
            {
                "variable": item.variable,
                "h_power": item.h_power,
                "expression": format_exact(item.expression),
            }
            for item in items
        ]

    return {
        "variables": [str(item) for item in found.variables],
        "field": [format_exact(item) for item in found.field],
        "modified": terms(found.modified),
        "modifying": terms(found.modifying),
        "hamiltonian": terms(found.hamiltonian),
        "at": terms(found.values),
    }


def _contraction(found: Contraction) -> dict[str, Any]:
    rate = None if found.rate is None else format_exact(found.rate)
    return {
        "continuous": rate and f"d|x - y|/dt <= ({rate})*|x - y|",
        "discrete": f"|x[n+1] - y[n+1]| <= ({format_exact(found.lipschitz)})*|x[n] - y[n]|",
        "damping_helps": found.damping_helps,
    }


def _phase(terms: Sequence[PhaseTerm] | None) -> list[dict[str, Any]] | None:
    if terms is None:
        return None
    return [{"power": term.power, "coefficient": format_exact(term.coefficient)} for term in terms]


def _geometry(g: Geometry) -> dict[str, Any]:
    return {
        "symplectic": g.symplectic,
        "symmetric": g.symmetric,
        "algebraically_stable": g.algebraically_stable,
        "conserves_quadratic": g.conserves_quadratic,
        "energy_preserving_to": _power(g.energy_preserving_to),
        "symplectic_to": _power(g.symplectic_to),
        "reversible": g.reversible,
        "parasitic_roots": g.parasitic_roots and list(g.parasitic_roots),
        "parasitic_growth": None if g.parasitic_growth is None else list(g.parasitic_growth),
        "fsal": g.fsal,
    }


def _power(value: sympy.Expr | None) -> int | str | None:
    """Return a power of h as a number, ``inf`` for all powers."""
    if value is None:
        return None
    return "inf" if value == sympy.oo else int(value)


def _param(fact: ParamFact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "learnable": fact.learnable,
        "range": fact.range and _interval(fact.range),
        "admissible": fact.admissible,
    }


def _interval(interval: Interval) -> str:
    opening = "[" if interval.low_closed else "("
    closing = "]" if interval.high_closed else ")"
    ends = [
        "-inf" if end == -sympy.oo else "inf" if end == sympy.oo else format_exact(end)
        for end in (interval.low, interval.high)
    ]
    return f"{opening}{ends[0]}, {ends[1]}{closing}"


def _field(field: Sequence[tuple[str, Sequence[TreeTerm]]]) -> dict[str, Any]:
    return {
        state: [
            {
                "tree": term.tree,
                "h_power": term.h_power,
                "coefficient": format_exact(term.coefficient),
            }
            for term in terms
        ]
        for state, terms in field
    }


def _modified(equation: ModifiedEquation) -> dict[str, Any]:
    field = equation.field
    form = equation.derivative_form
    return {
        "field": None if field is None else _field(field),
        "derivative_form": None
        if form is None
        else [
            {
                "derivative": term.derivative,
                "h_power": term.h_power,
                "coefficient": format_exact(term.coefficient),
            }
            for term in form
        ],
        "truncation": equation.truncation,
        "valid": ", ".join(equation.valid),
    }


def _stability(s: Stability) -> dict[str, Any]:
    function: dict[str, Any] = {
        key: [format_exact(value) for value in values]
        for key, values in (
            ("numerator", s.numerator),
            ("denominator", s.denominator),
            ("rho", s.rho),
            ("sigma", s.sigma),
        )
        if values is not None
    }
    if s.matrix is not None:
        function["matrix"] = [[format_exact(value) for value in row] for row in s.matrix]
    return {
        "function": function or None,
        "at_infinity": _exact(s.at_infinity),
        "A": s.a_stable,
        "L": s.l_stable,
        "A_alpha_degrees": s.a_alpha_degrees,
        "I": s.i_stable,
        "zero_stable": s.zero_stable,
        "real_interval": s.real_interval and [_exact(end) for end in s.real_interval],
        "imaginary_interval": s.imaginary_interval
        and [_exact(end) for end in s.imaginary_interval],
        "ssp": _exact(s.ssp),
        "linear_monotonicity": _exact(s.linear_monotonicity),
        "G": s.g_matrix and [[format_exact(value) for value in row] for row in s.g_matrix],
        "barriers": [
            {"name": item.name, "statement": item.statement, "source": item.source}
            for item in s.barriers
        ],
    }


def _exact(value: sympy.Expr | float | None) -> str | float | None:
    """Return text for an exact number, and a number as it is."""
    if value is None or isinstance(value, float):
        return value
    if value in (sympy.oo, -sympy.oo):
        return "inf" if value == sympy.oo else "-inf"
    return format_exact(value)


def _notes(
    data: Mapping[str, Any], notes: tuple[Note, ...], *, noise: bool, damping: bool
) -> Iterator[dict[str, Any]]:
    """Yield the notes of the analysis, then a reason for each null that they do not name."""
    named = set()
    for note in notes:
        named |= {note.key, note.key.rpartition(".")[2]}
        yield {"key": note.key, "text": note.text} | ({"code": note.code} if note.code else {})
    for path in _nulls(data):
        key = path.rpartition(".")[2]
        if key in named or path in named or path.partition(".")[0] in named:
            continue
        reason = REASONS.get(key, "not decided")
        if (noise and "no noise" in reason) or (damping and "no damping" in reason):
            reason = NOT_YET
        yield {"key": path, "text": reason}


def _nulls(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if value is None:
            yield prefix + key
        elif isinstance(value, dict) and key != "function":
            yield from _nulls(value, f"{prefix}{key}.")
