"""Values of the params at which a scheme has a higher order than for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import sympy

from schemegen.analysis.coefficients import NoSeriesError
from schemegen.analysis.model import Exact, SpecialOrder
from schemegen.analysis.order import collected, fails_at
from schemegen.analysis.reading import Reading
from schemegen.analysis.values import NoSmallStepLimitError
from schemegen.scheme.expressions import format_exact
from schemegen.series.rational_functions import Quotient
from schemegen.step.program import Combine, Evaluate, Program, Solve, Statement, Term

__all__ = ["special_orders", "substituted"]

Reader = Callable[[Program, int, tuple[str, ...]], Reading]


def special_orders(
    program: Program, reading: Reading, failing: int | None, scaled: tuple[str, ...], read: Reader
) -> tuple[SpecialOrder, ...]:
    """Return ``k = 1: order 2`` and the like: real values of one symbol where the failing terms vanish.

    Every value is put back into the program and its order found anew, so that a value at which the limit
    itself changes is not taken on trust. Values are rational or roots of a quadratic.
    """
    generators = reading.coefficients.generators
    if failing is None or len(generators) != 1 or not generators[0].is_Symbol:
        return ()
    symbol = generators[0]
    common = None
    for state in range(len(reading.skeleton.principal)):
        level = collected(reading, reading.field.coefficients[state], failing)
        for number in level.values():
            if not isinstance(number, Quotient):
                return ()
            top = number.numerator
            common = top if common is None else common.gcd(top)
    found = []
    for value in _roots(common, symbol) if common is not None else ():
        order = _order_at(program, symbol, value, failing, scaled, read)
        if order is not None and order >= failing:
            found.append(SpecialOrder(f"{symbol} = {format_exact(value)}", order))
    return tuple(found)


def _roots(polynomial: object, symbol: sympy.Symbol) -> list[Exact]:
    terms = polynomial.to_dict()  # type: ignore[attr-defined]
    p = sympy.Poly(
        {(int(e),): sympy.Rational(int(c.p), int(c.q)) for (e,), c in terms.items()}, symbol
    )
    roots: list[Exact] = []
    for factor, _ in p.factor_list()[1]:
        if factor.degree() <= 2:
            roots.extend(r for r in sympy.roots(factor) if r.is_real)
    return sorted(roots, key=lambda root: sympy.N(root, 30))


def _order_at(
    program: Program,
    symbol: sympy.Symbol,
    value: Exact,
    failing: int,
    scaled: tuple[str, ...],
    read: Reader,
) -> int | None:
    """Return the order of ``program`` at ``symbol = value``, None where it has none."""
    try:
        special = read(substituted(program, {symbol: value}), failing, scaled)
    except (NoSeriesError, NoSmallStepLimitError, ZeroDivisionError):
        return None
    if any(fails_at(special, n) for n in range(2, failing + 1)):
        return None
    while special.nodes < failing + 3:
        special.advance()
        if fails_at(special, special.nodes):
            return special.nodes - 1
    return special.nodes


def substituted(program: Program, values: dict[sympy.Symbol, Exact]) -> Program:
    """Return ``program`` with numbers put in for symbols in every coefficient."""

    def terms(old: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(replace(term, coefficient=term.coefficient.subs(values)) for term in old)

    def statement(old: Statement) -> Statement:
        match old:
            case Combine():
                return replace(old, terms=terms(old.terms))
            case Evaluate():
                return old
            case Solve():
                inner = tuple(statement(s) for s in old.statements)
                guess = tuple(terms(guess) for guess in old.guess)
                return replace(old, statements=inner, guess=guess)  # type: ignore[arg-type]

    return replace(program, statements=tuple(statement(s) for s in program.statements))
