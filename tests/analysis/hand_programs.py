"""Small step programs written by hand, so that the analysis is tested apart from the language."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import sympy

from schemegen.diagnostics import Source, Span
from schemegen.scheme.model import Multistep, Scheme, Solver, State, Tableau, TableauPart, Tableaus
from schemegen.step.program import Combine, Evaluate, Field, Input, Origin, Program, Solve, Term

h = sympy.Symbol("h")
SPAN = Span(Source("test.scheme", "scheme test"), 0, 6)
ORIGIN = Origin(None, "1")


def exact(value: object) -> sympy.Expr:
    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    if isinstance(value, int):
        return sympy.Integer(value)
    assert isinstance(value, sympy.Expr)
    return value


def combine(target: str, *terms: tuple[object, str]) -> Combine:
    kept = tuple(Term(exact(c), name) for c, name in terms if exact(c) != 0)
    return Combine(target, kept, ORIGIN)


def evaluate(target: str, at: str, call: int = 0, field: str = "f") -> Evaluate:
    return Evaluate(target, field, (at,), call, 0, ORIGIN)


def program(
    *statements: object,
    states: Sequence[str] = ("u",),
    fields: Sequence[tuple[str, str]] = (("f", "u"),),
    inputs: Sequence[tuple[str, str, int]] = (),
    **rest: object,
) -> Program:
    return Program(
        "test",
        tuple(State(name, SPAN) for name in states),
        tuple(Field(name, "drift", (state,)) for name, state in fields),
        tuple(Input(*item) for item in inputs),
        tuple(statements),  # type: ignore[arg-type]
        **rest,  # type: ignore[arg-type]
    )


def runge_kutta(a: Sequence[Sequence[object]], b: Sequence[object]) -> Program:
    """A tableau as its program: explicit stages one by one, all others in one implicit group."""
    s = len(b)
    full = [[exact(row[j]) if j < len(row) else sympy.Integer(0) for j in range(s)] for row in a]
    slopes = [f"k{i + 1}" for i in range(s)]
    update = combine("u[n+1]", (1, "u[n]"), *((h * exact(b[i]), slopes[i]) for i in range(s)))

    def stage(i: int) -> Combine:
        return combine(f"Y{i + 1}", (1, "u[n]"), *((h * full[i][j], slopes[j]) for j in range(s)))

    if all(full[i][j] == 0 for i in range(s) for j in range(i, s)):
        body: list[object] = []
        for i in range(s):
            if any(full[i]):
                body += [stage(i), evaluate(slopes[i], f"Y{i + 1}", i)]
            else:
                body.append(evaluate(slopes[i], "u[n]", i))
        return program(*body, update)
    targets = tuple(f"Y{i + 1}" for i in range(s))
    inner = [evaluate(slopes[i], targets[i], i) for i in range(s)] + [stage(i) for i in range(s)]
    solver = Solver("fixed_point", SPAN)
    guess = tuple((Term(sympy.Integer(1), "u[n]"),) for _ in targets)
    group = Solve(targets, tuple(inner), solver, guess, ORIGIN)
    return program(group, *(evaluate(slopes[i], targets[i], i) for i in range(s)), update)


def multistep(alpha: Sequence[object], beta: Sequence[object]) -> Program:
    """``sum alpha_j u[n+1-j] = h sum beta_j f(u[n+1-j])`` with kept slopes."""
    a, b = [exact(x) for x in alpha], [exact(x) for x in beta]
    inputs = [(f"u[n-{j}]", "u[n]", j) for j in range(1, len(a) - 1) if a[j + 1] != 0]
    inputs += [(f"f(u[n-{j}])", "f(u[n])", j) for j in range(1, len(b) - 1) if b[j + 1] != 0]
    terms: list[tuple[object, str]] = []
    for j in range(1, len(a)):
        name = "u[n]" if j == 1 else f"u[n-{j - 1}]"
        terms += [(-a[j] / a[0], name), (h * b[j] / a[0], f"f({name})")]
    body: list[object] = []
    if any(b[1:]):
        body.append(evaluate("f(u[n])", "u[n]"))
    if b[0] == 0:
        return program(*body, combine("u[n+1]", *terms), inputs=inputs)
    update = combine("u[n+1]", *terms, (h * b[0] / a[0], "k"))
    solver = Solver("fixed_point", SPAN)
    guess = ((Term(sympy.Integer(1), "u[n]"),),)
    group = Solve(("u[n+1]",), (evaluate("k", "u[n+1]", 1), update), solver, guess, ORIGIN)
    return program(*body, group, inputs=inputs)


def scheme(update: Tableau | Multistep | None = None, **rest: object) -> Scheme:
    made = Tableaus((TableauPart(("f",), update, SPAN),)) if isinstance(update, Tableau) else update
    return Scheme("test", "", SPAN.source, SPAN, update=made, **rest)  # type: ignore[arg-type]
