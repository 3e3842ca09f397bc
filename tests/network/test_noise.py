"""Noise modules: distribution by kind, sharing by scope, repetition by seed, recomputation, compilation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from schemegen.network.noise import NOISES

KINDS = {
    "wiener": ((0.25,), 0.0, 0.25),
    "gaussian": ((0.5,), 0.0, 0.25),
    "bernoulli": ((0.3,), 0.3, 0.21),
    "uniform": ((-1.0, 2.0), 0.5, 0.75),
    "rademacher": ((), 0.0, 1.0),
}


class Draws(nn.Module):
    """One draw of each kind."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.noises = nn.ModuleList(NOISES[kind](scope) for kind in KINDS)

    def forward(self, x: Tensor) -> list[Tensor]:
        given = (arguments for arguments, _, _ in KINDS.values())
        return [noise(x, *arguments) for noise, arguments in zip(self.noises, given, strict=True)]


def check(draws: list[Tensor]) -> None:
    """Compare mean and variance with those of the distribution, within five standard errors."""
    for draw, (_, mean, variance) in zip(draws, KINDS.values(), strict=True):
        count = draw.numel()
        assert abs(float(draw.mean()) - mean) < 5 * (variance / count) ** 0.5
        fourth = float((draw - mean).pow(4).mean())
        spread = ((fourth - variance**2) / count) ** 0.5
        assert abs(float((draw - mean).square().mean()) - variance) < 5 * spread + 1e-6


def test_each_kind_has_its_mean_and_variance() -> None:
    torch.manual_seed(0)
    check(Draws("element")(torch.empty(200, 500)))


@pytest.mark.parametrize(
    ("scope", "shape"),
    [
        ("element", (6, 5, 4, 3)),
        ("channel", (6, 5, 1, 1)),
        ("sample", (6, 1, 1, 1)),
        ("batch", (1, 1, 1, 1)),
    ],
)
def test_the_scope_says_what_shares_a_draw(scope: str, shape: tuple[int, ...]) -> None:
    for draw in Draws(scope)(torch.empty(6, 5, 4, 3)):
        assert tuple(draw.shape) == shape
    draws = Draws(scope)(torch.empty(6, 5, 4, 3))[1]
    assert draws.unique().numel() == draws.numel()


def test_one_seed_repeats_and_ranks_with_their_own_differ() -> None:
    module, x = Draws("element"), torch.empty(4, 5)

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat(module(x))

    assert torch.equal(seeded(3), seeded(3))
    assert not torch.equal(seeded(3), seeded(4))


def test_a_recomputed_step_draws_the_same() -> None:
    noise, linear = NOISES["gaussian"]("element"), nn.Linear(5, 5)

    def step(u: Tensor) -> Tensor:
        return u + linear(u) * noise(u, 1.0)

    x = torch.randn(4, 5)
    found = []
    for recomputed in (False, True):
        u = x.clone().requires_grad_()
        torch.manual_seed(0)
        y = checkpoint(step, u, use_reentrant=False) if recomputed else step(u)
        y = y + noise(y, 1.0)
        y.square().sum().backward()
        found.append((y.detach(), u.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_compiled_draws_have_the_same_statistics() -> None:
    """The generator of inductor orders its draws in another way; what they are is the same."""
    module = Draws("element")
    compiled = torch.compile(module, fullgraph=True)
    torch.manual_seed(0)
    one, other = compiled(torch.empty(200, 500)), compiled(torch.empty(200, 500))
    check(one)
    assert all(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_compiled_bernoulli_draws_are_those_of_eager_mode() -> None:
    noise, x = NOISES["bernoulli"]("element"), torch.empty(50, 50)
    compiled = torch.compile(lambda u: noise(u, 0.3), fullgraph=True)
    torch.manual_seed(1)
    expected = noise(x, 0.3)
    torch.manual_seed(1)
    assert torch.equal(compiled(x), expected)
