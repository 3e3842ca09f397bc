"""Zero-stability with several symbols: the exact set as a union of polynomial inequalities.

Miller's reduction on symbolic coefficients. With the leading coefficient ``l`` and the last one ``c`` of ``p``,
and ``q = (l p - c p*)/zeta``: p satisfies the root condition iff ``l^2 > c^2`` and q satisfies it, or ``q = 0``
and all roots of p' lie inside the circle. The equations ``q = 0`` are solved, so each case is a conjunction.

The powers of a matrix stay bounded iff its minimal polynomial satisfies the condition. That is the characteristic
one wherever a vector ``e`` has independent ``e, M e, M^2 e, ..``; where their determinant vanishes, the matrix is
looked at again with the value that makes it vanish put in.

Source: J. J. H. Miller (1971), On the location of zeros of certain classes of polynomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from schemegen.analysis.linear import LinearStep
from schemegen.analysis.polynomial_systems import TooLargeError, quotient_put, solve
from schemegen.analysis.polynomials import Polynomial, Space
from schemegen.analysis.semialgebraic import (
    Atom,
    Piece,
    Region,
    atoms_of_sign,
    intersection,
    union,
)
from schemegen.analysis.zero_stability import limit_matrix
from schemegen.series.rational_functions import Quotient, RationalFunctions

__all__ = ["root_condition", "symbols_in", "zero_stable_region"]

Matrix = list[list[Any]]
MOST_STEPS = 6
MOST_SYMBOLS = 8


def zero_stable_region(step: LinearStep) -> Region:
    """Return where the powers of the matrix at h = 0 stay bounded.

    Raises:   TooLargeError, OverflowError (too many cases), ValueError (no rational functions over QQ).
    """
    matrix = limit_matrix(step)
    if matrix is None:
        raise ValueError("the step's matrix has no limit known here as h tends to 0")
    if not step.coefficients.number_field.is_QQ:
        raise ValueError("the coefficients have roots and several symbols")
    if step.coefficients.opaque:
        raise ValueError("depends on functions of the symbols")
    space = Space(step.coefficients.symbols)
    if len(space.symbols) > MOST_SYMBOLS or len(matrix) > 2 * MOST_STEPS:
        raise TooLargeError(f"more than {MOST_SYMBOLS} symbols or too many values remembered")
    rows = [[_quotient(space, element) for element in row] for row in matrix]
    apart = [
        Atom(q, "!=")
        for q in _once([q for row in rows for e in row for q in space.factors(e.denominator)])
    ]
    pieces = _bounded(space, rows)
    return union(space, intersection([pieces, [Piece(tuple(apart))]]))


def _once(polynomials: Sequence[Polynomial]) -> list[Polynomial]:
    found: list[Polynomial] = []
    for polynomial in polynomials:
        if polynomial not in found:
            found.append(polynomial)
    return found


def _quotient(space: Space, element: Any) -> Quotient:
    """Move an element of K(z, symbols) that is free of z."""
    above, below = (
        space.converted([(e[1:], c) for e, c in polynomial.terms()])
        for polynomial in (element.numer, element.denom)
    )
    return Quotient(above, below)


# --- matrices --------------------------------------------------------------------------------------------


def _bounded(space: Space, matrix: Matrix, depth: int = 0) -> list[Piece]:
    """Return where the powers of a matrix stay bounded."""
    matrix = _reduced(matrix)
    parts = _components(matrix)
    if len(parts) > 1:
        return intersection([_bounded(space, part, depth) for part in parts])
    if not matrix:
        return [Piece(())]
    ring = RationalFunctions([f"x{i}" for i in range(max(len(space.symbols), 1))])
    polynomial = _characteristic(ring, matrix)
    condition = root_condition(space, polynomial)
    if not space.used(polynomial[-1]):
        condition = intersection([condition, [_necessary(polynomial)]])
    krylov = min((_krylov(ring, matrix, i) for i in range(2 * len(matrix))), key=_weight)
    factors = space.factors(krylov.numerator) if krylov else []
    if krylov and not factors:
        return condition
    if depth > MOST_STEPS or not krylov:
        raise TooLargeError("the matrix has a repeated block for all values")
    pieces = intersection([condition, [Piece(tuple(Atom(q, "!=") for q in factors))]])
    for factor in factors:
        for family in solve(space, [factor]):
            if family.rest or len(family.values) != 1:
                raise TooLargeError("the matrix decomposes on a curve that is not solved for")
            ((symbol, value),) = family.values
            index = space.symbols.index(symbol)
            above, below = space.quotient(value)
            put = [[_put(space, e, index, above, below) for e in row] for row in matrix]
            at = Piece((Atom(factor, "="), *(Atom(q, "!=") for q in family.excluded)))
            pieces += intersection([[at], _bounded(space, put, depth + 1)])
    return pieces


def _put(space: Space, e: Quotient, index: int, above: Polynomial, below: Polynomial) -> Quotient:
    top, bottom = quotient_put(space, e.numerator, e.denominator, index, above, below)
    if not bottom:
        raise TooLargeError("an entry of the matrix has a pole where it decomposes")
    return Quotient(top, bottom)


def _weight(item: Quotient) -> tuple[bool, int]:
    return not item, int(item.numerator.total_degree()) if item else 0


def _reduced(matrix: Matrix) -> Matrix:
    """Leave out values that nothing depends on, and values that are 0 after one step."""
    kept = list(range(len(matrix)))
    while True:
        gone = [
            i
            for i in kept
            if not any(matrix[i][j] for j in kept) or not any(matrix[j][i] for j in kept)
        ]
        if not gone:
            return [[matrix[i][j] for j in kept] for i in kept]
        kept = [i for i in kept if i not in gone]


def _components(matrix: Matrix) -> list[Matrix]:
    """Return the blocks that have nothing to do with one another."""
    left = set(range(len(matrix)))
    found = []
    while left:
        block = {min(left)}
        while True:
            wider = {j for j in left for i in block if i == j or matrix[i][j] or matrix[j][i]}
            if wider == block:
                break
            block = wider
        left -= block
        found.append([[matrix[i][j] for j in sorted(block)] for i in sorted(block)])
    return found


def _characteristic(ring: RationalFunctions, matrix: Matrix) -> list[Polynomial]:
    """Return ``d det(zeta I - M)``, ascending, with the common denominator d (Faddeev and LeVerrier)."""
    n = len(matrix)
    found = [ring.one]
    power = [[ring.zero] * n for _ in range(n)]
    for k in range(1, n + 1):
        for i in range(n):
            power[i][i] = power[i][i] + found[-1]
        power = _product(ring, matrix, power)
        trace = ring.zero
        for i in range(n):
            trace = trace + power[i][i]
        found.append(trace * ring.rational(-1, k))
    common = ring.one.numerator
    for number in found:
        common = common * (number.denominator / common.gcd(number.denominator))
    return [number.numerator * (common / number.denominator) for number in reversed(found)]


def _product(ring: RationalFunctions, left: Matrix, right: Matrix) -> Matrix:
    rows = []
    for row in left:
        out = []
        for j in range(len(right[0])):
            total = ring.zero
            for a, other in zip(row, right, strict=True):
                if a and other[j]:
                    total = total + a * other[j]
            out.append(total)
        rows.append(out)
    return rows


def _krylov(ring: RationalFunctions, matrix: Matrix, start: int) -> Quotient:
    """Return ``det(e, M e, M^2 e, ..)`` for a unit vector e; of the transpose for ``start >= n``."""
    n = len(matrix)
    if start >= n:
        matrix = [list(column) for column in zip(*matrix, strict=True)]
        start -= n
    vector = [[ring.one if i == start else ring.zero] for i in range(n)]
    columns = []
    for _ in range(n):
        columns.append([entry[0] for entry in vector])
        vector = _product(ring, matrix, vector)
    return _determinant(ring, columns)


def _determinant(ring: RationalFunctions, rows: Matrix) -> Quotient:
    rows = [list(row) for row in rows]
    total: Quotient = ring.one
    for column in range(len(rows)):
        pivot = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if pivot is None:
            return ring.zero
        if pivot != column:
            rows[column], rows[pivot] = rows[pivot], rows[column]
            total = -total
        total = total * rows[column][column]
        inverse = ring.inverse(rows[column][column])
        for i in range(column + 1, len(rows)):
            factor = rows[i][column] * inverse
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return total


# --- polynomials -------------------------------------------------------------------------------------------


def root_condition(space: Space, polynomial: Sequence[Polynomial]) -> list[Piece]:
    """Return where ``sum_j polynomial[j] zeta^j`` satisfies the root condition, its last entry not 0."""
    current = _plain(space, polynomial)
    if len(current) == 1:
        return [Piece(())]
    first, last = current[0], current[-1]
    if len(current) == 2:
        return atoms_of_sign(space, last**2 - first**2, ">=")
    reduced = _miller(current)
    inside = intersection([atoms_of_sign(space, reduced[-1], ">")])
    if inside:
        inside = intersection([inside, root_condition(space, reduced)])
    return inside + _circle(space, current, reduced)


def _necessary(polynomial: Sequence[Polynomial]) -> Piece:
    """Return ``p(1) >= 0`` and ``(-1)^n p(-1) >= 0``, which hold wherever the root condition does.

    They add nothing to the set; many impossible cases are seen through them. The leading coefficient is a number.
    """
    n = len(polynomial) - 1
    scale = 1 if polynomial[-1].leading_coefficient() > 0 else -1
    at_one = sum(polynomial[1:], polynomial[0]) * scale
    turned = [item * ((-1) ** (n - j) * scale) for j, item in enumerate(polynomial)]
    return Piece((Atom(at_one, ">="), Atom(sum(turned[1:], turned[0]), ">=")))


def _schur(space: Space, polynomial: Sequence[Polynomial]) -> list[Piece]:
    """Return where all roots lie inside the circle, the leading coefficient not 0."""
    current = _plain(space, polynomial)
    if len(current) == 1:
        return [Piece(())]
    reduced = _miller(current)
    inside = atoms_of_sign(space, current[-1] ** 2 - current[0] ** 2, ">")
    return intersection([inside, _schur(space, reduced)]) if inside else []


def _miller(polynomial: Sequence[Polynomial]) -> list[Polynomial]:
    first, last = polynomial[0], polynomial[-1]
    turned = list(reversed(polynomial))
    return [last * a - first * b for a, b in zip(polynomial, turned, strict=True)][1:]


def _plain(space: Space, polynomial: Sequence[Polynomial]) -> list[Polynomial]:
    """Divide by the common factor, which divides the leading coefficient and so is not 0."""
    common = polynomial[-1]
    for item in polynomial[:-1]:
        common = common.gcd(item) if item else common
    found = [item / common for item in polynomial]
    while len(found) > 1 and not found[0]:
        found = found[1:]
    return found


def _circle(
    space: Space, polynomial: Sequence[Polynomial], reduced: Sequence[Polynomial]
) -> list[Piece]:
    """Return where all roots are simple and on the circle: ``reduced = 0`` and p' has its roots inside."""
    try:
        families = [
            (family, [(space.symbols.index(s), *space.quotient(e)) for s, e in family.values])
            for family in solve(space, list(reduced), [polynomial[-1]])
        ]
    except (TooLargeError, ValueError):  # roots among the values: the equations stay as they are
        slope = [item * j for j, item in enumerate(polynomial)][1:]
        equations = [atoms_of_sign(space, item, "=") for item in reduced]
        return intersection([*equations, _schur(space, slope)])
    pieces: list[Piece] = []
    for family, values in families:
        atoms = [Atom(space.primitive(q), "=") for q in family.rest]
        atoms += [Atom(q, "!=") for q in family.excluded]
        put = list(polynomial)
        for index, above, below in values:
            atoms.append(Atom(space.primitive(space.generator(index) * below - above), "="))
            put = _all_put(space, put, index, above, below)
        slope = [item * j for j, item in enumerate(put)][1:]
        pieces += intersection([[Piece(tuple(atoms))], _schur(space, slope)])
    return pieces


def _all_put(
    space: Space, polynomial: Sequence[Polynomial], index: int, above: Polynomial, below: Polynomial
) -> list[Polynomial]:
    """Put ``symbol = above/below`` into all coefficients, with one common power of ``below``."""
    most = max(len(space.parts(item, index)) for item in polynomial if item)
    return [
        space.put(item, index, above, below) * below ** (most - len(space.parts(item, index)))
        if item
        else item
        for item in polynomial
    ]


def symbols_in(region: Region) -> tuple[sympy.Symbol, ...]:
    """Return the symbols that the set depends on."""
    used = {
        index
        for piece in region.pieces
        for atom in piece.atoms
        for index in region.space.used(atom.polynomial)
    }
    return tuple(region.space.symbols[index] for index in sorted(used))
