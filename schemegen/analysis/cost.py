"""What a step costs: evaluations of each field, state-sized registers, multiply-adds."""

from __future__ import annotations

from schemegen.analysis.model import Cost
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, Statement

__all__ = ["cost", "sweeps"]


def sweeps(statement: Solve) -> int:
    """Return how often the statements of an implicit group run: at most ``iterations``."""
    return statement.solver.iterations


def cost(program: Program) -> Cost:
    """Count one step; an implicit group counts with all of its sweeps.

    Registers are counted by liveness: a value lives from its statement to its last use, states and
    history are live at the start, new states and what history keeps are live at the end.
    """
    evaluations = {item.name: 0 for item in program.fields}
    flops = 0
    for statement in program.statements:
        times = sweeps(statement) if isinstance(statement, Solve) else 1
        inner = statement.statements if isinstance(statement, Solve) else (statement,)
        for item in inner:
            if isinstance(item, Evaluate):
                evaluations[item.field] += times
            else:
                flops += times * len(item.terms)
    return Cost(tuple(evaluations.items()), _registers(program), flops)


def _registers(program: Program) -> int:
    at_end = {f"{state.name}[n+1]" for state in program.states}
    at_end |= _kept(program)
    live = set(at_end)
    largest = len(live)
    for statement in reversed(program.statements):
        defined, used = _defined(statement), _used(statement)
        largest = max(largest, len(live | defined | used))
        live = (live - defined) | used
    inputs = {f"{state.name}[n]" for state in program.states}
    inputs |= {item.name for item in program.inputs}
    return max(largest, len(live | inputs))


def _kept(program: Program) -> set[str]:
    """Return the values of this step that a later step reads: those of lag 1, and shifted ones."""
    kept: set[str] = set()
    names = {(item.of, item.lag): item.name for item in program.inputs}
    for of, lag in names:
        kept.add(of if lag == 1 else names.get((of, lag - 1), of))
    return kept


def _defined(statement: Statement) -> set[str]:
    if isinstance(statement, Solve):
        return {item.target for item in statement.statements} | set(statement.targets)
    return {statement.target}


def _used(statement: Statement) -> set[str]:
    match statement:
        case Combine():
            return {term.value for term in statement.terms} - {ONES}
        case Evaluate():
            return set(statement.at) - {ONES}
        case Solve():
            inner: set[str] = set()
            for item in statement.statements:
                inner |= _used(item)
            for guess in statement.guess:
                inner |= {term.value for term in guess} - {ONES}
            return inner - _defined(statement)
