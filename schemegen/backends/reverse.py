"""Steps written backwards, and how far an error grows on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import sympy
from torch import fx, nn

from schemegen.analysis.inverse import Inverse, inverse, remembered_name
from schemegen.backends.builder import Builder, Ref
from schemegen.backends.coefficients import number
from schemegen.backends.folding import Cut
from schemegen.backends.plan import Register, StepPlan
from schemegen.backends.steps import Network, Step
from schemegen.network.noise import Noise
from schemegen.scheme.model import Constant, Uniform
from schemegen.step.program import Combine, Program

__all__ = ["ROUNDING", "Undone", "errors", "undone", "written"]

Border = tuple[Mapping[str, Ref], Mapping[Register, Ref]]

ROUNDING = 0.2
"""A rounding error over the distance of 1 to the next number: uniform in an interval, mantissas in [1, 2)."""


@dataclass(frozen=True, slots=True)
class Undone:
    """How one step of a network is undone: names of the carries after and before it, slot by slot.

    ``growth`` are matrices ``(B, w)``, one for each choice of the values that learnable coefficients start
    with: ``B[i, j]`` is how an error of slot j of the carry after enters slot i of the one before, ``w[i]``
    the square sum of the terms whose sum is slot i.
    """

    inverse: Inverse
    after: tuple[tuple[str, ...], ...]
    before: tuple[str, ...]
    growth: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def computed(self) -> list[float]:
        """Return 1 for each slot after the step that it computed, 0 for those it passed on."""
        passed = {name for name in self.before if self.inverse.factors[name].keys() == {name}}
        return [float(not passed.intersection(slot)) for slot in self.after]


def names(
    program: Program, nodes: Sequence[fx.Node], border: Border, sign: str, shift: int
) -> tuple[tuple[str, ...], ...]:
    """Return what a step calls the values of a carry, slot by slot."""
    states, history = border
    result = []
    for node in nodes:
        found = [f"{state}[{sign}]" for state, value in states.items() if value is node]
        found += [
            remembered_name(program, register.of, register.lag - shift)
            for register, value in history.items()
            if value is node
        ]
        result.append(tuple(found))
    return tuple(result)


def undone(
    network: Network, index: int, cut: Cut, root: nn.Module, known: dict[object, Undone | None]
) -> Undone | None:
    """Return how step ``index`` is undone, None where it is not; ``known`` keeps what equal steps found."""
    plan = network.steps[index]
    if (
        network.spec.after is not None
        or plan.reshapes
        or plan.kind == "copy"
        or draws(plan, cut, root)
    ):
        return None
    after = names(plan.program, cut.after, network.borders[index + 1], "n+1", 1)
    before = names(plan.program, cut.before, network.borders[index], "n", 0)
    if not all(before):
        return None
    wanted = tuple(item[0] for item in before)
    numbers = Step(network, plan, None).known  # type: ignore[arg-type]
    key = (id(plan.program), after, wanted, tuple(numbers.items()))
    if key not in known:
        given = [name for item in after for name in item]
        found = inverse(plan.program, given, wanted, numbers)
        known[key] = None
        if found is not None:
            sizes = growth(network, found, after, wanted)
            known[key] = Undone(found, after, wanted, sizes)
    return known[key]


def draws(plan: StepPlan, cut: Cut, root: nn.Module) -> bool:
    """Return whether a step draws random numbers; run backwards, it would draw them in another order."""
    if plan.program.noises:
        return True
    called = [root.get_submodule(str(n.target)) for n in cut.nodes if n.op == "call_module"]
    kinds = (Noise, nn.modules.dropout._DropoutNd)
    parts = [item for module in called for item in module.modules()]
    return any(isinstance(item, kinds) or getattr(item, "draws", False) for item in parts)


def growth(
    network: Network, found: Inverse, after: Sequence[Sequence[str]], before: Sequence[str]
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return the matrices of :class:`Undone`; infinite where a divisor vanishes."""
    result = []
    for values in starts(network, found):
        matrix = np.zeros((len(before), len(after)))
        weight = np.zeros(len(before))
        for i, name in enumerate(before):
            for value, factor in found.factors[name].items():
                exact = factor.xreplace(values)
                size = float(number(exact)) if exact.is_finite else np.inf
                for j, slot in enumerate(after):
                    if value in slot:
                        matrix[i, j] += size
                        break
                weight[i] += 0 if found.factors[name].keys() == {name} else size**2
        result.append((matrix, weight))
    return tuple(result)


def starts(network: Network, found: Inverse) -> list[dict[sympy.Symbol, sympy.Expr]]:
    """Return the values that the learnable coefficients start with, both ends of an interval."""
    used = {
        symbol
        for item in found.statements
        if isinstance(item, Combine)
        for term in item.terms
        for symbol in term.coefficient.free_symbols
    }
    choices: dict[sympy.Symbol, tuple[sympy.Expr, ...]] = {}
    for param in network.program.params:
        if param.symbol in used:
            match param.init:
                case Constant(value=value):
                    choices[param.symbol] = (value,)
                case Uniform(low=low, high=high):
                    choices[param.symbol] = (low, high)
                case normal:
                    spread = 2 * normal.deviation
                    choices[param.symbol] = (normal.mean - spread, normal.mean + spread)
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def errors(steps: Sequence[Undone], epsilon: float) -> list[float]:
    """Return the expected relative error of the carry after undoing 1, 2, .. of ``steps``, the last first.

    Every new value has the rounding error of the run forwards, every old one that of the run backwards;
    they add up as independent ones, in carries of equal size. Slopes are taken to be exact, so branches with
    large derivatives do worse.
    """
    runs: list[list[float]] = []
    for choice in range(max(len(step.growth) for step in steps)):
        covariance, sizes = np.zeros(()), []
        for step in reversed(steps):
            matrix, weight = step.growth[choice % len(step.growth)]
            fresh = (ROUNDING * epsilon) ** 2
            with np.errstate(all="ignore"):
                forward = fresh * np.diag(step.computed)
                covariance = matrix @ (covariance + forward) @ matrix.T + fresh * np.diag(weight)
                size = float(np.sqrt(np.max(np.diag(covariance))))
            sizes.append(size if np.isfinite(size) else np.inf)
        runs.append(sizes)
    return [max(sizes) for sizes in zip(*runs, strict=True)]


class Back(Step):
    """Writes a step backwards."""

    def undo(self, found: Undone, carry: Sequence[Ref]) -> list[Ref]:
        """Write the inverse from the values of the carry after; return those of the carry before."""
        for slot, value in zip(found.after, carry, strict=True):
            self.values.update(dict.fromkeys(slot, value))
        self.values.setdefault(f"{self.network.program.states[0].name}[n]", carry[0])
        for statement in found.inverse.statements:
            self.statement(statement)
        return [self.values[name] for name in found.before]


def written(network: Network, index: int, found: Undone, builder: Builder, cut: Cut) -> Cut:
    """Write the inverse of a step through ``builder`` and return it like a step of a graph."""
    graph: fx.Graph = builder.graph  # type: ignore[attr-defined]
    carry = [graph.placeholder(f"after{slot}") for slot in range(len(cut.after))]
    for node, origin in zip(carry, cut.after, strict=True):
        node.meta.update(origin.meta)
    results = Back(network, network.steps[index], builder).undo(found, carry)
    inside = tuple(node for node in graph.nodes if node.op not in ("placeholder", "get_attr"))
    return Cut(inside, tuple(carry), tuple(results))
