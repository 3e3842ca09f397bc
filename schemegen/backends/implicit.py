"""Implicit groups of a step: unrolled sweeps, Neumann sums, or the leaf module that solves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from schemegen.backends.builder import PATH, Builder, Construction, Number, Place, Ref
from schemegen.backends.coefficients import number
from schemegen.backends.combining import combine
from schemegen.backends.names import variable
from schemegen.backends.symbols import tensors
from schemegen.step.program import ONES, Combine, Evaluate, Solve

if TYPE_CHECKING:
    from schemegen.backends.steps import Step

__all__ = ["solve"]


def solve(step: Step, item: Solve) -> None:
    """Write the sweeps of an implicit group, or the leaf module that solves it."""
    solver = item.solver
    plain = solver.gradient == "unrolled" and solver.tolerance is None
    inner = {statement.target for statement in item.statements}
    step.slopes -= inner
    if solver.method == "neumann":
        neumann(step, item)
    else:
        for target, terms in zip(item.targets, item.guess, strict=True):
            step.values[target] = combine(step, target, terms)
        if solver.method == "fixed_point" and plain:
            for _ in range(solver.iterations):
                sweep(step, item)
        else:
            leaf(step, item)
    for name in inner - set(item.targets):
        step.values.pop(name, None)


def sweep(step: Step, item: Solve) -> None:
    """Write the statements once: the next values of the targets from the present ones."""
    fresh: dict[str, Ref] = {}
    for statement in item.statements:
        step.mark(statement, statement.target)
        if isinstance(statement, Evaluate):
            step.values[statement.target] = step.evaluate(statement)
            step.slopes.add(statement.target)
        elif statement.target in item.targets:
            fresh[statement.target] = combine(step, statement.target, statement.terms)
        else:
            step.values[statement.target] = combine(step, statement.target, statement.terms)
    step.values.update(fresh)


def neumann(step: Step, item: Solve) -> None:
    """Write ``z = a + F(a) + F(F(a)) + ..``: ``a`` are the known terms of the targets' equations."""
    moving = {statement.target for statement in item.statements} | set(item.targets)
    constant, linear = [], []
    for statement in item.statements:
        if isinstance(statement, Combine) and statement.target in item.targets:
            known = tuple(term for term in statement.terms if term.value not in moving)
            constant.append((statement.target, known))
            rest = tuple(term for term in statement.terms if term.value in moving)
            linear.append(Combine(statement.target, rest, statement.origin))
        else:
            linear.append(statement)  # type: ignore[arg-type]
    sums = {target: combine(step, target, terms) for target, terms in constant}
    step.values.update(sums)
    part = Solve(item.targets, tuple(linear), item.solver, item.guess, item.origin)
    for _ in range(item.solver.iterations):
        sweep(step, part)
        for target in item.targets:
            name = variable(target)
            sums[target] = step.builder.call("torch.add", (sums[target], step.values[target]), name)
    step.values.update(sums)


def leaf(step: Step, item: Solve) -> None:
    """Write a call of the solver module, with the sweep as a function of all that it reads."""
    solver = item.solver
    count = sum(isinstance(s, Solve) for s in step.statements())
    order = [s for s in step.statements() if isinstance(s, Solve)].index(item)
    suffix = f"_{order + 1}" if count > 1 else ""
    tolerance = None if solver.tolerance is None else float(number(solver.tolerance))
    options = (solver.method, solver.iterations, tolerance, solver.memory, solver.gradient)
    hints = ("method", "iterations", "tolerance", "memory", "gradient")
    place = Place(f"solver{suffix}")
    step.builder.declare_module(place, Construction("Solver", options, hints=hints))
    inputs = outside(step, item)
    body = SweepBody(step, item, tuple(name for name, _ in inputs))
    function = step.builder.sweep(Place(f"sweep{suffix}"), inputs, body)
    guess = tuple(step.values[target] for target in item.targets)
    known = tuple(value for _, value in inputs[len(item.targets) :])
    solved = step.builder.module(place, (function, guess, *known), f"solved{suffix}")
    for index, target in enumerate(item.targets):
        step.values[target] = step.builder.call(
            "getitem", (solved, Number(index)), variable(target)
        )


def outside(step: Step, item: Solve) -> tuple[tuple[str, Ref], ...]:
    """Return the targets, then every value, coefficient and block that a sweep reads."""
    found: dict[str, Ref] = {target: step.values[target] for target in item.targets}
    moving = {statement.target for statement in item.statements} | set(item.targets)
    for statement in item.statements:
        if isinstance(statement, Evaluate):
            drift = step.program.field(statement.field)
            names: tuple[str, ...] = statement.at
            if drift.kind == "drift":
                place = step.block(drift, statement)
                found[f"block:{place.name}"] = step.builder.attribute(place)
                if step.network.drops_paths:
                    found[f"draw:{PATH}"] = step.builder.path_draw()
        else:
            names = tuple(term.value for term in statement.terms)
            for term in statement.terms:
                known = step.coefficient(term.coefficient)
                for symbol in sorted(known.free_symbols, key=str):
                    value = tensors(step, known)[symbol]
                    if not isinstance(value, Number):
                        found[f"symbol:{symbol.name}"] = value
        for name in names:
            if name not in moving and name != ONES:
                found[name] = step.value(name)
    return tuple(found.items())


class SweepBody:
    """Writes one sweep of a group through another builder, from the values it is handed."""

    def __init__(self, step: Step, item: Solve, names: tuple[str, ...]) -> None:
        self.step = step
        self.item = item
        self.names = names

    def __call__(self, builder: Builder, inputs: tuple[Ref, ...]) -> tuple[Ref, ...]:
        outer = self.step
        inner = type(outer)(outer.network, outer.plan, builder)
        inner.slopes = set(outer.slopes)
        inner.symbols = {k: v for k, v in outer.symbols.items() if isinstance(v, Number)}
        state = f"{outer.network.program.states[0].name}[n]"
        for name, value in zip(self.names, inputs, strict=True):
            if name.startswith("symbol:"):
                inner.symbols[sympy.Symbol(name[7:])] = value
            elif not name.startswith(("block:", "draw:")):
                inner.values[name] = value
        inner.values.setdefault(state, inputs[0])
        sweep(inner, self.item)
        return tuple(inner.values[target] for target in self.item.targets)
