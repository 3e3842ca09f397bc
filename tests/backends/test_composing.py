"""Composed layers: every form of a network computes the same, with the same gradients, in fewer products."""

from __future__ import annotations

import copy
import operator
import re
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from reference import VERLET
from torch import Tensor, fx
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.backends.adjoint import runnable
from schemegen.backends.composing import FRONT, composed, softened, terms
from schemegen.backends.costs import cheapest, cost, forms
from schemegen.backends.flat import Code, places
from schemegen.backends.functional import functional
from schemegen.backends.inplace import side_by_side
from schemegen.backends.rewrites import interpolate, share
from schemegen.network.adjoint import weighted
from schemegen.scheme.builders import from_text

STEPS = {
    "euler": "u[n+1] = u[n] + h*f(u[n])",
    "midpoint": "u[n+1] = u[n] + h*f(u[n] + h/2*f(u[n]))",
    "heun": "k = f(u[n])\n u[n+1] = u[n] + h/2*k + h/2*f(u[n] + h*k)",
    "bashforth": "u[n+1] = u[n] + h*(3/2*f(u[n]) - 1/2*f(u[n-1]))",
    "leapfrog": "u[n+1] = u[n-1] + 2*h*f(u[n])",
    "damped": "u[n+1] = 3/2*u[n] - 1/2*u[n-1] + 1/2*h*f(u[n])",
    "interpolated": "u[n+1] = 1/3*u[n] + 2/3*u[n-1] + h*f(2/3*u[n] - 1/7*u[n-1])",
    "decaying": "u[n+1] = 3/4*u[n] + h*f(1/2*u[n])",
}
LEARNED = """scheme learned {
  state u
  drift f(u): block branch, weights network
  param k: learnable, per step, init uniform(-0.1, 0)
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }
}"""
TWO = """scheme two {
  state u
  drift f(u): block branch, weights network
  drift g(u): block other, weights network
  step { u[n+1] = u[n] + h*f(u[n]) + h*g(u[n]) }
}"""
NETWORK = """network n {{
  input: shape [5], classes 3
  block branch: seq [{branch}]
  block other: seq [linear, sigmoid, linear]
  stem: linear, width 6
  stage: width 6, steps {steps}
  head: linear
}}"""
TANH = "linear, tanh, linear"


def text(step: str, branch: str = TANH, steps: int = 5, weights: str = "network") -> str:
    scheme = step if step.startswith("scheme") else (
        f"scheme s {{ state u\n drift f(u): block branch, weights {weights}\n step {{ {step} }} }}"
    )  # fmt: skip
    network = NETWORK.format(branch=branch, steps=steps)
    if "block other" not in scheme:
        network = "\n".join(line for line in network.splitlines() if "block other" not in line)
    return scheme + "\n" + network


def written(step: str, **more: object) -> tuple[fx.GraphModule, fx.Graph, list[Tensor]]:
    """Return a network in double precision, its function, and the values of that."""
    torch.manual_seed(0)
    network = schemegen.build(from_text(text(step, **more))).double()
    found = functional(network)
    interpolate(found.graph)
    share(found.graph)
    owners, keys = places(network, list(found.values))
    return network, found.graph, list(map(operator.getitem, owners, keys))


def results(call: Callable[..., Tensor], values: list[Tensor], batch: int = 4) -> list[Tensor]:
    """Return the output, its gradients, and the gradients of a sum of their squares."""
    x = torch.randn(batch, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    inputs = [x.requires_grad_(), *values]
    y = call(*inputs)
    weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view_as(y)
    first = torch.autograd.grad((y * weights).sum(), inputs, create_graph=True)
    squares = sum(g.square().sum() for g in first)
    second = torch.autograd.grad(squares, inputs, allow_unused=True, materialize_grads=True)
    return [y.detach(), *(g.detach() for g in first), *second]


def products(graph: fx.Graph) -> int:
    """Return how many layers are applied to vectors."""
    return sum(node.target is F.linear for node in graph.nodes)


@pytest.mark.parametrize(
    ("branch", "weights"),
    [(TANH, "network"), (TANH, "step"), ("linear, relu, linear, tanh, linear", "network")],
)
@pytest.mark.parametrize("step", [*STEPS.values(), LEARNED, VERLET, TWO])
def test_every_form_computes_the_same(step: str, branch: str, weights: str) -> None:
    _, graph, values = written(step, branch=branch, weights=weights)
    wanted = results(runnable(graph), values)
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for form in forms(graph):
        code = Code(form)
        for found, value in zip(results(code.trained, values), wanted, strict=True):
            assert torch.allclose(found, value, rtol=1e-10, atol=1e-11)
        with torch.no_grad():
            assert torch.allclose(code.frugal(x, *values), wanted[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "evaluations"),
    [("euler", 1), ("midpoint", 2), ("heun", 2), ("bashforth", 1), ("leapfrog", 1), ("damped", 1)],
)
def test_one_product_an_evaluation(step: str, evaluations: int) -> None:
    _, graph, _ = written(STEPS[step], steps=9)
    assert products(graph) == 2 * 9 * evaluations + 2
    new = composed(graph)
    assert new is not None
    # stem and head, the first image of the state, the state at the end, and the last slope is no image
    assert products(new) == 9 * evaluations - 1 + 4
    assert composed(new) is None


def test_weights_of_a_step_meet_in_its_stages() -> None:
    _, graph, _ = written(STEPS["midpoint"], steps=3, weights="step")
    new = composed(graph)
    assert new is not None
    assert products(graph) == 2 + 4 * 3
    assert products(new) == 2 + 3 * 3
    fronts = [node for node in new.nodes if FRONT in node.meta]
    assert Counter(node.target for node in fronts) == {torch.mm: 3, torch.mv: 3}
    assert all(node.meta["own"] for node in fronts)


def test_what_is_left_alone() -> None:
    assert composed(written(STEPS["euler"], weights="step")[1]) is None
    assert softened(written(STEPS["euler"], branch="linear, relu, linear")[1]) is None
    assert softened(written(STEPS["euler"], branch="tanh, linear")[1]) is None
    # there is no form of a state that was normalised
    assert composed(written(STEPS["euler"], branch="bn, linear, tanh, linear")[1]) is None
    # layers with different biases share no image
    graph = fx.Graph()
    x, w, b, c, v = (graph.placeholder(name) for name in "xwbcv")
    x.meta["shape"] = (2,)
    for node, size in ((w, (2, 2)), (b, (2,)), (c, (2,)), (v, (2, 2))):
        node.meta["own"] = size
    first = graph.call_function(F.linear, (x, w, b))
    k = graph.call_function(F.linear, (graph.call_function(torch.tanh, (first,)), v, b))
    k.args[0].meta["shape"] = first.meta["shape"] = k.meta["shape"] = (2,)
    total = graph.call_function(torch.add, (x, k))
    last = graph.call_function(F.linear, (total, w, c))
    total.meta["shape"] = last.meta["shape"] = (2,)
    graph.output(last)
    assert composed(graph) is None
    last.args = (total, w, b)
    assert composed(graph) is not None


def test_terms() -> None:
    graph = fx.Graph()
    x, y = graph.placeholder("x"), graph.placeholder("y")
    row = graph.placeholder("row")
    x.meta["shape"] = y.meta["shape"] = (2,)
    row.meta["own"] = (2,)

    def of(target: object, *args: object, **options: object) -> object:
        node = graph.call_function(target, args, options)
        node.meta["shape"] = (2,)
        return terms(node)

    assert of(torch.add, x, y, alpha=3) == ((1, x), (3, y))
    assert of(operator.sub, x, y) == ((1, x), (-1, y))
    assert of(torch.sub, x, y, alpha=2) == ((1, x), (-2, y))
    assert of(operator.mul, 3, x) == of(torch.mul, x, 3) == ((3, x),)
    assert of(operator.truediv, x, 4) == ((0.25, x),)
    assert of(operator.neg, x) == ((-1, x),)
    assert of(torch.lerp, x, y, 0.25) == ((0.75, x), (0.25, y))
    for nothing in (of(torch.add, x, row), of(torch.mul, x, y), of(torch.add, x, 1), of(torch.tanh, x),
                    of(operator.truediv, 1, x), of(torch.lerp, x, y, row)):  # fmt: skip
        assert nothing is None


def test_products_of_wide_weights_are_not_formed_for_a_few_samples() -> None:
    scheme = text(STEPS["euler"], steps=8).replace("width 6", "width 512")
    network = schemegen.build(from_text(scheme))
    found = functional(network)
    every = forms(found.graph)
    assert [composed(form) is None for form in every] == [False, False, True, True]
    assert cheapest(every, 1) == 0
    assert cheapest(every, 4096) == 3
    assert cost(every[2], 4096, weights=False) < cost(every[2], 4096)
    # weights are scaled, too, before they can be used
    once = forms(written(STEPS["euler"], steps=8, weights="step")[1])
    assert [cheapest(once, batch) for batch in (1, 8)] == [0, 0]


def test_an_optimised_network_changes_its_form_with_the_batch() -> None:
    scheme = from_text(text(STEPS["euler"], steps=8).replace("width 6", "width 48"))
    network = schemegen.build(scheme)
    fast = schemegen.optimize(network)
    for batch in (1, 2, 512, 1):
        x = torch.randn(batch, 5)
        assert torch.allclose(fast(x), network(x), rtol=1e-4, atol=1e-5)
    codes = fast.flats.last.by_batch
    assert codes[1] is not codes[512]
    assert set(codes) == {1, 2, 512}


@pytest.mark.parametrize(("step", "sums"), [("euler", 5), ("heun", 6), ("bashforth", 2)])
def test_frozen_layers_add_to_what_is_there(step: str, sums: int) -> None:
    network = schemegen.build(from_text(text(STEPS[step])))
    frozen = schemegen.optimize(network.eval(), mode="inference")
    x = torch.randn(7, 5)
    with torch.no_grad():
        assert torch.allclose(frozen(x), network(x), atol=1e-5)
    called = [node.target for node in frozen.graph.nodes]
    assert torch.tanh not in called
    assert called.count(torch.addmm) == sums
    assert called.count(torch.mm) == called.count(torch.mv) == 0
    # each weight is there once
    assert len(list(frozen.buffers())) <= 14
    code = frozen.flats.last.codes[0]
    assert "addmm_" in runnable_code(code)


def test_layers_add_to_what_is_there_in_training() -> None:
    fast = schemegen.optimize(schemegen.build(from_text(text(STEPS["euler"]))))
    fast(torch.randn(3, 5)).sum().backward()
    run = fast.flats.last.codes[0].trained.__self__
    [pair] = run.known.values()
    code = pair.forward.__self__.code
    assert code.count(".addmm_(") == 5
    assert code.count("_nn.linear(") == 1 + 5 + 1


@pytest.mark.parametrize("step", ["euler", "heun", "damped"])
def test_values_that_are_summed_are_written_side_by_side(step: str) -> None:
    _, graph, values = written(STEPS[step].replace("h*", "h/8*"), steps=9)
    wanted = results(runnable(graph), values, 500)
    placed = []
    for form in forms(graph):
        code = Code(form)
        for found, value in zip(results(code.trained, values, 500), wanted, strict=True):
            assert torch.allclose(found, value, rtol=1e-9, atol=1e-10)
        [pair] = code.trained.__self__.known.values()
        placed.append(len(re.findall(r"(?:tanh|sigmoid)\(\w+, out = ", pair.forward.__self__.code)))
    count = 18 if step == "heun" else 9
    assert placed == [0, 0, count, count]


def test_few_values_and_those_of_other_functions_stay_where_they_are() -> None:
    for count, function, moved in ((8, torch.tanh, 8), (7, torch.tanh, 0), (8, torch.relu, 0)):
        graph = fx.Graph()
        x = graph.placeholder("x")
        shifted = [graph.call_function(torch.add, (x, i)) for i in range(count)]
        made = [graph.call_function(function, (item,)) for item in shifted]
        numbers = [i + 1.0 for i in range(count)]
        graph.output(graph.call_function(weighted, (made, numbers)))
        x_ = torch.randn(3, 4, dtype=torch.float64)
        wanted = runnable(copy.deepcopy(graph))(x_)
        assert len(side_by_side(graph)) == moved
        torch.testing.assert_close(runnable(graph)(x_), wanted)


def runnable_code(code: Code) -> str:
    return str(code.frugal.__self__.code)  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [2, 3000])
def test_weighted_sums(count: int) -> None:
    values = [torch.randn(3, 4, dtype=torch.float64) for _ in range(count)]
    factors = [1 / (i + 1) for i in range(count)]
    wanted = sum(factor * value for factor, value in zip(factors, values, strict=True))
    assert torch.allclose(weighted(values, factors), wanted, atol=1e-12)
