"""The report as LaTeX (amsmath): a fragment to include, or a document that compiles by itself.

Every text of the file is escaped before it gets here. A fragment needs ``\\usepackage{amsmath}`` and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import sympy

from schemegen.analysis.model import Analysis, DerivativeTerm, OrderCondition, TreeTerm
from schemegen.report import document as doc
from schemegen.report.equation import in_rows, length, shown_levels
from schemegen.report.notation import GREEK, Script, Tree, parse_tree, split, times
from schemegen.report.references import bibliography
from schemegen.scheme.model import Multistep, Scheme, Tableau, Tableaus

__all__ = [
    "block_latex",
    "coefficients_latex",
    "document_latex",
    "escape",
    "field_latex",
    "formulas_latex",
    "prose",
    "report_latex",
    "stability_latex",
]

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
    '"': r"{\char34}",
}

GREEK_LETTERS = {letter: name for name, letter in GREEK.items()}

# What the texts of facts hold of mathematics, longest first.
FORMULAS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\^(-?\d+|\([^()]*\))"), lambda m: f"$^{{{m.group(1).strip('()')}}}$"),
    (re.compile(r"sqrt\((\d+)\)"), lambda m: rf"$\sqrt{{{m.group(1)}}}$"),
    (re.compile(r"<="), lambda m: r"$\le$"),
    (re.compile(r">="), lambda m: r"$\ge$"),
    (re.compile(r"!="), lambda m: r"$\ne$"),
    (re.compile(r"(-?)\binf\b"), lambda m: rf"${m.group(1)}\infty$"),
    (re.compile(r"(?<![\w)])-(?=[\w(])"), lambda m: "$-$"),
)

MOST_CELLS = 6  # stages of a tableau in the usual size of letters
WIDTH = 66  # letters of a formula side by side


def escape(text: str) -> str:
    """Return a text of the user so that LaTeX prints it and runs nothing.

    Letters that pdfTeX has no glyph for are written as their number in Unicode.
    """
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isascii() or "\u00a1" <= character <= "\u017e":
        return character
    if character in GREEK_LETTERS:
        return rf"$\{GREEK_LETTERS[character]}$"
    plain = unicodedata.normalize("NFKD", character)
    if plain.isascii() and plain.isprintable():
        return "".join(ESCAPES.get(item, item) for item in plain)
    return f"[U+{ord(character):04X}]"


def prose(text: str) -> str:
    """Return the text of a fact: what reads as mathematics is set as such, the rest is escaped."""
    pieces = [(text, False)]
    for pattern, write in FORMULAS:
        found: list[tuple[str, bool]] = []
        for piece, done in pieces:
            if done:
                found.append((piece, True))
                continue
            start = 0
            for match in pattern.finditer(piece):
                found += [(piece[start : match.start()], False), (write(match), True)]
                start = match.end()
            found.append((piece[start:], False))
        pieces = found
    return "".join(piece if done else escape(piece) for piece, done in pieces)


def document_latex(reports: Sequence[tuple[Analysis, Scheme | None]]) -> str:
    """Return a whole document, a section a scheme, that pdfLaTeX compiles without other files."""
    lines = [
        r"\documentclass[11pt,a4paper]{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\setlength{\textwidth}{165mm}",
        r"\setlength{\oddsidemargin}{0mm}",
        r"\setlength{\textheight}{240mm}",
        r"\setlength{\topmargin}{-15mm}",
        r"\setlength{\emergencystretch}{3em}",
        r"\begin{document}",
        *(report_latex(analysis, scheme) for analysis, scheme in reports),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def report_latex(analysis: Analysis, scheme: Scheme | None = None) -> str:
    """Return a fragment for a paper: head, then each section of the report with its sources."""
    report = doc.document(analysis, scheme, Script(unicode=False))
    lines = [rf"\section*{{{escape(report.title)}}}", f"{prose(report.kind)}.", ""]
    for section in report.sections:
        lines.append(rf"\subsection*{{{escape(section.title)}}}")
        if section.sources:
            cited = "; ".join(map(str, section.sources))
            lines.append(rf"\noindent\emph{{Source: {escape(cited)}.}}\par")
        for block in section.blocks:
            lines += _block(block)
    works = bibliography(report.sources)
    if works:
        lines += [r"\subsection*{References}", r"\begin{itemize}"]
        lines += [rf"\item {escape(work)}." for work in works]
        lines.append(r"\end{itemize}")
    return "\n".join(lines) + "\n"


def _block(block: doc.Block) -> Iterator[str]:
    match block:
        case doc.Coefficients(scheme):
            for item in coefficients_latex(scheme):
                yield from _coefficients(item, small=_stages(scheme) > MOST_CELLS)
        case doc.FactTable(rows):
            yield from _table(
                "lp{0.68\\linewidth}",
                [(escape(row.label), prose("  ".join([row.text, *row.codes]))) for row in rows],
            )
        case doc.Conditions(items, several):
            yield from _conditions(items, several=several)
        case doc.Quotient() | doc.Polynomial() | doc.Matrix():
            yield from _display(_function(block))
        case doc.FieldForm(state, terms, truncation):
            yield from _equation(_field_rows(state, terms, truncation))
        case doc.DerivativeForm(state, field, terms):
            yield from _equation(_derivative_rows(state, field, terms))
        case doc.Prose(text):
            yield prose(text)
        case doc.Notes(items):
            yield r"\begin{itemize}"
            for note in items:
                yield rf"\item \texttt{{{escape(note.key)}}}: {prose(note.text)}"
            yield r"\end{itemize}"


def block_latex(
    block: doc.Quotient | doc.Polynomial | doc.Matrix | doc.FieldForm | doc.DerivativeForm,
) -> tuple[str, ...]:
    """Return a formula without what opens and closes display mathematics."""
    match block:
        case doc.FieldForm(state, terms, truncation):
            return _aligned(_field_rows(state, terms, truncation))
        case doc.DerivativeForm(state, field, terms):
            return _aligned(_derivative_rows(state, field, terms))
        case _:
            return (_function(block),)


def _aligned(rows: Sequence[str]) -> tuple[str, ...]:
    return (r"\begin{aligned}", *" \\\\\n".join(rows).splitlines(), r"\end{aligned}")


def formulas_latex(analysis: Analysis) -> str:
    """Return the formulas of the report, one below the other, as a notebook shows them."""
    blocks = [
        block
        for section in doc.document(analysis, None, Script(unicode=False)).sections
        for block in section.blocks
        if isinstance(
            block,
            doc.Quotient | doc.Polynomial | doc.Matrix | doc.FieldForm | doc.DerivativeForm,
        )
    ]
    return "\n".join("\n".join(("$$", *block_latex(block), "$$")) for block in blocks)


def _stages(scheme: Scheme) -> int:
    match scheme.update:
        case Tableaus(parts=parts):
            return max(part.tableau.stages for part in parts)
        case _:
            return 0


def _coefficients(inner: str, *, small: bool) -> Iterator[str]:
    """Set a tableau with room between its fractions, a wide one in small letters."""
    yield (
        r"{\renewcommand{\arraystretch}{1.4}" + r"\scriptsize\setlength{\arraycolsep}{2pt}" * small
    )
    yield from _display(inner)
    yield "}"


def _display(inner: str) -> Iterator[str]:
    yield from (r"\[", inner, r"\]")


def _table(columns: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield rf"\par\noindent\begin{{tabular}}{{@{{}}{columns}@{{}}}}"
    yield from (" & ".join(row) + r" \\" for row in rows)
    yield r"\end{tabular}\par"


def _conditions(items: Sequence[OrderCondition], *, several: bool) -> Iterator[str]:
    failing = [item for item in items if item.residual != 0]
    held = len(items) - len(failing)
    yield f"{held} of the {len(items)} order conditions up to the next order hold."
    if not failing:
        return
    yield r"Those that fail miss by"
    rows = []
    for item in failing:
        left = differential(parse_tree(item.tree))
        if several:
            left = f"{symbol(item.state)}: {left}"
        rows.append(f"{left} &: {_exact(item.residual)}")
    yield from _equation(rows)


def _equation(rows: Sequence[str]) -> Iterator[str]:
    yield r"\begin{align*}"
    yield " \\\\\n".join(rows)
    yield r"\end{align*}"


def _function(block: doc.Quotient | doc.Polynomial | doc.Matrix) -> str:
    left = f"{symbol(block.name)}({symbol(block.variable)}) = "
    match block:
        case doc.Quotient(_, variable, numerator, denominator):
            above = _polynomial(numerator, symbol(variable))
            below = _polynomial(denominator, symbol(variable))
            return left + (above if below == "1" else f"\\frac{{{above}}}{{{below}}}")
        case doc.Polynomial(_, variable, coefficients):
            return left + _polynomial(coefficients, symbol(variable), descending=True)
        case doc.Matrix(_, _, rows):
            body = r" \\ ".join(" & ".join(_exact(value) for value in row) for row in rows)
            return rf"{left}\begin{{pmatrix}} {body} \end{{pmatrix}}"


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
        " & ".join([_exact(c), *(_exact(value) if value != 0 else "" for value in row)])
        for c, row in zip(item.c, item.a, strict=True)
    ]
    weights = [" & ".join(["", *(_exact(value) for value in item.b)])]
    if item.b_hat is not None:
        weights.append(" & ".join(["", *(_exact(value) for value in item.b_hat)]))
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
        above, below = _polynomial(s.numerator, "z"), _polynomial(s.denominator, "z")
        return f"R(z) = {above}" if below == "1" else f"R(z) = \\frac{{{above}}}{{{below}}}"
    if s.rho is not None and s.sigma is not None:
        rho, sigma = _polynomial(s.rho, r"\zeta"), _polynomial(s.sigma, r"\zeta")
        return rf"\rho(\zeta) = {rho}, \qquad \sigma(\zeta) = {sigma}"
    return ""


def _polynomial(values: Sequence[sympy.Expr], variable: str, *, descending: bool = False) -> str:
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
        text = f"\\frac{{{_exact(above)}}}{{{_exact(below)}}}"
    else:
        text = rf"\left({_exact(above)}\right)" if above.is_Add and what else _exact(above)
    return f"{sign}{text} {what}".rstrip()


def _exact(value: sympy.Expr) -> str:
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


def _field_rows(state: str, terms: Sequence[TreeTerm], truncation: int) -> list[str]:
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


def _derivative_rows(state: str, field: str, terms: Sequence[DerivativeTerm]) -> list[str]:
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
