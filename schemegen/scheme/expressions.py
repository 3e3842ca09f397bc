"""Syntax to exact numbers and back, node by node from an allow-list.

Text never reaches sympy's parser: every object is built from a checked node, and its size is limited before
it is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, prod
from typing import NoReturn, assert_never

import sympy
from sympy.printing.str import StrPrinter

from schemegen import exact
from schemegen.diagnostics import Span
from schemegen.language.nodes import Binary, Call, Expression, Index, Name, Number, Unary
from schemegen.scheme.report import Report

__all__ = ["FUNCTIONS", "REDUCTIONS", "coefficient", "degree", "format_exact", "shortened"]

LONG_QUOTIENT = re.compile(r"\d{20,}/\d{20,}")

BITS = 4096  # of an exact number; forty digits to the power 64 need 8504
DEGREE = 256  # of an expression in its symbols
TERMS = 5000  # of an expression once it is expanded
FIELD_DEGREE = 12  # of the numbers of a scheme over the rationals

FUNCTIONS: dict[str, tuple[int, Callable[..., sympy.Expr]]] = {
    "sqrt": (1, sympy.sqrt),
    "exp": (1, sympy.exp),
    "log": (1, sympy.log),
    "sin": (1, sympy.sin),
    "cos": (1, sympy.cos),
    "tanh": (1, sympy.tanh),
    "sigmoid": (1, sympy.Function("sigmoid")),
    "relu": (1, sympy.Function("relu")),
    "softplus": (1, sympy.Function("softplus")),
    "phi1": (1, lambda z: exact.phi(1, z)),
    "phi2": (1, lambda z: exact.phi(2, z)),
    "phi3": (1, lambda z: exact.phi(3, z)),
    "min": (2, sympy.Min),
    "max": (2, sympy.Max),
}
REDUCTIONS = ("std",)  # one number of a whole tensor, batch included; coefficients have none


class _RefusedError(Exception):
    """The expression was reported and has no value."""


def coefficient(
    node: Expression,
    names: Mapping[str, sympy.Expr],
    report: Report,
    *,
    functions: frozenset[str] | None = None,
) -> sympy.Expr | None:
    """Return the exact value of ``node``, or None after reporting what is wrong with it.

    ``names`` are the constants and symbols in sight; ``functions``, if given, the only ones that may be called
    (E0211).
    """
    try:
        value = _value(node, names, report, functions)
        _check_roots(value, node.span, report)
    except _RefusedError:
        return None
    return value


def _value(
    node: Expression,
    names: Mapping[str, sympy.Expr],
    report: Report,
    functions: frozenset[str] | None,
) -> sympy.Expr:
    match node:
        case Number():
            value = node.value
            return sympy.Rational(value.numerator, value.denominator)
        case Name(id=name):
            if name in names:
                return names[name]
            report.unknown("E0301", f"`{name}` is not declared", name, node.span, names, "name")
            raise _RefusedError
        case Index(name=name):
            report.add(
                "E0318",
                f"`{name}[..]` is a state, a coefficient cannot depend on it",
                node.span,
                "states may stand in `step { }` equations only",
            )
            raise _RefusedError
        case Call():
            return _call(node, names, report, functions)
        case Unary(operator=operator, operand=operand):
            inner = _value(operand, names, report, functions)
            return -inner if operator == "-" else inner
        case Binary():
            return _binary(node, names, report, functions)
        case _:
            assert_never(node)


def _call(
    node: Call,
    names: Mapping[str, sympy.Expr],
    report: Report,
    functions: frozenset[str] | None,
) -> sympy.Expr:
    if functions is not None and node.name not in functions:
        listed = ", ".join(f"`{item}`" for item in sorted(functions))
        report.add(
            "E0211",
            f"only {listed} may be called in a tableau, found `{node.name}(`",
            node.span,
            "name it with `const` first",
        )
        raise _RefusedError
    if node.name not in FUNCTIONS:
        report.unknown(
            "E0301",
            f"the function `{node.name}` is not known",
            node.name,
            node.name_span,
            FUNCTIONS,
            "function",
        )
        raise _RefusedError
    count, function = FUNCTIONS[node.name]
    if len(node.arguments) != count:
        report.add(
            "E0316",
            f"`{node.name}` takes {count} argument{'s' * (count > 1)}, found {len(node.arguments)}",
            node.span,
            f"write `{node.name}({', '.join('xyz'[:count])})`",
        )
        raise _RefusedError
    arguments = [_value(item, names, report, functions) for item in node.arguments]
    for argument in arguments:
        _check_roots(argument, node.span, report)
    if (
        node.name in {"sqrt", "log"}
        and arguments[0].is_number
        and not _is_positive(arguments[0], allow_zero=node.name == "sqrt")
    ):
        report.add(
            "E0212",
            f"`{node.name}({format_exact(arguments[0])})` is not a real number",
            node.span,
            "coefficients are real",
        )
        raise _RefusedError
    return function(*arguments)


def _is_positive(number: sympy.Expr, *, allow_zero: bool) -> bool:
    if exact.is_zero(number):
        return allow_zero
    return bool(number.is_positive)


def _binary(
    node: Binary,
    names: Mapping[str, sympy.Expr],
    report: Report,
    functions: frozenset[str] | None,
) -> sympy.Expr:
    left = _value(node.left, names, report, functions)
    right = _value(node.right, names, report, functions)
    if node.operator == "+":
        result = left + right
    elif node.operator == "-":
        result = left - right
    elif node.operator == "*":
        result = left * right
    else:
        if node.operator == "/" and _vanishes(right):
            report.add(
                "E0210", "division by zero in a coefficient", node.right.span, "the divisor is 0"
            )
            raise _RefusedError
        if node.operator == "^":
            _check_power(node, left, right, report)
        result = left / right if node.operator == "/" else left**right
    _check_size(result, node.span, report)
    return result


def _vanishes(expression: sympy.Expr) -> bool:
    try:
        return exact.is_zero(expression)
    except ZeroDivisionError:
        return False


def _check_power(node: Binary, base: sympy.Expr, exponent: sympy.Expr, report: Report) -> None:
    if exponent.is_Rational and abs(exponent) > 64:
        report.add(
            "E0118",
            f"the power {exponent} is beyond the limit of 64",
            node.right.span,
            "limits are listed in `explain E0118`",
        )
        raise _RefusedError
    if exponent.is_negative and _vanishes(base):
        report.add("E0210", "division by zero in a coefficient", node.left.span, "the divisor is 0")
        raise _RefusedError


def _check_size(expression: sympy.Expr, span: Span, report: Report) -> None:
    """Refuse numbers and polynomials that would be large once they are worked out."""
    if expression.is_Rational:
        bits = max(int(expression.p).bit_length(), int(expression.q).bit_length())
        if bits > BITS:
            _too_large(report, f"the number has {bits} bits, the limit is {BITS}", span)
        return
    if degree(expression) > DEGREE:
        found = degree(expression)
        _too_large(report, f"the coefficient has degree {found}, the limit is {DEGREE}", span)
    if terms(expression) > TERMS:
        _too_large(report, f"the coefficient expands to more than {TERMS} terms", span)


def _too_large(report: Report, message: str, span: Span) -> NoReturn:
    report.add("E0118", message, span, "limits are listed in `explain E0118`")
    raise _RefusedError


def _check_roots(expression: sympy.Expr, span: Span, report: Report) -> None:
    """Refuse more independent roots than one number field holds in reasonable time."""
    fresh = set(exact.radicals([expression])) - report.roots
    if not fresh:
        return
    found = prod(int(root.exp.q) for root in report.roots | fresh)
    if found > FIELD_DEGREE:
        _too_large(
            report,
            f"the roots of the scheme span a number field of degree up to {found}, the limit is "
            f"{FIELD_DEGREE}",
            span,
        )
    report.roots |= fresh


def degree(expression: sympy.Expr) -> int:
    """Return a bound of the degree that ``expression`` has once it is expanded."""
    if expression.is_Rational:
        return 0
    if isinstance(expression, sympy.Mul):
        return sum(degree(item) for item in expression.args)
    if isinstance(expression, sympy.Pow) and expression.exp.is_Rational:
        return int(degree(expression.base) * abs(expression.exp.p))
    if expression.args:
        return max(degree(item) for item in expression.args)
    return 1


def terms(expression: sympy.Expr) -> int:
    """Return a bound of the number of terms that ``expression`` has once it is expanded."""
    if isinstance(expression, sympy.Add):
        return sum(terms(item) for item in expression.args)
    if isinstance(expression, sympy.Mul):
        return prod(terms(item) for item in expression.args)
    if isinstance(expression, sympy.Pow) and expression.exp.is_Integer:
        power = abs(int(expression.exp))
        return comb(terms(expression.base) + power - 1, power)
    return max((terms(item) for item in expression.args), default=1)


class _Printer(StrPrinter):  # type: ignore[misc]  # sympy is untyped
    """sympy's printer with the language's power sign and function names."""

    def _print_Pow(self, expr: sympy.Pow, rational: bool = False) -> str:  # noqa: N802
        return str(super()._print_Pow(expr, rational)).replace("**", "^")

    def _print_Max(self, expr: sympy.Max) -> str:  # noqa: N802
        return f"max({', '.join(self._print(item) for item in expr.args)})"

    def _print_Min(self, expr: sympy.Min) -> str:  # noqa: N802
        return f"min({', '.join(self._print(item) for item in expr.args)})"


def shortened(text: str) -> str:
    """Return text for people: quotients of very long numbers, as rounded decimals lead to, become decimals."""
    return LONG_QUOTIENT.sub(lambda item: f"{float(Fraction(item[0])):.15g}", text)


def format_exact(expression: sympy.Expr) -> str:
    """Return an exact number or coefficient in the language's own syntax: ``-1/24``, ``(1 - k)/(k + 1)^3``."""
    if expression is sympy.oo:
        return "inf"
    if expression is -sympy.oo:
        return "-inf"
    text: str = _Printer({"order": "rev-lex"}).doprint(expression)
    return text
