"""The modified stochastic equation of a scheme with noise, its weak order, and where there is none.

``E phi(X_n)`` moves with ``P = exp(h L)``; the generator L is a series over forests: single trees are the drift,
two trees the diffusion, and three or more are what no SDE has. Weak order r: L leaves its limit at h^r first.

Source: Milstein, Tretyakov (2004), Stochastic Numerics for Mathematical Physics, 2.1; Shardlow (2006), SIAM J.
Numer. Anal. 44, 430-443; Zygalakis (2011), SIAM J. Sci. Comput. 33, 102-130.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sympy

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.forest_text import ForestText
from schemegen.analysis.model import Exact, Note
from schemegen.analysis.random_step import RandomStep
from schemegen.analysis.stratonovich import of_roots, stratonovich
from schemegen.analysis.strong import strong_orders
from schemegen.analysis.values import NoSmallStepLimitError
from schemegen.analysis.weak_model import ForestTerm, ModifiedSDE, Skewness, WeakAnalysis
from schemegen.analysis.weak_operator import generator
from schemegen.series import Number
from schemegen.series.exotic import Forest, Graded
from schemegen.step.program import Program

__all__ = ["weak_analysis"]

LEVELS = 2  # powers of h of the generator that are given
MOST_LEVELS = 4  # that are looked at to find a weak order


def weak_analysis(
    program: Program, scaled: Sequence[str] = (), levels: int = LEVELS
) -> tuple[WeakAnalysis, tuple[Note, ...]]:
    """Return what is known of a program with noise, and the reasons for what is not."""
    try:
        step = RandomStep(program, levels + 1, scaled)
        found = generator(step)
        _check_limit(step, found)
        while not _failing(step, found) and levels < MOST_LEVELS:
            levels += 1
            step = RandomStep(program, levels + 1, scaled)
            found = generator(step)
    except (NoSeriesError, NoSmallStepLimitError) as error:
        keys = ("weak_order", "strong_order", "modified_sde")
        return WeakAnalysis(), tuple(Note(key, str(error)) for key in keys)
    reading = _Reading(step, found, scaled, levels)
    sde = reading.equation()
    failing = _failing(step, found)
    strong, strong_least, areas, notes = strong_orders(step, found)
    weak = sympy.Rational(failing - step.unit, step.unit) if failing else None
    if weak is None:
        notes = (*notes, Note("weak_order", f"at least {levels + 1}; higher orders were not tried"))
    return (
        WeakAnalysis(
            sde=sde,
            weak_order=weak,
            weak_at_least=None if weak is not None else sympy.Integer(levels + 1),
            strong_order=strong,
            strong_at_least=strong_least,
            skewed=tuple(reading.skewed(sde)),
            areas=areas,
            diffusion=_diffusion(step),
        ),
        (*reading.notes(sde), *notes),
    )


def _check_limit(step: RandomStep, found: Graded) -> None:
    """Refuse a generator that grows as h tends to 0: a noise of size sqrt(h) whose mean is not 0."""
    low = [power for power in found if power < step.unit]
    if low:
        raise NoSeriesError(
            "the mean of a step is larger than h: the mean of a noise of the size sqrt(h) is not 0"
        )


def _failing(step: RandomStep, found: Graded) -> int | None:
    """Return the first power of eps, beyond h, at which the generator differs from its limit."""
    return min((power for power in found if power > step.unit), default=None)


def _diffusion(step: RandomStep) -> tuple[str, ...]:
    """Return the fields that act through draws of the size sqrt(h) alone."""
    names = {field.name for field in step.program.fields}
    driven: set[str] = set()
    plain: set[str] = set()
    for power, _, node, polynomial in step.groups:
        name = step.operators.colours[node[0]].name
        if name in names and not node[2]:
            (driven if power < step.unit else plain).add(name)
            if power == step.unit and not node[1] and () in polynomial:
                plain.add(name)
    return tuple(sorted(driven - plain))


class _Reading:
    """A generator in terms of the report."""

    def __init__(self, step: RandomStep, found: Graded, scaled: Sequence[str], levels: int) -> None:
        self.step = step
        self.levels = levels
        self.found = found
        self.scaled = tuple(scaled)
        forests = [forest for level in found.values() for forest in level]
        self.text = ForestText(step.operators, step.principal, forests)

    def equation(self) -> ModifiedSDE:
        leveled = list(self._terms(self.found, self.text.forest))
        generator_terms = tuple(term for _, term in leveled)
        first = min((level for level, term in leveled if len(term.trees) > 2), default=None)
        exists_to = sympy.Integer(self.levels)
        if first is not None:
            halves = any(not level.is_Integer for level, _ in leveled)
            exists_to = first - (sympy.Rational(1, 2) if halves else 1)
        stopping = tuple(term for level, term in leveled if level == first and len(term.trees) > 2)
        small = of_roots(self.found, (1,))
        diffusive = any(len(forest) > 1 for forest in self.found.get(self.step.unit, {}))
        return ModifiedSDE(
            drift=self._by_state(small, exists_to),
            diffusion_squared=tuple(self._matrices(exists_to)),
            stratonovich_drift=self._by_state(stratonovich(self.step, self.found), exists_to),
            generator=generator_terms,
            exists_to=exists_to,
            truncation=sympy.Integer(self.levels),
            obstacles=stopping,
            scaling="sqrt(h)" if diffusive else "h",
            only_when=_common_zeros(stopping),
            stops_at=first,
            valid=("principal root",) if self.step.memories else (),
        )

    def _terms(
        self, series: Graded, text: Callable[[Forest], str]
    ) -> Iterator[tuple[Exact, ForestTerm]]:
        """Yield each term and its level: its power of h with scaled symbols counted as h."""
        for power, level in series.items():
            for forest, number in level.items():
                for h_power, coefficient in self._exact(power, number):
                    trees = self.text.trees(forest)
                    yield self._level(power), ForestTerm(text(forest), trees, h_power, coefficient)

    def _level(self, power: int) -> Exact:
        return sympy.Rational(power - self.step.unit, self.step.unit)

    def _exact(self, power: int, number: Number) -> Iterator[tuple[Exact, Exact]]:
        """Yield powers of h and coefficients; a scaled symbol stands for h times a constant."""
        h_power = self._level(power)
        for degree, coefficient in self.step.draws.coefficients.powers_of_scaled(number):
            yield h_power - degree, coefficient

    def _by_state(
        self, series: Graded, most: Exact
    ) -> tuple[tuple[str, tuple[ForestTerm, ...]], ...]:
        result = []
        for slot, state in enumerate(self.step.principal):
            own = {
                power: {forest: c for forest, c in level.items() if forest[0][0] == slot}
                for power, level in series.items()
            }
            terms = self._terms(own, lambda forest: self.text.tree(forest[0][1]))
            result.append((state, tuple(term for level, term in terms if level <= most)))
        return tuple(result)

    def _matrices(self, most: Exact) -> Iterator[ForestTerm]:
        for power, level in of_roots(self.found, (2,)).items():
            for forest, number in level.items():
                name, factor = self.text.matrix(forest)
                for h_power, coefficient in self._exact(power, number):
                    if self._level(power) <= most:
                        trees = self.text.trees(forest)
                        yield ForestTerm(name, trees, h_power, factor * coefficient)

    def skewed(self, sde: ModifiedSDE) -> Iterator[Skewness]:
        """Yield the noises whose third central moment is not 0, where three trees are the obstacle."""
        if sde.stops_at is None:
            return
        draws = self.step.draws
        for index, noise in enumerate(draws.noises):
            moment = draws.third_cumulant(index)
            if moment:
                yield Skewness(noise.name, draws.coefficients.expression(moment), sde.stops_at)

    def notes(self, sde: ModifiedSDE) -> Iterator[Note]:
        if sde.obstacles:
            term = sde.obstacles[0]
            text = (
                f"no SDE beyond h^{sde.exists_to}: the generator has the product `{term.term}` of "
                f"{len(term.trees)} trees at h^{sde.stops_at}"
            )
            if sde.only_when:
                text += f", which is 0 only for {sde.only_when}"
            yield Note("modified_sde", text)
        if sde.scaling == "h":
            yield Note(
                "weak_order",
                "of the limit h -> 0, the equation of the mean: the noise has the size h",
            )


def _common_zeros(terms: Sequence[ForestTerm]) -> str | None:
    """Return ``p = 0, 1/2, 1`` where all coefficients have these zeros in common, and one symbol only."""
    symbols = sorted({s for t in terms for s in t.coefficient.free_symbols}, key=str)
    if len(symbols) != 1 or not terms:
        return None
    symbol = symbols[0]
    common = sympy.Poly(0, symbol)
    for term in terms:
        numerator = sympy.numer(sympy.together(term.coefficient))
        if not numerator.is_polynomial(symbol):
            return None
        common = sympy.gcd(common, sympy.Poly(numerator, symbol))
    roots = [-f.nth(0) / f.nth(1) for f, _ in common.factor_list()[1] if f.degree() == 1]
    if not roots or any(not root.is_Rational for root in roots):
        return None
    return f"{symbol} = {', '.join(str(root) for root in sorted(roots))}"
