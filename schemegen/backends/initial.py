"""First values of learnable coefficients: ``init`` is of the value, the stored tensor is its preimage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch import Tensor

from schemegen.backends.builder import FUNCTIONS, Number, RawParameter
from schemegen.backends.coefficients import number, write
from schemegen.backends.text import call_text
from schemegen.diagnostics import InternalError
from schemegen.scheme.model import Coefficient, Constant, Normal, Param, Uniform

__all__ = ["preimage", "raw_parameter"]

RAW = sympy.Symbol("raw")
VALUE = sympy.Symbol("value")


class Eager:
    """Runs calls on tensors at once."""

    def call(
        self, function: str, args: tuple[Any, ...], name: str, kwargs: dict[str, Any] | None = None
    ) -> Any:
        plain = [item.python if isinstance(item, Number) else item for item in args]
        named = {
            key: item.python if isinstance(item, Number) else item
            for key, item in (kwargs or {}).items()
        }
        return FUNCTIONS[function](*plain, **named)


class Expressions:
    """Nests calls into one expression of source text."""

    def call(
        self, function: str, args: tuple[Any, ...], name: str, kwargs: dict[str, Any] | None = None
    ) -> str:
        text = call_text(function, args, kwargs)
        return text if text.endswith(")") and " " not in text else f"({text})"


def preimage(via: Coefficient | None) -> sympy.Expr:
    """Return the raw tensor as an expression in ``value``, from ``value = via(raw)``.

    ``relu`` is inverted on its positive branch, an even power on the positive root.
    """
    result: sympy.Expr
    expression, result = via if via is not None else RAW, VALUE
    while expression != RAW:
        if isinstance(expression, sympy.Add | sympy.Mul):
            inner = [part for part in expression.args if part.has(RAW)]
            if len(inner) != 1:
                raise InternalError(f"via {via} cannot be inverted")
            rest = expression.func(*(part for part in expression.args if not part.has(RAW)))
            result = result - rest if isinstance(expression, sympy.Add) else result / rest
            expression = inner[0]
            continue
        base = expression.args[0]
        match expression.func.__name__:
            case "sigmoid":
                result = sympy.log(result / (1 - result))
            case "softplus":
                result = sympy.log(sympy.exp(result) - 1)
            case "tanh":
                result = sympy.log((1 + result) / (1 - result)) / 2
            case "exp":
                result = sympy.log(result)
            case "log":
                result = sympy.exp(result)
            case "relu":
                pass
            case "Max":
                base = next(part for part in expression.args if part.has(RAW))
            case "Pow" if not expression.args[1].has(RAW):
                result = result ** (1 / expression.args[1])
            case name:
                raise InternalError(f"via {name} cannot be inverted")
        expression = base
    return result


def raw_parameter(param: Param, shape: tuple[int, ...]) -> RawParameter:
    """Return how the stored tensor of ``param`` starts, as a function and as a line of source."""
    inverse = preimage(param.via)
    affine = inverse.is_polynomial(VALUE) and sympy.degree(inverse, VALUE) <= 1
    size = repr(shape)

    def at(value: Coefficient) -> float:
        return float(number(inverse.xreplace({VALUE: value})))

    match param.init:
        case Constant(value=value):
            constant = at(value)
            return RawParameter(
                shape,
                lambda s: torch.full(s, constant),
                f"torch.full({size}, {constant!r})",
                param.learnable,
            )
        case Uniform(low=low, high=high):
            ends = (at(low), at(high)) if affine else (float(number(low)), float(number(high)))
            draw, a, b = "uniform_", min(ends), max(ends)
        case Normal(mean=mean, deviation=deviation):
            draw, a, b = "normal_", float(number(mean)), float(number(deviation))
            if affine:
                slope = float(number(sympy.diff(inverse, VALUE)))
                a, b = at(mean), abs(slope) * b
    text = f"torch.empty({size}).{draw}({a!r}, {b!r})"
    if affine:
        return RawParameter(shape, sampled(draw, a, b, None), text, param.learnable)
    formula = write(Expressions(), inverse, {VALUE: "value"}, "raw")
    text = f"(lambda value: {formula})({text})"
    return RawParameter(shape, sampled(draw, a, b, inverse), text, param.learnable)


def sampled(
    draw: str, a: float, b: float, inverse: sympy.Expr | None
) -> Callable[[tuple[int, ...]], Tensor]:
    """Return a function that draws values of a shape and maps them to raw tensors."""

    def initial(shape: tuple[int, ...]) -> Tensor:
        value = torch.empty(shape)
        value = value.uniform_(a, b) if draw == "uniform_" else value.normal_(a, b)
        if inverse is None:
            return value
        result = write(Eager(), inverse, {VALUE: value}, "raw")
        if not isinstance(result, Tensor):
            raise InternalError("the preimage of a tensor is a tensor")
        return result

    return initial
