"""Schemes built in Python: printed as scheme text, then checked as every file is.

So a wrong shape or weight gets the same diagnostic, with a span into the printed text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

import sympy

from schemegen.diagnostics import SchemeError, Source
from schemegen.language import parse
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.files import check
from schemegen.scheme.model import Scheme

__all__ = ["Number", "from_butcher", "from_multistep", "from_text"]

Number: TypeAlias = int | float | Fraction | str | sympy.Expr


def from_text(text: str, *, name: str = "<python>") -> Scheme:
    """Return the only scheme of ``text``.

    Errors: ``SchemeError`` with every diagnostic; ``ValueError`` unless there is exactly one scheme.
    """
    parsed = parse(Source(name, text))
    checked = check(parsed)
    diagnostics = (*parsed.diagnostics, *checked.diagnostics)
    if any(item.is_error for item in diagnostics):
        raise SchemeError(diagnostics)
    if len(checked.schemes) != 1:
        raise ValueError(f"expected one scheme, found {len(checked.schemes)}")
    return checked.schemes[0]


def _cell(value: Number) -> str:
    """Return a number as a cell; sums go in parentheses, decimals stay exact."""
    if isinstance(value, sympy.Expr):
        text = format_exact(value)
    elif isinstance(value, (float, Fraction, int)):
        text = repr(value) if isinstance(value, float) else str(value)
    else:
        text = str(value)
    return f"({text})" if any(sign in text[1:] for sign in "+-") or " " in text else text


def _kind(a: Sequence[Sequence[Number]]) -> str:
    above = [
        (row, column)
        for row, cells in enumerate(a)
        for column, value in enumerate(cells)
        if column >= row and value != 0
    ]
    if not above:
        return "explicit"
    return "dirk" if all(row == column for row, column in above) else "implicit"


def from_butcher(
    a: Sequence[Sequence[Number]],
    b: Sequence[Number],
    c: Sequence[Number] | None = None,
    *,
    b_hat: Sequence[Number] | None = None,
    name: str = "scheme_from_python",
    title: str = "",
    solve: str = "fixed_point, iterations 4",
    expect: Iterable[str] = (),
) -> Scheme:
    """Return the Runge-Kutta scheme ``Y_i = u + h sum_j a_ij f(Y_j)``, ``u' = u + h sum_i b_i f(Y_i)``.

    Args:    numbers may be ints, Fractions, sympy numbers, strings in the language's syntax
             (``"(2 - sqrt(2))/2"``), or floats, which are taken as the decimals they print as.
             ``a`` is lower triangular or square; ``solve`` is used where it is implicit;
             ``expect`` holds claims such as ``"order = 2"``.
    Errors:  ``SchemeError``, as for a file.
    """
    kind = _kind(a)
    lines = []
    for row, cells in enumerate(a):
        abscissa = "" if c is None else _cell(c[row])
        shown = cells[:row] if kind == "explicit" and len(cells) == len(a) else cells
        lines.append(f"    {abscissa} | {' '.join(_cell(value) for value in shown)}")
    lines.append("    ----+----")
    lines.append(f"    b | {' '.join(_cell(value) for value in b)}")
    if b_hat is not None:
        lines.append(f"    bhat | {' '.join(_cell(value) for value in b_hat)}")
    body = [f"  tableau {kind} {{", *lines, "  }"]
    if kind != "explicit":
        body.append(f"  solve: {solve}")
    return from_text(_scheme(name, title, body, expect))


def from_multistep(
    alpha: Sequence[Number],
    beta: Sequence[Number],
    *,
    name: str = "scheme_from_python",
    title: str = "",
    start: str = "euler",
    solve: str = "fixed_point, iterations 4",
    expect: Iterable[str] = (),
) -> Scheme:
    """Return ``sum_j alpha_j u[n+1-j] = h sum_j beta_j f(u[n+1-j])``; both lists begin at ``n+1``.

    Errors: ``SchemeError``, as for a file.
    """
    columns = " ".join(
        "n" if offset == 0 else f"n{offset:+d}" for offset in range(1, 1 - len(alpha), -1)
    )
    body = [
        "  multistep {",
        f"      | {columns}",
        "    --+--",
        f"    u | {' '.join(_cell(value) for value in alpha)}",
        f"    f | {' '.join(_cell(value) for value in beta)}",
        "  }",
        f"  start: {start}; transition: history project",
    ]
    if beta and beta[0] != 0:
        body.append(f"  solve: {solve}")
    return from_text(_scheme(name, title, body, expect))


def _scheme(name: str, title: str, body: list[str], expect: Iterable[str]) -> str:
    head = f'scheme {name} "{title}" {{' if title else f"scheme {name} {{"
    claims = [f"  expect {claim}" for claim in expect]
    return "\n".join([head, "  state u; drift f(u)", *body, *claims, "}", ""])
