"""Gradients of a convolution with fewer products are those of autograd, and networks take them where they pay."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.backends.adjoint import Run
from schemegen.network import winograd_pulled as winograd
from schemegen.network.adjoint import Pair
from schemegen.network.winograd_pulled import convolution_pulled, suits

NETWORK = """scheme euler {
  state u
  drift f(u): block preact
  step { u[n+1] = u[n] + h*f(u[n]) }
}
network n {
  input: shape [3, 8, 8], classes 10
  stem: conv(3), width 6
  stage: width 6, steps 2
  head: bn, relu, avgpool, linear
}"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few channels, with the library and the number of threads for which fewer products pay."""
    monkeypatch.setattr(winograd, "CHANNELS", range(4, 513))
    monkeypatch.setattr(winograd, "MKL", True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return both gradients with fewer products, and by autograd in double precision."""
    known = x.detach().clone().double(), weight.detach().clone().double()
    image, kernel = (item.requires_grad_() for item in known)
    result = F.conv2d(image, kernel, padding=1)
    true = torch.autograd.grad(result, (image, kernel), gradient.double())
    return convolution_pulled(gradient, x, weight), true


@pytest.fixture
def torch_alone(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the calls that leave a convolution to torch."""
    calls: list[int] = []
    pays = winograd.pays

    def counted(x: Tensor, weight: Tensor) -> bool:
        found = pays(x, weight)
        if not found:
            calls.append(len(x))
        return found

    monkeypatch.setattr(winograd, "pays", counted)
    return calls


@pytest.mark.parametrize(
    ("count", "outer", "inner", "height", "width"),
    [
        (16, 6, 6, 8, 8),  # all images at once
        (39, 5, 8, 8, 8),  # some at once, and a rest
        (3, 8, 5, 32, 12),  # one by one
        (70, 4, 4, 4, 4),
    ],
)
def test_gradients_are_those_of_autograd(
    torch_alone: list[int], count: int, outer: int, inner: int, height: int, width: int
) -> None:
    last = torch.channels_last
    x = torch.randn(count, inner, height, width, dtype=torch.float64).contiguous(memory_format=last)
    weight = torch.randn(outer, inner, 3, 3, dtype=torch.float64).contiguous(memory_format=last)
    cotangent = torch.randn(count, outer, height, width, dtype=torch.float64)
    for gradient in (cotangent.contiguous(memory_format=last), cotangent):
        found, true = gradients(gradient, x, weight)
        for one, other in zip(found, true, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
            assert one.is_contiguous(memory_format=last)
    spread = torch.randn(count, outer, 1, 1, dtype=torch.float64).expand(cotangent.shape)
    for one, other in zip(*gradients(spread, x, weight), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    assert not torch_alone


def test_what_a_call_returns_is_its_own() -> None:
    """The work space is used again, nothing that was returned is in it."""
    x = torch.randn(16, 6, 8, 8).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(6, 6, 3, 3)
    first = convolution_pulled(torch.ones_like(x), x, weight)
    before = [item.clone() for item in first]
    convolution_pulled(torch.randn_like(x), torch.randn_like(x), torch.randn_like(weight))
    for one, other in zip(first, before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_rounding_errors_in_single_precision() -> None:
    x = torch.randn(16, 64, 8, 8).contiguous(memory_format=torch.channels_last)
    weight, gradient = torch.randn(64, 64, 3, 3) / 24, torch.randn(16, 64, 8, 8)
    for one, other in zip(*gradients(gradient, x, weight), strict=True):
        assert (one - other).norm() < 2e-6 * other.norm()


def test_small_batches_other_layouts_and_many_threads_are_left_to_torch(
    torch_alone: list[int],
) -> None:
    last = torch.channels_last
    x, weight = torch.randn(16, 6, 8, 8, dtype=torch.float64), torch.randn(6, 6, 3, 3).double()
    wide = x.contiguous(memory_format=last)
    for given, threads in ((wide[:15], 1), (x, 1), (wide, 2)):
        torch.set_num_threads(threads)
        found, true = gradients(torch.ones_like(given), given, weight)
        for one, other in zip(found, true, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    assert torch_alone == [15, 16, 16]


def test_half_precision_is_left_to_torch(torch_alone: list[int]) -> None:
    x = torch.randn(16, 6, 8, 8).bfloat16().contiguous(memory_format=torch.channels_last)
    convolution_pulled(torch.ones_like(x), x, torch.randn(6, 6, 3, 3).bfloat16())
    assert torch_alone == [16]


@pytest.mark.parametrize(
    ("size", "weight", "expected"),
    [
        ((8, 32), (4, 512, 3, 3), True),
        ((8, 10), (4, 4, 3, 3), False),
        ((36, 8), (4, 4, 3, 3), False),
        ((8, 8), (3, 4, 3, 3), False),
        ((8, 8), (4, 513, 3, 3), False),
        ((8, 8), (4, 4, 1, 3), False),
    ],
)
def test_what_they_suit(size: tuple[int, ...], weight: tuple[int, ...], expected: bool) -> None:
    assert suits(size, weight) is expected


def trained(network: nn.Module, x: Tensor) -> dict[str, Tensor | None]:
    network.zero_grad()
    network(x).square().sum().backward()
    return {name: value.grad for name, value in network.named_parameters()}


def test_a_network_trains_alike(torch_alone: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels of its blocks, not the one of its stem, whose images ask for no gradient."""
    network = schemegen.build(NETWORK).double().train()
    pairs: list[Pair] = []
    of = Run.of

    def seen(run: Run, needed: tuple[bool, ...], small: bool) -> Pair:
        pairs.append(of(run, needed, small))
        return pairs[-1]

    monkeypatch.setattr(Run, "of", seen)
    x = torch.randn(16, 3, 8, 8, dtype=torch.float64)
    fast = schemegen.optimize(copy.deepcopy(network))
    found, true = trained(fast, x), trained(network, x)
    assert found.keys() == true.keys()
    for name, value in true.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)
    (pair,) = pairs
    called = [node.target for node in pair.backward.__self__.graph.nodes]  # type: ignore[attr-defined]
    assert called.count(convolution_pulled) == 4
    assert called.count(torch.ops.aten.convolution_backward) == 1
    assert not torch_alone
