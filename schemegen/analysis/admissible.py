"""The exact sets of values of a scheme's symbols: consistent, zero-stable, of order p, A- and L-stable.

And what the declared ranges prove: a range that lies inside a set keeps the property for every value that
training can reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import sympy

from schemegen.analysis.a_stable_region import stable_regions
from schemegen.analysis.model import Admissible, Note, OrderSet, Proof
from schemegen.analysis.order_sets import Level, Orders, symbols_of
from schemegen.analysis.parameter_set import Cell, spelled
from schemegen.analysis.polynomial_systems import Family, TooLargeError
from schemegen.analysis.ranges import (
    box_of,
    point_outside,
    spelled_bounds,
    within,
    within_region,
)
from schemegen.analysis.semialgebraic import Atom, Piece, Region
from schemegen.analysis.stability import LinearAnalysis
from schemegen.analysis.stability_sets import StabilitySets, stability_sets
from schemegen.analysis.stable_region import symbols_in, zero_stable_region
from schemegen.analysis.time_limit import TimeLimitError, time_limit
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Scheme
from schemegen.step.program import Program

__all__ = ["AdmissibleSets", "admissible_sets"]

LIMIT_SECONDS = 3.0  # of the orders, and again of the stability
LONG = 240  # characters of a set in one line; a longer one is given by its equations
LONGEST = 4000


@dataclass
class AdmissibleSets:
    """What was found; ``cells`` (one symbol) and ``regions`` (several) are the sets by claim.

    ``texts`` are regions as they are printed where that is not the text of the region itself.
    """

    found: Admissible | None = None
    notes: list[Note] = field(default_factory=list)
    cells: dict[str, tuple[sympy.Symbol, tuple[Cell, ...]]] = field(default_factory=dict)
    regions: dict[str, Region] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def admissible_sets(
    scheme: Scheme, program: Program, linear: LinearAnalysis, scaled: Sequence[str] = ()
) -> AdmissibleSets:
    """Find every set that can be found in time; what is open is None and has a note.

    Args:   scaled: params that the series takes as ``h`` times a constant, as a damping rate.
    """
    result = AdmissibleSets()
    symbols = symbols_of(program)
    if not symbols:
        result.notes.append(Note("admissible", "no coefficient holds a symbol"))
        return result
    orders = Orders(program, linear.step, symbols)
    if scaled:
        names = " and ".join(f"`{name}`" for name in scaled)
        orders.reason = f"orders are for {names} of the size of h: no value of it is better"
    else:
        _find(orders)
    _zero_stability(result, linear)
    plain, rescaled = (_order_sets(levels) for levels in (orders.plain, orders.rescaled))
    sets = _stability(result, linear)
    _remember_cells(result, linear, sets)
    result.found = Admissible(
        symbols=tuple(symbol.name for symbol in symbols),
        consistent=plain[0].when if plain else None,
        zero_stable=linear.stability.zero_stable,
        order=plain or None,
        order_rescaled=rescaled or None,
        a_stable=_text(result, "A_stable", linear.stability.a_stable),
        l_stable=_text(result, "L_stable", linear.stability.l_stable),
    )
    _remember_orders(result, orders, plain)
    result.found = replace(result.found, proofs=tuple(_proofs(scheme, result)))
    if isinstance(result.found.a_stable, str):
        linear.notes = [note for note in linear.notes if note.key != "stability.A"]
        linear.note("stability.A", f"depends on symbols: A-stable for {result.found.a_stable}")
    result.notes += _notes(result.found, linear, orders, sets)
    return result


def _find(orders: Orders) -> None:
    try:
        with time_limit(LIMIT_SECONDS):
            orders.find()
    except TimeLimitError:
        orders.reason = f"the equations were not solved within {LIMIT_SECONDS:g} s"


def _zero_stability(result: AdmissibleSets, linear: LinearAnalysis) -> None:
    """Fill what is open because it depends on several symbols."""
    if linear.step is None or linear.stability.zero_stable is not None:
        return
    if len(linear.step.coefficients.symbols) < 2:
        return
    reason = None
    try:
        with time_limit(LIMIT_SECONDS):
            region = zero_stable_region(linear.step)
        result.regions["zero_stable"] = region
        text = region.text
        if isinstance(text, str) and len(text) > LONGEST:
            reason = f"the set has {len(region.pieces)} pieces"
        else:
            linear.stability = replace(linear.stability, zero_stable=text)
    except TimeLimitError:
        reason = f"not decided within {LIMIT_SECONDS:g} s"
    except (TooLargeError, OverflowError, ValueError) as error:
        reason = str(error)
    linear.notes = [n for n in linear.notes if n.key != "stability.zero_stable"]
    if reason is not None:
        linear.note("stability.zero_stable", reason)


def _stability(result: AdmissibleSets, linear: LinearAnalysis) -> StabilitySets:
    if linear.step is None:
        return StabilitySets(reason="the step has no linear test")
    if linear.stability.a_stable is not None:
        return StabilitySets()
    numerator, denominator = linear.stability.numerator, linear.stability.denominator
    several = len(linear.step.coefficients.field.gens) > 2
    try:
        with time_limit(LIMIT_SECONDS):
            if several and numerator is not None and denominator is not None:
                a_stable, l_stable = stable_regions(numerator, denominator)
                result.regions |= {"A_stable": a_stable, "L_stable": l_stable}
                return StabilitySets()
            return stability_sets(linear.step)
    except (TooLargeError, OverflowError, ValueError) as error:
        return StabilitySets(reason=str(error))
    except TimeLimitError:
        return StabilitySets(reason=f"not decided within {LIMIT_SECONDS:g} s")


def _remember_cells(result: AdmissibleSets, linear: LinearAnalysis, sets: StabilitySets) -> None:
    if linear.zero_stable_symbol is not None and linear.zero_stable_cells:
        symbol = sympy.Symbol(linear.zero_stable_symbol)
        result.cells["zero_stable"] = symbol, linear.zero_stable_cells
    for claim, cells in (("A_stable", sets.a_stable), ("L_stable", sets.l_stable)):
        if sets.symbol is not None and cells is not None:
            result.cells[claim] = sets.symbol, cells


def _remember_orders(result: AdmissibleSets, orders: Orders, sets: Sequence[OrderSet]) -> None:
    """Keep the sets of orders for the ranges; order 1 is consistency."""
    for level, item in zip(orders.plain, sets, strict=True):
        region = _order_region(level.families) if isinstance(item.when, str) else None
        if region is not None:
            claim = "consistent" if level.order == 1 else f"order >= {level.order}"
            result.regions[claim] = region
            result.texts[claim] = str(item.when)


def _text(result: AdmissibleSets, claim: str, decided: bool | None) -> bool | str | None:
    if decided is not None:
        return decided
    if claim in result.cells:
        symbol, cells = result.cells[claim]
        return spelled(cells, symbol.name, format_exact)
    if claim in result.regions:
        text = result.regions[claim].text
        return text if isinstance(text, bool) or len(text) <= LONGEST else None
    return None


# --- order -------------------------------------------------------------------------------------------


def _order_sets(levels: Sequence[Level]) -> tuple[OrderSet, ...]:
    found = []
    equations: list[str] | None = []
    for level in levels:
        texts = tuple(family.text for family in level.families if family.text)
        when: bool | str | None
        if level.conditions and equations is not None:
            equations = [*equations, *level.conditions]
        elif not level.conditions and not _everywhere(level):
            equations = None
        if _everywhere(level):
            when = True
        elif not texts:
            when = False
        else:
            when = _joined(texts, equations)
        kept = texts if sum(map(len, texts)) <= LONGEST else ()
        found.append(OrderSet(level.order, when, level.conditions, kept))
    return tuple(found)


def _everywhere(level: Level) -> bool:
    return any(not f.values and not f.rest and not f.excluded for f in level.families)


def _joined(texts: Sequence[str], equations: Sequence[str] | None) -> str | None:
    """Return the families in one line, the equations where that is too long, None where both are."""
    separator = "; or " if any("," in text for text in texts) else " or "
    whole = separator.join(texts)
    if len(whole) <= LONG:
        return whole
    plain = ", ".join(equations or ())
    return plain if equations and len(plain) <= LONG else None


# --- ranges ------------------------------------------------------------------------------------------


def _proofs(scheme: Scheme, sets: AdmissibleSets) -> Iterator[Proof]:
    """Yield a line for each set that the declared range lies in."""
    for claim, (symbol, cells) in sets.cells.items():
        own = box_of(scheme.params, [symbol])
        bounds = own[symbol] if own else None
        if bounds is None or not within(bounds, cells):
            continue
        text = spelled(cells, symbol.name, format_exact)
        if isinstance(text, str):
            yield Proof(claim, spelled_bounds(bounds, symbol.name), text)
    for claim, region in sets.regions.items():
        box = box_of(scheme.params, symbols_in(region))
        whole = sets.texts.get(claim, region.text)
        if box and isinstance(whole, str) and within_region(box, region):
            ranges = ", ".join(spelled_bounds(bounds, s.name) for s, bounds in box.items())
            yield Proof(claim, ranges, whole)
        elif claim == "zero_stable" and box and point_outside(box, region) is None:
            text = (
                "neither a proof nor a point outside was found for zero-stability in these ranges"
            )
            sets.notes.append(Note("admissible.proofs", text))


def _order_region(families: Sequence[Family]) -> Region | None:
    """Return the set of an order as equations and inequalities; None where a value is a root."""
    pieces = []
    for family in families:
        space = family.space
        atoms = [Atom(q, "=") for q in family.rest] + [Atom(q, "!=") for q in family.excluded]
        try:
            atoms += [Atom(space.quotient(s - e)[0], "=") for s, e in family.values]
        except ValueError:
            return None
        pieces.append(Piece(tuple(atoms)))
    return Region(families[0].space, tuple(pieces)) if pieces else None


def _notes(
    found: Admissible, linear: LinearAnalysis, orders: Orders, sets: StabilitySets
) -> Iterator[Note]:
    if orders.reason is not None:
        yield Note("admissible.order", orders.reason)
        if found.consistent is None:
            yield Note("admissible.consistent", orders.reason)
    if found.order_rescaled is None:
        yield Note("admissible.order_rescaled", _no_rescaled(orders))
    if found.zero_stable is None:
        reason = next(
            (n.text for n in linear.notes if n.key in ("stability.zero_stable", "stability")), None
        )
        yield Note("admissible.zero_stable", reason or "not decided")
    for key, value in (("a_stable", found.a_stable), ("l_stable", found.l_stable)):
        if value is None:
            yield Note(f"admissible.{key}", sets.reason or "an end of the set is no short radical")


def _no_rescaled(orders: Orders) -> str:
    if orders.plain and orders.reason is None:
        return "asked where a scheme with a memory has the limit u' = f for some values only"
    return orders.reason or "not decided"
