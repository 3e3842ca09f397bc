"""What a report says of a scheme, line by line, whatever it is then laid out as."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import sympy

from schemegen.analysis.model import (
    Admissible,
    Analysis,
    ConcreteTerm,
    PhaseTerm,
    Stability,
    Verdict,
)
from schemegen.language import print_expression
from schemegen.language.nodes import Index
from schemegen.report.noise import equation_lines, mean_square_lines
from schemegen.report.notation import Script, number, signed_sum
from schemegen.scheme.expressions import shortened
from schemegen.scheme.model import Equations, Scheme, Tableaus

__all__ = ["Fact", "facts", "headline", "kind_of"]

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

# What a range proves, in words.
PROVED = {"zero_stable": "zero-stable", "A_stable": "A-stable", "L_stable": "L-stable"}

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


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: ``label`` in the left column, ``text`` beside it, codes of the warnings it carries."""

    key: str
    label: str
    text: str
    codes: tuple[str, ...] = ()


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
        *_stability(analysis, claims, script),
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
        text = _open(value) + _expected(claims.get(key))
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
            text = _yes(value)
    yield Fact("consistent", "consistent", text + _expected(claims.get("consistent")))


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


def _proofs(a: Analysis, script: Script) -> Iterator[Fact]:
    for proof in a.admissible.proofs if a.admissible is not None else ():
        claim = PROVED.get(proof.claim, proof.claim)
        text = f"{claim} for every value in range: {script.pretty(proof.range)} lies in "
        yield Fact("admissible.proofs", "proved", text + script.pretty(proof.set))


def _stability(a: Analysis, claims: dict[str, Verdict], script: Script) -> Iterator[Fact]:
    s = a.stability
    if s.rho is not None and s.sigma is not None:
        zeta = script.name("zeta")
        rho, sigma = script.name("rho"), script.name("sigma")
        yield Fact(
            "stability.function", f"{rho}({zeta})", script.polynomial(s.rho, zeta, descending=True)
        )
        yield Fact(
            "stability.function",
            f"{sigma}({zeta})",
            script.polynomial(s.sigma, zeta, descending=True),
        )
    zero = script.pretty(s.zero_stable) if isinstance(s.zero_stable, str) else _yes(s.zero_stable)
    zero += _expected(claims.get("zero_stable"))
    yield Fact("stability.zero_stable", "zero-stable", zero)
    sets = a.admissible or Admissible(())
    text = _on(sets.a_stable, script) or _a_stable(s)
    yield Fact("stability.A", "A-stable", text + _expected(claims.get("A_stable")))
    known = _on(sets.l_stable, script)
    if s.a_stable or known or "L_stable" in claims:
        text = (known or _yes(s.l_stable)) + _expected(claims.get("L_stable"))
        yield Fact("stability.L", "L-stable", text)
    yield from _proofs(a, script)
    if s.numerator is not None and s.denominator is not None:
        text = script.quotient(s.numerator, s.denominator, "z")
        yield Fact("stability.function", "R(z)", text)
    if s.real_interval is not None:
        text = _interval(s.real_interval, script, "real", "")
        if s.imaginary_interval is not None:
            text += ", " + _interval(s.imaginary_interval, script, "imaginary", "i")
        yield Fact("stability.real_interval", "stable for", text)
    if s.ssp is not None:
        yield Fact("stability.ssp", "SSP", f"coefficient {number(s.ssp, script)}")
    for barrier in s.barriers:
        yield Fact("stability.barriers", "attains", f"{barrier.name}: {barrier.statement}")
    if s.g_matrix is not None:
        rows = "; ".join(", ".join(script.exact(value) for value in row) for row in s.g_matrix)
        yield Fact("stability.G", "G-stable", f"with G = [{rows}]")
    for key, terms in (("dispersion", a.dispersion), ("dissipation", a.dissipation)):
        if terms is not None:
            yield Fact(key, key, _phase(terms, script))


def _phase(terms: Sequence[PhaseTerm], script: Script) -> str:
    """Return the leading term of a series in nu; the next one is in the JSON report."""
    if not terms:
        return "none"
    power = script.power(script.name("nu"), terms[0].power)
    return signed_sum([script.scaled(terms[0].coefficient, power, "")])


def _on(values: bool | str | None, script: Script) -> str:
    """Return the set of values as text; nothing where it is none or no set."""
    return script.pretty(values) if isinstance(values, str) else ""


def _a_stable(s: Stability) -> str:
    text = _yes(s.a_stable)
    if not s.a_stable and s.a_alpha_degrees:
        return f"{text}; A({s.a_alpha_degrees:.2f} degrees)"
    return text


def _interval(ends: tuple[sympy.Expr | float, ...], script: Script, axis: str, unit: str) -> str:
    low, high = ends
    if low == 0 and high == 0:
        return f"only z = 0 on the {axis}{' axis' * (axis == 'real')}"
    if low == -sympy.oo and high == sympy.oo:
        return f"the whole {axis} axis"
    below = "(-inf" if low == -sympy.oo else f"[{_end(low, script, unit)}"
    above = "inf)" if high == sympy.oo else f"{_end(high, script, unit)}]"
    return f"z in {below}, {above} on the {axis}{' axis' * (axis == 'real')}"


def _end(value: sympy.Expr | float, script: Script, unit: str) -> str:
    text = number(value, script)
    if not unit or text == "0":
        return text
    if text in ("1", "-1"):
        return text.replace("1", unit)
    return f"{text} {unit}"


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
            yield Fact(f"geometry.{name}", text, _yes(value) + _expected(claims[name]))
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
            text = verdict.found + _expected(verdict)
            yield Fact(claim, claim.replace("_", " "), text)


def _cost(a: Analysis, scheme: Scheme | None) -> Iterator[Fact]:
    weights = {drift.name: drift.weights for drift in scheme.drifts} if scheme else {}
    parts = [
        f"{count} evaluation{'s' * (count != 1)} of {name}" for name, count in a.cost.evaluations
    ]
    text = _listed(parts) + " a step" if parts else "no evaluation"
    sets = {weights.get(name, "step") for name, _ in a.cost.evaluations}
    many = any(count > 1 for _, count in a.cost.evaluations)
    if many and sets == {"step"}:
        text += ", one set of weights" + (" each" if len(parts) > 1 else "")
    elif many and len(sets) == 1:
        text += f", weights per {next(iter(sets))}"
    yield Fact("cost", "cost", text)


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _expected(verdict: Verdict | None) -> str:
    """Return ``   (expected 2: holds)`` for a claim of the file."""
    if verdict is None:
        return ""
    outcome = {True: "holds", False: "fails", None: "not decided"}[verdict.holds]
    item = verdict.expectation
    if item.value is None:
        return f"   (expected: {outcome})"
    relation = "" if item.operator in ("=", None) else f"{item.operator} "
    value = _yes(item.value) if isinstance(item.value, bool) else str(item.value)
    return f"   (expected {relation}{value}: {outcome})"


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not decided"}[value]


def _open(value: int | str | None) -> str:
    return "not decided" if value is None else str(value)
