"""Collect the equations of one step: value names, weights, kept slopes.

A builder holds equations ``Combine | Evaluate`` in the order of writing; they may refer to values that are
set later, which is how implicit schemes are stated. ``groups.arrange`` turns them into statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sympy

from schemegen.diagnostics import InternalError
from schemegen.exact import canonical, is_zero
from schemegen.scheme.model import Coefficient, Drift, Scheme
from schemegen.step.program import ONES, Combine, Evaluate, Field, Input, Origin, Term

__all__ = [
    "ONE",
    "ZERO",
    "Builder",
    "Equation",
    "Linear",
    "add",
    "after",
    "drift_fields",
    "now",
    "number",
    "offset",
    "scale",
    "shifted",
    "single",
    "unit",
]

Equation = Combine | Evaluate
Linear = dict[str, Coefficient]

ZERO: Coefficient = sympy.Integer(0)
ONE: Coefficient = sympy.Integer(1)
INDEXED = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)\[n(?P<offset>[+-][0-9]+)?\]\Z")


def now(state: str) -> str:
    """Return the name of a state's value at the start of the step."""
    return f"{state}[n]"


def after(state: str) -> str:
    """Return the name of a state's value at the end of the step."""
    return f"{state}[n+1]"


def offset(value: str) -> int | None:
    """Return ``j`` of ``x[n+j]``, None for a value that is no state."""
    found = INDEXED.match(value)
    return None if found is None else int(found["offset"] or 0)


def shifted(value: str, steps: int) -> str:
    """Return ``x[n+j+steps]`` for ``x[n+j]``."""
    found = INDEXED.match(value)
    if found is None:
        raise InternalError(f"{value} is not the value of a state")
    moved = int(found["offset"] or 0) + steps
    return f"{found['name']}[n{moved:+d}]" if moved else now(found["name"])


def single(linear: Mapping[str, Coefficient]) -> str | None:
    """Return the value that ``linear`` is, with coefficient 1, or None."""
    if len(linear) != 1:
        return None
    ((value, coefficient),) = linear.items()
    return value if coefficient == 1 and value != ONES else None


def scale(coefficient: Coefficient, linear: Mapping[str, Coefficient]) -> Linear:
    """Return ``coefficient * linear``."""
    return {value: coefficient * item for value, item in linear.items()}


def add(*parts: Mapping[str, Coefficient]) -> Linear:
    """Return the sum of linear forms, without the terms that vanish."""
    total: Linear = {}
    for part in parts:
        for value, coefficient in part.items():
            total[value] = total[value] + coefficient if value in total else coefficient
    return {value: item for value, item in total.items() if not is_zero(item)}


class Builder:
    """The equations of one step of ``scheme`` while they are being written."""

    def __init__(self, scheme: Scheme, names: set[str] | None = None) -> None:
        self.scheme = scheme
        self.states = tuple(state.name for state in scheme.states)
        self.drifts: dict[str, Drift] = {drift.name: drift for drift in scheme.drifts}
        self.equations: list[Equation] = []
        self.inputs: dict[str, Input] = {}
        self.pointwise: dict[str, Field] = {}
        self.embedded: list[tuple[str, str]] = []
        self.renamed: dict[str, str] = {}
        self.generated: set[str] = set()
        self._taken = {*(names or ())}
        self._calls: dict[str, int] = {}
        self._known: dict[tuple[str, tuple[str, ...], int, Coefficient], str] = {}
        self._combined: dict[tuple[tuple[str, Coefficient], ...], str] = {}

    def fresh(self, base: str) -> str:
        """Return ``base``, or ``base_2``, .. where it is taken."""
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def numbered(self, base: str, suffix: str = "") -> str:
        """Return the first free name of ``base1``, ``base2``, .."""
        count = 1
        while f"{base}{count}{suffix}" in self._taken:
            count += 1
        return self.fresh(f"{base}{count}{suffix}")

    def combine(self, target: str, linear: Mapping[str, Coefficient], origin: Origin) -> str:
        """Write ``target = sum of linear``; terms that vanish are left out."""
        terms = [(value, canonical(item)) for value, item in linear.items()]
        kept = tuple(Term(item, value) for value, item in terms if not is_zero(item))
        self.equations.append(Combine(target, kept, origin))
        self._taken.add(target)
        return target

    def value(self, linear: Mapping[str, Coefficient], base: str, origin: Origin) -> str:
        """Return the name of a value equal to ``linear``, writing a combine where it has none."""
        name = single(linear)
        if name is not None:
            return name
        key = tuple((value, canonical(item)) for value, item in linear.items())
        if key not in self._combined:
            self._combined[key] = self.combine(self.numbered(base), linear, origin)
            self.generated.add(self._combined[key])
        return self._combined[key]

    def evaluate(
        self,
        field: str,
        at: tuple[str, ...],
        origin: Origin,
        *,
        name: str = "",
        stage: int = 0,
        time: Coefficient = ZERO,
    ) -> str:
        """Write the drift ``field`` at the values ``at`` and return its value's name.

        ``stage`` numbers the stage equation, for ``weights per stage``. An evaluation with the same
        weights at the same values, and at the same time ``t + time h`` if the drift takes it, is not
        written twice.
        """
        mode = self.drifts[field].weights
        call = self._calls.get(field, 0)
        weights = {"stage": stage, "call": call}.get(mode, 0)
        time = canonical(time) if self.drifts[field].timed else ZERO
        key = (field, at, weights, time)
        if key in self._known:
            return self._known[key]
        if not name:
            suffix = f"_{field}" if len(self.drifts) > 1 else ""
            name = self.numbered("k", suffix)
        self._taken.add(name)
        self._calls[field] = call + 1
        self._known[key] = name
        self.equations.append(Evaluate(name, field, at, call, weights, origin, time))
        return name

    def apply(self, function: str, at: tuple[str, ...], origin: Origin) -> str:
        """Write the pointwise ``function`` of the values ``at`` and return its value's name."""
        name = function
        while name in self.drifts:
            name += "_"
        self.pointwise.setdefault(name, Field(name, "pointwise", (), function=function))
        key = (name, at, 0, ZERO)
        if key not in self._known:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
            target = self.numbered(name)
            self.equations.append(Evaluate(target, name, at, call, 0, origin))
            self._known[key] = target
        return self._known[key]

    def past(self, state: str, lag: int) -> str:
        """Return the name of ``state`` as it was ``lag`` steps ago."""
        name = shifted(now(state), -lag)
        self.inputs.setdefault(name, Input(name, now(state), lag))
        return name

    def remember(self, field: str, at: tuple[str, ...], lag: int, origin: Origin) -> str:
        """Return the slope that ``field`` had at ``at``, ``lag`` steps ago; keep it from now on."""
        kept = f"{field}({', '.join(at)})"
        found = next(
            (
                equation.target
                for equation in self.equations
                if isinstance(equation, Evaluate) and (equation.field, equation.at) == (field, at)
            ),
            None,
        )
        if found is None:
            self.evaluate(field, at, origin, name=kept)
        elif found != kept:
            self.renamed[found] = kept
        name = f"{field}({', '.join(shifted(value, -lag) for value in at)})"
        self.inputs.setdefault(name, Input(name, kept, lag))
        return name

    def fields(self) -> tuple[Field, ...]:
        """Return the fields of the program: all drifts, then the pointwise functions in use."""
        return drift_fields(tuple(self.drifts.values())) + tuple(self.pointwise.values())


def drift_fields(drifts: tuple[Drift, ...]) -> tuple[Field, ...]:
    """Return the drifts of a scheme as fields of a program."""
    return tuple(
        Field(
            drift.name,
            "drift",
            drift.arguments,
            drift.span,
            drift.block,
            drift.weights,
            drift.norm_stats,
            timed=drift.timed,
            inner=drift.inner,
            knots=drift.knots,
        )
        for drift in drifts
    )


def unit(value: str) -> Linear:
    """Return the linear form that is ``value``."""
    return {value: ONE}


def number(value: int) -> Coefficient:
    """Return an exact integer coefficient."""
    return sympy.Integer(value)
