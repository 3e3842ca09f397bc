"""A step with less history than it reads: ``start: partial``, the params that multiply what is missing at 0."""

from __future__ import annotations

from dataclasses import replace

import sympy

from schemegen.exact import is_zero
from schemegen.step import passes
from schemegen.step.program import Combine, Program, Solve, Term, walk

__all__ = ["irreplaceable", "shortened"]


def irreplaceable(program: Program, depth: int) -> str | None:
    """Return a value of an earlier step that a step with ``depth`` of them lacks and that no param removes."""
    zeros = vanishing(program, depth)
    missing = {item.name for item in program.inputs if item.lag > depth}
    for statement in walk(program.statements):
        if isinstance(statement, Combine):
            for term in statement.terms:
                if term.value in missing and not is_zero(term.coefficient.xreplace(zeros)):
                    return term.value
        elif missing & set(statement.at):
            return min(missing & set(statement.at))
    return None


def shortened(program: Program, depth: int) -> Program:
    """Return the step that reads ``depth`` earlier steps at most, where :func:`irreplaceable` finds nothing."""
    zeros = vanishing(program, depth)

    def known(item: Combine) -> Combine:
        terms = (Term(term.coefficient.xreplace(zeros), term.value) for term in item.terms)
        return replace(item, terms=tuple(terms))

    statements = tuple(
        known(item) if isinstance(item, Combine) else item
        for item in program.statements
        if not isinstance(item, Solve)
    )
    inputs = tuple(item for item in program.inputs if item.lag <= depth)
    short = replace(program, statements=statements, inputs=inputs, embedded=())
    return passes.used_params(passes.renumber(passes.drop_zeros(short)))


def vanishing(program: Program, depth: int) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the params that multiply values of more than ``depth`` steps ago, at 0."""
    missing = {item.name for item in program.inputs if item.lag > depth}
    zeros: dict[sympy.Symbol, sympy.Expr] = {}
    for statement in walk(program.statements):
        if isinstance(statement, Combine):
            for term in statement.terms:
                if term.value in missing:
                    zeros |= {
                        param.symbol: sympy.S.Zero
                        for param in program.params
                        if is_zero(term.coefficient.subs(param.symbol, 0))
                    }
    return zeros
