"""Sets in several symbols: unions of conjunctions of polynomial equations and inequalities.

Conjunctions are simplified by what can be proved with linear arithmetic alone, each monomial taken as a
variable of its own: an impossible one is left out, a relation that follows from the others is not printed, an
open face is closed where the rest of the union holds it. What cannot be proved so stays as it is; the set is
the same.

Source: Fourier's and Motzkin's elimination (Schrijver 1986, Theory of Linear and Integer Programming, 12.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import Any

import flint
import sympy

from schemegen.analysis.polynomials import Polynomial, Space
from schemegen.scheme.expressions import format_exact

__all__ = ["Atom", "Piece", "Region", "atoms_of_sign", "covers", "intersection", "union"]

MOST_ROWS = 600
MOST_PIECES = 24
MOST_CASES = 500
FEW_BOUNDS = 5


@dataclass(frozen=True)
class Atom:
    """``polynomial sign 0``; ``sign`` is ``=``, ``!=``, ``>`` or ``>=``."""

    polynomial: Polynomial
    sign: str

    def holds(self, number: Any) -> bool:
        match self.sign:
            case "=":
                return bool(number == 0)
            case "!=":
                return bool(number != 0)
            case ">":
                return bool(number > 0)
            case _:
                return bool(number >= 0)

    @property
    def negations(self) -> tuple[Atom, ...]:
        """Return atoms of which one holds exactly where this one does not."""
        p = self.polynomial
        match self.sign:
            case "=":
                return Atom(p, ">"), Atom(-p, ">")
            case "!=":
                return (Atom(p, "="),)
            case ">":
                return (Atom(-p, ">="),)
            case _:
                return (Atom(-p, ">"),)


@dataclass(frozen=True)
class Piece:
    """All ``atoms`` hold."""

    atoms: tuple[Atom, ...]

    def holds(self, space: Space, values: Sequence[Any]) -> bool:
        """Decide a point with rational coordinates."""
        return all(atom.holds(_value(atom.polynomial, values)) for atom in self.atoms)


@dataclass(frozen=True)
class Region:
    """The union of ``pieces`` in ``space``; none: empty."""

    space: Space
    pieces: tuple[Piece, ...]

    @property
    def everything(self) -> bool:
        return any(not piece.atoms for piece in self.pieces)

    def holds(self, values: Sequence[Any]) -> bool:
        """Decide a point with rational coordinates."""
        return any(piece.holds(self.space, values) for piece in self.pieces)

    @property
    def text(self) -> bool | str:
        """Return ``a2 > -1, a1 + a2 <= 1; or ..``; True for all values, False for none."""
        if self.everything:
            return True
        return "; or ".join(_spelled(self.space, piece) for piece in self.pieces) or False


def _value(polynomial: Polynomial, values: Sequence[Any]) -> Any:
    total = flint.fmpq(0)
    for exponents, c in polynomial.to_dict().items():
        term = c
        for value, power in zip(values, exponents, strict=False):
            term = term * value ** int(power)
        total += term
    return total


def covers(region: Region, atoms: Sequence[Atom]) -> bool:
    """Say whether all points with ``atoms`` are seen to lie in the region, by linear arithmetic."""
    budget = [MOST_CASES]

    def outside_is_empty(known: tuple[Atom, ...], pieces: Sequence[Piece]) -> bool:
        budget[0] -= 1
        if _impossible(known):
            return True
        if not pieces or budget[0] <= 0:
            return False
        first, *rest = pieces
        return all(
            outside_is_empty((*known, negation), rest)
            for atom in first.atoms
            for negation in atom.negations
        )

    return outside_is_empty(tuple(atoms), region.pieces)


def atoms_of_sign(space: Space, polynomial: Polynomial, sign: str) -> list[Piece]:
    """Return pieces for ``polynomial sign 0`` with the polynomial split into its factors."""
    if not space.used(polynomial):
        number = _value(polynomial, [flint.fmpq(0)] * len(space.symbols))
        return [Piece(())] if Atom(polynomial, sign).holds(number) else []
    constant, powers = polynomial.factor()
    factors = [(space.primitive(q), int(n), space.content(q)) for q, n in powers]
    if sign == "=":
        return [Piece((Atom(q, "="),)) for q, _, _ in factors]
    if sign == "!=":
        return [Piece(tuple(Atom(q, "!=") for q, _, _ in factors))]
    negative = constant < 0
    for _, n, scale in factors:
        negative ^= bool(scale < 0 and n % 2)
    odd = [q for q, n, _ in factors if n % 2]
    even = [q for q, n, _ in factors if n % 2 == 0]
    found = []
    for signs in product((1, -1), repeat=len(odd)):
        if (signs.count(-1) % 2 == 1) == negative:
            atoms = [Atom(q * s, sign) for q, s in zip(odd, signs, strict=True)]
            kept = [Atom(q, "!=") for q in even] if sign == ">" else []
            found.append(Piece((*atoms, *kept)))
    if sign == ">=":
        found += [Piece((Atom(q, "="),)) for q in even]
    return found


def intersection(regions: Iterable[Sequence[Piece]]) -> list[Piece]:
    """Return the pieces of a conjunction of unions, without those that are seen to be empty."""
    current = [Piece(())]
    for pieces in regions:
        joined = [Piece(_distinct([*a.atoms, *b.atoms])) for a in current for b in pieces]
        current = [piece for piece in joined if not _impossible(piece.atoms)]
        if len(current) > 8 * MOST_PIECES:
            raise OverflowError("the set falls into too many pieces")
    return current


def _distinct(atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    found: list[Atom] = []
    for atom in atoms:
        if atom not in found:
            found.append(atom)
    return tuple(found)


def union(space: Space, pieces: Sequence[Piece]) -> Region:
    """Return the union, each piece with as few and as closed atoms as can be proved."""
    kept = [Piece(_distinct(_solved(space, piece.atoms))) for piece in pieces]
    kept = [piece for piece in kept if not _impossible(piece.atoms)]
    if len(kept) > MOST_PIECES:
        raise OverflowError("the set falls into too many pieces")
    changed = True
    while changed:
        changed = False
        for index, piece in enumerate(kept):
            others = kept[:index] + kept[index + 1 :]
            if any(_inside(piece, other) for other in others):
                kept, changed = others, True
                break
            wider = _wider(space, piece, others)
            if wider is not None:
                kept, changed = [*kept[:index], wider, *kept[index + 1 :]], True
                break
    return Region(space, tuple(_shortened(piece) for piece in kept))


def _solved(space: Space, atoms: Sequence[Atom]) -> list[Atom]:
    """Put the values that linear equations give into the other atoms; the equations stay."""
    equations: list[Atom] = []
    left = list(atoms)
    while True:
        choice = next(
            (
                (atom, index, parts)
                for atom in left
                if atom.sign == "="
                for index in space.used(atom.polynomial)
                if len(parts := space.parts(atom.polynomial, index)) == 2
                and not space.used(parts[1])
            ),
            None,
        )
        if choice is None:
            return equations + left
        atom, index, (rest, slope) = choice
        value, one = -rest / slope.leading_coefficient(), space.constant(1)

        def put(item: Atom, i: int = index, v: Polynomial = value, o: Polynomial = one) -> Atom:
            moved = space.put(item.polynomial, i, v, o)
            return replace(item, polynomial=_scaled(space, moved) if space.used(moved) else moved)

        equations = [*map(put, equations), atom]
        left = [put(item) for item in left if item is not atom]


def _scaled(space: Space, polynomial: Polynomial) -> Polynomial:
    """Divide by a positive number: coprime integers as coefficients."""
    return polynomial / abs(space.content(polynomial))


def _wider(space: Space, piece: Piece, others: Sequence[Piece]) -> Piece | None:
    """Return the piece with an open face closed that the others hold, None where there is none."""
    for position, atom in enumerate(piece.atoms):
        if atom.sign not in (">", "!="):
            continue
        rest = piece.atoms[:position] + piece.atoms[position + 1 :]
        face = Piece(tuple(_solved(space, (*rest, Atom(atom.polynomial, "=")))))
        if _impossible(face.atoms) or not any(_inside(face, other) for other in others):
            continue
        if atom.sign == "!=":
            return Piece(rest)
        closed = replace(atom, sign=">=")
        return Piece((*piece.atoms[:position], closed, *piece.atoms[position + 1 :]))
    return None


def _inside(piece: Piece, other: Piece) -> bool:
    return all(_follows(piece.atoms, atom) for atom in other.atoms)


def _follows(atoms: Sequence[Atom], atom: Atom) -> bool:
    if atom in atoms:
        return True
    return all(_impossible((*atoms, negation)) for negation in atom.negations)


def _shortened(piece: Piece) -> Piece:
    """Leave out what follows from the other atoms; equations stay first."""
    atoms = sorted(piece.atoms, key=lambda atom: (atom.sign != "=", str(atom.polynomial)))
    for atom in reversed(atoms):
        rest = [other for other in atoms if other is not atom]
        if _follows(rest, atom):
            atoms = rest
    return Piece(tuple(atoms))


# --- linear arithmetic ---------------------------------------------------------------------------------

Row = tuple[dict[tuple[int, ...], Any], bool]  # sum c_m m  > 0 (strict) or >= 0; () is the constant


def _impossible(atoms: Sequence[Atom]) -> bool:
    """Say whether the atoms contradict one another, each monomial a variable; False if not seen."""
    rows: list[Row] = []
    apart = []
    for atom in [*atoms, *_products(atoms)]:
        row = {
            tuple(map(int, e)) if any(map(int, e)) else (): c
            for e, c in atom.polynomial.to_dict().items()
        }
        match atom.sign:
            case "=":
                rows += [(row, False), ({m: -c for m, c in row.items()}, False)]
            case "!=":
                apart.append(row)
            case sign:
                rows.append((row, sign == ">"))
    if _contradiction(rows):
        return True
    for row in apart:  # p != 0 fails where p > 0 and p < 0 are both impossible
        minus = {m: -c for m, c in row.items()}
        if _contradiction([*rows, (row, True)]) and _contradiction([*rows, (minus, True)]):
            return True
    return False


def _products(atoms: Sequence[Atom]) -> list[Atom]:
    """Return products of two bounds: ``-1 < b < 1`` gives ``1 - b^2 > 0``.

    Of different symbols only where there are few: they bound ``a b`` on a box as well as can be (McCormick 1976).
    """
    bounds = []
    for atom in atoms:
        degrees = [int(d) for d in atom.polynomial.degrees()] if atom.sign in (">", ">=") else []
        if sum(degrees) == 1:
            bounds.append((degrees.index(1), atom))
    return [
        Atom(a.polynomial * b.polynomial, ">" if a.sign == b.sign == ">" else ">=")
        for (i, a), (j, b) in combinations_with_replacement(bounds, 2)
        if i == j or len(bounds) <= FEW_BOUNDS
    ]


def _contradiction(rows: Sequence[Row]) -> bool:
    current = list(rows)
    while True:
        if any(_false(row) for row in current):
            return True
        monomials = {m for row, _ in current for m in row if m}
        if not monomials:
            return False
        best = min(sorted(monomials), key=lambda m: _growth(current, m))
        current = _eliminated(current, best)
        if len(current) > MOST_ROWS:
            return False


def _false(row: Row) -> bool:
    terms, strict = row
    if any(terms):
        return False
    number = terms.get((), flint.fmpq(0))
    return bool(number < 0 or (strict and number == 0))


def _growth(rows: Sequence[Row], monomial: tuple[int, ...]) -> int:
    above = sum(1 for row, _ in rows if row.get(monomial, 0) > 0)
    below = sum(1 for row, _ in rows if row.get(monomial, 0) < 0)
    return above * below - above - below


def _eliminated(rows: Sequence[Row], monomial: tuple[int, ...]) -> list[Row]:
    above = [row for row in rows if row[0].get(monomial, 0) > 0]
    below = [row for row in rows if row[0].get(monomial, 0) < 0]
    found = [row for row in rows if not row[0].get(monomial, 0)]
    for (p, p_strict), (q, q_strict) in product(above, below):
        a, b = -q[monomial], p[monomial]
        total = {m: a * p.get(m, 0) + b * q.get(m, 0) for m in {*p, *q}}
        row = {m: c for m, c in total.items() if c and m != monomial}
        if (row, p_strict or q_strict) not in found:
            found.append((row, p_strict or q_strict))
    return found


# --- text ------------------------------------------------------------------------------------------------


def _spelled(space: Space, piece: Piece) -> str:
    """Return the atoms as text; bounds of one symbol make one chain: ``-1 < a2 <= 1``."""
    chains: dict[int, dict[str, tuple[sympy.Expr, str]]] = {}
    texts: list[str | int] = []
    for atom in piece.atoms:
        bound = _bound(space, atom)
        if bound is None:
            texts.append(space.relation(atom.polynomial, atom.sign))
            continue
        index, side, value, sign = bound
        if index not in chains:
            texts.append(index)
        chains.setdefault(index, {})[side] = value, sign
    return ", ".join(
        item if isinstance(item, str) else _chain(space.symbols[item].name, chains[item])
        for item in texts
    )


def _bound(space: Space, atom: Atom) -> tuple[int, str, sympy.Expr, str] | None:
    used = space.used(atom.polynomial)
    if atom.sign not in (">", ">=") or len(used) != 1 or atom.polynomial.total_degree() != 1:
        return None
    zero, slope = (
        sympy.Rational(int(c.p), int(c.q))
        for c in (
            part.leading_coefficient() if part else flint.fmpq(0)
            for part in space.parts(atom.polynomial, used[0])
        )
    )
    return used[0], "low" if slope > 0 else "high", -zero / slope, atom.sign


def _chain(name: str, ends: dict[str, tuple[sympy.Expr, str]]) -> str:
    if "low" in ends and "high" in ends:
        (low, below), (high, above) = ends["low"], ends["high"]
        left = "<" if below == ">" else "<="
        right = "<" if above == ">" else "<="
        return f"{format_exact(low)} {left} {name} {right} {format_exact(high)}"
    side, (value, sign) = next(iter(ends.items()))
    turned = sign if side == "low" else sign.replace(">", "<")
    return f"{name} {turned} {format_exact(value)}"
