"""For which values of its symbols is a scheme consistent, and of order 1, 2, ..?

The modified field of the step has coefficients that are rational in the symbols. It agrees with the limit up to
``p`` nodes exactly where the numerators of all coefficients of 2..p nodes vanish; the limit is ``u' = f`` itself
where those of single nodes are 1. So each set is that of a polynomial system. Where a step has no limit for
general values (``u[n+1] = a1 u[n] + a2 u[n-1] + ..`` needs ``a1 + a2 = 1``), ``det(I - M) = 0`` of its matrix
at h = 0 is solved first. Source: Hairer, Lubich, Wanner (2006), IX.9.1; Hairer, Norsett, Wanner (1993), III.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import flint
import sympy

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.expansion import read
from schemegen.analysis.linear import LinearStep, characteristic
from schemegen.analysis.linear_coefficients import coefficients_of
from schemegen.analysis.order import collected
from schemegen.analysis.polynomial_systems import Family, TooLargeError, solve
from schemegen.analysis.polynomials import Polynomial, Space
from schemegen.analysis.reading import Reading
from schemegen.analysis.special_orders import substituted
from schemegen.analysis.values import NoSmallStepLimitError
from schemegen.analysis.zero_stability import limit_matrix
from schemegen.series.rational_functions import Quotient
from schemegen.step.program import H, Program

__all__ = ["Level", "Orders", "symbols_of"]

MOST_NODES = 6
MOST_TREES = 120
MOST_SYMBOLS = 12
MOST_SYMBOLS_REMEMBERED = 7  # where the series have denominators
LONGEST = 100  # characters of a condition that is shown


@dataclass(frozen=True)
class Level:
    """The set of order at least ``order``: its families, and the equations that were added for it."""

    order: int
    families: tuple[Family, ...]
    conditions: tuple[str, ...]


@dataclass
class Orders:
    """``plain``: for ``u' = f``; ``rescaled``: for the scheme's own limit. Both begin at order 1.

    A level without families is the last one: no values give that order. ``always``: the lowest orders that
    every value has. ``reason`` says why there is no level, or no further one.
    """

    program: Program
    step: LinearStep | None
    symbols: tuple[sympy.Symbol, ...]
    plain: list[Level] = field(default_factory=list)
    rescaled: list[Level] = field(default_factory=list)
    reason: str | None = None

    def find(self) -> None:
        """Fill the levels one by one; what is found stays where a limit of time or size stops it."""
        try:
            self._find()
        except TooLargeError as error:
            self.reason = str(error)
        except (NoSeriesError, NoSmallStepLimitError, ZeroDivisionError, ValueError) as error:
            self.reason = str(error) or "the step has no series"

    def _find(self) -> None:
        most = MOST_SYMBOLS_REMEMBERED if self.program.history else MOST_SYMBOLS
        if len(self.symbols) > most:
            memory = " in a scheme with a memory" if self.program.history else ""
            self.reason = f"more than {most} symbols{memory}"
            return
        space = Space(self.symbols)
        try:
            branches = [_Branch(space, self.program, [], _poles(space, self.program))]
        except NoSmallStepLimitError:
            branches = list(self._with_limit(space))
            if not branches:
                raise
        self._levels(space, branches, False, self.plain)
        always = bool(self.plain) and any(
            not f.values and not f.rest for f in self.plain[0].families
        )
        remembers = any(branch.remembers for branch in branches)
        if not always and remembers:
            self._levels(space, branches, True, self.rescaled)

    def _with_limit(self, space: Space) -> Iterator[_Branch]:
        """Yield the program at the values where one step leaves a constant solution as it is."""
        matrix = limit_matrix(self.step) if self.step is not None else None
        if matrix is None or self.step is None:
            return
        coefficients = self.step.coefficients
        total = coefficients.field.zero
        for number in characteristic(matrix, coefficients.field):
            total += number
        above, below = space.quotient(coefficients.expr(total))
        poles = _poles(space, self.program)
        for family in solve(space, [above], [below, *poles]):
            if family.rest or not family.values:
                continue
            values = dict(family.values)
            equations = [space.quotient(s - e)[0] for s, e in family.values]
            try:
                yield _Branch(space, substituted(self.program, values), equations, family.excluded)
            except (NoSmallStepLimitError, NoSeriesError, ZeroDivisionError):
                continue

    def _levels(
        self, space: Space, branches: Sequence[_Branch], scaled: bool, levels: list[Level]
    ) -> None:
        for order in range(1, MOST_NODES + 1):
            families: list[Family] = []
            conditions: list[str] = []
            for branch in branches:
                equations = branch.equations(order, scaled)
                if equations is None:
                    self.reason = f"orders above {order - 1} were not tried"
                    return
                found = solve(space, equations, branch.nonzero(scaled))
                known = {family.text for family in families}
                families += [family for family in found if family.text not in known]
                conditions += branch.conditions(order, scaled)
            levels.append(Level(order, tuple(families), tuple(dict.fromkeys(conditions))))
            if not families:
                return
        self.reason = f"orders above {MOST_NODES} were not tried"


class _Branch:
    """A program read as a series, level by level; ``base`` are equations that already hold in it."""

    def __init__(
        self,
        space: Space,
        program: Program,
        base: list[Polynomial],
        excluded: Sequence[Polynomial],
    ) -> None:
        self.space = space
        self.base = base
        self.excluded = list(excluded)
        self.reading: Reading = read(program, 1)
        self._levels: dict[int, list[Polynomial]] = {}
        for row in self.reading.skeleton.solved:  # where the limit is no equation of first order
            for number in row:
                self._exclude(number)

    def equations(self, order: int, scaled: bool) -> list[Polynomial] | None:
        """Return all equations of this order; None where there are too many trees."""
        found = list(self.base)
        for nodes in range(2 if scaled else 1, order + 1):
            level = self._level(nodes)
            if level is None:
                return None
            found += level
        return found

    def conditions(self, order: int, scaled: bool) -> list[str]:
        """Return the equations that this order adds, reduced by those of lower orders."""
        if order == 1:
            own = [*self.base, *([] if scaled else self._levels[1])]
        else:
            lower = self.equations(order - 1, scaled) or []
            own = _reduced(self.space, self._levels[order], lower)
        shown = _distinct(self.space, [self._essential(q, self.nonzero(scaled)) for q in own])
        texts = [self.space.relation(q, "=") for q in shown if self.space.used(q)]
        return texts if all(len(text) <= LONGEST for text in texts) else []

    @property
    def remembers(self) -> bool:
        """Whether the step carries more than the states that the equation is for."""
        skeleton = self.reading.skeleton
        return bool(skeleton.operations.lags or skeleton.auxiliary)

    def nonzero(self, scaled: bool) -> list[Polynomial]:
        """Return what must not vanish; the one coefficient of a rescaled limit is among it."""
        limit = self.reading.field.coefficients
        colours = self.reading.trees.colours
        if not scaled or len(limit) != 1 or len(colours) != 1 or not limit[0][0]:
            return self.excluded
        return [*self.excluded, self._numerator(limit[0][0])]

    def _essential(self, polynomial: Polynomial, nonzero: Sequence[Polynomial]) -> Polynomial:
        """Return the product of the distinct factors that may vanish."""
        known = [q for p in nonzero for q in self.space.factors(p)]
        total = self.space.constant(1)
        for factor in self.space.factors(polynomial):
            total = total * factor if factor not in known else total
        return total

    def _level(self, nodes: int) -> list[Polynomial] | None:
        if nodes in self._levels:
            return self._levels[nodes]
        reading = self.reading
        while reading.nodes < nodes:
            if len(reading.trees.level(reading.nodes)) > MOST_TREES:
                return None
            reading.advance()
        found: list[Polynomial] = []
        for state in range(len(reading.skeleton.principal)):
            numbers = list(reading.field.coefficients[state])
            if nodes == 1:
                self._compare(state, numbers)
            for number in collected(reading, numbers, nodes).values():
                found.append(self._numerator(number))
        if nodes == 1:
            for state in range(len(reading.skeleton.principal)):
                for tree in reading.trees.level(1):
                    self._exclude(reading.field.coefficients[state][tree])
        self._levels[nodes] = _distinct(self.space, found)
        return self._levels[nodes]

    def _compare(self, state: int, numbers: list[Any]) -> None:
        """Take ``u' = sum of the drifts`` off the limit; a linear term, as damping adds, is meant."""
        trees, ring = self.reading.trees, self.reading.ring
        for tree in trees.level(1):
            colour = trees.colour[tree]
            if trees.colours[colour].identity:
                numbers[tree] = ring.zero
            elif colour in trees.allowed[state]:
                numbers[tree] = numbers[tree] - ring.one

    def _numerator(self, number: Any) -> Polynomial:
        self._exclude(number)
        if isinstance(number, Quotient):
            return self._polynomial(number.numerator)
        return self.space.constant(flint.fmpq(int(number.p), int(number.q)))

    def _exclude(self, number: Any) -> None:
        if isinstance(number, Quotient):
            for factor in self.space.factors(self._polynomial(number.denominator)):
                if factor not in self.excluded:
                    self.excluded.append(factor)
        elif not hasattr(number, "q"):
            raise NoSeriesError("the coefficients have roots")

    def _polynomial(self, polynomial: Any) -> Polynomial:
        """Move a polynomial in the generators of the reading to the symbols of the scheme."""
        generators = self.reading.coefficients.generators
        places = [
            self.space.symbols.index(g) if g in self.space.symbols else None for g in generators
        ]
        table: dict[tuple[int, ...], Any] = {}
        for exponents, c in polynomial.to_dict().items():
            moved = [0] * max(len(self.space.symbols), 1)
            for place, power in zip(places, exponents, strict=True):
                if not power:
                    continue
                if place is None:
                    raise NoSeriesError("the conditions hold functions of the symbols")
                moved[place] = int(power)
            table[tuple(moved)] = c
        return self.space.context.from_dict(table)


def _distinct(space: Space, polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    found: list[Polynomial] = []
    for polynomial in polynomials:
        if polynomial:
            plain = space.primitive(polynomial)
            if plain not in found:
                found.append(plain)
    return found


def _reduced(
    space: Space, polynomials: Sequence[Polynomial], lower: Sequence[Polynomial]
) -> list[Polynomial]:
    """Replace symbols that lower equations give with a constant factor; drop what then vanishes."""
    current, known = list(polynomials), list(lower)
    while True:
        choice = None
        for polynomial in known:
            for index in space.used(polynomial):
                parts = space.parts(polynomial, index)
                if len(parts) == 2 and not space.used(parts[1]):
                    choice = (index, -parts[0], parts[1])
                    break
            if choice is not None:
                break
        if choice is None:
            break
        index, above, below = choice
        known = [q for q in (space.put(p, index, above, below) for p in known) if q]
        current = [space.put(p, index, above, below) for p in current]
    kept = _distinct(space, current)
    return [p for p in kept if p not in _distinct(space, known)]


def _poles(space: Space, program: Program) -> list[Polynomial]:
    """Return what the coefficients of the program divide by."""
    found: list[Polynomial] = []
    for coefficient in coefficients_of(program):
        below = sympy.fraction(sympy.together(coefficient))[1]
        below = sympy.Mul(*[f for f in sympy.Mul.make_args(below) if f.free_symbols - {H}])
        if below.free_symbols <= set(space.symbols):
            try:
                polynomial = space.polynomial(sympy.expand(below))
            except ValueError:
                continue
            found += [q for q in space.factors(polynomial) if q not in found]
    return found


def symbols_of(program: Program) -> tuple[sympy.Symbol, ...]:
    """Return the symbols of the coefficients beside the step size, by name; noises by their means."""
    drawn = {noise.symbol for noise in program.noises}
    found = {s for c in coefficients_of(program) for s in c.free_symbols}
    found |= {s for noise in program.noises for c in noise.arguments for s in c.free_symbols}
    found -= {H, *drawn}
    return tuple(sorted(found, key=lambda s: s.name))
