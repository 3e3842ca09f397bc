"""All solutions of polynomial equations in the symbols of a scheme, as families that one can read.

A symbol that occurs linearly is solved for (``a21 = 1/(2*b2)``); where its factor may vanish, both cases are
followed. Products are split into their factors. What is left is brought to a Groebner basis: 1 proves that
there is no solution, one symbol alone gives its real roots. So the families together are exactly the real
solutions, except where a family still carries equations of its own (``rest``).

Source: Cox, Little, O'Shea (2015), Ideals, Varieties, and Algorithms, 2.8 and 3.1; Wu's triangular sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import flint
import sympy

from schemegen.analysis.polynomials import Polynomial, Space
from schemegen.analysis.reals import RealField, Root, distinct_roots
from schemegen.exact import canonical, is_zero
from schemegen.scheme.expressions import format_exact

__all__ = ["Family", "TooLargeError", "quotient_put", "solve"]

MOST_BRANCHES = 400
FEW, SHORT = 8, 800  # families and characters among which repeated families are looked for
MOST_TERMS = 16  # of a quotient that is factored
MOST_BASIS = (60, 200, 2000)  # polynomials of a basis, their terms, the bits of a coefficient


class TooLargeError(Exception):
    """The system has more cases than are followed."""


@dataclass(frozen=True)
class Family:
    """``values[s] = expression`` for solved symbols, ``rest = 0`` and ``excluded != 0`` for the others."""

    space: Space
    values: tuple[tuple[sympy.Symbol, sympy.Expr], ...] = ()
    rest: tuple[Polynomial, ...] = ()
    excluded: tuple[Polynomial, ...] = ()

    @property
    def text(self) -> str:
        """Return ``a21 = 1/(2*b2), b1 = 1 - b2, b2 != 0``; empty where every value is a solution."""
        solved = [f"{s.name} = {format_exact(e)}" for s, e in self.values]
        solved += [self._left(p) for p in self.rest]
        solved += [self.space.relation(p, "!=") for p in self.excluded]
        return ", ".join(solved)

    def _left(self, polynomial: Polynomial) -> str:
        used = self.space.used(polynomial)
        text = self.space.relation(polynomial, "=")
        if len(used) != 1:
            return text
        roots = _real_roots(self.space, polynomial, used[0])
        near = ", ".join(f"{root.number():.9g}" for root in roots)
        return f"{text} ({self.space.symbols[used[0]].name} near {near})"


@dataclass(frozen=True)
class _Case:
    equations: tuple[Polynomial, ...]
    nonzero: tuple[Polynomial, ...]
    solved: tuple[tuple[int, Polynomial, Polynomial], ...] = ()
    based: bool = False


def solve(
    space: Space, equations: Sequence[Polynomial], nonzero: Sequence[Polynomial] = ()
) -> tuple[Family, ...]:
    """Return families whose union is the real set ``equations = 0, nonzero != 0``; none: it is empty.

    Raises:   TooLargeError.
    """
    start = _Case(tuple(equations), tuple(q for p in nonzero for q in space.factors(p)))
    pending, leaves, count = [start], [], 0
    while pending:
        count += 1
        if count > MOST_BRANCHES:
            raise TooLargeError("the equations fall into too many cases")
        step = _advanced(space, pending.pop())
        if isinstance(step, _Case):
            leaves.append(step)
        else:
            pending.extend(reversed(step))
    families = [family for leaf in leaves for family in _families(space, leaf)]
    small = len(families) <= FEW and sum(len(family.text) for family in families) <= SHORT
    return tuple(_without_contained(space, families) if small else families)


def _advanced(space: Space, case: _Case) -> _Case | list[_Case]:
    """Return the cases that follow, or the case itself where nothing is left to do."""
    known = case.nonzero
    equations: list[list[Polynomial]] = []
    for equation in case.equations:
        if not equation:
            continue
        factors = [q for q in space.factors(equation) if q not in known]
        if not factors:
            return []
        if factors not in equations:
            equations.append(factors)
    choice = _linear(space, equations, known)
    if choice is not None and choice[0]:
        _, index, above, below = choice
        flat = _multiplied(equations)
        return _put(space, replace(case, equations=tuple(flat)), index, above, below)
    branching = next((factors for factors in equations if len(factors) > 1), None)
    if branching is not None:
        others = _multiplied([item for item in equations if item is not branching])
        return [replace(case, equations=(q, *others), based=False) for q in branching]
    flat = _multiplied(equations)
    if choice is not None:
        _, index, above, below = choice
        zero = replace(case, equations=(*flat, below, above), based=False)
        nonzero = (*case.nonzero, *(q for q in space.factors(below) if q not in known))
        return [*_put(space, _Case(tuple(flat), nonzero, case.solved), index, above, below), zero]
    if case.based or len(flat) < 2:
        return replace(case, equations=tuple(flat))
    basis = _basis(space, flat, case.nonzero)
    return [replace(case, equations=tuple(basis), based=True)]


def _multiplied(equations: Sequence[Sequence[Polynomial]]) -> list[Polynomial]:
    found = []
    for factors in equations:
        total = factors[0]
        for factor in factors[1:]:
            total = total * factor
        found.append(total)
    return found


def _linear(
    space: Space, equations: Sequence[Sequence[Polynomial]], known: Sequence[Polynomial]
) -> tuple[bool, int, Polynomial, Polynomial] | None:
    """Return ``(safe, symbol, above, below)`` of the simplest ``symbol = above/below``.

    ``safe``: ``below`` vanishes nowhere. Products are looked at only where nothing else is left.
    """
    best: tuple[tuple[object, ...], tuple[bool, int, Polynomial, Polynomial]] | None = None
    for factors in equations:
        if len(factors) > 1:
            continue
        (polynomial,) = factors
        for index in space.used(polynomial):
            parts = space.parts(polynomial, index)
            if len(parts) != 2:
                continue
            below = parts[1]
            safe = all(q in known for q in space.factors(below))
            size = len(below.to_dict()) * max(1, int(below.total_degree()))
            weight = (not safe, bool(space.used(below)), size, len(parts[0].to_dict()), index)
            if best is None or weight < best[0]:
                best = (weight, (safe, index, -parts[0], below))
    return None if best is None else best[1]


def _put(
    space: Space, case: _Case, index: int, above: Polynomial, below: Polynomial
) -> list[_Case]:
    """Put ``symbol = above/below`` everywhere; no case where something that must not vanish does."""
    equations = tuple(space.put(p, index, above, below) for p in case.equations)
    nonzero: list[Polynomial] = []
    for item in case.nonzero:
        moved = space.put(item, index, above, below)
        if not moved:
            return []
        nonzero += [q for q in space.factors(moved) if q not in nonzero]
    solved = []
    for other, top, bottom in case.solved:
        x, y = quotient_put(space, top, bottom, index, above, below)
        solved.append((other, x, y))
    solved.append((index, above, below))
    return [_Case(equations, tuple(nonzero), tuple(solved))]


def quotient_put(
    space: Space,
    top: Polynomial,
    bottom: Polynomial,
    index: int,
    above: Polynomial,
    below: Polynomial,
) -> tuple[Polynomial, Polynomial]:
    x, y = space.put(top, index, above, below), space.put(bottom, index, above, below)
    gap = len(space.parts(top, index)) - len(space.parts(bottom, index))
    x, y = x * below ** max(-gap, 0), y * below ** max(gap, 0)
    common = x.gcd(y)
    return (x / common, y / common) if x else (x, space.constant(1))


def _basis(
    space: Space, equations: Sequence[Polynomial], nonzero: Sequence[Polynomial]
) -> list[Polynomial]:
    """Return a reduced Groebner basis (lexicographic) of the equations and ``t prod(nonzero) = 1``."""
    count = len(space.symbols)
    names = ["t", *(f"x{i}" for i in range(count))]
    context = flint.fmpz_mpoly_ctx.get(names, "lex")
    items = []
    for polynomial in equations:
        whole = space.primitive(polynomial)
        items.append(
            context.from_dict({(0, *map(int, e)): int(c.p) for e, c in whole.to_dict().items()})
        )
    shared = space.constant(1)
    for polynomial in nonzero:
        shared = shared * polynomial
    if space.used(shared):
        terms = {(1, *map(int, e)): int(c.p) for e, c in space.primitive(shared).to_dict().items()}
        items.append(context.from_dict({**terms, (0,) * (count + 1): -1}))
    basis: Any
    basis, complete = flint.fmpz_mpoly_vec(items, context).buchberger_naive(limits=MOST_BASIS)
    if not complete:
        raise TooLargeError("the Groebner basis grows too large")
    found = []
    for polynomial in basis.autoreduction():
        terms = polynomial.to_dict()
        if not any(int(exponents[0]) for exponents in terms):
            moved = {tuple(map(int, e[1:])): flint.fmpq(int(c)) for e, c in terms.items()}
            found.append(space.context.from_dict(moved))
    return found


# --- from a case to families -------------------------------------------------------------------------


def _families(space: Space, case: _Case) -> list[Family]:
    """Name the roots of equations in one symbol; no family where one of them has no real root."""
    solved = tuple(
        (space.symbols[index], _quotient(space, top, bottom)) for index, top, bottom in case.solved
    )
    rest, choices = [], []
    for polynomial in case.equations:
        used = space.used(polynomial)
        if len(used) == 1:
            roots = _real_roots(space, polynomial, used[0])
            exact = [root.exact() for root in roots]
            if not roots:
                return []
            if all(item is not None for item in exact):
                choices.append([(space.symbols[used[0]], item) for item in exact])
                continue
        elif _never_zero(polynomial):
            return []
        rest.append(polynomial)
    found = []
    for choice in product(*choices):
        numbers = dict(choice)
        excluded = _excluded(space, case.nonzero, numbers)
        if excluded is None:
            continue
        values = [(s, _put_numbers(e, numbers)) for s, e in solved]
        moved = [_moved(space, p, numbers) for p in rest]
        if any(item is None for item in moved):
            raise TooLargeError("an equation has algebraic coefficients")
        everything = sorted([*values, *choice], key=lambda pair: pair[0].name)
        found.append(Family(space, tuple(everything), tuple(moved), excluded))
    return found


def _quotient(space: Space, top: Polynomial, bottom: Polynomial) -> sympy.Expr:
    """Return a quotient as one reads it: short ones factored, the denominator's content taken out."""
    content = space.content(bottom)
    top, bottom = top / content, bottom / content
    above, below = space.expression(top), space.expression(bottom)
    short = len(top.to_dict()) + len(bottom.to_dict()) <= MOST_TERMS
    if below == 1 or not short:
        return above / below
    return sympy.factor(above) / sympy.factor(below)


def _put_numbers(expression: sympy.Expr, numbers: dict[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    if not numbers or not expression.free_symbols & numbers.keys():
        return expression
    return canonical(expression.xreplace(numbers))


def _moved(
    space: Space, polynomial: Polynomial, numbers: dict[sympy.Symbol, sympy.Expr]
) -> Polynomial | None:
    symbols = {space.symbols[i] for i in space.used(polynomial)}
    if not symbols & numbers.keys():
        return polynomial
    try:
        return space.polynomial(_put_numbers(space.expression(polynomial), numbers))
    except ValueError:
        return None


def _excluded(
    space: Space, nonzero: Sequence[Polynomial], numbers: dict[sympy.Symbol, sympy.Expr]
) -> tuple[Polynomial, ...] | None:
    """Return what must not vanish for the values left; None where it does at these numbers."""
    kept: list[Polynomial] = []
    for item in nonzero:
        polynomial, expression = item, space.expression(item)
        if expression.free_symbols & numbers.keys():
            expression = _put_numbers(expression, numbers)
            if is_zero(expression):
                return None
            moved = _moved(space, item, numbers)
            if moved is None:
                raise TooLargeError("a condition has algebraic coefficients")
            polynomial = moved
        for factor in space.factors(polynomial):
            used = space.used(factor)
            real = len(used) > 1 or bool(_real_roots(space, factor, used[0]))
            if real and not _never_zero(factor) and factor not in kept:
                kept.append(factor)
    return tuple(kept)


def _real_roots(space: Space, polynomial: Polynomial, index: int) -> list[Root]:
    ascending = [
        sympy.QQ(int(part.leading_coefficient().p), int(part.leading_coefficient().q))
        if part
        else sympy.QQ(0)
        for part in space.parts(polynomial, index)
    ]
    return distinct_roots(RealField(sympy.QQ), [ascending])


def _never_zero(polynomial: Polynomial) -> bool:
    """Say whether a polynomial is a sum of even powers of one sign with a constant: no real zero."""
    terms = polynomial.to_dict()
    even = all(int(e) % 2 == 0 for exponents in terms for e in exponents)
    signs = {c > 0 for c in terms.values()}
    constant = any(not any(map(int, exponents)) for exponents in terms)
    return bool(even and constant and len(signs) == 1)


def _without_contained(space: Space, families: Sequence[Family]) -> list[Family]:
    kept: list[Family] = []
    for index, family in enumerate(families):
        others = [*kept, *families[index + 1 :]]
        if not any(_contains(space, other, family) for other in others):
            kept.append(family)
    return kept


def _contains(space: Space, whole: Family, part: Family) -> bool:
    """Say whether every point of ``part`` is one of ``whole``, by substitution; False if not seen."""
    numbers = dict(part.values)
    equations = [symbol - value for symbol, value in whole.values]
    equations += [space.expression(polynomial) for polynomial in whole.rest]
    if not all(_vanishes(expression.xreplace(numbers)) for expression in equations):
        return False
    for polynomial in whole.excluded:
        moved = sympy.fraction(sympy.together(space.expression(polynomial).xreplace(numbers)))[0]
        try:
            factors = space.factors(space.polynomial(sympy.expand(moved)))
        except ValueError:
            return False
        if not factors and _vanishes(moved):
            return False
        if any(q not in part.excluded for q in factors):
            return False
    return True


def _vanishes(expression: sympy.Expr) -> bool:
    """Say whether an expression is identically 0; False too where it divides by 0."""
    try:
        return not expression.has(sympy.nan, sympy.zoo) and is_zero(expression)
    except ZeroDivisionError:
        return False
