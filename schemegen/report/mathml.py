"""Formulas as MathML Core, which browsers set without any library.

Every name and number is escaped; the strings returned are elements that stand inside ``<math>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TypeAlias

import sympy
from sympy.core.function import AppliedUndef

from schemegen.analysis.model import DerivativeTerm, TreeTerm
from schemegen.report.equation import in_rows, length, shown_levels
from schemegen.report.notation import GREEK, Tree, parse_tree, split, times
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Multistep, Tableau

__all__ = [
    "derivative_form",
    "exact",
    "field_form",
    "math",
    "matrix",
    "multistep",
    "polynomial",
    "quotient",
    "tableau",
    "tree",
]

Exact: TypeAlias = sympy.Expr
Sum = Sequence[tuple[bool, str]]

WIDTH = 84  # letters of a formula side by side


def math(inner: str, *, block: bool = True) -> str:
    """Return a formula as an element of HTML."""
    return f'<math display="{"block" if block else "inline"}">{inner}</math>'


def name(text: str) -> str:
    """Return a declared name: a Greek letter, one italic letter, or upright text; ``f(w)`` with its states."""
    field, bracket, states = text.partition("(")
    if bracket:
        inner = _operator(",").join(map(name, states[:-1].split(",")))
        return f"<mrow>{name(field)}{_operator('(')}{inner}{_operator(')')}</mrow>"
    shown = GREEK.get(text, text)
    upright = ' mathvariant="normal"' if len(shown) > 1 else ""
    return f"<mi{upright}>{escape(shown)}</mi>"


def _operator(text: str) -> str:
    return f"<mo>{escape(text)}</mo>"


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _number(value: int) -> str:
    return f"<mn>{value}</mn>" if value >= 0 else _row(_operator("−"), f"<mn>{-value}</mn>")


def _fraction(above: str, below: str) -> str:
    return f"<mfrac>{above}{below}</mfrac>"


def _power(base: str, exponent: str) -> str:
    return f"<msup>{base}{exponent}</msup>"


def _bracketed(inner: str, *, stretchy: bool = False) -> str:
    grows = "" if stretchy else ' stretchy="false"'
    opening, closing = (f'<mo lspace="0" rspace="0"{grows}>{sign}</mo>' for sign in "()")
    return _row(opening, inner, closing)


def _binary(negative: bool) -> str:
    """Return a sign between two terms; without ``form`` one that begins a row stands too close."""
    return f'<mo form="infix">{"−" if negative else "+"}</mo>'


def exact(value: Exact) -> str:
    """Return an exact number or a coefficient in the params of a scheme."""
    if value in (sympy.oo, -sympy.oo):
        infinite = "<mi>∞</mi>"
        return infinite if value == sympy.oo else _row(_operator("−"), infinite)
    if value.is_Integer:
        return _number(int(value))
    if value.is_Rational:
        size = _fraction(_number(abs(int(value.p))), _number(int(value.q)))
        return size if value > 0 else _row(_operator("−"), size)
    if value.is_Add:
        terms = value.as_ordered_terms(order="rev-lex")
        return _sum([_signed(term) for term in terms])
    if value.is_Mul:
        negative, inner = _signed(value)
        return _row(_operator("−"), inner) if negative else inner
    return _factor(value)


def _signed(value: Exact) -> tuple[bool, str]:
    """Return whether a product has a minus sign, and the rest of it as a fraction of products."""
    negative = value.could_extract_minus_sign()
    value = -value if negative else value
    above, below = sympy.fraction(value)
    if below == 1:
        return negative, _product(above)
    return negative, _fraction(_product(above), _product(below))


def _product(value: Exact) -> str:
    if not value.is_Mul:
        return exact(value)
    return _row(
        *(_bracketed(exact(f)) if f.is_Add else exact(f) for f in value.as_ordered_factors())
    )


def _factor(value: Exact) -> str:
    """Return a symbol, a power, a root or a function value."""
    if value.is_Symbol:
        return name(str(value))
    if value.is_Pow:
        if value.exp == sympy.Rational(1, 2):
            return f"<msqrt>{exact(value.base)}</msqrt>"
        if value.exp.is_Rational and value.exp > 0:
            base = exact(value.base)
            simple = value.base.is_Symbol or (value.base.is_Integer and value.base >= 0)
            return _power(base if simple else _bracketed(base), exact(value.exp))
        if value.exp.is_Rational:
            return _fraction(_number(1), exact(value.base ** (-value.exp)))
    if isinstance(value, sympy.exp):
        return _power("<mi>e</mi>", exact(value.args[0]))
    if isinstance(value, AppliedUndef | sympy.Function):
        called = type(value).__name__
        head = name(called)
        if called in ("phi1", "phi2", "phi3"):
            head = f"<msub>{name('phi')}{_number(int(called[3:]))}</msub>"
        inner = _operator(",").join(exact(item) for item in value.args)
        return _row(head, _bracketed(inner))
    return f"<mtext>{escape(format_exact(value))}</mtext>"


def _sum(terms: Sum, *, leading: bool = True) -> str:
    """Join ``(negative, element)``; without ``leading`` the first sign is written even if it is plus."""
    parts: list[str] = []
    for position, (negative, inner) in enumerate(terms):
        if position or not leading:
            parts.append(_binary(negative))
        elif negative:
            parts.append(_operator("−"))
        parts.append(inner)
    return _row(*parts)


def _scaled(coefficient: Exact, *what: str) -> tuple[bool, str]:
    """Return sign and element of ``coefficient what``; a coefficient 1 is not written."""
    rational, rest = split(coefficient)
    negative = bool(rational < 0)
    p, q = abs(int(rational.p)), int(rational.q)
    above, below = sympy.fraction(rest)
    above, below = times(p, above), times(q, below)
    if above == 1 and below == 1:
        return negative, _row(*what) if any(what) else _number(1)
    inner = _product(above)
    if below != 1:
        inner = _fraction(inner, _product(below))
    elif above.is_Add and any(what):
        inner = _bracketed(inner)
    return negative, _row(inner, *what)


def _in_powers(variable: str, coefficients: Sequence[Exact], *, descending: bool) -> str:
    terms = []
    for exponent, value in enumerate(coefficients):
        if value != 0:
            terms.append(_scaled(value, _to_the(name(variable), exponent)))
    return _sum(terms[::-1] if descending else terms) if terms else _number(0)


def _to_the(base: str, exponent: int) -> str:
    if exponent in (0, 1):
        return base * exponent
    return _power(base, _number(exponent))


def _left(function: str, variable: str) -> str:
    return _row(name(function), _bracketed(name(variable)), _operator("="))


def polynomial(function: str, variable: str, coefficients: Sequence[Exact]) -> str:
    """Return ``rho(zeta) = ..``, the highest power first."""
    return _row(_left(function, variable), _in_powers(variable, coefficients, descending=True))


def quotient(
    function: str, variable: str, numerator: Sequence[Exact], denominator: Sequence[Exact]
) -> str:
    """Return ``R(z) = P/Q``; a denominator 1 is not written."""
    above = _in_powers(variable, numerator, descending=False)
    if list(denominator) != [1]:
        above = _fraction(above, _in_powers(variable, denominator, descending=False))
    return _row(_left(function, variable), above)


def matrix(function: str, variable: str, rows: Sequence[Sequence[Exact]]) -> str:
    """Return ``M(z) = (..)``."""
    body = "".join(_table_row(exact(value) for value in row) for row in rows)
    return _row(_left(function, variable), _bracketed(f"<mtable>{body}</mtable>", stretchy=True))


def _table_row(cells: Iterator[str]) -> str:
    return f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in cells)}</mtr>"


# --- coefficients --------------------------------------------------------------------------------------


def tableau(item: Tableau) -> str:
    """Return c and A over the weights; zeros on and above the diagonal of explicit methods are left out."""
    reach = {"explicit": 0, "dirk": 1}.get(item.kind, item.stages)
    rows = []
    for i, (c, row) in enumerate(zip(item.c, item.a, strict=True)):
        shown = row if item.kind == "implicit" else row[: i + reach]
        cells = [exact(value) for value in shown] + [""] * (item.stages - len(shown))
        rows.append(_tableau_row(exact(c), cells))
    weights = [("", item.b)] if item.b_hat is None else [("b", item.b), ("b̂", item.b_hat)]
    for position, (label, values) in enumerate(weights):
        head = f"<mi>{label}</mi>" if label else ""
        rows.append(_tableau_row(head, [exact(value) for value in values], ruled=position == 0))
    return f'<mtable class="tableau">{"".join(rows)}</mtable>'


def _tableau_row(head: str, cells: Sequence[str], *, ruled: bool = False) -> str:
    shown = "".join(f"<mtd>{cell}</mtd>" for cell in cells)
    rule = ' class="ruled"' if ruled else ""
    return f'<mtr{rule}><mtd class="nodes">{head}</mtd>{shown}</mtr>'


def multistep(item: Multistep) -> str:
    """Return ``u_{n+1} - u_n = h (3/2 f_n - 1/2 f_{n-1})``."""
    left = _sum(
        [_scaled(a, _at(item.state, j)) for j, a in enumerate(item.alpha) if a != 0]
        or [(False, "")]
    )
    right = [
        _scaled(b, _at(drift, j))
        for drift, values in item.beta
        for j, b in enumerate(values)
        if b != 0
    ]
    return _row(left, _operator("="), name("h"), _bracketed(_sum(right)))


def _at(what: str, j: int) -> str:
    shift = 1 - j
    index = name("n")
    if shift:
        index = _row(index, _operator("+" if shift > 0 else "−"), _number(abs(shift)))
    return f"<msub>{name(what)}{index}</msub>"


# --- modified equations --------------------------------------------------------------------------------


def tree(item: Tree) -> str:
    """Return the elementary differential of a tree."""
    if not item.branches:
        return name(item.field)
    count = len(item.branches)
    mark = _operator("′" * count) if count <= 3 else _bracketed(_number(count))
    head = _power(name(item.field), mark)
    if count == 1:
        return _row(head, tree(item.branches[0]))
    return _row(head, _bracketed(_operator(",").join(tree(branch) for branch in item.branches)))


def field_form(
    state: str, terms: Sequence[TreeTerm], truncation: int, *, levels: int | None = None
) -> str:
    """Return ``u' = f + h² (..) + O(h^4)``, a few terms a row."""
    left = _power(name(state), _operator("′"))
    rows: list[str] = []
    for power, group in shown_levels(terms, levels):
        h = _h(power)
        factors = [
            _scaled(item.coefficient, *([h] * (len(group) == 1)), tree(parse_tree(item.tree)))
            for item in group
        ]
        if power == 0 or len(group) == 1:
            rows.append(_sum(factors, leading=not rows))
            continue
        sign = _binary(False) if rows else ""
        lengths = [length(item.coefficient, item.tree) for item in group]
        pieces = list(in_rows(factors, lengths, WIDTH))
        for position, piece in enumerate(pieces):
            opening = f"{sign}{h}{_operator('(')}" if position == 0 else '<mspace width="2em"/>'
            closing = _operator(")") if position == len(pieces) - 1 else ""
            rows.append(_row(opening, _sum(piece, leading=position == 0), closing))
    rest = _row(_binary(False), "<mi>O</mi>", _bracketed(_h(truncation)))
    rows = [*rows[:-1], _row(rows[-1], rest)] if rows else [rest]
    return _aligned(_row(left, _operator("=")), rows)


def _h(power: int) -> str:
    if power == 0:
        return ""
    return name("h") if power == 1 else _power(name("h"), _number(power))


def _aligned(left: str, rows: Sequence[str]) -> str:
    lines = [
        f'<mtr><mtd class="left">{left if position == 0 else ""}</mtd>'
        f'<mtd class="right">{row}</mtd></mtr>'
        for position, row in enumerate(rows)
    ]
    return f'<mtable class="aligned">{"".join(lines)}</mtable>'


def derivative_form(state: str, field: str, terms: Sequence[DerivativeTerm]) -> str:
    """Return ``(1 + k) u' + (1 - k)/2 h u'' = f + O(h²)``."""
    summands = []
    for term in terms:
        order = term.derivative
        mark = _operator("′" * order) if order <= 3 else _bracketed(_number(order))
        summands.append(_scaled(term.coefficient, _h(term.h_power), _power(name(state), mark)))
    last = max((term.h_power for term in terms), default=0)
    names = _binary(False).join(name(item) for item in field.split(" + "))
    rest = _row(_binary(False), "<mi>O</mi>", _bracketed(_h(last + 1)))
    lengths = [length(term.coefficient, "h u" + "'" * term.derivative) for term in terms]
    pieces = in_rows(summands, lengths, WIDTH)
    rows = [_sum(piece, leading=i == 0) for i, piece in enumerate(pieces)]
    right = _row(_operator("="), names, rest)
    return _aligned("", [*rows[:-1], _row(rows[-1] if rows else "", right)])
