"""``param``: the coefficients that a network stores and may learn."""

from __future__ import annotations

import sympy

from schemegen.language.nodes import (
    Bracket,
    Call,
    Declaration,
    Expression,
    Name,
    String,
    Unary,
    Value,
)
from schemegen.scheme.attributes import Attributes
from schemegen.scheme.declarations import plain
from schemegen.scheme.expressions import coefficient
from schemegen.scheme.model import (
    Coefficient,
    Constant,
    Init,
    Interval,
    Normal,
    Param,
    Uniform,
)
from schemegen.scheme.names import Names

__all__ = ["VIA_FUNCTIONS", "interval", "params"]

RAW = sympy.Symbol("raw")
VIA_FUNCTIONS = ("relu", "sigmoid", "softplus", "tanh", "exp")
KNOWN = ("learnable", "fixed", "per", "shape", "init", "range", "via", "decay")


def _constants(names: Names) -> dict[str, Coefficient]:
    return {name: names.values[name] for name in names.of_kind("const") if name in names.values}


def _init(names: Names, attributes: Attributes) -> Init:
    value = attributes.single("init")
    if value is None:
        return Constant(sympy.Integer(0))
    if isinstance(value, (Bracket, String)):
        attributes.wrong(
            attributes["init"], "`init` takes a number, `uniform(a, b)` or `normal(m, s)`"
        )
        return Constant(sympy.Integer(0))
    constants = _constants(names)
    if isinstance(value, Call) and value.name in {"uniform", "normal"}:
        numbers = [coefficient(item, constants, names.report) for item in value.arguments]
        if len(numbers) != 2:
            names.report.add(
                "E0316", f"`{value.name}` takes 2 numbers, found {len(numbers)}", value.span
            )
        first, second = [*numbers, None, None][:2]
        if first is None or second is None:
            return Constant(sympy.Integer(0))
        if value.name == "normal":
            if second.is_negative:
                names.report.add(
                    "E0120", "a standard deviation is not negative", value.arguments[1].span
                )
            return Normal(first, second)
        if (second - first).is_negative:
            names.report.add(
                "E0120",
                "the ends of `uniform` are in the wrong order",
                value.span,
                "the smaller one comes first",
            )
        return Uniform(first, second)
    number = coefficient(value, constants, names.report)
    return Constant(sympy.Integer(0) if number is None else number)


def _end(node: Expression, names: Names) -> Coefficient | None:
    inner = node.operand if isinstance(node, Unary) else node
    if isinstance(inner, Name) and inner.id == "inf":
        negative = isinstance(node, Unary) and node.operator == "-"
        return -sympy.oo if negative else sympy.oo
    return coefficient(node, _constants(names), names.report)


def interval(names: Names, attributes: Attributes, name: str) -> Interval | None:
    """Return the interval after ``name``: ``[0, 1)``, ``(-1, 1]``, ``[0, inf)``."""
    value = attributes.single(name)
    if value is None:
        return None
    if not isinstance(value, Bracket) or len(value.items) != 2:
        attributes.wrong(
            attributes[name], f"`{name}` takes an interval", "write `[0, 1)` or `(-1, 1]`"
        )
        return None
    low, high = (_end(item, names) for item in value.items)
    if low is None or high is None:
        return None
    if not (high - low).is_extended_positive:
        names.report.add(
            "E0120", f"`{name}` is an empty interval", value.span, "the smaller end comes first"
        )
        return None
    return Interval(
        low,
        high,
        value.opening == "[" and low.is_finite is not False,
        value.closing == "]" and high.is_finite is not False,
    )


def _via(names: Names, attributes: Attributes) -> Coefficient | None:
    value: Value | None = attributes.single("via")
    if value is None:
        return None
    if isinstance(value, (Bracket, String)):
        attributes.wrong(
            attributes["via"], "`via` takes an expression in `raw`", "write `(1 - raw)`"
        )
        return None
    if isinstance(value, Name) and value.id in VIA_FUNCTIONS:
        value = Call(value.id, (Name("raw", value.span),), value.span, value.span)
    known = {**_constants(names), "raw": RAW}
    expression = coefficient(value, known, names.report)
    if expression is not None and RAW not in expression.free_symbols:
        attributes.wrong(
            attributes["via"],
            "`via` does not depend on `raw`, the stored tensor",
            "write `(1 - raw)`, `sigmoid(raw)`, ..",
        )
        return None
    return expression


def _init_in_range(names: Names, attributes: Attributes, init: Init, limits: Interval) -> None:
    """Report an initial value that the declared range excludes."""
    match init:
        case Constant(value=value):
            ends = (value, value)
        case Uniform(low=low, high=high):
            ends = (low, high)
        case Normal():
            return
    below = (ends[0] - limits.low).is_extended_negative
    above = (limits.high - ends[1]).is_extended_negative
    on_open = isinstance(init, Constant) and (
        (not limits.low_closed and (ends[0] - limits.low).is_zero)
        or (not limits.high_closed and (limits.high - ends[1]).is_zero)
    )
    if below or above or on_open:
        where = attributes["init"] if "init" in attributes else attributes["range"]
        names.report.add(
            "E0124",
            "the initial value lies outside the declared range",
            where.span,
            "change `init` or `range`",
        )


def params(names: Names, node: Declaration) -> tuple[Param, ...]:
    """Return the params of ``param k: learnable, per step, init .., range .., via .., decay off``."""
    report = names.report
    attributes = Attributes(report, "param", node.attributes, KNOWN)
    learnable = attributes.one_of("learnable", "fixed", default="learnable") == "learnable"
    per = attributes.word("per", ("step", "stage", "network"), "step" if learnable else "network")
    shape = attributes.word("shape", ("scalar", "channel", "full"), "scalar")
    decay = attributes.word("decay", ("on", "off"), "on") == "on"
    init = _init(names, attributes)
    limits = interval(names, attributes, "range")
    via = _via(names, attributes)
    if limits is not None:
        _init_in_range(names, attributes, init, limits)
    return tuple(
        Param(target.name.id, target.name.span, learnable, per, shape, init, limits, via, decay)
        for target in node.targets
        if plain(report, target)
        and names.kinds.get(target.name.id) == "param"
        and names.spans[target.name.id] == target.name.span
    )
