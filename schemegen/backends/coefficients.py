"""Exact coefficients as tensors: expressions become calls node by node, the last exact line of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy
import sympy

from schemegen.backends.builder import Caller, Number, Ref
from schemegen.diagnostics import InternalError
from schemegen.scheme.model import Coefficient, Interval, Param, Schedule

__all__ = ["Value", "exact", "number", "scheduled", "write", "write_value"]

Value = Number | Ref
RAW = sympy.Symbol("raw")

PHI: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "phi1": lambda z: sympy.Integer(1) if z == 0 else (sympy.exp(z) - 1) / z,
    "phi2": lambda z: sympy.Rational(1, 2) if z == 0 else (sympy.exp(z) - 1 - z) / z**2,
    "phi3": lambda z: sympy.Rational(1, 6) if z == 0 else (sympy.exp(z) - 1 - z - z**2 / 2) / z**3,
    "sigmoid": lambda z: 1 / (1 + sympy.exp(-z)),
    "softplus": lambda z: sympy.log(1 + sympy.exp(z)),
    "relu": lambda z: sympy.Max(0, z),
}

TENSOR_FUNCTIONS = {
    "phi1": "phi1",
    "phi2": "phi2",
    "phi3": "phi3",
    "sigmoid": "torch.sigmoid",
    "relu": "torch.relu",
    "softplus": "F.softplus",
    "tanh": "torch.tanh",
    "exp": "torch.exp",
    "log": "torch.log",
    "sin": "torch.sin",
    "cos": "torch.cos",
    "Abs": "torch.abs",
}


def exact(expression: sympy.Expr) -> sympy.Expr:
    """Replace functions that sympy does not know by what they are; for expressions without tensors."""
    if not expression.args:
        return expression
    arguments = [exact(argument) for argument in expression.args]
    name = expression.func.__name__
    return PHI[name](arguments[0]) if name in PHI else expression.func(*arguments)


def number(expression: sympy.Expr) -> Fraction | float:
    """Return the value of an expression without symbols: a fraction, else the nearest float."""
    plain = exact(expression)
    if isinstance(plain, sympy.Rational):
        return Fraction(int(plain.p), int(plain.q))
    if plain.is_infinite:
        return math.inf if plain.is_extended_positive else -math.inf
    return float(sympy.N(plain, 40))


def scheduled(schedule: Schedule, position: int, total: int) -> Coefficient:
    """Return the exact value of a schedule at step ``position`` of ``total``."""
    index, last = position, total - 1
    if schedule.first_drop:
        index, last = position + 1, total
    if schedule.kind == "list":
        if index >= len(schedule.values):
            raise InternalError(f"schedule {schedule.name} has no value for step {index}")
        return schedule.values[index]
    low, high = schedule.values
    part = sympy.Rational(index, last) if last else sympy.Integer(0)
    if schedule.kind == "cosine":
        part = (1 - sympy.cos(sympy.pi * part)) / 2
    return low + (high - low) * part


def write(
    builder: Caller, expression: sympy.Expr, symbols: Mapping[sympy.Symbol, Value], name: str
) -> Value:
    """Return ``expression`` as a number, or as calls on the tensors that ``symbols`` stand for."""
    if not expression.free_symbols:
        return Number(number(expression), name)
    if isinstance(expression, sympy.Symbol):
        return symbols[expression]
    if isinstance(expression, sympy.Add):
        return write_sum(builder, expression, symbols, name)
    if isinstance(expression, sympy.Mul):
        return write_product(builder, expression, symbols, name)
    if isinstance(expression, sympy.Pow):
        return write_power(builder, expression, symbols, name)
    if expression.func in (sympy.Max, sympy.Min):
        return write_extremum(builder, expression, symbols, name)
    values = [write(builder, argument, symbols, name) for argument in expression.args]
    if isinstance(values[0], Number):
        return Number(numeric_function(expression, values[0]), name)
    return builder.call(TENSOR_FUNCTIONS[expression.func.__name__], (values[0],), name)


def numeric_function(expression: sympy.Expr, value: Number) -> float:
    """Return a function of a number that only a schedule made unknown."""
    argument = sympy.Float(value.python, 40)
    return float(sympy.N(exact(expression.func(argument)), 40))


def write_sum(
    builder: Caller, expression: sympy.Expr, symbols: Mapping[sympy.Symbol, Value], name: str
) -> Value:
    """Write ``a + b - c``; a number comes first, so that ``1 - k`` reads as it is written."""
    positive: list[Value] = []
    negative: list[Value] = []
    for term in sorted(expression.args, key=lambda item: (bool(item.free_symbols), str(item))):
        if term.could_extract_minus_sign() and term.free_symbols:
            negative.append(write(builder, -term, symbols, name))
        else:
            positive.append(write(builder, term, symbols, name))
    total = positive.pop(0) if positive else builder.call("neg", (negative.pop(0),), name)
    for value in positive:
        total = binary(builder, "+", total, value, name)
    for value in negative:
        total = binary(builder, "-", total, value, name)
    return total


def write_product(
    builder: Caller, expression: sympy.Expr, symbols: Mapping[sympy.Symbol, Value], name: str
) -> Value:
    """Write ``a*b/c``, the number first."""
    above: list[sympy.Expr] = []
    below: list[sympy.Expr] = []
    for factor in sorted(expression.args, key=lambda item: (bool(item.free_symbols), str(item))):
        base, exponent = factor.as_base_exp()
        if exponent.could_extract_minus_sign() and factor.free_symbols and factor.is_Pow:
            below.append(base**-exponent)
        else:
            above.append(factor)
    if above and above[0] == -1 and len(above) > 1:
        rest = write(builder, sympy.Mul(*above[1:]) if len(above) > 2 else above[1], symbols, name)
        result = (
            builder.call("neg", (rest,), name) if not isinstance(rest, Number) else negate(rest)
        )
    else:
        result = write(builder, above[0], symbols, name) if above else Number(Fraction(1), name)
        for factor in above[1:]:
            result = binary(builder, "*", result, write(builder, factor, symbols, name), name)
    for factor in below:
        result = binary(builder, "/", result, write(builder, factor, symbols, name), name)
    return result


def write_power(
    builder: Caller, expression: sympy.Expr, symbols: Mapping[sympy.Symbol, Value], name: str
) -> Value:
    """Write ``a**n``; a negative power is a quotient, a square root is one."""
    base, exponent = expression.as_base_exp()
    if exponent.is_number and exponent.is_negative:
        below = write(builder, base**-exponent, symbols, name)
        return binary(builder, "/", Number(Fraction(1), name), below, name)
    value = write(builder, base, symbols, name)
    if exponent == sympy.Rational(1, 2) and not isinstance(value, Number):
        return builder.call("torch.sqrt", (value,), name)
    return binary(builder, "**", value, write(builder, exponent, symbols, name), name)


def write_extremum(
    builder: Caller, expression: sympy.Expr, symbols: Mapping[sympy.Symbol, Value], name: str
) -> Value:
    """Write ``max(a, b, ..)`` or ``min``; a number among them becomes a bound of ``clamp``."""
    least = expression.func is sympy.Min
    arguments = sorted(expression.args, key=lambda item: (bool(item.free_symbols), str(item)))
    values = [write(builder, item, symbols, name) for item in arguments]
    result = values[-1]
    for value in reversed(values[:-1]):
        if isinstance(value, Number) and isinstance(result, Number):
            pick = min if least else max
            result = Number(pick(value.python, result.python), name)
        elif isinstance(value, Number):
            bound = {"max" if least else "min": value}
            result = builder.call("torch.clamp", (result,), name, bound)
        else:
            result = builder.call(
                "torch.minimum" if least else "torch.maximum", (result, value), name
            )
    return result


def negate(value: Number) -> Number:
    return Number(-value.value, value.hint)


def binary(builder: Caller, operator: str, left: Value, right: Value, name: str) -> Value:
    """Write one operation; two numbers, which a schedule made, are computed at once."""
    if isinstance(left, Number) and isinstance(right, Number):
        a, b = left.value, right.value
        match operator:
            case "+":
                return Number(a + b, name)
            case "-":
                return Number(a - b, name)
            case "*":
                return Number(a * b, name)
            case "/":
                return Number(a / b, name)
            case _:
                return Number(float(a) ** float(b), name)
    return builder.call(operator, (left, right), name)


def write_value(builder: Caller, param: Param, raw: Ref, name: str) -> Value:
    """Return the value of a coefficient from its stored tensor: ``via``, then the declared range."""
    value = raw if param.via is None else write(builder, param.via, {RAW: raw}, name)
    if param.range is None or inside(param.via, param.range):
        return value
    low, high = bounds(param.range)
    return builder.call("bounded", (value, Number(low, "low"), Number(high, "high")), name)


def bounds(interval: Interval) -> tuple[Fraction | float, Fraction | float]:
    """Return what a value is clamped to; at an open end the next number of single precision inside."""
    low, high = number(interval.low), number(interval.high)
    if not interval.low_closed and interval.low != -sympy.oo:
        low = _beside(low, numpy.float32(numpy.inf))
    if not interval.high_closed and interval.high != sympy.oo:
        high = _beside(high, numpy.float32(-numpy.inf))
    return low, high


def _beside(end: Fraction | float, towards: numpy.float32) -> Fraction:
    """Return the next number of single precision; beside 0 the smallest that is not denormal."""
    if end == 0:
        return Fraction(float(numpy.copysign(numpy.finfo(numpy.float32).tiny, towards)))
    return Fraction(float(numpy.nextafter(numpy.float32(float(end)), towards)))


def inside(via: Coefficient | None, interval: Interval) -> bool:
    """Return whether the outermost function of ``via`` already keeps its values in ``interval``.

    In floating point a sigmoid takes the values 0 and 1 too, so an open end there is not kept by itself.
    """
    image = {
        "sigmoid": (0, 1),
        "tanh": (-1, 1),
        "exp": (0, sympy.oo),
        "softplus": (0, sympy.oo),
        "relu": (0, sympy.oo),
    }.get(via.func.__name__ if via is not None else "", (-sympy.oo, sympy.oo))
    low, high = image
    below = interval.low < low or (
        interval.low == low and (interval.low_closed or low == -sympy.oo)
    )
    above = interval.high > high or (
        interval.high == high and (interval.high_closed or high == sympy.oo)
    )
    return bool(below and above)
