"""The report as LaTeX (amsmath); every text of the file is escaped before it gets here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import sympy

from schemegen.analysis.model import Analysis, TreeTerm
from schemegen.report.facts import facts, headline, kind_of
from schemegen.report.notation import GREEK, Script, Tree, parse_tree
from schemegen.scheme.model import Multistep, Scheme, Tableau, Tableaus

__all__ = ["coefficients_latex", "escape", "field_latex", "report_latex", "stability_latex"]

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def escape(text: str) -> str:
    """Return a text of the user so that LaTeX prints it and runs nothing."""
    return "".join(ESCAPES.get(character, character) for character in text)


def report_latex(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return a fragment for a paper: head, coefficients, facts as a table, modified equation."""
    script = Script(unicode=False)
    lines = [
        rf"\paragraph{{{escape(headline(analysis))}}} {escape(kind_of(analysis, scheme))}.",
        "",
    ]
    for block in coefficients_latex(scheme) if scheme is not None else ():
        lines += [r"\[", block, r"\]"]
    lines += [r"\begin{tabular}{ll}"]
    for fact in facts(analysis, scheme, script):
        if fact.key != "stability.function":
            lines.append(rf"{escape(fact.label)} & {escape(fact.text)} \\")
    lines += [r"\end{tabular}"]
    if function := stability_latex(analysis):
        lines += [r"\[", function, r"\]"]
    equation = analysis.modified_equation
    if equation is not None and equation.field is not None:
        lines += [r"\begin{align*}"]
        rows = [
            f"{symbol(state)}' &= {field_latex(terms)} + O(h^{{{equation.truncation}}})"
            for state, terms in equation.field
        ]
        lines += [" \\\\\n".join(rows), r"\end{align*}"]
    return "\n".join(lines) + "\n"


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
        " & ".join([sympy.latex(c), *(sympy.latex(value) if value != 0 else "" for value in row)])
        for c, row in zip(item.c, item.a, strict=True)
    ]
    weights = [" & ".join(["", *(sympy.latex(value) for value in item.b)])]
    if item.b_hat is not None:
        weights.append(" & ".join(["", *(sympy.latex(value) for value in item.b_hat)]))
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
    """Return a declared name as a math symbol: a Greek letter, one italic letter, or upright text."""
    if name in GREEK:
        return f"\\{name}"
    return name if len(name) == 1 else rf"\mathrm{{{escape(name)}}}"


def stability_latex(analysis: Analysis) -> str:
    """Return ``R(z) = ..`` or rho and sigma; empty where there is no such function."""
    s = analysis.stability
    if s.numerator is not None and s.denominator is not None:
        above, below = _polynomial(s.numerator, "z"), _polynomial(s.denominator, "z")
        return f"R(z) = {above}" if below == "1" else f"R(z) = \\frac{{{above}}}{{{below}}}"
    if s.rho is not None and s.sigma is not None:
        rho, sigma = _polynomial(s.rho, r"\zeta"), _polynomial(s.sigma, r"\zeta")
        return rf"\rho(\zeta) = {rho}, \qquad \sigma(\zeta) = {sigma}"
    return ""


def _polynomial(values: Sequence[sympy.Expr], variable: str) -> str:
    powers = ["", variable, *(f"{variable}^{{{j}}}" for j in range(2, len(values)))]
    parts = [_signed(value, powers[j], first=False) for j, value in enumerate(values) if value != 0]
    return " ".join(parts).removeprefix("+ ") or "0"


def _signed(coefficient: sympy.Expr, what: str, first: bool) -> str:
    rational, rest = coefficient.as_coeff_Mul()
    sign = "-" if rational < 0 else "" if first else "+ "
    value = sympy.Abs(rational) * rest if rational.is_Rational else coefficient
    if value == 1 and what:
        return f"{sign}{what}"
    text = sympy.latex(value)
    return f"{sign}({text}) {what}" if value.is_Add and what else f"{sign}{text} {what}".rstrip()


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
    """Return the modified field, grouped by powers of h; ``levels`` keeps the leading ones."""
    ordered = sorted(terms, key=lambda term: term.h_power)
    groups = [(p, list(group)) for p, group in groupby(ordered, key=lambda term: term.h_power)]
    if levels is not None:
        groups = [group for group in groups if group[0] <= 0] + [
            group for group in groups if group[0] > 0
        ][:levels]
    parts = []
    for power, group in groups:
        inner = " ".join(
            _signed(term.coefficient, differential(parse_tree(term.tree)), first=False)
            for term in group
        ).removeprefix("+ ")
        if power == 0:
            parts.append(inner)
        else:
            h = "h" if power == 1 else f"h^{{{power}}}"
            parts.append(rf"{h} \left( {inner} \right)")
    return " + ".join(parts) or "0"
