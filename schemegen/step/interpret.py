"""Run a step program over any number type: the plain meaning that networks are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import sympy

from schemegen.diagnostics import InternalError
from schemegen.exact import is_zero
from schemegen.scheme.times import TIME
from schemegen.step.arithmetic import Arithmetic, Number
from schemegen.step.program import (
    ONES,
    Combine,
    Evaluate,
    Field,
    H,
    Program,
    Solve,
    Statement,
    Term,
)
from schemegen.step.solvers import anderson, eliminate, fixed_point, neumann

__all__ = ["Fields", "run"]

FieldFunction = Callable[..., Number]
Fields = Mapping[str, FieldFunction | Sequence[FieldFunction]]


def run(
    program: Program,
    values: Mapping[str, Number],
    fields: Fields,
    arithmetic: Arithmetic,
    *,
    implicit: str = "declared",
    tolerance: float = 1e-13,
) -> dict[str, Number]:
    """Return every value of one step by name.

    A drift that takes the time gets it last where ``arithmetic`` knows the symbol ``t``, the time of the
    step; where it does not, the field is taken as one that does not change with the time.
    ``values`` holds the states ``u[n]`` and the inputs by name; ``fields`` the drifts, as a function of
    their arguments or as a sequence of functions, one for each set of weights. ``implicit="exact"`` solves
    every implicit group of linear fields exactly, whatever its solver; otherwise each solver does what
    the scheme declares, those that iterate to the solution to ``tolerance``.

    Example:
        >>> run(program, {"u[n]": 1.0}, {"f": lambda u: -u}, floating({"h": 0.1}))["u[n+1]"]
    """
    machine = _Machine(program, fields, arithmetic, implicit, tolerance)
    known = dict(values)
    known[ONES] = arithmetic.ones(known[f"{program.states[0].name}[n]"])
    missing = [item.name for item in program.inputs if item.name not in known]
    if missing:
        raise InternalError(f"no value for the inputs {', '.join(missing)} of {program.name}")
    for statement in program.statements:
        machine.execute(statement, known)
    return known


class _Machine:
    """Executes statements over values that are already known."""

    def __init__(
        self,
        program: Program,
        fields: Fields,
        arithmetic: Arithmetic,
        implicit: str,
        tolerance: float,
    ) -> None:
        self.fields: dict[str, Field] = {item.name: item for item in program.fields}
        self.functions = fields
        self.arithmetic = arithmetic
        self.implicit = implicit
        self.tolerance = tolerance

    def execute(self, statement: Statement, known: dict[str, Number]) -> None:
        """Add what ``statement`` sets to ``known``."""
        match statement:
            case Combine(target, terms, _):
                known[target] = self.sum(terms, known)
            case Evaluate(target, _, at):
                known[target] = self.evaluate(statement, [known[value] for value in at])
            case Solve(targets):
                solved = self.solve(statement, known)
                known.update(zip(targets, solved, strict=True))
            case _:
                assert_never(statement)

    def sum(self, terms: Sequence[Term], known: Mapping[str, Number]) -> Number:
        """Return the value of ``terms``."""
        pairs = [(self.arithmetic.coefficient(t.coefficient), known[t.value]) for t in terms]
        return self.arithmetic.combine(pairs, known[ONES])

    def evaluate(self, statement: Evaluate, arguments: Sequence[Number]) -> Number:
        """Return a drift with the weights of the call, or a pointwise function."""
        field = self.fields[statement.field]
        if field.kind == "pointwise":
            return self.arithmetic.apply(field.function, arguments)
        function = self.functions[statement.field]
        chosen = function if callable(function) else function[statement.weights]
        if field.timed and "t" in self.arithmetic.symbols:
            time = self.arithmetic.coefficient(TIME + statement.time * H)
            return chosen(*arguments, time)
        return chosen(*arguments)

    def solve(self, statement: Solve, known: dict[str, Number]) -> list[Number]:
        """Return the targets of an implicit group."""
        solver = statement.solver

        def sweep(given: list[Number]) -> list[Number]:
            local = {**known, **dict(zip(statement.targets, given, strict=True))}
            for item in statement.statements:
                self.execute(item, local)
            return [local[target] for target in statement.targets]

        if self.implicit == "exact":
            one = known[ONES]
            return eliminate(sweep, 0 * one, one, len(statement.targets), _vanishes)
        guess = [self.sum(terms, known) for terms in statement.guess]
        tolerance = None if solver.tolerance is None else float(solver.tolerance)
        match solver.method:
            case "fixed_point":
                return fixed_point(sweep, guess, solver.iterations, tolerance)
            case "neumann":
                return neumann(sweep, self.bases(statement, known), solver.iterations)
            case "anderson" | "newton_krylov":
                return anderson(sweep, guess, solver.memory, self.tolerance)
            case _:
                raise InternalError(f"unknown solver {solver.method}")

    def bases(self, statement: Solve, known: Mapping[str, Number]) -> list[Number]:
        """Return, for each target, the part of its combine that the group does not change."""
        inside = {*statement.targets, *(item.target for item in statement.statements)}
        combines = {item.target: item for item in statement.statements if isinstance(item, Combine)}
        return [
            self.sum([t for t in combines[target].terms if t.value not in inside], known)
            for target in statement.targets
        ]


def _vanishes(value: Number) -> bool:
    return is_zero(value) if isinstance(value, sympy.Expr) else bool(value == 0)
