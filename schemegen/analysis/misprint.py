"""Which single coefficient, written differently, would make an order claim true.

A tableau copied with one wrong digit or sign fails its order conditions; for each coefficient in turn the
conditions are polynomials in that coefficient alone, and their common roots are the values that satisfy all
of them. Two coefficients of a row that changed places are tried where no single one will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import sympy
from flint import fmpq, fmpq_poly

from schemegen.diagnostics import Span
from schemegen.scheme.model import Multistep, Scheme, Tableau, Tableaus
from schemegen.series.trees import Trees, rooted_trees

__all__ = ["Misprint", "misprint"]

MOST_NODES = 8
X = fmpq_poly([0, 1])


@dataclass(frozen=True, slots=True)
class Misprint:
    """``name`` (``a[3,2]``) with ``value`` in the place ``span`` is needed for every condition to hold."""

    name: str
    value: sympy.Rational
    span: Span | None


@dataclass(frozen=True, slots=True)
class Place:
    """A coefficient: its row in the table (-1: the weights), its column, its name and where it is written."""

    row: int
    column: int
    name: str
    span: Span | None


def misprint(scheme: Scheme, wanted: int, *, embedded: bool = False) -> tuple[Misprint, ...]:
    """Return the one coefficient, or the two of a row, that alone stand between ``scheme`` and an order.

    Nothing where there is no such coefficient or more than one (or more than one value), where the
    coefficients are not rational, and where the update is not one tableau or multistep formula of one drift.
    Abscissae that were written decide between several candidates.
    """
    if len(scheme.drifts) != 1 or len(scheme.states) != 1 or wanted > MOST_NODES:
        return ()
    if scheme.damping is not None or scheme.noises:
        return ()
    match scheme.update:
        case Tableaus(parts=(part,)):
            found = _of_tableau(part.tableau, wanted, embedded)
        case Multistep() as multistep if not embedded:
            found = list(_of_multistep(multistep, wanted))
        case _:
            return ()
    return found[0] if len(found) == 1 else ()


Table = Sequence[Sequence[fmpq_poly]]
Written = tuple[tuple[Place, fmpq], ...]
Change = tuple[Misprint, ...]


# --- Runge-Kutta --------------------------------------------------------------------------------------


def _of_tableau(tableau: Tableau, wanted: int, embedded: bool) -> list[Change]:
    weights = tableau.b_hat if embedded else tableau.b
    if weights is None or not _rational((*weights, *(x for row in tableau.a for x in row))):
        return []
    table = [[_poly(value) for value in row] for row in (*tableau.a, weights)]
    found = list(_single(table, tableau, wanted, embedded)) or list(
        _swapped(table, tableau, wanted, embedded)
    )
    consistent = [item for item in found if _fits_abscissae(tableau, item)]
    return [
        tuple(Misprint(p.name, sympy.Rational(int(v.p), int(v.q)), p.span) for p, v in item)
        for item in consistent or found
    ]


def _single(table: Table, tableau: Tableau, wanted: int, embedded: bool) -> Iterator[Written]:
    """Yield each place with each value that satisfies every condition."""
    for place in _places(tableau, embedded):
        changed = [list(row) for row in table]
        changed[place.row][place.column] = X
        for value in _values(_residuals(changed, wanted)):
            yield ((place, value),)


def _swapped(table: Table, tableau: Tableau, wanted: int, embedded: bool) -> Iterator[Written]:
    """Yield each pair of places of a row that satisfies every condition once swapped."""
    places = list(_places(tableau, embedded))
    for index, one in enumerate(places):
        for other in places[index + 1 :]:
            values = table[one.row][one.column], table[other.row][other.column]
            if one.row != other.row or values[0] == values[1]:
                continue
            changed = [list(row) for row in table]
            changed[one.row][one.column], changed[one.row][other.column] = values[1], values[0]
            if not any(_residuals(changed, wanted)):
                yield ((one, values[1][0]), (other, values[0][0]))


def _places(tableau: Tableau, embedded: bool) -> Iterator[Place]:
    stages = tableau.stages
    for row in range(stages):
        last = {"explicit": row, "dirk": row + 1}.get(tableau.kind, stages)
        for column in range(last):
            span = tableau.a_spans[row][column] if tableau.a_spans else None
            yield Place(row, column, f"a[{row + 1},{column + 1}]", span)
    for column in range(stages):
        spans = tableau.b_hat_spans if embedded else tableau.b_spans
        name = "bhat" if embedded else "b"
        yield Place(-1, column, f"{name}[{column + 1}]", spans[column] if spans else None)


def _residuals(table: Table, wanted: int) -> Iterator[fmpq_poly]:
    """Yield ``sum_i b_i Phi_i(t) - 1/gamma(t)`` for all trees; the last row of the table is b.

    Source: Hairer, Norsett, Wanner (1993), theorem II.2.13.
    """
    *rows, weights = table
    trees = rooted_trees(wanted)
    inner: list[list[fmpq_poly]] = []
    outer: list[list[fmpq_poly]] = []
    for tree in range(len(trees)):
        inner.append(_product(trees, tree, outer, len(weights)))
        outer.append([_dot(row, inner[tree]) for row in rows])
        yield _dot(weights, inner[tree]) - fmpq(1, trees.density[tree])


def _product(
    trees: Trees, tree: int, outer: Sequence[Sequence[fmpq_poly]], stages: int
) -> list[fmpq_poly]:
    """Return ``Phi_i(t) = prod over children of (sum_j a_ij Phi_j(child))``, per stage."""
    one = fmpq_poly([1])
    children = trees.children[tree]
    return [prod((outer[child][i] for child in children), start=one) for i in range(stages)]


def _dot(row: Sequence[fmpq_poly], values: Sequence[fmpq_poly]) -> fmpq_poly:
    total = fmpq_poly([0])
    for coefficient, value in zip(row, values, strict=True):
        if coefficient:
            total += coefficient * value
    return total


def _fits_abscissae(tableau: Tableau, change: Written) -> bool:
    """Return whether the row sums, after the change, are the abscissae as written."""
    table = [[fmpq(int(item.p), int(item.q)) for item in row] for row in tableau.a]
    for place, value in change:
        if place.row >= 0:
            table[place.row][place.column] = value
    return all(
        isinstance(c, sympy.Rational) and sum(row, fmpq(0)) == fmpq(int(c.p), int(c.q))
        for row, c in zip(table, tableau.c, strict=True)
    )


# --- linear multistep ---------------------------------------------------------------------------------


def _of_multistep(multistep: Multistep, wanted: int) -> Iterator[Change]:
    (_, beta), *others = multistep.beta
    if others or not _rational((*multistep.alpha, *beta)):
        return
    k = len(multistep.alpha) - 1
    rows = [[_poly(value) for value in multistep.alpha], [_poly(value) for value in beta]]
    for row, label in enumerate(("alpha", "beta")):
        for column in range(k + 1):
            span = multistep.spans[row][column] if multistep.spans else None
            name = f"{label}[{_offset(column)}]"
            changed = [list(item) for item in rows]
            changed[row][column] = X
            for value in _values(_moments(changed, wanted)):
                yield (Misprint(name, sympy.Rational(int(value.p), int(value.q)), span),)


def _offset(column: int) -> str:
    return "n+1" if column == 0 else "n" if column == 1 else f"n-{column - 1}"


def _moments(rows: Table, wanted: int) -> Iterator[fmpq_poly]:
    """Yield ``sum_j alpha_j j^q - q beta_j j^(q-1)`` for ``q = 0 .. wanted``.

    Source: Hairer, Norsett, Wanner (1993), theorem III.2.4.
    """
    alpha, beta = rows
    k = len(alpha) - 1
    for q in range(wanted + 1):
        total = fmpq_poly([0])
        for column in range(k + 1):
            j = k - column
            total += alpha[column] * j**q
            if q:
                total -= beta[column] * (q * j ** (q - 1))
        yield total


# --- one unknown --------------------------------------------------------------------------------------


def _values(residuals: Iterator[fmpq_poly]) -> list[fmpq]:
    """Return the rational common roots of the residuals, none as soon as there cannot be any."""
    common = fmpq_poly([0])
    for residual in residuals:
        common = common.gcd(residual) if common else residual
        if common and common.degree() == 0:
            return []
    if not common:
        return []
    _, factors = common.factor()
    return [-factor[0] / factor[1] for factor, _ in factors if factor.degree() == 1]


def _poly(value: sympy.Expr) -> fmpq_poly:
    return fmpq_poly([fmpq(int(value.p), int(value.q))])


def _rational(values: Sequence[sympy.Expr]) -> bool:
    return all(isinstance(value, sympy.Rational) for value in values)
