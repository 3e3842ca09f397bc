"""The Euler form of a value: what it is when every drift is taken at the states at ``n``.

It serves as the first guess of an implicit stage (``init euler``) and as the update of the starter. Values
of earlier steps stay apart, so that a starter can tell ``u[n-1]`` from ``u[n]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemegen.diagnostics import InternalError
from schemegen.step.builder import ONE, Equation, Linear, add, offset, scale, unit
from schemegen.step.program import ONES, Combine, Evaluate, Field, Input

__all__ = ["EulerForm"]


class EulerForm:
    """Euler forms over the equations of one step.

    ``slope`` names (and writes, if need be) the drift at the states at ``n``; ``pointwise`` does so for a
    fixed function whose arguments are given in Euler form.
    """

    def __init__(
        self,
        equations: Sequence[Equation],
        inputs: Sequence[Input],
        fields: Sequence[Field],
        slope: Callable[[str], str],
        pointwise: Callable[[Evaluate, Sequence[Linear]], str],
    ) -> None:
        self._equations = {equation.target: equation for equation in equations}
        self._inputs = {item.name: item for item in inputs}
        self._fields = {item.name: item for item in fields}
        self._slope = slope
        self._pointwise = pointwise
        self._open: list[str] = []
        self._known: dict[str, Linear] = {}

    def of(self, value: str) -> Linear:
        """Return ``value`` over the states at ``n``, earlier states and slopes at ``n``.

        A state ``x[n+1]`` that depends on itself linearly is kept as ``x[n+1]``.
        """
        if value in self._known:
            return self._known[value]
        if value == ONES or (value not in self._equations and value not in self._inputs):
            return unit(value)
        if value in self._open:
            if offset(value) is None:
                raise InternalError(f"{value} is a linear function of itself")
            return unit(value)
        self._open.append(value)
        result = self._expand(value)
        self._open.pop()
        if not self._open:
            self._known[value] = result
        return result

    def _expand(self, value: str) -> Linear:
        if value in self._inputs:
            kept = self._equations.get(self._inputs[value].of)
            return unit(value) if kept is None else self.of(kept.target)
        match self._equations[value]:
            case Combine(terms=terms):
                return add(*(scale(term.coefficient, self.of(term.value)) for term in terms))
            case Evaluate(field=name) if self._fields[name].kind == "drift":
                return {self._slope(name): ONE}
            case Evaluate(at=at) as evaluate:
                return unit(self._pointwise(evaluate, [self.of(item) for item in at]))
