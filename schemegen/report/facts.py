"""What a report says of a scheme, line by line, whatever it is then laid out as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import sympy

from schemegen.analysis.model import (
    Analysis,
    ConcreteTerm,
    Verdict,
)
from schemegen.language import print_expression
from schemegen.language.nodes import Index
from schemegen.report.lines import Fact, expected, listed, opened, yes
from schemegen.report.noise import equation_lines, mean_square_lines
from schemegen.report.notation import Script, signed_sum
from schemegen.report.stability import stability_facts
from schemegen.scheme.expressions import shortened
from schemegen.scheme.model import Equations, Scheme, Tableaus

__all__ = ["facts", "headline", "kind_of"]

KINDS = {
    "explicit": "explicit Runge-Kutta",
    "dirk": "diagonally implicit Runge-Kutta",
    "implicit": "implicit Runge-Kutta",
    "additive": "additive Runge-Kutta",
    "partitioned": "partitioned",
    "exponential": "exponential",
    "stochastic": "stochastic",
    "two_step_rk": "two-step Runge-Kutta",
    "one_step": "one-step",
}

COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

# The claims that are shown beside another fact, and the fact's key; others get a line of their own.
CLAIMS = {"A_stable": "A", "L_stable": "L"}


# The fact that a warning of the analysis is about.
WARNED = {
    "W0402": "stability.zero_stable",
    "W0403": "consistent",
    "W0404": "consistent",
    "W0405": "order",
    "W0406": "consistent",
    "W0703": "order",
}

ASCII = Script(unicode=False)

GEOMETRY = (
    ("symplectic", "symplectic"),
    ("symmetric", "symmetric"),
    ("algebraically_stable", "algebraically stable"),
    ("conserves_quadratic", "keeps quadratic invariants"),
    ("reversible", "reversible"),
    ("fsal", "first same as last"),
)


def headline(analysis: Analysis) -> str:
    """Return ``rk2 - Explicit midpoint``."""
    return f"{analysis.scheme} - {analysis.title}" if analysis.title else analysis.scheme


def kind_of(analysis: Analysis, scheme: Scheme | None, script: Script = ASCII) -> str:
    """Return the family in words: ``explicit Runge-Kutta, 2 stages``."""
    parts = [KINDS.get(analysis.kind, analysis.kind.replace("_", " "))]
    rho = analysis.stability.rho
    if analysis.kind == "multistep" and rho is not None:
        parts = [f"{COUNTS.get(len(rho) - 1, str(len(rho) - 1))}-step"]
    if scheme is not None:
        match scheme.update:
            case Tableaus(parts=tableaus):
                stages = tableaus[0].tableau.stages
                parts.append(f"{stages} stage{'s' * (stages != 1)}")
            case _:
                pass
        for param in scheme.params:
            if param.learnable:
                where = "network-wide" if param.per == "network" else f"at each {param.per}"
                parts.append(f"learnable {script.name(param.name)} {where}")
    return ", ".join(parts)


def facts(analysis: Analysis, scheme: Scheme | None, script: Script) -> tuple[Fact, ...]:
    """Return every line between the head and the modified equation, in reading order."""
    claims = {item.expectation.claim: item for item in analysis.verdicts}
    codes: dict[str, list[str]] = {}
    said = [(note.key, note.code) for note in analysis.notes if note.code]
    said += [(WARNED[d.code], d.code) for d in analysis.diagnostics if d.code in WARNED]
    for key, code in dict.fromkeys(said):
        codes.setdefault(key, []).append(code)
    found = [
        *_update(scheme, script),
        *_order(analysis, claims, script),
        *_order_sets(analysis, script),
        *stability_facts(analysis, claims, script),
        *_structure(analysis, claims, script),
        *_limits(analysis, scheme, script),
        *_depth(analysis, script),
        *_sde(analysis, script),
        *_concrete(analysis, script),
        *_cost(analysis, scheme),
    ]
    return tuple(replace(fact, codes=tuple(codes.pop(fact.key, ()))) for fact in found)


def _update(scheme: Scheme | None, script: Script) -> Iterator[Fact]:
    if scheme is None or not isinstance(scheme.update, Equations):
        return
    label = "update"
    for item in scheme.update.maps:
        left = f"{item.name}({', '.join(item.arguments)})"
        yield Fact("update", label, f"{left} = {script.pretty(print_expression(item.body))}")
        label = ""
    for line in scheme.update.assignments:
        target = line.target
        left = print_expression(target) if isinstance(target, Index) else target.id
        right = script.pretty(print_expression(line.value))
        yield Fact("update", label, f"{script.pretty(left)} = {right}")
        label = ""


def _order(a: Analysis, claims: dict[str, Verdict], script: Script) -> Iterator[Fact]:
    special = "; ".join(
        f"{item.order} only at {script.pretty(item.when)}" for item in a.order_special
    )
    orders = (
        ("order", "order", a.order, True),
        ("stage_order", "stage order", a.stage_order, False),
        ("embedded_order", "embedded order", a.embedded_order, False),
        ("strong_order", "strong order", a.strong_order, False),
        ("weak_order", "weak order", a.weak_order, False),
    )
    for key, label, value, always in orders:
        if value is None and not always and key not in claims:
            continue
        text = opened(value) + expected(claims.get(key))
        if key == "order" and a.order_nearly is not None:
            near = a.order_nearly
            text += (
                f" as written; {near.order} to within {near.within:.1g}, decimals are read exactly"
            )
        yield Fact(key, label, f"{text}; {special}" if special and key == "order" else text)
    if a.error_constant is not None:
        yield Fact(
            "error_constant",
            "error constant",
            signed_sum([script.scaled(a.error_constant, "", "")]),
        )
    match a.consistent:
        case str():
            text = f"with {script.pretty(shortened(a.consistent))}"
        case None if a.admissible is not None and isinstance(a.admissible.consistent, str):
            text = f"iff {script.pretty(a.admissible.consistent)}"
        case value:
            text = yes(value)
    yield Fact("consistent", "consistent", text + expected(claims.get("consistent")))


def _order_sets(a: Analysis, script: Script) -> Iterator[Fact]:
    """Yield for which values of the symbols each order is reached, where that depends on them."""
    if a.admissible is None:
        return
    said = {(item.order, item.when) for item in a.order_special}
    plain, rescaled = a.admissible.order, a.admissible.order_rescaled
    own = rescaled and {(i.order, i.when) for i in rescaled[1:] if i.when} - said
    for sets, name in (
        (plain, "orders, u' = f" if rescaled else "orders"),
        (rescaled if own else None, "orders, limit"),
    ):
        if sets is None or all(item.when is True for item in sets[:-1]):
            continue
        shown = [item for item in sets if item.when is not True]
        for item in shown:
            match item.when:
                case str():
                    values = f"iff {script.pretty(item.when)}"
                case None:
                    values = f"in {len(item.families) or 'many'} cases, which JSON lists"
                case _:
                    values = "for no values"
            label = name if item is shown[0] else ""
            yield Fact("admissible.order", label, f">= {item.order} {values}")


def _depth(a: Analysis, script: Script) -> Iterator[Fact]:
    """The first term that weights changing with depth add."""
    if a.depth_term is not None and a.depth_term != 0:
        text = signed_sum([script.scaled(a.depth_term, "h", "f_t")])
        yield Fact(
            "depth_term",
            "depth adds",
            f"{text} to the modified equation, for weights smooth in depth",
        )


def _sde(a: Analysis, script: Script) -> Iterator[Fact]:
    """The modified equation with noise, a line each for drift, diffusion and what they are worth."""
    for label, text in equation_lines(a.modified_sde, script) if a.modified_sde is not None else ():
        yield Fact("modified_sde", label, text)
    if a.mean_square is not None:
        yield from (Fact("mean_square", *line) for line in mean_square_lines(a.mean_square, script))
    if a.stationary_variance is not None:
        text = script.exact(a.stationary_variance.scheme)
        if a.stationary_variance.limit is not None:
            text += f"; of the SDE {script.exact(a.stationary_variance.limit)}"
        yield Fact("stationary_variance", "variance", f"{text}, stationary, on u' = lambda u")


def _concrete(a: Analysis, script: Script) -> Iterator[Fact]:
    """The equations of a written field, a line for each variable, and the modified Hamiltonian."""
    if a.concrete is None:
        return
    found = a.concrete
    for label, terms in (("modified field", found.modified), ("modifying field", found.modifying)):
        name = label
        for variable in found.variables if terms is not None else ():
            own = [item for item in terms or () if item.variable == variable.name]
            left = f"{script.name(variable.name)}'"
            yield Fact("concrete", name, f"{left} = {_powers(own, script)}")
            name = ""
    if found.hamiltonian is not None:
        yield Fact("concrete", "Hamiltonian", f"H = {_powers(found.hamiltonian, script)}")
    if found.values is not None:
        name = "at the point"
        for variable in found.variables:
            own = [item for item in found.values if item.variable == variable.name]
            yield Fact("concrete", name, f"{script.name(variable.name)}' = {_powers(own, script)}")
            name = ""


def _powers(terms: Sequence[ConcreteTerm], script: Script) -> str:
    """Return ``a + h (b) + h^2 (c)``."""
    parts = []
    for item in terms:
        text = script.exact(item.expression)
        if item.h_power:
            power = script.power("h", item.h_power)
            text = power if text == "1" else f"{power} ({text})"
        parts.append(text)
    return " + ".join(parts) or "0"


def _limits(a: Analysis, scheme: Scheme | None, script: Script) -> Iterator[Fact]:
    """What the scheme becomes at the ends of its params, and for damping how far solutions move apart."""
    if a.limits:
        texts = [f"{script.pretty(item.point)}: {script.pretty(item.becomes)}" for item in a.limits]
        yield Fact("limits", "limits", "; ".join(texts))
    if a.contraction is None or scheme is None or scheme.damping is None:
        return
    if a.contraction.rate is not None:
        text = f"rate {script.exact(a.contraction.rate)} with the logarithmic norm {script.name('mu')} of f"
        yield Fact("contraction", "contraction", text)
    text = f"at most {script.exact(a.contraction.lipschitz)} with the Lipschitz constant L of f"
    if a.contraction.damping_helps == "always":
        text += "; less than without damping"
    elif a.contraction.damping_helps:
        text += f"; less than without damping iff {script.pretty(a.contraction.damping_helps)}"
    yield Fact("contraction", "a step", text)


def _structure(a: Analysis, claims: dict[str, Verdict], script: Script) -> Iterator[Fact]:
    g = a.geometry
    kept = [text for name, text in GEOMETRY if getattr(g, name) is True and name not in claims]
    for name, text in GEOMETRY:
        if name in claims:
            value = getattr(g, name)
            yield Fact(f"geometry.{name}", text, yes(value) + expected(claims[name]))
    if kept:
        yield Fact("geometry", "structure", ", ".join(kept))
    for key, what in (("symplectic_to", "symplectic"), ("energy_preserving_to", "keeps energy")):
        power = getattr(g, key)  # of interest where it is beyond the order
        if power not in (None, sympy.oo) and a.order is not None and power > a.order:
            text = f"up to O({script.power('h', int(power) + 1)}) a step"
            yield Fact(f"geometry.{key}", what, text)
    if g.parasitic_roots:
        roots = [re.sub(r"\bI\b", "i", script.pretty(root)) for root in g.parasitic_roots]
        growth = dict(zip(g.parasitic_roots, g.parasitic_growth or (), strict=False))
        if growth.get("-1"):  # on the unit circle: what it does to damped solutions matters
            roots[g.parasitic_roots.index("-1")] = (
                f"-1 (growth {script.pretty(growth['-1'] or '')})"
            )
        yield Fact("geometry.parasitic_roots", "parasitic roots", ", ".join(roots))
    shown = {"order", "stage_order", "embedded_order", "strong_order", "weak_order", "consistent"}
    shown |= {"zero_stable", "A_stable", "L_stable", *(name for name, _ in GEOMETRY)}
    for claim, verdict in claims.items():
        if claim not in shown:
            text = verdict.found + expected(verdict)
            yield Fact(claim, claim.replace("_", " "), text)


def _cost(a: Analysis, scheme: Scheme | None) -> Iterator[Fact]:
    weights = {drift.name: drift.weights for drift in scheme.drifts} if scheme else {}
    parts = [
        f"{count} evaluation{'s' * (count != 1)} of {name}" for name, count in a.cost.evaluations
    ]
    text = listed(parts) + " a step" if parts else "no evaluation"
    sets = {weights.get(name, "step") for name, _ in a.cost.evaluations}
    many = any(count > 1 for _, count in a.cost.evaluations)
    if many and sets == {"step"}:
        text += ", one set of weights" + (" each" if len(parts) > 1 else "")
    elif many and len(sets) == 1:
        text += f", weights per {next(iter(sets))}"
    yield Fact("cost", "cost", text)
