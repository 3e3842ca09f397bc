"""What a scheme becomes where a param takes a value at which a term disappears, or grows without bound.

The coefficients' limits are exact; the program they leave is tidied and named by what it does: a step
``u + h f(u)`` is a residual network, ``h f(u)`` a plain one (Yang et al. 2020: the two ends of In-ResNet).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import sympy

from schemegen.analysis.model import Limit
from schemegen.exact import is_zero
from schemegen.scheme.expressions import format_exact as printed
from schemegen.scheme.model import Scheme
from schemegen.step.passes import drop_embedded, tidy
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, Statement, Term, walk

__all__ = ["limits"]

H = sympy.Symbol("h")
LONGEST = 160  # characters of an equation that stands for a name
MOST_PARAMS = 4


def limits(scheme: Scheme, program: Program) -> tuple[tuple[Limit, ...] | None, str]:
    """Return the limits of a scheme with params; else None and the reason.

    Points: 0, the rational values at which a coefficient vanishes, and infinity for a rate of damping.
    """
    if not program.params:
        return None, "the scheme has no params"
    if any(isinstance(item, Solve) for item in program.statements):
        return None, "not taken through implicit equations"
    if len(program.params) > MOST_PARAMS:
        return None, f"taken for up to {MOST_PARAMS} params"
    found = [
        Limit(f"{param.name} -> {'inf' if point == sympy.oo else printed(point)}", text)
        for param in program.params
        for point in _points(scheme, program, param.symbol)
        if (text := _becomes(program, param.symbol, point))
    ]
    return tuple(found), ""


def _terms(program: Program) -> Iterator[Term]:
    for statement in walk(program.statements):
        if isinstance(statement, Combine):
            yield from statement.terms


def _points(scheme: Scheme, program: Program, symbol: sympy.Symbol) -> list[sympy.Expr]:
    points: set[sympy.Expr] = {sympy.Integer(0)}
    for term in _terms(program):
        above = sympy.fraction(sympy.together(term.coefficient))[0]
        if above.is_polynomial(symbol) and sympy.degree(above, symbol) == 1:
            a, b = sympy.Poly(above, symbol).all_coeffs()
            if (b / a).is_Rational:
                points.add(-b / a)
    ordered = sorted(points)
    if scheme.damping is not None and symbol in scheme.damping.rate.free_symbols:
        return [*(point for point in ordered if point >= 0), sympy.oo]
    return ordered


def _becomes(program: Program, symbol: sympy.Symbol, point: sympy.Expr) -> str | None:
    """Return the name or the equations of the limit, None where a coefficient has none."""
    statements: list[Statement] = []
    for statement in program.statements:
        if isinstance(statement, Combine):
            terms = []
            for term in statement.terms:
                value = _limit(term.coefficient, symbol, point)
                if value is None:
                    return None
                terms.append(Term(value, term.value))
            statements.append(replace(statement, terms=tuple(terms)))
        else:
            statements.append(statement)
    left = tidy(drop_embedded(replace(program, statements=tuple(statements))))
    if tidy(drop_embedded(program)).statements == left.statements:
        return None
    return _name(left) or _equations(left)


def _limit(value: sympy.Expr, symbol: sympy.Symbol, point: sympy.Expr) -> sympy.Expr | None:
    """Return the exact limit of a coefficient, from the right at finite points; None where it has none."""
    if symbol not in value.free_symbols:
        return value
    plain = value.replace(
        lambda item: item.func.__name__ == "phi1",
        lambda item: (sympy.exp(item.args[0]) - 1) / item.args[0],
    )
    if any(
        item.func.__name__.startswith("phi")
        for item in plain.atoms(sympy.core.function.AppliedUndef)
    ):
        return None
    positive = {s: sympy.Symbol(s.name, positive=True) for s in plain.free_symbols - {symbol}}
    found = sympy.limit(plain.xreplace(positive), symbol, point, "+")
    if not found.is_finite:
        return None
    return found.xreplace({new: old for old, new in positive.items()})


def _name(program: Program) -> str | None:
    """Return ``resnet`` or ``plain_cnn`` for the two forms that have a name."""
    evaluations = [item for item in program.statements if isinstance(item, Evaluate)]
    combines = [item for item in program.statements if isinstance(item, Combine)]
    if len(program.states) != 1 or len(combines) != 1 or len(program.statements) > 2:
        return None
    old = f"{program.states[0].name}[n]"
    terms = {term.value: term.coefficient for term in combines[0].terms}
    slopes = {item.target for item in evaluations if item.at == (old,)}
    if set(terms) == {old}:
        return "identity" if is_zero(terms[old] - 1) else None
    if len(slopes) != 1 or len(evaluations) != 1:
        return None
    (slope,) = slopes
    factor = sympy.cancel(terms.get(slope, sympy.Integer(0)) / H)
    if set(terms) == {old, slope} and is_zero(terms[old] - 1) and is_zero(factor - 1):
        return "resnet"
    if set(terms) != {slope} or factor.free_symbols:
        return None
    return "plain_cnn" if is_zero(factor - 1) else f"plain_cnn, branch times {printed(factor)}"


def _equations(program: Program) -> str | None:
    """Return the update written out, None where it is long."""
    texts: dict[str, str] = {}
    for statement in program.statements:
        match statement:
            case Combine(target, terms, _):
                texts[target] = _sum(terms, texts)
            case Evaluate(target, field, at, _, _, _):
                known = {item.name: item for item in program.fields}[field]
                if known.kind != "drift":
                    return None
                texts[target] = f"{field}({', '.join(texts.get(value, value) for value in at)})"
            case Solve():
                return None
    lines = [f"{state.name}[n+1] = {texts[f'{state.name}[n+1]']}" for state in program.states]
    text = "; ".join(lines)
    return text if len(text) <= LONGEST else None


def _sum(terms: tuple[Term, ...], texts: dict[str, str]) -> str:
    parts = []
    for term in terms:
        value = "" if term.value == ONES else texts.get(term.value, term.value)
        if " + " in value or " - " in value:
            value = f"({value})" if not value.endswith(")") or value.startswith("(") else value
        if is_zero(term.coefficient - 1):
            parts.append(value or "1")
        elif is_zero(term.coefficient + 1):
            parts.append(f"-{value or '1'}")
        else:
            factor = printed(term.coefficient)
            factor = f"({factor})" if term.coefficient.is_Add else factor
            parts.append(f"{factor}*{value}" if value else factor)
    return " + ".join(parts).replace("+ -", "- ") or "0"
