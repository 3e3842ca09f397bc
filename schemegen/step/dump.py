"""Programs as text: one statement a line, as read in error messages and by ``compile --dump step``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import sympy

from schemegen.step.program import Combine, Evaluate, Program, Solve, Statement, Term

__all__ = ["dump"]


def dump(program: Program) -> str:
    """Return a program as text; its starter follows, indented."""
    lines = [f"program {program.name}"]
    lines += [f"  state {state.name}" for state in program.states]
    for field in program.fields:
        what = f", block {field.block}, weights per {field.weights}" if field.block else ""
        lines.append(f"  {field.kind} {field.name}({', '.join(field.states)}){what}")
    lines += [
        f"  input {item.name} = {item.of}, {item.lag} step{'s' * (item.lag > 1)} ago"
        for item in program.inputs
    ]
    for statement in program.statements:
        lines += [f"  {line}" for line in _lines(statement)]
    lines += [f"  embedded {state} = {value}" for state, value in program.embedded]
    for title, other in (
        ("starter", program.starter),
        ("first", program.first),
        ("opening", program.opening),
    ):
        if other is not None:
            lines += [f"  {title}", *(f"  {line}" for line in dump(other).splitlines()[1:])]
    return "\n".join(lines) + "\n"


def _lines(statement: Statement) -> list[str]:
    match statement:
        case Combine(target, terms, _):
            return [f"{target} := {_sum(terms)}"]
        case Evaluate(target, field, at, call, weights, _, time):
            when = f", t + ({sympy.sstr(time)})*h" if time != 0 else ""
            return [f"{target} := {field}({', '.join(at)}{when})  # call {call}, weights {weights}"]
        case Solve(targets, inner, solver, guess, _):
            head = f"solve {', '.join(targets)} by {solver.method}, {solver.iterations} iterations"
            guesses = [
                f"  guess {target} := {_sum(terms)}"
                for target, terms in zip(targets, guess, strict=False)
            ]
            body = [f"  {line}" for item in inner for line in _lines(item)]
            return [head, *guesses, *body]
        case _:
            assert_never(statement)


def _sum(terms: Iterable[Term]) -> str:
    return " + ".join(f"({sympy.sstr(t.coefficient)})*{t.value}" for t in terms) or "0"
