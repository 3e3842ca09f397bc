"""The claims of a file (``expect ..``) decided on what the analysis found: true, false or undecided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import sympy

from schemegen.analysis.expansion import Expansion, Failure
from schemegen.analysis.misprint import Misprint, misprint
from schemegen.analysis.model import Analysis, NearOrder, Note, Proof, Verdict
from schemegen.analysis.time_limit import TimeLimitError, time_limit
from schemegen.analysis.weak_model import WeakAnalysis
from schemegen.diagnostics import Diagnostic, Label
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.expressions import shortened
from schemegen.scheme.model import Expectation, Multistep, Scheme

__all__ = ["decide"]

ORDERS = ("order", "stage_order", "embedded_order", "strong_order", "weak_order")
STABILITIES = {"A_stable": "A-stable", "L_stable": "L-stable", "I_stable": "I-stable"}
HINT_SECONDS = 3.0  # of the search for the coefficient to blame
HELP = "the weights of `f` must sum to rho'(1)"
KEYS = {
    "A_stable": "stability.A",
    "L_stable": "stability.A",
    "I_stable": "stability.I",
    "zero_stable": "stability.zero_stable",
}


def decide(
    scheme: Scheme,
    analysis: Analysis,
    expansion: Expansion | None,
    weak: WeakAnalysis | None = None,
) -> tuple[tuple[Verdict, ...], list[Diagnostic]]:
    """Return a verdict for each claim, and E04xx for each that fails, W0410 for each left open."""
    verdicts: list[Verdict] = []
    diagnostics: list[Diagnostic] = []
    for claim in scheme.expectations:
        verdict = _verdict(claim, analysis, expansion, weak)
        verdicts.append(verdict)
        if verdict.holds is False:
            diagnostics += _failed(scheme, verdict, analysis, expansion)
        elif verdict.holds is None:
            diagnostics += _open(verdict, analysis)
        elif _rescaled(scheme, verdict, analysis):
            message = f"expected order {_wanted(claim)}, found it for {shortened(str(analysis.consistent))} only"
            failed = Diagnostic("E0404", message, claim.span, HELP)
            diagnostics.append(_hinted(scheme, claim, failed))
    return tuple(verdicts), diagnostics


# --- verdicts ----------------------------------------------------------------------------------------


def _verdict(
    claim: Expectation,
    analysis: Analysis,
    expansion: Expansion | None,
    weak: WeakAnalysis | None,
) -> Verdict:
    if claim.claim in ORDERS:
        least = _at_least(claim.claim, expansion, weak)
        return _order_verdict(claim, analysis, least)
    found, text = _property(claim.claim, analysis)
    wanted = claim.value is not False and claim.value != sympy.false
    holds = None if found is None else found == wanted
    return Verdict(claim, holds, text)


def _property(name: str, analysis: Analysis) -> tuple[bool | None, str]:
    """Return whether the scheme has the property, and how to say so."""
    if name == "consistent":
        if isinstance(analysis.consistent, str):
            return False, f"with {analysis.consistent}"
        return analysis.consistent, _yes(analysis.consistent)
    if name == "zero_stable":
        found = analysis.stability.zero_stable
        if isinstance(found, str):
            return (True if _proved(analysis, name) is not None else None), found
        return found, _yes(found)
    places = {
        "A_stable": analysis.stability.a_stable,
        "L_stable": analysis.stability.l_stable,
        "I_stable": analysis.stability.i_stable,
        "symplectic": analysis.geometry.symplectic,
        "symmetric": analysis.geometry.symmetric,
        "reversible": analysis.geometry.reversible,
        "algebraically_stable": analysis.geometry.algebraically_stable,
        "conserves_quadratic": analysis.geometry.conserves_quadratic,
        "fsal": analysis.geometry.fsal,
    }
    value = places.get(name)
    text = _yes(value)
    proof = _proved(analysis, name) if value is None else None
    if proof is not None:
        return True, f"yes, for {proof.range}"
    if value and name == "reversible":
        condition = _note(analysis.notes, "geometry.reversible")
        text = f"yes, {condition}" if condition else text
    return value, text


def _proved(analysis: Analysis, claim: str) -> Proof | None:
    """Return the proof that every value of the declared ranges has the property."""
    proofs = analysis.admissible.proofs if analysis.admissible is not None else ()
    return next((proof for proof in proofs if proof.claim == claim), None)


def _yes(value: bool | None) -> str:
    return "not decided" if value is None else "yes" if value else "no"


def _at_least(
    name: str, expansion: Expansion | None, weak: WeakAnalysis | None
) -> sympy.Expr | int | None:
    """Return what an order is known to reach where it was not found."""
    match name:
        case "order":
            return expansion.order_at_least if expansion is not None else None
        case "weak_order":
            return weak.weak_at_least if weak is not None else None
        case "strong_order":
            return weak.strong_at_least if weak is not None else None
        case _:
            return None


def _order_verdict(
    claim: Expectation, analysis: Analysis, least: sympy.Expr | int | None
) -> Verdict:
    value = claim.value
    found = getattr(analysis, claim.claim)
    if not isinstance(value, sympy.Expr) or not value.is_Rational:
        return Verdict(claim, None, "not decided")
    if found is None and least:
        if claim.operator == ">=" and least >= value:
            return Verdict(claim, True, f"at least {least}")
        if claim.operator != ">=" and least > value:
            return Verdict(claim, False, f"at least {least}")
    if found is None:
        return Verdict(claim, None, "not decided")
    holds = {"=": found == value, ">=": found >= value, "<=": found <= value}
    return Verdict(claim, bool(holds[claim.operator or "="]), str(found))


# --- diagnostics -------------------------------------------------------------------------------------


def _failed(
    scheme: Scheme, verdict: Verdict, analysis: Analysis, expansion: Expansion | None
) -> list[Diagnostic]:
    claim = verdict.expectation
    if claim.claim == "order":
        failure = expansion.failure if expansion is not None else None
        return [
            _hinted(scheme, claim, _order_failed(scheme, verdict, failure, analysis.order_nearly))
        ]
    if claim.claim in ORDERS:
        name = claim.claim.replace("_", " ")
        message = f"expected {name} {_wanted(claim)}, found {verdict.found}"
        if claim.claim == "embedded_order" and expansion is not None:
            message += _missed(scheme, claim, expansion.embedded_failure)
        help_text = f"write `expect {claim.claim} = {verdict.found}`"
        return [_hinted(scheme, claim, Diagnostic("E0406", message, claim.span, help_text))]
    if claim.claim == "zero_stable":
        return []  # E0402 is said of the coefficients, with or without a claim
    negated = claim.value is False or claim.value == sympy.false
    if claim.claim == "consistent":
        return [_inconsistent(claim, verdict)]
    word = STABILITIES.get(claim.claim, claim.claim.replace("_", " "))
    message = f"expected the scheme {'not ' if negated else ''}to be {word}, found: {verdict.found}"
    if claim.claim in STABILITIES:
        return [
            Diagnostic(
                "E0403", message + _where(claim, analysis), claim.span, _stability_help(analysis)
            )
        ]
    return [
        Diagnostic(
            "E0405", message, claim.span, "lower the claim; `analyze` lists what is preserved"
        )
    ]


def _rescaled(scheme: Scheme, verdict: Verdict, analysis: Analysis) -> bool:
    """Return whether an order holds for another equation than the formula that a multistep block states.

    Its coefficients are numbers, so that nothing is learned that would scale the field.
    """
    if verdict.expectation.claim != "order" or not isinstance(scheme.update, Multistep):
        return False
    rows = (scheme.update.alpha, *(row for _, row in scheme.update.beta))
    numbers = not any(value.free_symbols for row in rows for value in row)
    return numbers and isinstance(analysis.consistent, str)


def _inconsistent(claim: Expectation, verdict: Verdict) -> Diagnostic:
    if verdict.found.startswith("with "):
        message = f"expected consistency with u' = f, found: consistent {verdict.found}"
    else:
        message = "the scheme is not consistent with u' = f"
    return Diagnostic("E0404", message, claim.span, HELP)


def _hinted(scheme: Scheme, claim: Expectation, failed: Diagnostic) -> Diagnostic:
    """Point at the one coefficient that alone makes an order claim fail, if there is one."""
    wanted = claim.value
    if claim.claim not in ("order", "embedded_order") or claim.operator == "<=":
        return failed
    if not isinstance(wanted, sympy.Integer):
        return failed
    found: tuple[Misprint, ...] = ()
    with suppress(TimeLimitError), time_limit(HINT_SECONDS):
        found = misprint(scheme, int(wanted), embedded=claim.claim == "embedded_order")
    if not found:
        return failed
    said = " and ".join(f"{item.name} = {item.value}" for item in found)
    labels = tuple(Label(item.span, f"{item.value}?") for item in found if item.span is not None)
    text = f"with {said} every condition up to order {wanted} holds; else {failed.help}"
    return replace(failed, help=text, labels=labels)


def _wanted(claim: Expectation) -> str:
    value = printed(claim.value) if isinstance(claim.value, sympy.Expr) else str(claim.value)
    return value if claim.operator in (None, "=") else f"{claim.operator} {value}"


def _order_failed(
    scheme: Scheme, verdict: Verdict, failure: Failure | None, near: NearOrder | None
) -> Diagnostic:
    claim = verdict.expectation
    message = f"expected order {_wanted(claim)}, found {verdict.found}"
    missed = _missed(scheme, claim, failure)
    if (
        missed
        and near is not None
        and isinstance(claim.value, sympy.Integer)
        and near.order >= claim.value
    ):
        text = (
            f"the conditions up to order {near.order} hold to within {near.within:.1g} only: "
            "decimals are read exactly; write fractions or roots, or drop the claim"
        )
        return Diagnostic("E0401", message + missed, claim.span, text)
    if missed:
        text = f"lower the claim; `analyze --order {claim.value}` lists all conditions"
        return Diagnostic("E0401", message + missed, claim.span, text)
    return Diagnostic("E0401", message, claim.span, f"write `expect order = {verdict.found}`")


def _missed(scheme: Scheme, claim: Expectation, failure: Failure | None) -> str:
    """Name the first tree that stands against an order that is claimed too high."""
    wanted = claim.value
    if failure is None or not isinstance(wanted, sympy.Expr) or failure.nodes > wanted:
        return ""
    tree = spelled_tree(failure.tree, [drift.name for drift in scheme.drifts])
    weight, needed = (shortened(printed(value)) for value in (failure.weight, failure.needed))
    return f": tree `{tree}` has weight {weight}, needs {needed}"


def spelled_tree(tree: str, drifts: Sequence[str]) -> str:
    """Return ``[.,[.]]`` for ``f[f,f[f]]`` where ``f`` is the only field, else the text itself."""
    if len(drifts) != 1:
        return tree
    name = re.escape(drifts[0])
    return re.sub(rf"\b{name}\b", ".", re.sub(rf"\b{name}\[", "[", tree))


def _where(claim: Expectation, analysis: Analysis) -> str:
    """Say what stands against A-, L- or I-stability."""
    stability = analysis.stability
    if claim.claim == "L_stable" and stability.a_stable:
        return (
            f", R(z) tends to {printed(stability.at_infinity)}"
            if stability.at_infinity is not None
            else ""
        )
    interval = stability.real_interval
    if interval is not None and interval[0] != -sympy.oo:
        low = interval[0]
        end = printed(low) if isinstance(low, sympy.Expr) else f"{low:.6g}"
        return f", stable on the real axis only from {end}"
    if stability.a_alpha_degrees is not None and stability.a_alpha_degrees < 90:
        return f", A(alpha) with alpha = {stability.a_alpha_degrees:.4g} degrees"
    return ""


def _stability_help(analysis: Analysis) -> str:
    if analysis.stability.denominator is not None and len(analysis.stability.denominator) == 1:
        return "no explicit method is A-stable; lower the claim or take an implicit one"
    return "lower the claim or take another method"


def _open(verdict: Verdict, analysis: Analysis) -> list[Diagnostic]:
    claim = verdict.expectation
    if claim.claim == "zero_stable" and isinstance(analysis.stability.zero_stable, str):
        return []  # W0402 says it
    key = KEYS.get(claim.claim, claim.claim)
    reason = (
        _note(analysis.notes, key)
        or _note(analysis.notes, f"geometry.{claim.claim}")
        or _note(analysis.notes, key.partition(".")[0])
        or (_note(analysis.notes, "geometry") if hasattr(analysis.geometry, key) else None)
        or "not analysed yet"
    )
    message = f"`expect {claim.claim}` is not decided: {reason}"
    return [Diagnostic("W0410", message, claim.span, "it is not taken as true")]


def _note(notes: Sequence[Note], key: str) -> str | None:
    return next((item.text for item in notes if item.key == key), None)
