"""Does a value of the coefficients lie in an exact set of the analysis? Asked of values that training has reached.

A double is a rational number, so the answer is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import flint
import sympy

from schemegen.analysis.admissible import admissible_sets
from schemegen.analysis.expansion import expand
from schemegen.analysis.parameter_set import Cell, spelled
from schemegen.analysis.ranges import holds_at
from schemegen.analysis.semialgebraic import Region
from schemegen.analysis.stability import linear_analysis
from schemegen.analysis.time_limit import TimeLimitError, time_limit
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Scheme
from schemegen.step.program import Program

__all__ = ["ValueSet", "value_sets"]

CLAIMS = ("zero_stable", "A_stable", "L_stable")


@dataclass(frozen=True, slots=True)
class ValueSet:
    """The values of ``symbols`` for which ``claim`` holds, neither all nor none of them."""

    claim: str
    symbols: tuple[str, ...]
    text: str
    _cells: tuple[Cell, ...] | None = field(default=None, repr=False)
    _region: Region | None = field(default=None, repr=False)

    @property
    def ends(self) -> tuple[float, ...]:
        """The finite ends of a set of one symbol, ascending; none for several symbols."""
        cells = self._cells or ()
        return tuple(
            float(cell.low.named()) for cell in cells if cell.is_point and cell.low is not None
        )

    def holds(self, values: Mapping[str, float]) -> bool | None:
        """Decide a point; None where a value of a symbol is missing or its cell was not decided."""
        if not set(self.symbols) <= values.keys():
            return None
        point = [sympy.Rational(values[name]) for name in self.symbols]
        if self._cells is not None:
            return holds_at(point[0], self._cells)
        assert self._region is not None
        return self._region.holds([flint.fmpq(int(v.p), int(v.q)) for v in point])


def value_sets(scheme: Scheme, program: Program) -> tuple[ValueSet, ...]:
    """Return the sets of values for which a scheme is zero-, A- or L-stable, where they depend on its symbols."""
    try:
        with time_limit():
            linear = linear_analysis(program)
            scaled = expand(program, 2).scaled
    except TimeLimitError:
        return ()
    sets = admissible_sets(scheme, program, linear, scaled)
    found = []
    for claim in CLAIMS:
        if claim in sets.cells:
            symbol, cells = sets.cells[claim]
            text = spelled(cells, symbol.name, format_exact)
            if isinstance(text, str):
                found.append(ValueSet(claim, (symbol.name,), text, _cells=tuple(cells)))
        elif claim in sets.regions:
            region = sets.regions[claim]
            if isinstance(region.text, str):
                names = tuple(symbol.name for symbol in region.space.symbols)
                found.append(ValueSet(claim, names, region.text, _region=region))
    return tuple(found)
