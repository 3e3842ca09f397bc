"""Noise as leaf modules: a fresh draw a call, so that train and eval follow the module's mode."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

__all__ = [
    "DRAWS",
    "NOISES",
    "Absent",
    "Bernoulli",
    "Drop",
    "Gaussian",
    "Kept",
    "Noise",
    "Power",
    "Rademacher",
    "Uniform",
    "Wiener",
    "drawn",
    "drawn_factor",
]


class Noise(nn.Module):
    """A random factor or summand, drawn once a call for a tensor ``x`` of shape ``(N, C, ..)``.

    ``scope``: one number for each ``element``, ``channel`` (of a sample), ``sample``, or one for the
    ``batch``. ``active``: in ``train`` mode only, ``always``, or ``never``; where it is not active, ``evaluation``
    says what stands for it: its ``mean``, a ``sample`` all the same, or ``off`` (no noise at all).
    """

    def __init__(self, scope: str, active: str = "train", evaluation: str = "mean") -> None:
        super().__init__()
        self.scope = scope
        self.active = active
        self.evaluation = evaluation

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        """Fill ``out`` with independent draws."""
        raise NotImplementedError

    def mean(self, *arguments: float | Tensor) -> float | Tensor:
        """Return the expectation."""
        return 0.0

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        """Return ``E xi^power`` for a power of 2 and more."""
        raise NotImplementedError

    def off(self, *arguments: float | Tensor) -> float | Tensor:
        """Return the value that stands for the absence of noise."""
        return self.mean(*arguments)

    def shape(self, x: Tensor) -> list[int]:
        kept = {"element": x.dim(), "channel": 2, "sample": 1, "batch": 0}[self.scope]
        return [x.shape[i] if i < kept else 1 for i in range(x.dim())]

    def factor(self, draw: Tensor, *arguments: float) -> Tensor:
        """Return the draw as a factor of mean 1: divided by its mean, or added to 1 where that is 0."""
        mean = self.mean(*arguments)
        return draw / mean if mean else 1 + draw

    def drawing(self) -> bool:
        """Return whether a call draws in the present mode."""
        trained = self.training and self.active != "never"
        return trained or self.active == "always" or self.evaluation == "sample"

    def forward(self, x: Tensor, *arguments: float | Tensor) -> Tensor:
        if self.drawing():
            return self.draw(x.new_empty(self.shape(x)), *arguments)
        value = self.off(*arguments) if self.evaluation == "off" else self.mean(*arguments)
        return x.new_ones([1] * x.dim()) * value

    def extra_repr(self) -> str:
        return f"scope={self.scope}, active={self.active}, evaluation={self.evaluation}"


class Wiener(Noise):
    """An increment of Brownian motion over one step: N(0, h)."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        (h,) = arguments
        return out.normal_() * (torch.sqrt(h) if isinstance(h, Tensor) else math.sqrt(h))

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        return (
            0.0 if power % 2 else math.prod(range(power - 1, 0, -2)) * arguments[0] ** (power // 2)
        )


class Gaussian(Noise):
    """N(0, s^2)."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        (s,) = arguments
        return out.normal_() * s

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        return 0.0 if power % 2 else math.prod(range(power - 1, 0, -2)) * arguments[0] ** power


class Bernoulli(Noise):
    """1 with probability p, else 0."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        (p,) = arguments
        return out.uniform_().lt(p).to(out.dtype) if isinstance(p, Tensor) else out.bernoulli_(p)

    def mean(self, *arguments: float | Tensor) -> float | Tensor:
        return arguments[0]

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        return arguments[0]

    def off(self, *arguments: float | Tensor) -> float | Tensor:
        return 1.0

    def factor(self, draw: Tensor, *arguments: float) -> Tensor:
        return super().factor(draw, *arguments) if arguments[0] else draw


class Uniform(Noise):
    """Uniform on ``[a, b)``."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        a, b = arguments
        return out.uniform_() * (b - a) + a

    def mean(self, *arguments: float | Tensor) -> float | Tensor:
        a, b = arguments
        return (a + b) / 2

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        a, b = arguments
        return sum(a**i * b ** (power - i) for i in range(power + 1)) / (power + 1)


class Rademacher(Noise):
    """1 or -1, each with probability 1/2."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        return out.bernoulli_(0.5) * 2 - 1

    def moment(self, power: int, *arguments: float | Tensor) -> float | Tensor:
        return 1.0 - power % 2


class Power(nn.Module):
    """A power of a draw, and in its place ``E xi^k`` where none is drawn: not the power of the mean."""

    def __init__(self, noise: Noise, power: int) -> None:
        super().__init__()
        self.power = power
        self.noise = noise

    def forward(self, draw: Tensor, *arguments: float | Tensor) -> Tensor:
        if self.noise.drawing() or self.noise.evaluation == "off":
            return draw**self.power
        return torch.ones_like(draw) * self.noise.moment(self.power, *arguments)


class Absent(torch.autograd.Function):
    """The sum as it was, without a branch that was not run; the gradients of its parameters are zero.

    They are zero and not missing, as behind a mask: optimisers treat both alike, and data-parallel replicas
    that ran the branch do not wait for those that did not.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, total: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters  # type: ignore[attr-defined]
        return total.view_as(total)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, ...]:
        parameters = ctx.parameters  # type: ignore[attr-defined]
        return gradient, *(torch.zeros_like(item) for item in parameters)


class Kept(nn.Module):
    """``total + factor * block(x)`` where a draw of 0 or 1 (``factor`` vanishes with it) keeps the branch.

    Only the kept rows are evaluated, or nothing at all where one draw serves the batch. The step is the one
    of the mask, except for batch statistics: they are those of the kept rows alone, and a branch that nothing
    keeps leaves its running statistics as they were (Huang et al., 2016). In eval mode, and in a compiled or
    exported graph, whose shapes cannot depend on a draw, the whole batch is evaluated and masked.
    """

    def forward(
        self,
        block: nn.Module,
        x: Tensor,
        draw: Tensor,
        total: Tensor,
        factor: Tensor,
        *call: float | Tensor,
    ) -> Tensor:
        whole = not self.training or x.is_meta or torch.compiler.is_compiling()
        if whole or total.shape != x.shape:
            return torch.addcmul(total, block(x, *call), factor)
        if draw.shape[0] == 1 != x.shape[0]:
            rows = None if bool(draw.any()) else draw.new_empty(0, dtype=torch.long)
        else:
            rows = draw.flatten().nonzero().squeeze(1)
            single = rows.shape[0] == 1 and x[0, 0].numel() == 1  # one value has no variance
            rows = None if single or rows.shape[0] == x.shape[0] else rows
        if rows is None:
            return torch.addcmul(total, block(x, *call), factor)
        if rows.shape[0] == 0:
            result: Tensor = Absent.apply(total, *block.parameters())
            return result
        found = block(x.index_select(0, rows), *call)
        scale = factor if factor.shape[0] == 1 else factor.index_select(0, rows)
        return total.index_add(0, rows, (found * scale).to(total.dtype))


class Drop(nn.Module):
    """A layer ``drop(b)`` inside a block: ``x`` times a noise of mean 1, ``x`` itself where none is drawn.

    For a Bernoulli noise of an element it is dropout with keep probability p (Srivastava et al., 2014).
    """

    def __init__(self, noise: Noise, *arguments: float) -> None:
        super().__init__()
        self.noise = noise
        self.arguments = arguments

    def forward(self, x: Tensor) -> Tensor:
        if not self.noise.drawing():
            return x
        return x * drawn_factor(self.noise, x, *self.arguments)


def drawn(noise: nn.Module, x: Tensor, *arguments: float) -> Tensor:
    """Return what a noise with known arguments draws for ``x``, of whose values it does not depend."""
    return noise(x, *arguments)  # type: ignore[no-any-return]


def drawn_factor(noise: Noise, x: Tensor, *arguments: float) -> Tensor:
    """Return a draw for ``x`` as a factor of mean 1."""
    return noise.factor(drawn(noise, x, *arguments), *arguments)


DRAWS = frozenset({drawn, drawn_factor})
"""Functions whose result has no gradient in their arguments."""

NOISES: dict[str, type[Noise]] = {
    "wiener": Wiener,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "uniform": Uniform,
    "rademacher": Rademacher,
}
