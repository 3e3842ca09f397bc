"""Branches with smooth weights in optimised networks: written flat, as long as nobody looks inside."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import schemegen
from schemegen.backends.functional import functional
from schemegen.network.smooth import Smooth
from schemegen.network.solvers import evaluate
from schemegen.scheme.builders import from_text

TEXT = """scheme s {{
  state u
  {noise}
  drift f(u{time}): block {block}, weights smooth {knots}
  stepsize h = 1/4
  step {{ u[n+1] = u[n] + h*f(u[n]{at}) }}
}}
network n {{
  input: shape [{shape}], classes 3
  {own}
  stem: {stem}, width 4
  stage: width 4, steps 4
  head: {head}
}}"""
IMAGES = {"shape": "1, 6, 6", "stem": "conv(3)", "head": "relu, avgpool, linear"}
VECTORS = {"shape": "5", "stem": "linear", "head": "linear"}
TIMED = {"block": "ode", "time": ", t", "at": ", t"}
NORMED = {"block": "own", "own": "block own: seq [layernorm, linear, gelu, linear]"}
NOISY = {
    "block": "own",
    "own": "block own: seq [conv(3), drop(m), tanh]",
    "noise": "noise m: bernoulli(3/4), scope element",
}


def built(*, knots: int = 3, **given: str) -> nn.Module:
    chosen = {"time": "", "at": "", "own": "", "noise": "", **given}
    return schemegen.build(from_text(TEXT.format(knots=knots, **chosen)), "n").double()


def outcome(network: nn.Module) -> list[Tensor | None]:
    """Return outputs, the gradients of everything, gradients of gradients, and buffers."""
    torch.manual_seed(1)
    node = next(node for node in network.graph.nodes if node.op == "placeholder")
    x = torch.randn(3, *node.meta["shape"], dtype=torch.float64, requires_grad=True)
    y = network(x)
    learned = [x, *network.parameters()]
    found = torch.autograd.grad(y.square().sum(), learned, create_graph=True)
    again = torch.autograd.grad(found[0].square().sum(), learned, allow_unused=True)
    every = [y, *found, *again, *(item.clone() for item in network.buffers())]
    return [None if item is None else item.detach() for item in every]


def same(one: list[Tensor | None], other: list[Tensor | None]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def called(network: nn.Module) -> set[str]:
    graph = functional(network).graph
    return {node.args[0].name for node in graph.nodes if node.target is evaluate}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("given", "knots", "flat"),
    [
        ({"block": "preact", **IMAGES}, 3, True),
        ({"block": "preact", **IMAGES}, 4, True),  # every step at a knot
        ({"block": "mlp", **VECTORS}, 3, True),
        ({**TIMED, **IMAGES}, 2, True),
        ({**NORMED, **VECTORS}, 3, True),
        ({**NOISY, **IMAGES}, 3, True),
        ({"block": "fractal", **IMAGES}, 2, False),
    ],
)
def test_smooth_weights_run_flat(
    given: dict[str, str], knots: int, flat: bool, training: bool
) -> None:
    network = built(knots=knots, **given).train(training)
    assert (not called(network)) == flat
    same(outcome(schemegen.optimize(copy.deepcopy(network))), outcome(network))


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_steps_without_gradients(mode: str) -> None:
    network = built(block="preact", **IMAGES)
    x = torch.randn(3, 1, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(3):
            network(x)
        fast = schemegen.optimize(network.eval(), mode=mode)
        torch.testing.assert_close(fast(x), network(x), rtol=1e-10, atol=1e-10)


def test_what_happens_to_the_next_knot_is_noticed() -> None:
    network = built(block="preact", **IMAGES)
    fast = schemegen.optimize(copy.deepcopy(network))
    same(outcome(fast), outcome(network))
    handles = []
    for module in (network, fast):
        whole = next(item for item in module.modules() if isinstance(item, Smooth))
        handles.append(whole.register_forward_hook(lambda layer, given, found: found / 3))
    same(outcome(fast), outcome(network))
    for handle in handles:
        handle.remove()
    for module in (network, fast):
        knots = next(item for item in module.modules() if isinstance(item, Smooth)).knots
        knots[1].conv1 = copy.deepcopy(knots[2].conv1)
    same(outcome(fast), outcome(network))
    for module in (network, fast):
        knots = next(item for item in module.modules() if isinstance(item, Smooth)).knots
        knots[0].conv2.register_forward_hook(lambda layer, given, found: 2 * found)
    same(outcome(fast), outcome(network))
    fast.load_state_dict(built(block="preact", **IMAGES).state_dict())
    network.load_state_dict(fast.state_dict())
    same(outcome(fast), outcome(network))
