"""Noise as leaf modules: a fresh draw a call, so that train and eval follow the module's mode."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["NOISES", "Bernoulli", "Gaussian", "Noise", "Rademacher", "Uniform", "Wiener"]


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

    def off(self, *arguments: float | Tensor) -> float | Tensor:
        """Return the value that stands for the absence of noise."""
        return self.mean(*arguments)

    def shape(self, x: Tensor) -> list[int]:
        kept = {"element": x.dim(), "channel": 2, "sample": 1, "batch": 0}[self.scope]
        return [x.shape[i] if i < kept else 1 for i in range(x.dim())]

    def forward(self, x: Tensor, *arguments: float | Tensor) -> Tensor:
        trained = self.training and self.active != "never"
        if trained or self.active == "always" or self.evaluation == "sample":
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


class Gaussian(Noise):
    """N(0, s^2)."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        (s,) = arguments
        return out.normal_() * s


class Bernoulli(Noise):
    """1 with probability p, else 0."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        (p,) = arguments
        return out.uniform_().lt(p).to(out.dtype) if isinstance(p, Tensor) else out.bernoulli_(p)

    def mean(self, *arguments: float | Tensor) -> float | Tensor:
        return arguments[0]

    def off(self, *arguments: float | Tensor) -> float | Tensor:
        return 1.0


class Uniform(Noise):
    """Uniform on ``[a, b)``."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        a, b = arguments
        return out.uniform_() * (b - a) + a

    def mean(self, *arguments: float | Tensor) -> float | Tensor:
        a, b = arguments
        return (a + b) / 2


class Rademacher(Noise):
    """1 or -1, each with probability 1/2."""

    def draw(self, out: Tensor, *arguments: float | Tensor) -> Tensor:
        return out.bernoulli_(0.5) * 2 - 1


NOISES: dict[str, type[Noise]] = {
    "wiener": Wiener,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "uniform": Uniform,
    "rademacher": Rademacher,
}
