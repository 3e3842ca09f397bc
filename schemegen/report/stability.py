"""What a report says of stability, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from schemegen.analysis.model import Admissible, Analysis, PhaseTerm, Stability, Verdict
from schemegen.report.lines import Fact, expected, yes
from schemegen.report.notation import Script, number, signed_sum

__all__ = ["stability_facts"]

# What a range proves, in words.
PROVED = {"zero_stable": "zero-stable", "A_stable": "A-stable", "L_stable": "L-stable"}


def stability_facts(a: Analysis, claims: dict[str, Verdict], script: Script) -> Iterator[Fact]:
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
    zero = script.pretty(s.zero_stable) if isinstance(s.zero_stable, str) else yes(s.zero_stable)
    zero += expected(claims.get("zero_stable"))
    yield Fact("stability.zero_stable", "zero-stable", zero)
    sets = a.admissible or Admissible(())
    text = _on(sets.a_stable, script) or _a_stable(s)
    yield Fact("stability.A", "A-stable", text + expected(claims.get("A_stable")))
    known = _on(sets.l_stable, script)
    if s.a_stable or known or "L_stable" in claims:
        text = (known or yes(s.l_stable)) + expected(claims.get("L_stable"))
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


def _proofs(a: Analysis, script: Script) -> Iterator[Fact]:
    for proof in a.admissible.proofs if a.admissible is not None else ():
        claim = PROVED.get(proof.claim, proof.claim)
        text = f"{claim} for every value in range: {script.pretty(proof.range)} lies in "
        yield Fact("admissible.proofs", "proved", text + script.pretty(proof.set))


def _on(values: bool | str | None, script: Script) -> str:
    """Return the set of values as text; nothing where it is none or no set."""
    return script.pretty(values) if isinstance(values, str) else ""


def _a_stable(s: Stability) -> str:
    text = yes(s.a_stable)
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


def _phase(terms: Sequence[PhaseTerm], script: Script) -> str:
    """Return the leading term of a series in nu; the next one is in the JSON report."""
    if not terms:
        return "none"
    power = script.power(script.name("nu"), terms[0].power)
    return signed_sum([script.scaled(terms[0].coefficient, power, "")])
