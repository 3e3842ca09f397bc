"""Schemes with symbols as coefficients, and the same schemes with numbers put in for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import sympy
from sympy.parsing.sympy_parser import parse_expr

from schemegen.analysis.analyze import analyze
from schemegen.analysis.model import Analysis
from schemegen.analysis.special_orders import substituted
from schemegen.diagnostics import Source
from schemegen.exact import is_zero
from schemegen.language import parse
from schemegen.scheme import check
from schemegen.scheme.model import Scheme
from schemegen.step import lower
from schemegen.step.program import Program

HEAD = "scheme s {\n  state u; drift f(u)\n"
SOLVE = "  solve: fixed_point, iterations 4\n"


def params(*names: str) -> str:
    return "".join(f"  param {name}: learnable, per network\n" for name in names)


TEXTS = {
    "rk2": HEAD
    + params("a21", "b1", "b2")
    + "  tableau explicit {\n 0 |\n a21 | a21\n ---+---\n | b1 b2\n }\n}",
    "two_step": HEAD
    + params("k")
    + "  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }\n  start: euler\n}",
    "family": HEAD
    + params("a1", "a2", "b0", "b1")
    + "  step { u[n+1] = a1*u[n] + a2*u[n-1] + h*(b0*f(u[n]) + b1*f(u[n-1])) }\n  start: euler\n}",
    "theta": HEAD
    + params("theta")
    + "  step { u[n+1] = u[n] + h*((1 - theta)*f(u[n]) + theta*f(u[n+1])) }\n"
    + SOLVE
    + "}",
    "heavy_ball": "scheme s {\n  state x, v; drift f(x)\n"
    + params("beta", "s")
    + "  step {\n v[n+1] = beta*v[n] + s*f(x[n])\n x[n+1] = x[n] + h*v[n+1]\n }\n  start: v zero\n}",
    "sdirk": HEAD
    + params("gamma")
    + "  tableau dirk {\n gamma | gamma\n (1 - gamma) | (1 - 2*gamma) gamma\n ---+---\n | 1/2 1/2\n }\n"
    + SOLVE
    + "}",
    "stiffly_accurate": HEAD
    + params("g")
    + "  tableau dirk {\n g | g\n 1 | (1 - g) g\n ---+---\n | (1 - g) g\n }\n"
    + SOLVE
    + "}",
    "implicit_two_step": HEAD
    + params("k")
    + "  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + (1 + k)*h*f(u[n+1]) }\n"
    + SOLVE
    + "  start: euler\n}",
}


def history(names: Sequence[str], coefficients: Sequence[str]) -> str:
    """Return ``u[n+1] = sum_j (coefficient_j) u[n-j] + h f(u[n])``."""
    terms = " + ".join(f"({c})*u[n{-j or ''}]" for j, c in enumerate(coefficients) if c != "0")
    return HEAD + params(*names) + f"  step {{ u[n+1] = {terms} + h*f(u[n]) }}\n  start: euler\n}}"


def loaded(text: str) -> tuple[Scheme, Program]:
    (scheme,) = check(parse(Source("test.scheme", text))).schemes
    return scheme, lower(scheme)


def analysed(name: str) -> Analysis:
    return analyze(*loaded(TEXTS[name]))


def at(name: str, **values: sympy.Expr | int) -> Analysis:
    """Return the analysis of the scheme with numbers for all its symbols."""
    scheme, program = loaded(TEXTS[name])
    numbers = {
        sympy.Symbol(key): sympy.Integer(v) if isinstance(v, int) else v
        for key, v in values.items()
    }
    return analyze(scheme, substituted(program, numbers))


def holds(text: str, values: dict[str, sympy.Expr]) -> bool:
    """Read a printed set at a point: ``or`` of ``,`` of chains of relations, decided exactly."""
    cases = text.replace("; or ", " or ").split(" or ")
    return any(all(_chain(part, values) for part in case.split(", ")) for case in cases)


def _chain(text: str, values: dict[str, sympy.Expr]) -> bool:
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if word in RELATIONS]
    edges = [-1, *places, len(words)]
    sides = [_number(" ".join(words[a + 1 : b]), values) for a, b in pairwise(edges)]
    signs = [_sign(left - right) for left, right in pairwise(sides)]
    return all(sign in RELATIONS[words[i]] for i, sign in zip(places, signs, strict=True))


RELATIONS = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (1, 0), "=": (0,), "!=": (-1, 1)}


def _number(text: str, values: dict[str, sympy.Expr]) -> sympy.Expr:
    names = {name: sympy.Symbol(name) for name in values}
    plain = parse_expr(text.replace("^", "**"), local_dict=names)  # text that the analysis printed
    return plain.subs({names[name]: value for name, value in values.items()})


def _sign(number: sympy.Expr) -> int:
    return 0 if is_zero(number) else 1 if sympy.N(number, 40) > 0 else -1
