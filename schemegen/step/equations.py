"""``step { }`` equations: expressions to linear forms over values, maps expanded.

An expression is a linear form: a coefficient for each value it reads; a scalar is a form over ``ONES``.
Products of two tensors, quotients by a tensor and functions of tensors are pointwise evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import sympy

from schemegen.diagnostics import InternalError
from schemegen.language import nodes
from schemegen.scheme.expressions import FUNCTIONS
from schemegen.scheme.model import Coefficient, Equations, MapDefinition
from schemegen.scheme.times import TIME, abscissa
from schemegen.step.builder import (
    ONE,
    ZERO,
    Builder,
    Linear,
    add,
    after,
    now,
    offset,
    scale,
    shifted,
    single,
    unit,
)
from schemegen.step.damping import Damped
from schemegen.step.program import ONES, H, Origin

__all__ = ["write_equations"]


def write_equations(builder: Builder, update: Equations, damped: Damped) -> None:
    """Write every assignment in order, with its slopes before it."""
    reader = _Reader(builder, update, damped)
    for number, assignment in enumerate(update.assignments):
        reader.assign(number, assignment)


class _Reader:
    """Turns the expressions of one ``step { }`` block into linear forms."""

    def __init__(self, builder: Builder, update: Equations, damped: Damped) -> None:
        self.builder = builder
        self.maps: dict[str, MapDefinition] = {item.name: item for item in update.maps}
        self.damped = damped
        self.scalars: dict[str, Coefficient] = {"h": H, "t": TIME, **dict(builder.scheme.constants)}
        scheme = builder.scheme
        self.scalars |= {item.name: item.symbol for item in scheme.params}
        self.scalars |= {item.name: item.symbol for item in scheme.schedules}
        self.scalars |= {item.name: item.symbol for item in scheme.noises}
        self.locals: dict[str, Linear] = {}
        self.stages: dict[str, list[int]] = {}
        self.number = 0
        self.origin = Origin(None, "")

    def assign(self, number: int, assignment: nodes.Assignment) -> None:
        """Write one assignment; a local that is a plain alias or a scalar gets no statement."""
        target = assignment.target
        if isinstance(target, nodes.Index):
            state = target.name
            self.number, self.origin = number, Origin(assignment.span, after(state))
            linear = self.damped.split(self.linear(assignment.value, {}))
            if self.damped.mode == "explicit" and len(self.builder.states) > 1:
                linear = add(linear, {now(state): -self.damped.rate})
            self.builder.combine(after(state), linear, self.origin)
            return
        self.number, self.origin = number, Origin(assignment.span, target.id)
        if (
            isinstance(assignment.value, nodes.Call)
            and assignment.value.name in self.builder.drifts
        ):
            self.locals[target.id] = self.call(assignment.value, {}, name=target.id)
            return
        linear = self.linear(assignment.value, {})
        if single(linear) is not None or set(linear) <= {ONES}:
            self.locals[target.id] = linear
        else:
            name = self.builder.combine(target.id, linear, self.origin)
            self.locals[target.id] = unit(name)

    def linear(self, node: nodes.Expression, bound: Mapping[str, Linear]) -> Linear:
        """Return the linear form of an expression; ``bound`` holds the arguments of a map."""
        match node:
            case nodes.Number():
                value = node.value
                return {ONES: sympy.Rational(value.numerator, value.denominator)}
            case nodes.Name():
                return self.name(node.id, bound)
            case nodes.Index():
                return unit(self.state(node))
            case nodes.Call():
                return self.call(node, bound)
            case nodes.Unary():
                sign = -ONE if node.operator == "-" else ONE
                return scale(sign, self.linear(node.operand, bound))
            case nodes.Binary():
                left = self.linear(node.left, bound)
                right = self.linear(node.right, bound)
                return self.binary(node.operator, left, right)
            case _:
                assert_never(node)

    def name(self, name: str, bound: Mapping[str, Linear]) -> Linear:
        """Return what a bare name stands for: a map's argument, a local, or a scalar."""
        if name in bound:
            return bound[name]
        if name in self.locals:
            return self.locals[name]
        if name in self.scalars:
            return {ONES: self.scalars[name]}
        raise InternalError(f"`{name}` of {self.builder.scheme.name} is not declared")

    def state(self, node: nodes.Index) -> str:
        """Return the value ``x[n+j]``; an earlier one is an input."""
        if node.offset < 0:
            return self.builder.past(node.name, -node.offset)
        return after(node.name) if node.offset else now(node.name)

    def binary(self, operator: str, left: Linear, right: Linear) -> Linear:
        """Return ``left operator right``."""
        match operator:
            case "+":
                return add(left, right)
            case "-":
                return add(left, scale(-ONE, right))
            case "*":
                if (factor := _scalar(left)) is not None:
                    return add(scale(factor, right))
                if (factor := _scalar(right)) is not None:
                    return add(scale(factor, left))
                return self.pointwise("multiply", [left, right])
            case "/":
                if (factor := _scalar(right)) is not None:
                    return scale(1 / factor, left)
                return self.pointwise("divide", [left, right])
            case "^":
                return self.power(left, right)
            case _:
                raise InternalError(f"unknown operator {operator}")

    def power(self, base: Linear, exponent: Linear) -> Linear:
        """Return ``base ^ exponent``; powers of tensors are products."""
        factor, count = _scalar(base), _scalar(exponent)
        if factor is not None and count is not None:
            return {ONES: factor**count}
        if count is None or not count.is_Integer:
            return self.pointwise("power", [base, exponent])
        if count == 0:
            return {ONES: ONE}
        result = base
        for _ in range(abs(int(count)) - 1):
            result = self.pointwise("multiply", [result, base])
        return result if count > 0 else self.pointwise("divide", [{ONES: ONE}, result])

    def call(self, node: nodes.Call, bound: Mapping[str, Linear], name: str = "") -> Linear:
        """Return the value of a drift, a map or a function of ``node.arguments``."""
        arguments = [self.linear(item, bound) for item in node.arguments]
        if node.name in self.builder.drifts:
            time: Coefficient = ZERO
            if self.builder.drifts[node.name].timed:
                time = abscissa(_scalar(arguments.pop()) or ZERO) or ZERO
            return self.drift(node.name, arguments, name, time)
        if node.name in self.maps:
            definition = self.maps[node.name]
            values = [
                item if len(item) <= 1 else unit(self.builder.value(item, "y", self.origin))
                for item in arguments
            ]
            return self.linear(
                definition.body, dict(zip(definition.arguments, values, strict=True))
            )
        scalars = [_scalar(item) for item in arguments]
        if all(item is not None for item in scalars):
            return {ONES: FUNCTIONS[node.name][1](*scalars)}
        return self.pointwise(node.name, arguments)

    def drift(self, field: str, arguments: list[Linear], name: str, time: Coefficient) -> Linear:
        """Return the drift at ``arguments`` and the time ``t + time h``.

        A slope at earlier states is the one kept then.
        """
        at = tuple(self.builder.value(item, "y", self.origin) for item in arguments)
        offsets = [offset(value) for value in at]
        known = [item for item in offsets if item is not None]
        if len(known) == len(at) and max(known) < 0:
            lag = -max(known)
            present = tuple(self.present(shifted(value, lag)) for value in at)
            slope = self.builder.remember(field, present, lag, self.origin)
        else:
            stages = self.stages.setdefault(field, [])
            if self.number not in stages:
                stages.append(self.number)
            stage = stages.index(self.number)
            slope = self.builder.evaluate(field, at, self.origin, name=name, stage=stage, time=time)
        lead = len(self.builder.states) == 1 and field == next(iter(self.builder.drifts))
        return self.damped.field(slope, at[0], lead=lead)

    def present(self, value: str) -> str:
        """Return ``value`` after declaring it an input where it is of an earlier step."""
        steps = offset(value) or 0
        return self.builder.past(value.partition("[")[0], -steps) if steps < 0 else value

    def pointwise(self, function: str, arguments: list[Linear]) -> Linear:
        """Return a fixed function of tensors, whose arguments become values of their own."""
        at = tuple(self.builder.value(item, "y", self.origin) for item in arguments)
        return unit(self.builder.apply(function, at, self.origin))


def _scalar(linear: Linear) -> Coefficient | None:
    """Return the number that ``linear`` is, None where it reads a tensor."""
    if not linear:
        return ZERO
    return linear.get(ONES) if set(linear) == {ONES} else None
