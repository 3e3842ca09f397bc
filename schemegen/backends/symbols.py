"""Coefficients that are tensors: params and noises, written where a step meets them first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sympy

from schemegen.backends.builder import Construction, Place
from schemegen.backends.coefficients import Value, write, write_value
from schemegen.backends.initial import raw_parameter
from schemegen.backends.names import attribute, variable
from schemegen.backends.powers import power_symbol, powers_in
from schemegen.network.noise import NOISES
from schemegen.scheme.model import Noise, Param

if TYPE_CHECKING:
    from schemegen.backends.steps import Step

__all__ = ["tensors"]


def tensors(step: Step, coefficient: sympy.Expr) -> dict[sympy.Symbol, Value]:
    """Write the params and noises of a coefficient where this step meets them first."""
    for param in step.network.program.params:
        if param.symbol in coefficient.free_symbols and param.symbol not in step.symbols:
            step.symbols[param.symbol] = parameter(step, param)
    for noise in step.program.noises:
        powers = tuple(powers_in(coefficient, noise))
        used = powers or noise.symbol in coefficient.free_symbols
        if used and noise.symbol not in step.symbols:
            step.symbols[noise.symbol] = draw(step, noise, "")
            if noise.backward != "same":
                step.reverse[noise.symbol] = draw(step, noise, "_back")
        for power in powers:
            symbol = power_symbol(noise, power)
            if symbol not in step.symbols:
                step.symbols[symbol] = power_of(step, noise, power, step.symbols, "")
                if noise.backward != "same":
                    step.reverse[symbol] = power_of(step, noise, power, step.reverse, "_back")
    return step.symbols


def parameter(step: Step, param: Param) -> Value:
    name = attribute(param.name)
    first = next(iter(step.after.values()))
    size = tuple(step.plan.after.size)
    shape: tuple[int, ...] = ()
    if param.shape == "channel":
        shape = (first, *(1 for _ in size))
    elif param.shape == "full":
        shape = (first, *size)
    shared = param.per != "step"
    if shared:
        name = f"shared_{name}"
        if param.per == "stage":
            name = f"{name}_stage{step.plan.stage}"
        elif shape:
            name = "_".join([name, *(str(extent) for extent in shape)])
    place = Place(name, shared)
    step.builder.declare_parameter(place, raw_parameter(param, shape))
    owner = name if shared else f"stage{step.plan.stage}.{step.plan.index}.{name}"
    step.network.coefficients[owner] = param
    return write_value(step.builder, param, step.builder.attribute(place), variable(param.name))


def draw(step: Step, noise: Noise, suffix: str) -> Value:
    """Write one draw, shaped like the state, or like the slope where a change of shape has no shortcut."""
    place = Place(attribute(noise.name) + suffix)
    step.builder.declare_module(place, module_of(noise, suffix))
    state = f"{step.network.program.states[0].name}[n]"
    bare = step.plan.reshapes and step.values[state] is step.raw[state] and not step.plan.project
    like = step.scaled if bare else step.values[state]
    arguments = (like, *arguments_of(step, noise))
    return step.builder.module(place, arguments, variable(noise.name) + suffix)


def power_of(
    step: Step, noise: Noise, power: int, draws: Mapping[sympy.Symbol, Value], suffix: str
) -> Value:
    """Write a power of a draw, in evaluation its mean."""
    name = f"{noise.name}_{power}"
    place = Place(f"{attribute(noise.name)}_power{power}{suffix}")
    inner = module_of(noise, suffix)
    step.builder.declare_module(place, Construction("Power", (power,), (inner,)))
    arguments = (draws[noise.symbol], *arguments_of(step, noise))
    return step.builder.module(place, arguments, variable(name) + suffix)


def arguments_of(step: Step, noise: Noise) -> tuple[Value, ...]:
    """Write what the draws of a noise depend on; learnable arguments are tensors."""
    values = []
    for argument in noise.parameters:
        known = step.coefficient(argument)
        values.append(write(step.builder, known, tensors(step, known), f"{noise.name}_p"))
    return tuple(values)


def module_of(noise: Noise, suffix: str) -> Construction:
    """Return the module that draws a noise, or what stands for it on the way back."""
    options = (noise.scope, noise.active, noise.evaluation)
    if suffix and noise.backward == "mean":
        options = (noise.scope, "never", "mean")
    return Construction(NOISES[noise.kind].__name__, options)
