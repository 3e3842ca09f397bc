"""The curvature that noise adds to the loss of a network: what training with noise controls.

With independent draws ``xi_k`` of variance ``s_k`` the mean loss is, to second order in the noise::

    E loss = loss(E xi) + 1/2 sum_k s_k d^2 loss / d xi_k^2

A draw moves the state of its step along ``d x / d xi``, so each term is ``1/2 S : Hess v`` of the backward
Kolmogorov equation: S the covariance of one step and v the loss from there on without noise. For one draw a
sample it is ``f^T (Hess v) f``, for a draw an element ``sum_i f_i^2 v_ii``.

Source: Sun, Tao, Du (2018), arXiv 1812.00174; Camuto et al. (2020), NeurIPS, explicit regularisation by noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from schemegen.diagnostics import UsageError
from schemegen.network.functions import rescale
from schemegen.network.noise import Drop, Noise, Power
from schemegen.network.replay import Chain

__all__ = ["Curvature", "curvature_penalty"]

EXACT = ("sample", "batch")


@dataclass(frozen=True, slots=True)
class Curvature:
    """``loss`` without noise, and by draw (``stage1.0.b``) what its noise adds to the mean loss."""

    loss: float
    terms: dict[str, float]

    @property
    def penalty(self) -> float:
        """The sum over all draws."""
        return sum(self.terms.values())


class Shifted(fx.Interpreter):
    """Runs a network with every draw at its mean plus a given shift."""

    def __init__(self, module: fx.GraphModule, shifts: Mapping[str, Tensor]) -> None:
        super().__init__(module)
        self.shifts = shifts
        self.drawn: dict[str, tuple[Noise, Tensor, tuple[Any, ...]]] = {}
        self.of: dict[int, Tensor] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = self.fetch_attr(str(target))
        if isinstance(found, Noise):
            x, *arguments = args
            mean = x.new_ones(found.shape(x)) * found.mean(*arguments)
            self.drawn[str(target)] = (found, mean, tuple(arguments))
            return mean + self.shifts[str(target)] if str(target) in self.shifts else mean
        if isinstance(found, Power):
            draw, *arguments = args
            mean = found.noise.mean(*arguments)
            slope = found.power * mean ** (found.power - 1)
            return found.noise.moment(found.power, *arguments) + slope * (draw - mean)
        return super().call_module(target, args, kwargs)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (
            target is rescale
        ):  # its backward pass draws again, or takes the mean; here the loss itself is meant
            value, factor = args[:2]
            return value * factor
        return super().call_function(target, args, kwargs)


def curvature_penalty(
    model: fx.GraphModule,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    probes: int = 8,
    seed: int = 0,
) -> Curvature:
    """Return what the noise of ``model`` adds to the mean of ``loss(model(inputs))``, to second order.

    Args:
        inputs: a batch.           loss: a scalar of the outputs, twice differentiable in them.
        probes: random directions for draws of elements or channels, whose diagonal is estimated without bias
                (Hutchinson, 1990); draws of a sample or of the batch take one direction and are exact.

    The network runs as in evaluation: batch-norm statistics are the running ones, so samples do not meet. Kinks
    (ReLU) have no second derivative, so the curvature that noise meets there is left out. Raises
    UsageError where a block holds noise of its own (``drop``), or where there is none.
    """
    refuse_chains(model)
    if any(isinstance(item, Drop) for item in model.modules()):
        raise UsageError("noise inside blocks (drop) is not measured; write it in the step")
    training = model.training
    model.eval()
    try:
        first = Shifted(model, {})
        with torch.no_grad():
            base = float(loss(first.run(inputs)))
        if not first.drawn:
            raise UsageError("the network has no noise")
        random = torch.Generator().manual_seed(seed)
        terms = {
            name: _added(model, inputs, loss, name, drawn, probes, random)
            for name, drawn in first.drawn.items()
            if not name.endswith("_back")  # the draws of the backward pass are not in the loss
        }
    finally:
        model.train(training)
    return Curvature(base, terms)


def _added(
    model: fx.GraphModule,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    name: str,
    drawn: tuple[Noise, Tensor, tuple[Any, ...]],
    probes: int,
    random: torch.Generator,
) -> float:
    """Return ``1/2 sum_k s_k d^2 loss / d xi_k^2`` over the components of one draw."""
    noise, mean, arguments = drawn
    variance = noise.moment(2, *arguments) - noise.mean(*arguments) ** 2
    deviation = torch.as_tensor(variance, dtype=mean.dtype, device=mean.device).detach().sqrt()
    exact = noise.scope in EXACT
    total = 0.0
    for _ in range(1 if exact else probes):
        sign = torch.ones(mean.shape)
        if not exact:
            sign = torch.randint(0, 2, mean.shape, generator=random) * 2.0 - 1.0
        direction = sign.to(mean) * deviation
        total += _second_derivative(model, inputs, loss, name, direction)
    return total / (2 * (1 if exact else probes))


def _second_derivative(
    model: fx.GraphModule,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    name: str,
    direction: Tensor,
) -> float:
    """Return ``d^2/dt^2 loss`` along one direction of a draw, by a Hessian-vector product."""
    shift = torch.zeros_like(direction, requires_grad=True)
    value = loss(Shifted(model, {name: shift}).run(inputs))
    (gradient,) = torch.autograd.grad(value, shift, create_graph=True, allow_unused=True)
    if gradient is None or not gradient.requires_grad:
        return 0.0
    (second,) = torch.autograd.grad((gradient * direction).sum(), shift, allow_unused=True)
    return 0.0 if second is None else float((second * direction).sum())


def refuse_chains(model: nn.Module) -> None:
    """Refuse a network whose steps are hidden in a plan of the backward pass."""
    if any(isinstance(item, Chain) for item in model.modules()):
        raise UsageError(
            "the steps of this network are run again in its backward pass",
            'build it with `backprop="store"` to measure it; the weights are interchangeable',
        )


def noise_only(model: nn.Module) -> nn.Module:
    """Put a network in evaluation mode with its noise on, as a Monte Carlo check of the penalty needs it."""
    model.eval()
    for item in model.modules():
        if isinstance(item, Noise | Power):
            item.train()
    return model
