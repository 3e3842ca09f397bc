"""One step of a program with noise as an operator on test functions: ``(A phi)(x) = E phi(X_1)``.

Every value of the step is a series in eps whose terms are trees with monomials in the draws: those drawn once a
step are coefficients, those drawn for every component stand at the nodes. The expectation of products of such
trees gives forests: a product of draws at nodes is the sum over partitions of the nodes of products of joint
cumulants, the nodes of a block having one component.

A scheme with a memory has further values y (remembered values, auxiliary states), ``y = z x + eps^-a delta``
with a small delta. They stay leaves of trees here; ``weak.py`` finds what they follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

import sympy

from schemegen.analysis.coefficients import Coefficients, NoSeriesError
from schemegen.analysis.draws import Draws, in_root, needs_root
from schemegen.analysis.node_means import NodeMeans
from schemegen.analysis.operations import Linear, Operations, flatten
from schemegen.analysis.random_series import Group, RandomSeries, Series
from schemegen.analysis.values import Skeleton, skeleton
from schemegen.series import Colour, Number
from schemegen.series.exotic import Graded, Node, Operators
from schemegen.step.evaluation import averaged
from schemegen.step.program import ONES, Combine, Evaluate, Program, Solve, walk

__all__ = ["Memory", "RandomStep"]


@dataclass(frozen=True, slots=True)
class Memory:
    """A value y that the next step reads: ``y = z x + eps^-lowered delta``, delta of at least the power ``size``.

    ``now`` is its name in this step, ``next_value`` the value of this step that it becomes.
    """

    now: str
    next_value: str
    limit: tuple[Number, ...]
    lowered: int
    size: int


class RandomStep:
    """The operator of one step, up to the power ``most`` of eps, as forests (``operator``).

    Attributes: ``unit``: powers of eps in h.  ``draws``, ``operators``, ``principal``, ``memories``.
    ``mean_only``: whether no value of the step is random.
    """

    def __init__(self, program: Program, most_h: int, scaled: Sequence[str] = ()) -> None:
        self.program = program
        expressions = list(_coefficients(program))
        self.root = needs_root(program.noises, expressions)
        self.unit = 2 if self.root else 1
        self.most = self.unit * most_h
        self._terms = self.most + 3 * self.unit
        self.draws = Draws(
            program.noises, expressions, root=self.root, terms=self._terms, scaled=scaled
        )
        self.ring = self.draws.ring
        lowest = min(
            (p.factor.valuation for e in expressions for p in self.draws.parts(e)), default=0
        )
        self._limit = self.most + max(0, -lowest)
        self._series = RandomSeries(self.draws, self._limit)
        self.skeleton = self._skeleton(scaled)
        self.principal = self.skeleton.principal
        self.memories = self._memories()
        self._colours: list[Colour] = []
        self._colour_of: dict[tuple[str, tuple[int, ...]], int] = {}
        self.values: dict[str, Series] = {}
        self._start()
        self._run()
        self.operators = self._operators()
        self.groups = self._groups()
        self.operator = self._expectation()

    # --- the program at h = 0 ---------------------------------------------------------------------
    def _skeleton(self, scaled: Sequence[str]) -> Skeleton:
        def settled(e: sympy.Expr) -> sympy.Expr:
            for noise in self.program.noises:
                e = averaged(e, noise)
            return in_root(e) if self.root else e

        operations = flatten(self.program)
        steps = tuple(
            replace(step, terms=tuple((settled(c), value) for c, value in step.terms))
            if isinstance(step, Linear)
            else step
            for step in operations.steps
        )
        mean = Operations(operations.states, steps, operations.targets, operations.lags)
        coefficients = Coefficients(
            [settled(e) for e in _coefficients(self.program)], terms=self._terms, scaled=scaled
        )
        found = skeleton(mean, coefficients)
        found.limits = {  # in the field of the draws, which may have more symbols
            name: [self._number(coefficients.expression(z)) for z in row]
            for name, row in found.limits.items()
        }
        return found

    def _number(self, expression: sympy.Expr) -> Number:
        series = self.draws.coefficients.series(expression)
        return series.numbers[0] if series.numbers else self.ring.zero

    def _memories(self) -> tuple[Memory, ...]:
        """Return the remembered values and auxiliary states, each with its size."""
        found: list[tuple[str, str]] = []
        longest: dict[str, int] = {}
        for item in self.program.inputs:
            longest[item.of] = max(item.lag, longest.get(item.of, 0))
        for of in sorted(longest):
            for lag in range(1, longest[of] + 1):
                found.append((_memory(of, lag), of if lag == 1 else _memory(of, lag - 1)))
        found += [(f"{state}[n]", f"{state}[n+1]") for state in self.skeleton.auxiliary]
        lowest = self._lowest()
        limits = self.skeleton.limits
        result = []
        for now, following in found:
            of = now.partition("@")[0] if "@" in now else now
            limit = tuple(limits[of])
            if any(limit):
                result.append(Memory(now, following, limit, 0, 1))
            else:
                power = lowest.get(of) or 0
                size = max(self.unit, power)
                result.append(Memory(now, following, limit, size - power, size))
        return tuple(result)

    def _lowest(self) -> dict[str, int | None]:
        """Return a lower bound of the power of eps in each value, None for a value that is zero."""
        known: dict[str, int | None] = {f"{s}[n]": 0 for s in self.principal}
        known[ONES] = 0
        statements = list(walk(self.program.statements))
        for _ in range(len(statements) + len(self.program.inputs) + 3):
            before = dict(known)
            for item in self.program.inputs:
                known[item.name] = known.get(item.of)
            for statement in statements:
                match statement:
                    case Evaluate():
                        known[statement.target] = 0
                    case Combine():
                        lows = [
                            part.factor.valuation + low
                            for term in statement.terms
                            for part in self.draws.parts(term.coefficient)
                            if (low := known.get(term.value)) is not None
                        ]
                        known[statement.target] = min(lows, default=None)
            for state in self.skeleton.auxiliary:
                known[f"{state}[n]"] = known.get(f"{state}[n+1]")
            if known == before:
                return known
        raise NoSeriesError("a value grows like a power of 1/h from step to step")

    # --- values -----------------------------------------------------------------------------------
    def _start(self) -> None:
        one = self.ring.one
        for index, state in enumerate(self.principal):
            leaf = self._leaf(state, (index,), identity=True)
            self.values[f"{state}[n]"] = {0: {(leaf, ()): one}}
        self.values[ONES] = {0: {(self._leaf(ONES, ()), ()): one}}
        self._memory_leaves: dict[int, int] = {}
        for number, memory in enumerate(self.memories, len(self.principal)):
            leaf = self._leaf(f"delta {memory.now}", ())
            self._memory_leaves[number] = leaf[0]
            value: Series = {memory.size - memory.lowered: {(leaf, ()): one}}
            self.values[memory.now] = self._series.sum([*self._base(memory), value])
        for item in self.program.inputs:
            self.values[item.name] = self.values[_memory(item.of, item.lag)]

    def _base(self, memory: Memory) -> Iterator[Series]:
        for state, z in zip(self.principal, memory.limit, strict=True):
            if z:
                yield self._series.scaled(self.values[f"{state}[n]"], z)

    def _leaf(self, name: str, slots: tuple[int, ...], *, identity: bool = False) -> Node:
        return (self._colour(name, slots, identity=identity), (), ())

    def _colour(self, name: str, slots: tuple[int, ...], *, identity: bool = False) -> int:
        key = (f"{name} itself" if identity else name, slots)
        if key not in self._colour_of:
            self._colour_of[key] = len(self._colours)
            self._colours.append(Colour(name, slots, identity))
        return self._colour_of[key]

    def _run(self) -> None:
        for statement in self.program.statements:
            match statement:
                case Combine() | Evaluate():
                    self.values[statement.target] = self._value(statement)
                case Solve():
                    self._solve(statement)
                case _:
                    assert_never(statement)

    def _value(self, statement: Combine | Evaluate) -> Series:
        match statement:
            case Combine():
                return self._series.sum(
                    self._series.times(term.coefficient, self.values[term.value])
                    for term in statement.terms
                )
            case Evaluate():
                return self._evaluated(statement)
            case _:
                assert_never(statement)

    def _solve(self, solve: Solve) -> None:
        """Iterate the equations until nothing changes up to the last power kept."""
        for target in solve.targets:
            base: Series = {}
            for state, z in zip(self.principal, self.skeleton.limits[target], strict=True):
                if z:
                    base = self._series.sum(
                        [base, self._series.scaled(self.values[f"{state}[n]"], z)]
                    )
            self.values[target] = base
        for _ in range(self._limit + 3):
            before = {target: self.values[target] for target in solve.targets}
            for statement in solve.statements:
                self.values[statement.target] = self._value(statement)
            if all(self.values[target] == before[target] for target in solve.targets):
                return
        raise NoSeriesError("the equations of an implicit group are coupled at h = 0")

    def _evaluated(self, statement: Evaluate) -> Series:
        """Return ``f(x + d) = sum_k f^(k)(d, .., d) / k!``; every argument must stand near a state."""
        field = self.program.field(statement.field)
        if field.kind != "drift":
            raise NoSeriesError(
                f"`{statement.target}` is a pointwise function of tensors, not linear in a drift"
            )
        bases = tuple(self._stands_near(statement, value) for value in statement.at)
        if len(set(bases)) < len(bases):
            raise NoSeriesError(f"`{statement.target}` depends twice on the same state")
        names = tuple(self.principal[base] for base in bases)
        own = field.name if names == field.states else f"{field.name}({','.join(names)})"
        colour = self._colour(own, bases)
        groups: list[Group] = []
        for base, value in zip(bases, statement.at, strict=True):
            groups += self._series.deviations(self.values[value], base)
        result: Series = {}
        for power, children, polynomial in self._series.products(groups, self._limit):
            level = result.setdefault(power, {})
            for scalar, number in polynomial.items():
                key = ((colour, (), children), scalar)
                level[key] = level[key] + number if key in level else number
        return self._series.sum([result])

    def _stands_near(self, statement: Evaluate, value: str) -> int:
        series = self.values[value]
        lowest = series.get(0, {})
        for index, state in enumerate(self.principal):
            leaf = self._leaf(state, (index,), identity=True)
            if not any(power < 0 for power in series) and lowest == {(leaf, ()): self.ring.one}:
                return index
        raise NoSeriesError(
            f"`{statement.target}` evaluates `{statement.field}` at a point that does not tend to a state"
        )

    # --- expectation ------------------------------------------------------------------------------
    def _operators(self) -> Operators:
        sizes = {
            slot: memory.size for slot, memory in enumerate(self.memories, len(self.principal))
        }
        return Operators(
            self.ring,
            self._colours,
            self.most,
            states=len(self.principal),
            leaves=self._memory_leaves,
            sizes=sizes,
        )

    def _groups(self) -> list[Group]:
        """Return the terms by which the states and the memories change."""
        groups: list[Group] = []
        following = []
        for index, state in enumerate(self.principal):
            value = self.values[f"{state}[n+1]"]
            leaf = self._leaf(state, (index,), identity=True)
            if any(power < 0 for power in value) or value.get(0) != {(leaf, ()): self.ring.one}:
                raise NoSeriesError(_no_limit(state, value))
            following.append(value)
            groups += self._series.deviations(value, index)
        for slot, memory in enumerate(self.memories, len(self.principal)):
            moved = [
                self._series.scaled(value, -z)
                for value, z in zip(following, memory.limit, strict=True)
                if z
            ]
            change = self._series.sum([self.values[memory.next_value], *moved])
            if any(power + memory.lowered < memory.size for power in change):
                raise NoSeriesError(
                    f"`{memory.next_value}` does not follow the state as h tends to 0"
                )
            raised = {power + memory.lowered: level for power, level in change.items()}
            groups += self._series.deviations(raised, slot)
        return groups

    def _expectation(self) -> Graded:
        means = NodeMeans(self.draws, self.operators)
        result: Graded = {}
        for power, forest, polynomial in self._series.products(self.groups, self.most):
            number = self.ring.zero
            for scalar, c in polynomial.items():
                number += c * self.draws.expectation(scalar)
            if not number:
                continue
            level = result.setdefault(power, {})
            for exotic, factor in means.of(forest):
                add = number * factor
                level[exotic] = level[exotic] + add if exotic in level else add
        kept = {p: {f: c for f, c in level.items() if c} for p, level in result.items()}
        return {power: kept[power] for power in sorted(kept) if kept[power]}


def _memory(of: str, lag: int) -> str:
    return f"{of}@{lag}"


def _no_limit(state: str, value: Series) -> str:
    noisy = any(
        scalar or node[1]
        for level in value.values()
        for node, scalar in level
        if level is value.get(0)
    )
    reason = ": a noise of the size of the state acts on it" if noisy else ""
    return f"`{state}[n+1]` does not tend to `{state}[n]` as h tends to 0{reason}"


def _coefficients(program: Program) -> Iterator[Any]:
    for statement in walk(program.statements):
        for term in getattr(statement, "terms", ()):
            yield term.coefficient
