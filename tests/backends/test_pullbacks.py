"""Written pullbacks give the gradients of autograd, for every function that has one."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, fx, nn

import schemegen
from schemegen.backends.adjoint import LEAST, with_adjoint
from schemegen.backends.pointwise import POINTWISE
from schemegen.network import functions

PLACES = torch.tensor(
    [-40.0, -3.0, -1.0, -0.999, -0.3, -1e-6, 0.0, 1e-9, 9e-4, 0.5, 0.7, 1.0, 1.7, 9.0, 25.0],
    dtype=torch.float64,
)
BOUNDS = {functions.bounded: (-1.0, 0.5)}


def pair(function: Any, more: tuple[float, ...]) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return ``-3 function(x)`` as it is and with a written backward pass, long enough to get one."""
    graph = fx.Graph()
    value = graph.placeholder("x")
    for _ in range(LEAST + LEAST % 2):
        value = graph.call_function(operator.neg, (value,))
    value = graph.call_function(function, (value, *more))
    graph.output(graph.call_function(torch.mul, (value, -3)))
    for node in graph.nodes:
        node.meta["own"] = tuple(PLACES.shape)
    root, changed = with_adjoint(graph)
    assert [node.op for node in changed.nodes].count("call_module") == 1
    return fx.GraphModule(nn.Module(), graph), fx.GraphModule(root, changed)


def outcome(call: Callable[[Tensor], Any], places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the result, gradients for cotangents of both signs, and gradients of gradients."""
    x = places.clone().requires_grad_()
    found = call(x)
    result = found[0] if isinstance(found, tuple) else found
    cotangent = torch.linspace(-1.1, 1, len(x), dtype=x.dtype)
    (first,) = torch.autograd.grad(result, x, cotangent, retain_graph=True)
    (again,) = torch.autograd.grad(result, x, cotangent, create_graph=True)
    torch.testing.assert_close(again, first, rtol=1e-10, atol=1e-10)
    (second,) = torch.autograd.grad((again.square() + x).sum(), x)
    return result.detach(), first, second


@pytest.mark.parametrize("function", POINTWISE, ids=lambda item: item.__name__)
def test_pointwise_functions_are_pulled_back_as_by_autograd(function: Any) -> None:
    places = PLACES.abs() + 0.1 if function in (torch.sqrt, torch.log) else PLACES
    plain, fast = pair(function, BOUNDS.get(function, ()))
    for one, other in zip(outcome(plain, places), outcome(fast, places), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_phi_by_its_integral(order: int) -> None:
    """``phi_k'(z) = int_0^1 (1 - s) exp((1 - s) z) s^(k-1)/(k-1)! ds``, at 0 as everywhere."""
    nodes, weights = (torch.from_numpy(item) for item in leggauss(60))
    s, w = (nodes + 1) / 2, weights / 2
    kernel = w * (1 - s) * s ** (order - 1) / max(order - 1, 1)
    true = torch.exp(PLACES[:, None] * (1 - s)) @ kernel
    function = (functions.phi1, functions.phi2, functions.phi3)[order - 1]
    found = functions.phi_pulled(torch.ones_like(PLACES), PLACES, function(PLACES), order)
    torch.testing.assert_close(found, true, rtol=1e-12, atol=0)
    x = PLACES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    torch.testing.assert_close(slope, true, rtol=1e-12, atol=0)


MIXED = """scheme mixed {{
  state u
  drift f(u): block preact
  param lam: learnable, shape channel, per step, init 1/10
  param k: learnable, per step, init 1/2, range [0, 1/2]
  step {{ u[n+1] = u[n] + h*({expression})*f(u[n]) }}
}}
network n {{
  input: shape [3, 8, 8], classes 10
  stem: conv(3), width 4
  stage: width 4, steps 3
  head: bn, relu, avgpool, linear
}}"""


@pytest.mark.parametrize(
    "expression",
    [
        "k*lam",
        "lam/(1 + k)",
        "k/(1 + lam)",
        "1/(k + lam)",
        "(1 - lam)*k",
        "(1 + k)/lam/k",
        "lam^2*k",
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_coefficients_of_several_shapes_are_pulled_back_as_by_autograd(
    expression: str, sign: int
) -> None:
    """A bound stops the gradient of the whole coefficient, not that of single channels."""
    network = schemegen.build(MIXED.format(expression=expression), "n").double().train()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("lam"):
                value.copy_(torch.linspace(-0.3, 0.4, value.numel()).view_as(value))
            elif name.endswith("k"):
                value.add_(0.25)  # beyond its bound
    twin = copy.deepcopy(network)
    fast = schemegen.optimize(twin)
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    for call in (network, fast):
        (sign * call(x).square().sum()).backward()
    for (name, one), other in zip(network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-9, atol=1e-9, msg=name)
