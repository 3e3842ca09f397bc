"""A- and L-stability of a one-step method with several symbols, for at most two poles.

``E(w) = |D(iy)|^2 - |N(iy)|^2``, ``w = y^2``, is then ``w^k`` times a polynomial of degree at most 2 that must not
be negative for ``w >= 0``, and the poles lie to the right iff the coefficients of D alternate in sign. Where the
resultant of N and D vanishes a pole may cancel: there the symbol is put in, and the function looked at again in
lowest terms. Source: Hairer, Wanner (1996), IV.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from schemegen.analysis.polynomial_systems import TooLargeError, solve
from schemegen.analysis.polynomials import Polynomial, Space
from schemegen.analysis.semialgebraic import (
    Atom,
    Piece,
    Region,
    atoms_of_sign,
    intersection,
    union,
)

__all__ = ["stable_regions"]

MOST_POLES = 2
MOST_SYMBOLS = 6
DEPTH = 6


def stable_regions(
    numerator: Sequence[sympy.Expr], denominator: Sequence[sympy.Expr]
) -> tuple[Region, Region]:
    """Return where ``R = N/D`` (ascending in z, rational in the symbols) is A-stable and L-stable.

    Raises:   TooLargeError, OverflowError, ValueError (no rational functions over QQ).
    """
    symbols = {s for c in (*numerator, *denominator) for s in c.free_symbols}
    if len(symbols) > MOST_SYMBOLS:
        raise TooLargeError(f"more than {MOST_SYMBOLS} symbols")
    z = sympy.Dummy("z")
    space = Space((*sorted(symbols, key=lambda s: s.name), z))
    fractions = [
        space.quotient(sum((c * z**i for i, c in enumerate(p)), sympy.Integer(0)))
        for p in (numerator, denominator)
    ]
    (above, top), (below, bottom) = fractions
    poles = [q for p in (top, bottom) for q in space.factors(p)]
    apart = Piece(tuple(Atom(q, "!=") for q in poles))
    a_pieces, l_pieces = _stable(space, above * bottom, below * top, DEPTH)
    return tuple(  # type: ignore[return-value]
        union(space, intersection([pieces, [apart]])) for pieces in (a_pieces, l_pieces)
    )


def _stable(
    space: Space, above: Polynomial, below: Polynomial, depth: int
) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces for the function above/below, reduced to lowest terms first."""
    common = above.gcd(below)
    above, below = above / common, below / common
    z = len(space.symbols) - 1
    n, d = space.parts(above, z), space.parts(below, z)
    if len(d) - 1 > MOST_POLES or len(n) > len(d) + 1:
        raise TooLargeError("more than two poles and several symbols")
    size = max(len(n), len(d))
    n += [space.constant(0)] * (size - len(n))
    d += [space.constant(0)] * (size - len(d))
    good = _not_negative(space, _axis(space, d, n))
    a_pieces, l_pieces = [], []
    for degree in range(len(d)):
        poles = _poles_right(space, d, degree)
        a_pieces += intersection([good, poles])
        vanish = [atoms_of_sign(space, item, "=") for item in n[degree:]]
        l_pieces += intersection([good, poles, *vanish])
    for factor in _cancelling(space, above, below, z):
        if depth == 0:
            raise TooLargeError("a pole cancels in too many ways")
        for family in solve(space, [factor]):
            if family.rest or len(family.values) != 1:
                raise TooLargeError("a pole cancels on a curve that is not solved for")
            ((symbol, value),) = family.values
            index = space.symbols.index(symbol)
            put = [
                space.put(p, index, *space.quotient(value)) * scale
                for p, scale in _scaled(space, above, below, index, space.quotient(value)[1])
            ]
            if not put[1]:
                continue
            at = Piece((Atom(factor, "="), *(Atom(q, "!=") for q in family.excluded)))
            a_own, l_own = _stable(space, put[0], put[1], depth - 1)
            a_pieces += intersection([[at], a_own])
            l_pieces += intersection([[at], l_own])
    return a_pieces, l_pieces


def _scaled(
    space: Space, above: Polynomial, below: Polynomial, index: int, bottom: Polynomial
) -> list[tuple[Polynomial, Polynomial]]:
    """Return both polynomials with the power of ``bottom`` that makes their clearing the same."""
    sizes = [len(space.parts(p, index)) for p in (above, below)]
    return [
        (p, bottom ** (max(sizes) - size)) for p, size in zip((above, below), sizes, strict=True)
    ]


def _cancelling(space: Space, above: Polynomial, below: Polynomial, z: int) -> list[Polynomial]:
    """Return the factors of the resultant in z: where N and D can have a root in common."""
    if not above or below.degrees()[z] == 0:
        return []
    if above.degrees()[z] == 0:
        return space.factors(above)
    return space.factors(above.resultant(below, f"x{z}"))


def _axis(space: Space, d: Sequence[Polynomial], n: Sequence[Polynomial]) -> list[Polynomial]:
    """Return E, ascending in w = y^2, without its leading zeros."""
    total = [space.constant(0)] * len(d)
    for polynomial, sign in ((d, 1), (n, -1)):
        for i, a in enumerate(polynomial):
            for j, b in enumerate(polynomial):
                if (i - j) % 2 == 0:
                    total[(i + j) // 2] += a * b * (sign * (-1) ** ((i - j) // 2 % 2))
    while total and not total[-1]:
        total.pop()
    while total and not total[0]:
        total.pop(0)
    return total


def _not_negative(space: Space, e: Sequence[Polynomial]) -> list[Piece]:
    """Return where a polynomial of degree at most 2 is not negative for w >= 0."""
    if not e:
        return [Piece(())]
    ends = [atoms_of_sign(space, e[0], ">="), atoms_of_sign(space, e[-1], ">=")]
    if len(e) <= 2:
        return intersection(ends)
    if len(e) > 3:
        raise TooLargeError("E has a degree above 2 and several symbols")
    rising = atoms_of_sign(space, e[1], ">=")
    no_roots = atoms_of_sign(space, 4 * e[0] * e[2] - e[1] ** 2, ">=")
    return intersection([*ends, rising]) + intersection([*ends, no_roots])


def _poles_right(space: Space, d: Sequence[Polynomial], degree: int) -> list[Piece]:
    """Return where D has this degree and all its roots to the right: its coefficients alternate."""
    if degree > MOST_POLES:
        return []
    conditions = [atoms_of_sign(space, d[0], "!=")]
    for j in range(1, degree + 1):
        conditions.append(atoms_of_sign(space, d[0] * d[j] * (-1) ** j, ">"))
    conditions += [atoms_of_sign(space, item, "=") for item in d[degree + 1 :]]
    return intersection(conditions)
