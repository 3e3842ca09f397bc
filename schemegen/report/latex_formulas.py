"""Formulas of the report as LaTeX: coefficients, stability functions, modified equations."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.analysis.model import Analysis, DerivativeTerm, TreeTerm
from schemegen.report.equation import in_rows, length, shown_levels
from schemegen.report.latex_text import escape
from schemegen.report.notation import GREEK, Tree, parse_tree, split, times
from schemegen.scheme.model import Multistep, Scheme, Tableau, Tableaus

__all__ = [
    "coefficients_latex",
    "derivative_rows",
    "differential",
    "exact",
    "field_latex",
    "field_rows",
    "polynomial",
    "stability_latex",
    "symbol",
]

WIDTH = 66  # letters of a formula side by side


def coefficients_latex(scheme: Scheme) -> tuple[str, ...]:
    """Return the tableaus (an array each) or the multistep coefficients of a scheme."""
    match scheme.update:
        case Tableaus(parts=parts):
            return tuple(_tableau(part.tableau) for part in parts)
        case Multistep(state=state, alpha=alpha, beta=beta):
            left = _combination(alpha, lambda j: _at(symbol(state), j))
            right = " + ".join(
                _combination(values, lambda j, name=name: f"{symbol(name)}_{{{_index(j)}}}")
                for name, values in beta
            )
            return (f"{left} = h \\left( {right} \\right)",)
        case _:
            return ()


def _tableau(item: Tableau) -> str:
    columns = "c|" + "c" * item.stages
    rows = [
        " & ".join([exact(c), *(exact(value) if value != 0 else "" for value in row)])
        for c, row in zip(item.c, item.a, strict=True)
    ]
    weights = [" & ".join(["", *(exact(value) for value in item.b)])]
    if item.b_hat is not None:
        weights.append(" & ".join(["", *(exact(value) for value in item.b_hat)]))
    body = " \\\\\n".join(rows) + " \\\\ \\hline\n" + " \\\\\n".join(weights)
    return f"\\begin{{array}}{{{columns}}}\n{body}\n\\end{{array}}"


def _combination(values: Sequence[sympy.Expr], name: object) -> str:
    assert callable(name)
    parts = [_signed(value, name(j), j == 0) for j, value in enumerate(values) if value != 0]
    return " ".join(parts).removeprefix("+ ") or "0"


def _index(j: int) -> str:
    return "n" if j == 1 else f"n{1 - j:+d}"


def _at(name: str, j: int) -> str:
    return f"{name}_{{{_index(j)}}}"


def symbol(name: str) -> str:
    """Return a declared name as a math symbol: a Greek letter, one italic letter, or upright text.

    A field at other states than it is declared for, ``f(w)``, has them in parentheses.
    """
    field, bracket, states = name.partition("(")
    if bracket:
        return f"{symbol(field)}({', '.join(map(symbol, states[:-1].split(',')))})"
    if name in GREEK:
        return f"\\{name}"
    return name if len(name) == 1 else rf"\mathrm{{{escape(name)}}}"


def stability_latex(analysis: Analysis) -> str:
    """Return ``R(z) = ..`` or rho and sigma; empty where there is no such function."""
    s = analysis.stability
    if s.numerator is not None and s.denominator is not None:
        above, below = polynomial(s.numerator, "z"), polynomial(s.denominator, "z")
        return f"R(z) = {above}" if below == "1" else f"R(z) = \\frac{{{above}}}{{{below}}}"
    if s.rho is not None and s.sigma is not None:
        rho, sigma = polynomial(s.rho, r"\zeta"), polynomial(s.sigma, r"\zeta")
        return rf"\rho(\zeta) = {rho}, \qquad \sigma(\zeta) = {sigma}"
    return ""


def polynomial(values: Sequence[sympy.Expr], variable: str, *, descending: bool = False) -> str:
    powers = ["", variable, *(f"{variable}^{{{j}}}" for j in range(2, len(values)))]
    parts = [_signed(value, powers[j], first=False) for j, value in enumerate(values) if value != 0]
    return " ".join(parts[::-1] if descending else parts).removeprefix("+ ") or "0"


def _signed(coefficient: sympy.Expr, what: str, first: bool) -> str:
    """Return ``+ 1/2 what`` with its sign; a coefficient 1 is not written."""
    rational, rest = split(coefficient)
    sign = "- " if rational < 0 else "" if first else "+ "
    above, below = sympy.fraction(rest)
    above, below = times(abs(int(rational.p)), above), times(int(rational.q), below)
    if above == 1 and below == 1 and what:
        return f"{sign}{what}"
    if below != 1:
        text = f"\\frac{{{exact(above)}}}{{{exact(below)}}}"
    else:
        text = rf"\left({exact(above)}\right)" if above.is_Add and what else exact(above)
    return f"{sign}{text} {what}".rstrip()


def exact(value: sympy.Expr) -> str:
    return str(sympy.latex(value, order="rev-lex"))


def differential(tree: Tree) -> str:
    """Return the elementary differential of a tree."""
    name = symbol(tree.field)
    inner = [differential(branch) for branch in tree.branches]
    count = len(inner)
    primes = "'" * count if count <= 3 else f"^{{({count})}}"
    if count == 0:
        return name
    return f"{name}{primes} {inner[0]}" if count == 1 else f"{name}{primes}({', '.join(inner)})"


def field_latex(terms: Sequence[TreeTerm], levels: int | None = None) -> str:
    """Return the modified field in one line, grouped by powers of h; ``levels`` keeps the leading ones."""
    parts = []
    for power, group in shown_levels(terms, levels):
        inner = " ".join(_term(term, first=False) for term in group).removeprefix("+ ")
        parts.append(inner if power == 0 else rf"{_h(power)} \left( {inner} \right)")
    return " + ".join(parts) or "0"


def _term(term: TreeTerm, power: str = "", *, first: bool) -> str:
    what = f"{power} {differential(parse_tree(term.tree))}".strip()
    return _signed(term.coefficient, what, first=first)


def _h(power: int) -> str:
    return "" if power == 0 else "h" if power == 1 else f"h^{{{power}}}"


def field_rows(state: str, terms: Sequence[TreeTerm], truncation: int) -> list[str]:
    """Return the rows of ``u' &= f + h^2 (..) + O(h^4)``, a few terms each."""
    rows: list[str] = []
    for power, group in shown_levels(terms, None):
        lengths = [length(term.coefficient, term.tree) for term in group]
        pieces = list(in_rows(group, lengths, WIDTH))
        for position, piece in enumerate(pieces):
            alone = _h(power) if len(group) == 1 else ""
            inner = " ".join(_term(term, alone, first=False) for term in piece)
            if power != 0 and len(group) > 1:
                opening = rf"{_h(power)} \Bigl( " if position == 0 else r"\qquad "
                closing = r" \Bigr)" if position == len(pieces) - 1 else ""
                inner = inner.removeprefix("+ ") if position == 0 else inner
                inner = f"{'+ ' if rows and position == 0 else ''}{opening}{inner}{closing}"
            rows.append(inner if rows else inner.removeprefix("+ "))
    rows = rows or ["0"]
    rows[-1] += f" + O({_h(truncation)})"
    return [
        f"{symbol(state)}' &= {row}" if position == 0 else rf"&\quad {row}"
        for position, row in enumerate(rows)
    ]


def derivative_rows(state: str, field: str, terms: Sequence[DerivativeTerm]) -> list[str]:
    summands = []
    for term in terms:
        order = term.derivative
        primes = "'" * order if order <= 3 else f"^{{({order})}}"
        what = f"{_h(term.h_power)} {symbol(state)}{primes}".strip()
        summands.append(_signed(term.coefficient, what, first=False))
    lengths = [length(term.coefficient, "h u" + "'" * term.derivative) for term in terms]
    rows = [" ".join(piece) for piece in in_rows(summands, lengths, WIDTH)]
    last = max((term.h_power for term in terms), default=0)
    names = " + ".join(symbol(item) for item in field.split(" + "))
    rows[-1] += f" = {names} + O({_h(last + 1)})"
    rows[0] = rows[0].removeprefix("+ ")
    return [f"&{row}" if position == 0 else rf"&\quad {row}" for position, row in enumerate(rows)]
