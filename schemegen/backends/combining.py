"""Combinations of a step: sums of values times coefficients.

A sum starts from a term whose coefficient is 1, states before slopes, so that under autocast the float32 state
keeps it; known numbers become ``add(alpha=)``, tensors ``addcmul``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import sympy

from schemegen.backends.builder import Number, Ref
from schemegen.backends.coefficients import number, write
from schemegen.backends.names import variable
from schemegen.backends.powers import in_powers, powers_in
from schemegen.backends.symbols import tensors
from schemegen.exact import is_zero as vanishes
from schemegen.step.program import ONES, Term

if TYPE_CHECKING:
    from schemegen.backends.steps import Step

__all__ = ["combine"]


# The steps of a network ask of the same few coefficients.
is_zero = lru_cache(maxsize=4096)(vanishes)


def combine(step: Step, target: str, terms: tuple[Term, ...]) -> Ref:
    """Write ``sum_i c_i v_i``, starting from a state that needs no multiplication."""
    name = variable(target)
    all_parts = [(term.value, step.coefficient(term.coefficient)) for term in terms]
    parts = [part for part in all_parts if not is_zero(part[1])]
    if not parts:
        like = step.values[f"{step.network.program.states[0].name}[n]"]
        return step.builder.call("torch.zeros_like", (like,), name)
    parts.sort(key=lambda part: (part[0] == ONES, part[0] in step.slopes, part[1] != 1))
    total: Ref = None
    for count, (value, coefficient) in enumerate(parts):
        label = name if count == len(parts) - 1 else f"{name}_part{count}"
        total = add(step, total, coefficient, value, label)
    return total


def add(step: Step, total: Ref | None, coefficient: sympy.Expr, value: str, name: str) -> Ref:
    """Write ``total + coefficient * value``; ``total`` None is zero."""
    coefficient = in_powers(coefficient, step.program.noises)
    if value == ONES:
        return add_constant(step, total, coefficient, name)
    if value in step.pending:
        factor = write(step.builder, coefficient, tensors(step, coefficient), f"{name}_c")
        if total is None:
            total = step.builder.call("torch.zeros_like", (step.pending[value][1],), f"{name}_zero")
        return step.add_kept(total, factor, value, name)
    tensor = step.value(value)
    if coefficient.free_symbols:
        return add_scaled(step, total, coefficient, tensor, name)
    factor = number(coefficient)
    if total is None:
        if factor == 1:
            return tensor
        if factor == -1:
            return step.builder.call("neg", (tensor,), name)
        return step.builder.call("*", (tensor, Number(factor)), name)
    if factor == 1:
        return step.builder.call("torch.add", (total, tensor), name)
    if factor == -1:
        return step.builder.call("torch.sub", (total, tensor), name)
    return step.builder.call("torch.add", (total, tensor), name, {"alpha": Number(factor)})


def add_scaled(
    step: Step, total: Ref | None, coefficient: sympy.Expr, tensor: Ref, name: str
) -> Ref:
    """Write a term whose coefficient is a tensor, with its own backward draw where declared."""
    step.scaled = tensor
    factor = write(step.builder, coefficient, tensors(step, coefficient), f"{name}_c")
    noises = [
        n
        for n in step.program.noises
        if n.symbol in coefficient.free_symbols or any(powers_in(coefficient, n))
    ]
    if any(noise.backward != "same" for noise in noises):
        symbols = {**tensors(step, coefficient), **step.reverse}
        back = write(step.builder, coefficient, symbols, f"{name}_back")
        scaled = step.builder.call("rescale", (tensor, factor, back), f"{name}_scaled")
        return scaled if total is None else step.builder.call("torch.add", (total, scaled), name)
    if total is None:
        return step.builder.call("*", (tensor, factor), name)
    return step.builder.call("torch.addcmul", (total, tensor, factor), name)


def add_constant(step: Step, total: Ref | None, coefficient: sympy.Expr, name: str) -> Ref:
    """Write ``total + coefficient`` for a number, a noise or a param of its own."""
    factor = write(step.builder, coefficient, tensors(step, coefficient), f"{name}_c")
    if total is None:
        like = step.values[f"{step.network.program.states[0].name}[n]"]
        total = step.builder.call("torch.zeros_like", (like,), f"{name}_zero")
    return step.builder.call("+", (total, factor), name)
