"""Order, order conditions and errors: the series of a step against the exact flow of its own limit."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import sympy

from schemegen.analysis.expansion_model import Failure
from schemegen.analysis.model import Exact, OrderCondition, TreeTerm
from schemegen.analysis.reading import Reading
from schemegen.series import Number, exponential

__all__ = [
    "collected",
    "conditions",
    "exact_flow",
    "fails_at",
    "first_failure",
    "limit_field",
    "local_error",
    "series_order",
    "stage_orders",
]

Collected = dict[tuple[str, int], Number]


def collected(reading: Reading, numbers: Sequence[Number], nodes: int) -> Collected:
    """Sum ``a(t)/sigma(t)`` over the trees of one level with the same differential; zeros left out."""
    trees, ring = reading.trees, reading.ring
    sums: Collected = {}
    for tree in trees.level(nodes):
        if numbers[tree]:
            symmetry = trees.symmetry[tree]
            number = numbers[tree]
            if symmetry > 1:
                number = number * ring.rational(1, symmetry)
            key = trees.differential(tree)
            sums[key] = sums[key] + number if key in sums else number
    return {key: number for key, number in sums.items() if number}


def fails_at(reading: Reading, nodes: int) -> bool:
    """Say whether the modified field differs from its limit by terms of ``nodes`` nodes.

    The step is then of order ``nodes - 1``: exp(L_b) and exp(L_b1) first differ at that level too.
    """
    return any(
        collected(reading, reading.field.coefficients[state], nodes)
        for state in range(len(reading.skeleton.principal))
    )


def limit_field(reading: Reading) -> list[list[Number]]:
    """Return the field at h = 0: the coefficients of single nodes, zero beyond."""
    zero = reading.ring.zero
    first = len(reading.trees.level(1))
    rest = [zero] * (len(reading.trees) - first)
    return [numbers[:first] + rest for numbers in reading.field.coefficients]


def exact_flow(reading: Reading, nodes: int) -> list[list[Number]]:
    """Return the series of the exact flow of the limit over one step, per state."""
    return exponential(reading.trees, reading.ring, limit_field(reading), nodes)


def numerical_flow(reading: Reading, state: int) -> list[Number]:
    """Return the series of one step on the solutions that tend to the limit."""
    return reading.values[f"{reading.skeleton.principal[state]}[n+1]"]


def series_order(
    reading: Reading, values: Sequence[Number], exact: Sequence[Number], nodes: int
) -> int:
    """Return the largest q up to ``nodes`` such that ``values`` and ``exact`` agree to q nodes."""
    for n in range(1, nodes + 1):
        level = reading.trees.level(n)
        difference = [reading.ring.zero] * level.start
        difference += [values[t] - exact[t] for t in level]
        if collected(reading, difference, n):
            return n - 1
    return nodes


def _scale(reading: Reading, state: int, tree: int) -> Number | None:
    """Return the product of the limit's coefficients over the nodes of a tree, None where it is zero."""
    trees, field = reading.trees, reading.field.coefficients
    own = field[state][trees.leaf(trees.colour[tree])]
    total = own
    for key in trees.children[tree]:
        child, slot = divmod(key, trees.states)
        factor = _scale(reading, slot, child)
        if factor is None:
            return None
        total = total * factor
    return total if total else None


def conditions(
    reading: Reading, exact: Sequence[Sequence[Number]], nodes: int
) -> tuple[OrderCondition, ...]:
    """Return ``a(t) - 1/gamma(t)`` for all trees of up to ``nodes`` nodes, fields scaled by the limit.

    A tree that the limit does not have is a condition ``a(t) = 0``.
    """
    found = []
    for state, name in enumerate(reading.skeleton.principal):
        values = numerical_flow(reading, state)
        for n in range(1, nodes + 1):
            for tree in reading.trees.level(n):
                if reading.trees.colour[tree] in reading.trees.allowed[state]:
                    weight, needed = _weights(reading, state, tree, values, exact[state])
                    text = reading.trees.text(tree)
                    residual = reading.coefficients.expression(weight - needed)
                    found.append(OrderCondition(name, text, n, residual))
    return tuple(found)


def _weights(
    reading: Reading, state: int, tree: int, values: Sequence[Number], exact: Sequence[Number]
) -> tuple[Number, Number]:
    scale = _scale(reading, state, tree)
    if scale is None:
        return values[tree], exact[tree]
    inverse = reading.ring.inverse(scale)
    return values[tree] * inverse, exact[tree] * inverse


def first_failure(
    reading: Reading,
    exact: Sequence[Sequence[Number]],
    nodes: int,
    result: str = "{}[n+1]",
) -> Failure | None:
    """Return the first tree of ``nodes`` nodes whose weight is not what the exact flow needs.

    ``result`` names the value that a state ends with: the new state, or the embedded solution.
    """
    expression = reading.coefficients.expression
    for state, name in enumerate(reading.skeleton.principal):
        values = reading.values.get(result.format(name))
        if values is None:
            continue
        for tree in reading.trees.level(nodes):
            if values[tree] - exact[state][tree]:
                weight, needed = _weights(reading, state, tree, values, exact[state])
                text = reading.trees.text(tree)
                return Failure(name, text, nodes, expression(weight), expression(needed))
    return None


def local_error(
    reading: Reading, exact: Sequence[Sequence[Number]], nodes: int
) -> tuple[tuple[TreeTerm, ...], tuple[Exact, float] | None]:
    """Return the error of one step at ``h^nodes`` and its Euclidean norm where it is a number.

    The coefficients are those in front of the differentials. Source: Hairer, Norsett, Wanner (1993), II.3;
    Prince and Dormand (1981) for the norm.
    """
    terms = []
    numbers = True
    for state in range(len(reading.skeleton.principal)):
        values = numerical_flow(reading, state)
        level = reading.trees.level(nodes)
        difference = [reading.ring.zero] * level.start
        difference += [values[t] - exact[state][t] for t in level]
        for (text, size), number in collected(reading, difference, nodes).items():
            for degree, part in reading.coefficients.powers_of_scaled(number):
                terms.append(TreeTerm(text, size, nodes - degree, part))
                numbers = numbers and not part.free_symbols
    if not numbers or not terms:
        return tuple(terms), None
    norm = sympy.sqrt(sympy.expand(sum(term.coefficient**2 for term in terms)))
    return tuple(terms), (norm, float(norm.evalf(20)))


def stage_orders(
    reading: Reading, exact: Sequence[Sequence[Number]], nodes: int
) -> tuple[tuple[str, int], ...]:
    """Return, per stage, to how many nodes it is the exact solution at some ``t + c h``.

    Values that are a state of this or an earlier step are left out, and so is the new state of a
    multistep method.
    """
    trees, ring = reading.trees, reading.ring
    found = []
    given = {name for name, _, _ in reading.skeleton.operations.lags}
    states = reading.skeleton.operations.states
    given |= {f"{state}[n]" for state in states}
    if reading.skeleton.operations.lags:
        given |= {f"{state}[n+1]" for state in states}
    for value, state in reading.bases.items():
        if value in given:
            continue
        values = reading.values[value]
        c = _abscissa(reading, values, exact[state])
        if c is None:
            found.append((value, 0))
            continue
        power = [prod([c] * trees.nodes[t], start=ring.one) for t in range(len(trees))]
        scaled = [p * e for p, e in zip(power, exact[state], strict=False)]
        found.append((value, series_order(reading, values, scaled, nodes)))
    return tuple(found)


def _abscissa(reading: Reading, values: Sequence[Number], exact: Sequence[Number]) -> Number | None:
    """Return c with ``values = c exact`` on single nodes, None where there is none."""
    ring = reading.ring
    level = reading.trees.level(1)
    first = next((t for t in level if exact[t]), None)
    if first is None:
        return None
    c = values[first] * ring.inverse(exact[first])
    if any(values[t] - c * exact[t] for t in level):
        return None
    return c
