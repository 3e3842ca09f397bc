"""The modified equation in field form, and the equation that a step is consistent with."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.analysis.model import Exact, TreeTerm
from schemegen.analysis.order import collected
from schemegen.analysis.reading import Reading
from schemegen.scheme.expressions import format_exact
from schemegen.series import Number

__all__ = ["consistency", "field_terms", "limit_terms"]

FieldTerms = tuple[tuple[str, tuple[TreeTerm, ...]], ...]


def field_terms(
    reading: Reading, nodes: int, field: Sequence[Sequence[Number]] | None = None
) -> FieldTerms:
    """Return ``x_s' = sum b_s(t) h^(|t|-1) / sigma(t) F(t)`` up to ``nodes`` nodes, without zeros.

    A symbol that stands for ``h`` times a constant is given back its power of h: ``-(lam/h) u``.
    ``field`` holds the coefficients, per state; by default those of the modified field.
    Source: Hairer, Lubich, Wanner (2006), IX.9.1.
    """
    field = reading.field.coefficients if field is None else field
    result = []
    for state, name in enumerate(reading.skeleton.principal):
        sums: dict[tuple[str, int, int], Exact] = {}
        for n in range(1, nodes + 1):
            level = collected(reading, field[state], n)
            for (text, size), number in level.items():
                for degree, part in reading.coefficients.powers_of_scaled(number):
                    key = (text, size, n - 1 - degree)
                    sums[key] = sums.get(key, sympy.Integer(0)) + part
        order = sorted(enumerate(sums), key=lambda item: (item[1][2], item[1][1], item[0]))
        terms = (TreeTerm(key[0], key[1], key[2], sums[key]) for _, key in order)
        result.append((name, tuple(term for term in terms if term.coefficient != 0)))
    return tuple(result)


def limit_terms(reading: Reading) -> tuple[tuple[str, tuple[tuple[str, Exact], ...]], ...]:
    """Return the equation at h = 0: per state the fields and their coefficients.

    Where a symbol stands for ``h`` times a constant its field has the coefficient ``lam/h``.
    """
    result = []
    for state, name in enumerate(reading.skeleton.principal):
        level = collected(reading, reading.field.coefficients[state], 1)
        terms = []
        for (text, _), number in level.items():
            parts = reading.coefficients.powers_of_scaled(number)
            whole = sum((part / sympy.Symbol("h") ** d for d, part in parts), sympy.Integer(0))
            terms.append((text, whole))
        result.append((name, tuple(terms)))
    return tuple(result)


def consistency(reading: Reading) -> bool | str:
    """Return True where every drift has the coefficient 1 at h = 0, else the equation, or False.

    False: a state has no field at all at h = 0.
    """
    limit = limit_terms(reading)
    if any(not terms for _, terms in limit):
        return False
    names = set(reading.skeleton.principal)
    usual = all(
        coefficient == 1 and text != name for name, terms in limit for text, coefficient in terms
    )
    if usual:
        return True
    return ", ".join(_equation(name, terms, names) for name, terms in limit)


def _equation(name: str, terms: tuple[tuple[str, Exact], ...], states: set[str]) -> str:
    """Return ``(1 + k) u' = f``: one common denominator on the left, drifts on the right."""
    quotients = [sympy.fraction(sympy.together(c)) for text, c in terms]
    left = sympy.Integer(1)
    if all(text not in states for text, _ in terms):
        left = sympy.lcm_list([bottom for _, bottom in quotients if bottom.free_symbols] or [left])
    right = ""
    for text, coefficient in terms:
        factor = sympy.factor(coefficient * left)
        negative = factor.could_extract_minus_sign()
        factor = -factor if negative else factor
        sign = ("-" if not right else " - ") if negative else ("" if not right else " + ")
        right += sign + (text if factor == 1 else f"{_bracketed(factor)} {text}")
    front = "" if left == 1 else f"{_bracketed(left)} "
    return f"{front}{name}' = {right}"


def _bracketed(expression: Exact) -> str:
    text = format_exact(expression)
    return f"({text})" if expression.is_Add or "/" in text else text
