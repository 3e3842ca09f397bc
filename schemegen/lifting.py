"""Reversible lifts: a one-step scheme coupled with a copy of itself, so that every step can be undone::

    u[n+1] = lam u[n] + (1 - lam) w[n] + Psi_h(t[n], w[n])        w[n+1] = w[n] - Psi_{-h}(t[n+1], u[n+1])

with ``Psi_h(t, u)`` the increment of the scheme from the time t. A drift that takes the time so has it at
``t + c_i h`` in the stages forwards and at ``t + (1 - c_i) h`` in those backwards. The order is that of the
scheme. Written for ``u`` and the difference ``d = w - u``, which starts at zero and which no network sees, so that
a lifted network has the parameters of the plain one. Source: McCallum, Foster (2024), arXiv 2410.11648.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from schemegen.diagnostics import Source, UsageError
from schemegen.exact import is_zero
from schemegen.language import format_source, nodes, parse
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Coefficient, Scheme, Tableaus

__all__ = ["COUPLING", "lifted_text"]

COUPLING = "99/100"
KEPT = ("drift", "param", "transition")  # declarations that a lift takes over
ENDING = "_lift"


def lifted_text(scheme: Scheme, coupling: str = COUPLING) -> str:
    """Return the file of ``scheme`` with its lift in place of it, named ``<name>_lift``.

    Errors: :class:`UsageError` for a coupling outside of (0, 1) and for schemes that have no lift.
    """
    lam = read_coupling(coupling)
    refuse(scheme)
    (node,) = (
        item
        for item in parse(scheme.source).file.items
        if isinstance(item, nodes.SchemeNode) and item.name.id == scheme.name
    )
    text = scheme.source.text
    lines = [f'scheme {scheme.name}{ENDING} "Reversible lift of {scheme.name}" {{']
    lines += statements(scheme, node, lam, Fresh(text))
    body = "\n".join([*lines, "}"])
    changed = text[: node.span.start] + body + text[node.span.end :]
    return format_source(Source(scheme.source.name, changed))


def read_coupling(text: str) -> Fraction:
    """Return the coupling; at 1 both values go their own way, and no modified equation describes them."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value < 1:
        raise UsageError(f"`{text}` is no coupling", "a number between 0 and 1, for example 99/100")
    return value


def refuse(scheme: Scheme) -> None:
    """Raise :class:`UsageError` where a scheme has no lift, or needs none."""
    update = scheme.update
    explicit = isinstance(update, Tableaus) and all(
        is_zero(entry)
        for part in update.parts
        for row, entries in enumerate(part.tableau.a)
        for entry in entries[row:]
    )
    reason = None
    if not explicit:
        reason = "it is no explicit Runge-Kutta method"
    elif len(scheme.states) > 1:
        reason = "it has several states"
    elif scheme.damping is not None or scheme.noises or scheme.schedules:
        reason = "it has damping, noise or a schedule"
    elif any(drift.weights in ("stage", "call") for drift in scheme.drifts):
        reason = "its stages have weights of their own"
    if reason is not None:
        raise UsageError(f"{scheme.name} cannot be lifted: {reason}")


class Fresh:
    """Names that a text does not use yet."""

    def __init__(self, text: str) -> None:
        self.used = set(re.findall(r"\w+", text))

    def __call__(self, name: str) -> str:
        number, found = 0, name
        while found in self.used:
            number += 1
            found = f"{name}_{number}"
        self.used.add(found)
        return found


def statements(
    scheme: Scheme, node: nodes.SchemeNode, lam: Fraction, fresh: Fresh
) -> Iterator[str]:
    (state,) = scheme.states
    u, d, w = state.name, fresh("d"), fresh("w")
    yield f"state {u}, {d}  # {d} is the copy minus {u}"
    for item in node.statements:
        declared = isinstance(item, nodes.Declaration) and item.keyword.id in KEPT
        if declared or isinstance(item, nodes.Binding):
            yield item.span.text
    coupling = fresh("coupling")
    yield f"const {coupling} = {lam}"
    yield "step {"
    yield f"{w} = {u}[n] + {d}[n]"
    stages, increment = increments(scheme, w, "+", fresh, "Y")
    yield from stages
    yield f"{u}[n+1] = {coupling}*{u}[n] + (1 - {coupling})*{w} + {increment}"
    stages, increment = increments(scheme, f"{u}[n+1]", "-", fresh, "Z")
    yield from stages
    yield f"{d}[n+1] = {w} + {increment} - {u}[n+1]"
    yield "}"
    yield f"start: {d} zero"
    for item in node.statements:
        if isinstance(item, nodes.ExpectStatement) and item.name.id == "order":
            yield item.span.text
    yield "expect reversible"


def increments(
    scheme: Scheme, at: str, sign: str, fresh: Fresh, letter: str
) -> tuple[list[str], str]:
    """Return the equations of the stages with ``sign h`` from the value ``at``, and ``h sum b_i f(Y_i)``."""
    assert isinstance(scheme.update, Tableaus)
    parts = scheme.update.parts
    count = parts[0].tableau.stages
    weights = [part.tableau.b for part in parts]
    timed = {drift.name for drift in scheme.drifts if drift.timed}
    rows = [[part.tableau.a[index][:index] for part in parts] for index in range(count)]
    needed = {i for i in range(count) if any(not is_zero(b[i]) for b in weights)}
    for i in reversed(range(count)):
        if i in needed:
            needed |= {j for j in range(i) if any(not is_zero(row[j]) for row in rows[i])}

    names = [at] * count
    lines = []

    def slopes(coefficients: Sequence[Sequence[Coefficient]]) -> str:
        text = ""
        for part, row in zip(parts, coefficients, strict=True):
            for name, weight, c in zip(names, row, part.tableau.c, strict=False):
                time = f", {moment(c if sign == '+' else 1 - c)}"
                for drift in part.drifts or [item.name for item in scheme.drifts]:
                    slope = f"{drift}({name}{time if drift in timed else ''})"
                    text += term(weight, slope, first=not text)
        return text

    for i in sorted(needed):
        if moved := slopes(rows[i]):
            name = fresh(f"{letter}{i + 1}")
            lines.append(f"{name} = {at} {sign} h*({moved})")
            names[i] = name
    return lines, f"h*({slopes(weights)})"


def moment(c: Coefficient) -> str:
    """Return the time ``t + c h`` as the language writes it."""
    return "t" + term(c, "h", first=False)


def term(weight: Coefficient, value: str, first: bool) -> str:
    """Return ``weight*value`` as a summand, nothing where it is zero."""
    if is_zero(weight):
        return ""
    negative = weight.could_extract_minus_sign()
    size = -weight if negative else weight
    sign = ("-" if negative else "") if first else (" - " if negative else " + ")
    if size == 1:
        return f"{sign}{value}"
    text = format_exact(size)
    return f"{sign}({text})*{value}" if size.is_Add else f"{sign}{text}*{value}"
