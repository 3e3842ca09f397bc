"""The starter: the Euler form of a scheme, for steps that lack their history and for shape changes.

    u[n+1] = (sum over lags of u's coefficients) u[n] + sum_f c_f/rho'(1) f(u[n])

with ``c_f`` the sum of all coefficients of ``f`` in the step and every drift at the states at ``n``. The
division by ``rho'(1)`` makes leapfrog start with ``h f``; where ``rho'(1)`` holds params (as in the LM
architecture, consistent with ``(1 + k) u' = f``) it is left out, unless the quotient is free of params.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemegen.exact import canonical, is_zero
from schemegen.scheme.model import Coefficient, Scheme
from schemegen.step.builder import ONE, ZERO, Builder, Equation, Linear, add, after, now, offset
from schemegen.step.damping import Damped
from schemegen.step.eulerform import EulerForm
from schemegen.step.program import Combine, Evaluate, Field, H, Input, Origin, Term

__all__ = ["EulerWriter", "at_start", "write_plain", "write_starter"]


class EulerWriter:
    """Writes the slopes and pointwise values that Euler forms refer to into ``builder``.

    ``kept`` are values that later steps remember: a slope takes the name under which it is kept.
    """

    def __init__(self, builder: Builder, kept: Sequence[str] = (), name: str = "") -> None:
        self.builder = builder
        self.kept = kept
        self.name = name
        self.slopes: dict[str, str] = {}

    def slope(self, field: str) -> str:
        """Return the drift at the states at ``n``, writing it the first time."""
        if field not in self.slopes:
            drift = self.builder.drifts[field]
            at = tuple(now(state) for state in drift.arguments)
            names = [item for item in self.kept if item.startswith(f"{field}(")]
            suffix = f"_{field}" if len(self.builder.drifts) > 1 else ""
            name = (
                names[0] if names else self.builder.fresh(self.name + suffix) if self.name else ""
            )
            origin = Origin(drift.span, name or field)
            written = self.builder.evaluate(field, at, origin, name=name)
            for other in names[1:]:
                self.builder.equations.append(Combine(other, (Term(ONE, written),), origin))
            self.slopes[field] = written
        return self.slopes[field]

    def form(
        self, equations: Sequence[Equation], inputs: Sequence[Input], fields: Sequence[Field]
    ) -> EulerForm:
        """Return the Euler forms over ``equations`` whose slopes this writer writes."""
        functions = {item.name: item.function for item in fields}

        def pointwise(evaluate: Evaluate, arguments: Sequence[Linear]) -> str:
            return self.pointwise(functions[evaluate.field], evaluate.origin, arguments)

        return EulerForm(equations, inputs, fields, self.slope, pointwise)

    def pointwise(self, function: str, origin: Origin, arguments: Sequence[Linear]) -> str:
        """Return the fixed function of values in Euler form, at the states at ``n``."""
        at = tuple(self.builder.value(at_start(item), "y", origin) for item in arguments)
        return self.builder.apply(function, at, origin)


def write_starter(
    builder: Builder, source: Builder, inputs: Sequence[Input], kept: Sequence[str], damped: Damped
) -> None:
    """Write the Euler form of the undamped step in ``source`` into ``builder``, then damp it."""
    writer = EulerWriter(builder, kept)
    form = writer.form(source.equations, inputs, source.fields())
    for equation in source.equations:
        if equation.target in map(after, source.states):
            state = equation.target.partition("[")[0]
            linear = form.of(equation.target)
            slopes = set(writer.slopes.values())
            driven = {value: item for value, item in linear.items() if value in slopes}
            rest = {value: item for value, item in linear.items() if value not in slopes}
            speed = _rho_slope(state, rest)
            driven = {
                value: _divided(builder.scheme, item, speed) for value, item in driven.items()
            }
            step = damped.euler(now(state), at_start(rest), driven)
            builder.combine(after(state), step, equation.origin)
    for name in kept:
        writer.slope(name.partition("(")[0])


def write_plain(builder: Builder, source: Builder, inputs: Sequence[Input]) -> None:
    """Write ``x + h f(x)`` for every state with the drifts of its step; states that start at zero end there."""
    writer = EulerWriter(builder)
    form = writer.form(source.equations, inputs, source.fields())
    zero = set(builder.scheme.start.zero)
    for equation in source.equations:
        state, _, rest = equation.target.partition("[")
        if rest == "n+1]":
            linear = form.of(equation.target)
            driven = {value: H for value in linear if value in writer.slopes.values()}
            step: Linear = {} if state in zero else {now(state): ONE, **driven}
            builder.combine(equation.target, step, equation.origin)


def at_start(linear: Mapping[str, Coefficient]) -> Linear:
    """Return a linear form with every state, of whatever step, taken at ``n``."""
    return add(
        *(
            {value if offset(value) is None else now(value.partition("[")[0]): item}
            for value, item in linear.items()
        )
    )


def _rho_slope(state: str, linear: Mapping[str, Coefficient]) -> Coefficient:
    """Return ``rho'(1)`` of ``rho(z) = z^(k+1) - sum_j a_j z^(k-j)``, ``a_j`` of ``state[n-j]``."""
    own: dict[int, Coefficient] = {}
    for value, coefficient in linear.items():
        steps = offset(value)
        if steps is not None and value.partition("[")[0] == state:
            own[-steps] = coefficient
    lags = max([*own, 0])
    total: Coefficient = ZERO + lags + 1
    for lag, coefficient in own.items():
        total = total - (lags - lag) * coefficient
    return canonical(total)


def _divided(scheme: Scheme, coefficient: Coefficient, speed: Coefficient) -> Coefficient:
    """Return ``coefficient/speed`` where that is free of params or ``speed`` is a number."""
    if is_zero(speed):
        return coefficient
    quotient = canonical(coefficient / speed)
    params = {param.symbol for param in scheme.params}
    if not speed.free_symbols or not quotient.free_symbols & params:
        return quotient
    return coefficient
