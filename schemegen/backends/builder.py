"""What a step is written through: one interface, for graph nodes and for lines of source text.

Both backends run the same writer (``steps.py``) over a :class:`Builder`, so that they call the same
functions in the same order and agree to the last bit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import nn

from schemegen.diagnostics import Span
from schemegen.network import (
    blocks,
    convolutions,
    fractal,
    functions,
    layers,
    noise,
    smooth,
    solvers,
    timed,
)

__all__ = [
    "CONSTRUCTORS",
    "FUNCTIONS",
    "METHODS",
    "PATH",
    "Builder",
    "Caller",
    "Construction",
    "Mark",
    "Number",
    "Place",
    "RawParameter",
    "Ref",
]

PATH = "path"
"""The place of the module that draws for drop-path, and the name of its draw."""

Ref = Any
"""A value of the builder: an ``fx.Node`` or the name of a variable; numbers pass as :class:`Number`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number known at generation; ``hint`` names it where it differs from step to step."""

    value: int | float | Fraction
    hint: str = "c"

    @property
    def python(self) -> int | float:
        value = self.value
        return value.numerator / value.denominator if isinstance(value, Fraction) else value


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module or parameter lives: in its own step, or in the network, shared by steps."""

    name: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Construction:
    """A module as data: the name of its constructor, its arguments, and the layers inside it."""

    function: str
    arguments: tuple[int | float | bool | str | None, ...] = ()
    children: tuple[Construction, ...] = ()
    hints: tuple[str, ...] = ()
    options: tuple[tuple[str, int], ...] = ()

    def instance(self) -> nn.Module:
        """Build the module."""
        inner = [child.instance() for child in self.children]
        if self.function.startswith("python:"):
            return python_class(self.function[7:])(*self.arguments)
        return CONSTRUCTORS[self.function](*inner, *self.arguments, **dict(self.options))


@dataclass(frozen=True, slots=True)
class RawParameter:
    """The stored tensor of a coefficient, float32 unless the network is cast as a whole.

    ``initial`` draws its start values; ``text`` is the same as a line of source.
    """

    shape: tuple[int, ...]
    initial: Callable[[tuple[int, ...]], torch.Tensor]
    text: str
    learnable: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the calls that follow come from: a line of the scheme and the value being computed."""

    span: Span | None
    value: str


class Caller(Protocol):
    """Takes calls of functions."""

    def call(
        self, function: str, args: tuple[Any, ...], name: str, kwargs: dict[str, Any] | None = None
    ) -> Ref:
        """Call ``FUNCTIONS[function]``."""


class Builder(Caller, Protocol):
    """Takes the calls of a step, one after the other."""

    def at(self, mark: Mark) -> None:
        """Set the origin of the calls that follow."""

    def declare_module(self, place: Place, construction: Construction) -> None:
        """Make the module at ``place``, once."""

    def declare_parameter(self, place: Place, parameter: RawParameter) -> None:
        """Make the parameter at ``place``, once."""

    def module(self, place: Place, args: tuple[Any, ...], name: str) -> Ref:
        """Call the module at ``place``."""

    def attribute(self, place: Place) -> Ref:
        """Return the module or the parameter at ``place`` itself."""

    def path_draw(self) -> Ref:
        """Return the draw of drop-path, the same for all steps of a pass."""

    def sweep(self, place: Place, inputs: tuple[tuple[str, Ref], ...], body: Sweep) -> Ref:
        """Return a function of ``inputs`` (name and value) whose body ``body`` writes."""


class Sweep(Protocol):
    """Writes the body of a sweep through the builder it is given, and returns its results."""

    def __call__(self, builder: Builder, inputs: tuple[Ref, ...]) -> tuple[Ref, ...]: ...


def python_class(text: str) -> Callable[..., nn.Module]:
    """Return the class that ``module:Class`` names; only ever called with a command-line argument."""
    import importlib

    module, _, name = text.partition(":")
    found: Callable[..., nn.Module] = getattr(importlib.import_module(module), name)
    return found


ARITHMETIC = ("add", "sub", "addcmul", "cat", "split", "zeros_like", "minimum", "maximum", "clamp")
ELEMENTWISE = ("relu", "sigmoid", "tanh", "exp", "log", "sqrt", "sin", "cos", "abs", "std")
KERNELS = (
    "BatchNorm1d",
    "BatchNorm2d",
    "LayerNorm",
    "GroupNorm",
    "Linear",
    "Dropout",
    "MaxPool2d",
    "AvgPool2d",
)
ACTIVATIONS = ("ReLU", "Tanh", "Sigmoid", "Softplus", "GELU", "SiLU", "ELU", "Flatten", "Identity")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "neg": operator.neg,
    "getitem": operator.getitem,
    "phi1": functions.phi1,
    "phi2": functions.phi2,
    "phi3": functions.phi3,
    "bounded": functions.bounded,
    "rescale": functions.rescale,
    "preactivate": blocks.preactivate,
    "transform": blocks.transform,
    "evaluate": solvers.evaluate,
    "F.softplus": torch.nn.functional.softplus,
    **{f"torch.{name}": getattr(torch, name) for name in (*ARITHMETIC, *ELEMENTWISE)},
}

METHODS = {"torch.Tensor.type_as": "type_as"}
"""Calls that are methods in a graph: torch writes an import of each function, and a method has none."""

CONSTRUCTORS: dict[str, Callable[..., nn.Module]] = {
    **{cls.__name__: cls for cls in blocks.BLOCKS.values()},
    "conv": convolutions.conv,
    "StageBatchNorm": blocks.StageBatchNorm,
    "Projection": blocks.Projection,
    "VectorProjection": blocks.VectorProjection,
    **{name: getattr(layers, name) for name in layers.__all__},
    "PathDraw": fractal.PathDraw,
    "Smooth": smooth.Smooth,
    "Time": timed.Time,
    "InnerPreact": blocks.InnerPreact,
    "InnerBottleneck": blocks.InnerBottleneck,
    "Solver": solvers.Solver,
    **{cls.__name__: cls for cls in noise.NOISES.values()},
    "Drop": noise.Drop,
    "Power": noise.Power,
    "Kept": noise.Kept,
    **{f"nn.{name}": getattr(nn, name) for name in (*KERNELS, *ACTIVATIONS)},
}
