"""Reading a step program as B-series, level by level, with the modified field as the unknown.

Put ``x[n+j] = exp(j L_b) x`` into the step and ask that it hold: values of fewer nodes give the right sides,
one constant matrix gives the field ``b`` (and the auxiliary, implicit and remembered series) at the next
number of nodes. Explicit, implicit, multistep, partitioned and mixed schemes take the same road.

Source: Hairer, Lubich, Wanner (2006), IX.9.1 and XV.3.1; Chartier, Hairer, Vilmart (2010).
"""

from __future__ import annotations

from collections.abc import Sequence

from schemegen.analysis.coefficients import Coefficients, NoSeriesError
from schemegen.analysis.operations import Linear, Slope
from schemegen.analysis.values import Skeleton
from schemegen.series import Colour, Flow, Number, Trees, VectorField
from schemegen.step.program import ONES, Program

__all__ = ["SHIFT", "Reading"]

SHIFT = "h"
"""The colour of the identity field: ``F(h[t]) = F(t)``, one more power of h on the same differential."""


class Reading:
    """The values of a program as series.

    Attributes:
        trees: the coloured trees.        field: the modified field ``b`` of the principal states.
        values: coefficients by value.    bases: of each stage, the state it stands near.
    """

    def __init__(self, program: Program, skeleton: Skeleton, coefficients: Coefficients) -> None:
        self.skeleton = skeleton
        self.coefficients = coefficients
        self.ring = coefficients.ring
        self.bases: dict[str, int] = {}
        self._colour_of: dict[str, int] = {}
        colours = self._colours(program)
        self._wide = len(skeleton.principal) > 1 and colours[-1].name == SHIFT
        allowed = _allowed(skeleton, colours, self._colour_of, self.bases)
        if self._wide:
            allowed.append(frozenset(range(len(colours))))
        self.trees = Trees(colours, allowed, (*skeleton.principal, SHIFT)[: len(allowed)])
        self.field = VectorField(self.trees, self.ring)
        self.values: dict[str, list[Number]] = {name: [] for name in skeleton.limits}
        self._shift_colour = _find(colours, SHIFT if self._wide else skeleton.principal[0])
        self._leaf = {s: _find(colours, name) for s, name in enumerate(skeleton.principal)}
        self._flows = self._open_flows()
        self._lags = {name: (of, lag) for name, of, lag in skeleton.operations.lags}
        self.nodes = 0

    # --- colours -----------------------------------------------------------------------------------

    def _colours(self, program: Program) -> list[Colour]:
        skeleton = self.skeleton
        found: dict[tuple[str, tuple[int, ...]], int] = {}
        colours: list[Colour] = []
        fields = {field.name: field for field in program.fields}
        for step in skeleton.operations.steps:
            if isinstance(step, Slope):
                if fields[step.field].kind != "drift":
                    raise NoSeriesError(
                        f"`{step.name}` is a pointwise function of tensors, not linear in a drift",
                        "W0312",
                    )
                bases = tuple(self._base(step, value) for value in step.at)
                if len(set(bases)) < len(bases):
                    raise NoSeriesError(f"`{step.name}` depends twice on the same state")
                key = (step.field, bases)
                if key not in found:
                    found[key] = len(colours)
                    names = tuple(skeleton.principal[base] for base in bases)
                    usual = fields[step.field].states
                    own = step.field if names == usual else f"{step.field}({','.join(names)})"
                    colours.append(Colour(own, bases))
                self._colour_of[step.name] = found[key]
        if any(value == ONES for terms in skeleton.terms.values() for _, _, value in terms):
            self._colour_of[ONES] = len(colours)
            colours.append(Colour(ONES, ()))
        return colours + self._identities()

    def _base(self, step: Slope, value: str) -> int:
        """Return the state that an argument of a drift stands near; it must be one of the states."""
        limit = self.skeleton.limits[value]
        near = [s for s, z in enumerate(limit) if z]
        if self.skeleton.grades[value] != 0 or len(near) != 1 or limit[near[0]] - self.ring.one:
            raise NoSeriesError(
                f"`{step.name}` evaluates `{step.field}` at a point that does not tend to a state"
            )
        self.bases[value] = near[0]
        return near[0]

    def _identities(self) -> list[Colour]:
        """Return the fields ``x_s`` (linear) and the shift that explicit powers of h call for."""
        skeleton = self.skeleton
        states: set[int] = set()
        shifted = False
        for terms in skeleton.terms.values():
            for _, shift, value in terms:
                if shift:
                    limit = skeleton.limits[value]
                    states.update(s for s, z in enumerate(limit) if z)
                    shifted = shifted or value not in _pure_states(skeleton) or shift > 1
        if shifted and len(skeleton.principal) == 1:
            states.add(0)
        result = [Colour(skeleton.principal[s], (s,), identity=True) for s in sorted(states)]
        if shifted and len(skeleton.principal) > 1:
            result.append(Colour(SHIFT, (len(skeleton.principal),), identity=True))
        return result

    # --- levels ------------------------------------------------------------------------------------

    def _open_flows(self) -> dict[str, Flow]:
        skeleton = self.skeleton
        flows = {}
        pseudo = [self.ring.zero] * (self.trees.states - len(skeleton.principal))
        for unknown in skeleton.unknowns:
            state = unknown.kind in ("field", "series")
            name = f"{unknown.name}[n]" if state else unknown.name
            if state or any(of == name for _, of, _ in skeleton.operations.lags):
                flows[name] = Flow(self.field, [*skeleton.limits[name], *pseudo])
        return flows

    def advance(self) -> None:
        """Add the next number of nodes to all series."""
        self.nodes += 1
        nodes = self.nodes
        self._open_field(nodes)
        level = self.trees.level(nodes)
        zeros = [self.ring.zero] * len(level)
        for flow in self._flows.values():
            flow.open(nodes, zeros)
        started = {step.name for step in self.skeleton.operations.steps}
        for name in self.values:
            if name in self._lags:
                of, lag = self._lags[name]
                self.values[name].extend(self._flows[of].shifted(-lag, nodes))
            elif name == ONES:
                self.values[name].extend(self._slope(name, (), nodes))
            elif name not in started:
                self.values[name].extend(zeros)
        for step in self.skeleton.operations.steps:
            if isinstance(step, Slope):
                self.values[step.name].extend(self._slope(step.name, step.at, nodes))
            else:
                self.values[step.name].extend(self._combination(step, nodes))
        self._settle(nodes)

    def _open_field(self, nodes: int) -> None:
        """Begin a level of the field along which the states flow; here it is found by ``_settle``."""
        self.field.open(nodes)

    def _slope(self, name: str, at: Sequence[str], nodes: int) -> list[Number]:
        """Return ``prod_i a(t_i)`` for every tree ``[t_1 .. t_m]`` with the field at its root."""
        trees, one, zero = self.trees, self.ring.one, self.ring.zero
        colour, states = self._colour_of.get(name, -1), trees.states
        by_slot = {self.bases[value]: self.values[value] for value in at}
        result = []
        for tree in trees.level(nodes):
            if trees.colour[tree] != colour:
                result.append(zero)
                continue
            product = one
            for key in trees.children[tree]:
                child, slot = divmod(key, states)
                factor = by_slot[slot][child]
                if not factor:
                    product = zero
                    break
                product = product * factor
            result.append(product)
        return result

    def _combination(self, step: Linear, nodes: int) -> list[Number]:
        trees, one = self.trees, self.ring.one
        level = trees.level(nodes)
        result = [self.ring.zero] * len(level)
        for number, shift, value in self.skeleton.terms[step.name]:
            if shift == 0:
                own = self.values[value][level.start : level.stop]
                if number == one:
                    result = [a + b for a, b in zip(result, own, strict=True)]
                else:
                    result = [a + number * b if b else a for a, b in zip(result, own, strict=True)]
            elif shift <= nodes:
                for tree, coefficient in self._shifted(value, shift, nodes):
                    result[tree - level.start] += number * coefficient
        return result

    def _shifted(self, value: str, shift: int, nodes: int) -> list[tuple[int, Number]]:
        """Return the non-zero coefficients of ``h^shift value`` at level ``nodes``."""
        found = []
        if shift == nodes:
            for state, z in enumerate(self.skeleton.limits[value]):
                if z:
                    leaf = self.trees.leaf(self._leaf[state])
                    found.append((self._wrapped(leaf, shift - 1), z))
        else:
            numbers = self.values[value]
            for tree in self.trees.level(nodes - shift):
                if numbers[tree]:
                    found.append((self._wrapped(tree, shift), numbers[tree]))
        return found

    def _wrapped(self, tree: int, times: int) -> int:
        for _ in range(times):
            slot = self.trees.colours[self._shift_colour].slots[0]
            tree = self.trees.graft(self.trees.leaf(self._shift_colour), tree, slot)
        return tree

    def _settle(self, nodes: int) -> None:
        """Solve for the unknowns at this level and correct every value that depends on them."""
        skeleton, level = self.skeleton, self.trees.level(nodes)
        solution = self._solution(nodes)
        fields = len(skeleton.principal)
        for state in range(fields):
            numbers = self.field.coefficients[state]
            numbers[level.start : level.stop] = solution[state]
            for flow in self._flows.values():
                flow.settle_field(nodes, state, solution[state])
        self._correct(nodes, solution)

    def _solution(self, nodes: int) -> list[list[Number]]:
        """Return the unknowns at this level, such that the equations of the step hold."""
        skeleton, level = self.skeleton, self.trees.level(nodes)
        missing = []
        for unknown, name in zip(skeleton.unknowns, skeleton.equations, strict=True):
            right = self.values[name][level.start : level.stop]
            if unknown.kind in ("field", "series"):
                left = self._flows[f"{unknown.name}[n]"].shifted(1, nodes)
                right = [r - value for r, value in zip(right, left, strict=True)]
            missing.append(right)
        return [self._weighted(row, missing) for row in skeleton.solved]

    def _correct(self, nodes: int, solution: Sequence[list[Number]]) -> None:
        """Add what follows from the unknowns of this level to the flows and values."""
        skeleton, level = self.skeleton, self.trees.level(nodes)
        fields = len(skeleton.principal)
        for unknown, numbers in zip(skeleton.unknowns[fields:], solution[fields:], strict=True):
            name = f"{unknown.name}[n]" if unknown.kind == "series" else unknown.name
            if name in self._flows:
                self._flows[name].settle(nodes, numbers)
        for name, row in skeleton.linear.items():
            if any(row):
                change = self._weighted(row, solution)
                values = self.values[name]
                for tree, number in zip(level, change, strict=True):
                    values[tree] += number

    def _weighted(self, row: Sequence[Number], columns: Sequence[list[Number]]) -> list[Number]:
        total: list[Number] | None = None
        for factor, column in zip(row, columns, strict=True):
            if factor:
                part = column if factor == self.ring.one else [factor * c for c in column]
                total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
        return total or [self.ring.zero] * len(columns[0])


def _pure_states(skeleton: Skeleton) -> set[str]:
    """Return the values that are a state and nothing else: ``u[n]`` of a principal state."""
    return {f"{s}[n]" for s in skeleton.principal}


def _find(colours: Sequence[Colour], name: str) -> int:
    return next((i for i, c in enumerate(colours) if c.name == name and c.identity), -1)


def _allowed(
    skeleton: Skeleton,
    colours: Sequence[Colour],
    colour_of: dict[str, int],
    bases: dict[str, int],
) -> list[frozenset[int]]:
    """Return, per principal state, the fields that can stand in series near that state."""
    identity = {s: _find(colours, name) for s, name in enumerate(skeleton.principal)}
    shift = _find(colours, SHIFT if len(skeleton.principal) > 1 else skeleton.principal[0])
    allowed: list[set[int]] = [set() for _ in skeleton.principal]
    roots: dict[str, set[int]] = {name: set() for name in skeleton.limits}
    if ONES in colour_of:
        roots[ONES].add(colour_of[ONES])
    changed = True
    while changed:
        before = [*map(len, allowed), *map(len, roots.values())]
        for name, of, _ in skeleton.operations.lags:
            near = [allowed[s] for s, z in enumerate(skeleton.limits[of]) if z]
            roots[name] |= roots[of].union(*near)
        for step in skeleton.operations.steps:
            if isinstance(step, Slope):
                roots[step.name].add(colour_of[step.name])
                continue
            for _, extra, value in skeleton.terms[step.name]:
                roots[step.name] |= roots[value] if not extra else set()
                if extra:
                    limit = skeleton.limits[value]
                    roots[step.name] |= {identity[s] for s, z in enumerate(limit) if z}
                    if shift >= 0:
                        roots[step.name].add(shift)
                        allowed[0] |= roots[value] if len(allowed) == 1 else set()
            if step.unknown:
                roots[step.unknown] |= roots[step.name]
        for state in skeleton.auxiliary:
            roots[f"{state}[n]"] |= roots[f"{state}[n+1]"]
        for index, state in enumerate(skeleton.principal):
            allowed[index] |= roots[f"{state}[n+1]"]
        for value, base in bases.items():
            allowed[base] |= roots[value]
        changed = before != [*map(len, allowed), *map(len, roots.values())]
    return [frozenset(group) for group in allowed]
