"""The arguments of noises over all values that they take: schedules, fixed params, ranges of learnable ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product

import sympy

from schemegen.diagnostics import Span
from schemegen.scheme.expressions import format_exact
from schemegen.scheme.model import Coefficient, Constant, Noise, Param, Schedule
from schemegen.scheme.names import Names

__all__ = ["check_arguments"]

MOST_CORNERS = 256
Value = tuple[Coefficient, str]
"""A value of a symbol and where it has it, such as ``at the first step``."""

SIGMOID = (sympy.Integer(0), sympy.Integer(1))


def check_arguments(
    names: Names, noise: Noise, schedules: Sequence[Schedule], params: Sequence[Param], span: Span
) -> None:
    """Report a probability outside [0, 1] (E0501), a negative deviation (E0502), an empty interval (E0503).

    Arguments are looked at where their schedules and ranges end, and those of one symbol also where they turn
    between; E0504 where a probability is learnable and nothing keeps it in [0, 1].
    """
    symbols = sorted({s for a in noise.arguments for s in a.free_symbols}, key=str)
    learnable = {p.symbol: p for p in params if p.learnable}
    free = [s for s in symbols if s in learnable and _ends(learnable[s]) is None]
    if free and noise.kind == "bernoulli":
        _unbounded(names, noise, learnable[free[0]], span)
        return
    for values, where in _corners(symbols, schedules, params):
        arguments = [a.xreplace(values) for a in noise.arguments]
        if _wrong(names, noise, arguments, span, where):
            return
    if len(symbols) == 1:
        for value, where in _turning_points(symbols[0], noise.arguments, schedules, params):
            arguments = [a.xreplace({symbols[0]: value}) for a in noise.arguments]
            if _wrong(names, noise, arguments, span, where):
                return


def _turning_points(
    symbol: sympy.Symbol,
    arguments: Sequence[Coefficient],
    schedules: Sequence[Schedule],
    params: Sequence[Param],
) -> Iterator[Value]:
    """Yield where a polynomial in one symbol turns between the ends of its schedule or range."""
    for schedule in schedules:
        if schedule.symbol == symbol and schedule.kind == "list":
            return
    ends = [value for value, _ in _values(symbol, schedules, params) if value.is_number]
    if len(ends) != 2:
        return
    low, high = sorted(ends)
    place = "between the first and the last step"
    if any(param.symbol == symbol for param in params):
        place = f"inside the range of `{symbol}`"
    for argument in arguments:
        if not argument.is_polynomial(symbol):
            continue
        for root in sympy.roots(sympy.Poly(argument, symbol).diff(symbol)):
            if root.is_real and low < root < high:
                yield root, f" {place}"


def _ends(param: Param) -> tuple[Coefficient, Coefficient] | None:
    """Return the ends of what a learnable param may become; None where nothing bounds it."""
    if param.range is not None:
        return param.range.low, param.range.high
    if param.via is not None and param.via.func.__name__ == "sigmoid":
        return SIGMOID
    return None


def _unbounded(names: Names, noise: Noise, param: Param, span: Span) -> None:
    names.report.add(
        "E0504",
        f"the probability of `{noise.name}` is learned and nothing keeps `{param.name}` in [0, 1]",
        span,
        f"write `param {param.name}: learnable, .., range [0, 1]`, or `via sigmoid(raw)`",
    )


def _corners(
    symbols: Sequence[sympy.Symbol], schedules: Sequence[Schedule], params: Sequence[Param]
) -> Iterator[tuple[dict[sympy.Symbol, Coefficient], str]]:
    """Yield the values of all symbols where each schedule or range ends."""
    lists = [list(_values(symbol, schedules, params)) for symbol in symbols]
    for chosen in islice(product(*lists), MOST_CORNERS):
        values = {s: value for s, (value, _) in zip(symbols, chosen, strict=True)}
        yield values, "".join(dict.fromkeys(where for _, where in chosen))


def _values(
    symbol: sympy.Symbol, schedules: Sequence[Schedule], params: Sequence[Param]
) -> Iterator[Value]:
    for schedule in schedules:
        if schedule.symbol == symbol:
            places = ("at the first step", "at the last step")
            for index, value in enumerate(schedule.values):
                where = f"at step {index}" if schedule.kind == "list" else places[index]
                yield value, f" {where}"
            return
    for param in params:
        if param.symbol != symbol:
            continue
        ends = _ends(param) if param.learnable else None
        if ends is not None:
            yield from ((end, f" at an end of the range of `{param.name}`") for end in ends)
        elif isinstance(param.init, Constant):
            yield param.init.value, " at the start of training" if param.learnable else ""
        else:
            yield symbol, ""
        return
    yield symbol, ""


def _wrong(
    names: Names, noise: Noise, arguments: Sequence[Coefficient], span: Span, where: str
) -> bool:
    """Report the first argument that is out of place; say whether there is one."""
    first = arguments[0] if arguments else sympy.Integer(0)
    if noise.kind == "bernoulli" and (first.is_negative or (first - 1).is_positive):
        message = f"probability {format_exact(first)}{where} is outside [0, 1]"
        names.report.add("E0501", message, span, "probabilities lie between 0 and 1")
        return True
    if noise.kind == "gaussian" and first.is_negative:
        message = f"the standard deviation {format_exact(first)}{where} is negative"
        names.report.add("E0502", message, span, "write its absolute value")
        return True
    if noise.kind == "uniform" and (arguments[1] - first).is_nonpositive:
        low, high = format_exact(first), format_exact(arguments[1])
        message = f"the interval from {low} to {high}{where} is empty"
        names.report.add("E0503", message, span, "the smaller end comes first")
        return True
    return False
