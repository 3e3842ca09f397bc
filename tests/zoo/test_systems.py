"""Published architectures, written out by hand from their papers and held against the generated networks.

Each reference reads the weights of the network by name and does the published update, start and change of shape
in float64, in training mode (batch statistics), with functions of torch alone.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.diagnostics import SchemeError
from schemegen.scheme.builders import from_text

Weights = dict[str, Tensor]
TINY = ((4, 3, 1), (8, 3, 2))  # width, steps, stride of the network `tiny`


def images(count: int = 5) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(3)).double()


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """Give biases and normalisations values of their own, so that one that is left out is noticed."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, item in model.named_parameters():
            if item.dim() == 1 and not name.startswith("head"):
                item.add_(torch.rand(item.shape, generator=generator) / 2)
    return model.double()


def bn(w: Weights, key: str, x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, w[f"{key}.weight"], w[f"{key}.bias"], training=True)


def preact(w: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    x = F.conv2d(F.relu(bn(w, f"{key}.bn1", x)), w[f"{key}.conv1.weight"], None, stride, 1)
    return F.conv2d(F.relu(bn(w, f"{key}.bn2", x)), w[f"{key}.conv2.weight"], None, 1, 1)


def shake(w: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    x = bn(w, f"{key}.bn1", F.conv2d(F.relu(x), w[f"{key}.conv1.weight"], None, stride, 1))
    return bn(w, f"{key}.bn2", F.conv2d(F.relu(x), w[f"{key}.conv2.weight"], None, 1, 1))


def tied(w: Weights, key: str, x: Tensor) -> Tensor:
    kernel, bias = w[f"{key}.weight"], w[f"{key}.bias"]
    return F.conv_transpose2d(F.relu(F.conv2d(x, kernel, bias, padding=1)), kernel, padding=1)


def antisymmetric(w: Weights, key: str, x: Tensor) -> Tensor:
    kernel, bias = w[f"{key}.weight"], w[f"{key}.bias"]
    inner = F.conv2d(x, kernel, padding=1) - F.conv_transpose2d(x, kernel, padding=1)
    return torch.tanh(inner + bias.view(-1, 1, 1))


def damped(w: Weights, key: str, x: Tensor) -> Tensor:
    kernel, bias = w[f"{key}.weight"], w[f"{key}.bias"]
    inner = F.conv2d(x, kernel, padding=1) - F.conv_transpose2d(x, kernel, padding=1) - x / 10
    return torch.tanh(inner / 2 + bias.view(-1, 1, 1))


def projection(w: Weights, key: str, x: Tensor, stride: int) -> Tensor:
    return F.conv2d(F.relu(bn(w, f"{key}.bn", x)), w[f"{key}.conv.weight"], None, stride)


def stem(w: Weights, x: Tensor) -> Tensor:
    return F.conv2d(x, w["stem.0.weight"], None, 1, 1)


def head(w: Weights, x: Tensor) -> Tensor:
    x = F.relu(bn(w, "head.0", x)).mean((2, 3))
    return F.linear(x, w["head.3.weight"], w["head.3.bias"])


def hamiltonian(w: Weights, x: Tensor) -> Tensor:
    y, z = stem(w, x).chunk(2, 1)
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if stage > 1 and index == 0:
                y = projection(w, f"{key}.projection_x", y, stride)
                z = projection(w, f"{key}.projection_v", z, stride)
            y = y + tied(w, f"{key}.f", z)
            z = z - tied(w, f"{key}.g", y)
    return head(w, torch.cat([y, z], 1))


def midpoint(w: Weights, x: Tensor) -> Tensor:
    u, old = stem(w, x), None
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if stage > 1 and index == 0:
                u, old = projection(w, f"{key}.projection", u, stride), None
            slope = antisymmetric(w, f"{key}.f", u)
            u, old = (u + slope if old is None else old + 2 * slope), u
    return head(w, u)


def leapfrog(w: Weights, x: Tensor) -> Tensor:
    y = stem(w, x)
    old = torch.zeros_like(y)
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if stage > 1 and index == 0:
                y = projection(w, f"{key}.projection", y, stride)
                old = torch.zeros_like(y)
            y, old = 2 * y - old - tied(w, f"{key}.g", y), y
    return head(w, y)


def haber_ruthotto(w: Weights, x: Tensor) -> Tensor:
    u = stem(w, x)
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if stage > 1 and index == 0:
                u = projection(w, f"{key}.projection", u, stride)
            u = u + damped(w, f"{key}.f", u)
    return head(w, u)


def two_branches(
    branch: Callable[..., Tensor], mix: Callable[..., Tensor]
) -> Callable[[Weights, Tensor], Tensor]:
    """``u = P(u) + mix(f, g)`` with two branches that take the stride at a change of shape."""

    def run(w: Weights, x: Tensor) -> Tensor:
        u = stem(w, x)
        for stage, (_, steps, stride) in enumerate(TINY, start=1):
            for index in range(steps):
                key = f"stage{stage}.{index}"
                change = stage > 1 and index == 0
                s = stride if change else 1
                f = branch(w, f"{key}.f", u, s)
                g = lambda at, s=1, key=key: branch(w, f"{key}.g", at, s)  # noqa: E731
                skip = projection(w, f"{key}.projection", u, s) if change else u
                u = skip + mix(u, f, g, s)
        return head(w, u)

    return run


def lm(projected: bool) -> Callable[[Weights, Tensor], Tensor]:
    """``(1 - k) u[n] + k u[n-1] + f(u[n])``, what is stored is 1 - k; Euler first.

    A change of shape is a plain residual block, after which the history is the projected input, or (LM-ResNeXt)
    the same step with a projection for each of ``u[n]`` and ``u[n-1]``.
    """

    def run(w: Weights, x: Tensor) -> Tensor:
        u, old = stem(w, x), None
        for stage, (_, steps, stride) in enumerate(TINY, start=1):
            for index in range(steps):
                key = f"stage{stage}.{index}"
                change = stage > 1 and index == 0
                slope = preact(w, f"{key}.f", u, stride if change else 1)
                if change:
                    u = projection(w, f"{key}.projection", u, stride)
                    old = projection(w, f"{key}.projection_u_1", old, stride) if projected else None
                s = 1 if old is None else w[f"{key}.k"]
                u, old = (u + slope if old is None else s * u + (1 - s) * old + slope), u
        return head(w, u)

    return run


def momentum(w: Weights, x: Tensor) -> Tensor:
    """The first block of a stage is ordinary, the velocity starts behind it."""
    x = stem(w, x)
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if index == 0:
                change = stage > 1
                slope = preact(w, f"{key}.f", x, stride if change else 1)
                x = (projection(w, f"{key}.projection", x, stride) if change else x) + slope
                v = torch.zeros_like(x)
                continue
            v = 0.9 * v + 0.1 * preact(w, f"{key}.f", x)
            x = x + v
    return head(w, x)


def zerosnet(family: bool) -> Callable[[Weights, Tensor], Tensor]:
    """Three-step: a0 u[n] + a1 u[n-1] + a2 u[n-2] + b f(u[n]), behind two plain residual blocks.

    A change of shape is a plain block; each entry of the history has a projection of its own.
    """

    def run(w: Weights, x: Tensor) -> Tensor:
        past = [stem(w, x)]
        for stage, (_, steps, stride) in enumerate(TINY, start=1):
            for index in range(steps):
                key = f"stage{stage}.{index}"
                u = past[0]
                if stage > 1 and index == 0:
                    skip = projection(w, f"{key}.projection", u, stride)
                    older = projection(w, f"{key}.projection_u_1", past[1], stride)
                    past = [skip + preact(w, f"{key}.f", u, stride), skip, older]
                    continue
                slope = preact(w, f"{key}.f", u)
                if len(past) < 3:
                    past = [u + slope, *past]
                    continue
                a, b = (1 / 3, 5 / 9, 1 / 9), 16 / 9
                if family:
                    q = w[f"{key}.q"]
                    a = (3 * (q + 1) / (4 * q), -1 / q, (q + 1) / (4 * q))
                    b = (3 * q - 1) / (2 * q)
                new = sum(c * old for c, old in zip(a, past, strict=True)) + b * slope
                past = [new, *past[:2]]
        return head(w, past[0])

    return run


def dense(w: Weights, x: Tensor) -> Tensor:
    """``sum_j k_j r_j / sum_j k_j + f(u)`` over all values of the stage, the projected input the first of them."""
    past = [stem(w, x)]
    for stage, (_, steps, stride) in enumerate(TINY, start=1):
        for index in range(steps):
            key = f"stage{stage}.{index}"
            if stage > 1 and index == 0:
                skip = projection(w, f"{key}.projection", past[0], stride)
                past = [skip + preact(w, f"{key}.f", past[0], stride), skip]
                continue
            k = [w[f"{key}.k{j}"] for j in range(len(past))] if len(past) > 1 else [torch.ones(1)]
            mean = sum(c * r for c, r in zip(k, past, strict=True)) / sum(k)
            past = [mean + preact(w, f"{key}.f", past[0]), *past]
    return head(w, past[0])


def poly(literal: bool) -> Callable[[Weights, Tensor], Tensor]:
    """``u + F(u) + F(F(u))`` or ``u + F(u + F(u))``; a change of shape is a plain residual block."""

    def run(w: Weights, x: Tensor) -> Tensor:
        u = stem(w, x)
        for stage, (_, steps, stride) in enumerate(TINY, start=1):
            for index in range(steps):
                key = f"stage{stage}.{index}.f"
                if stage > 1 and index == 0:
                    skip = projection(w, f"stage{stage}.0.projection", u, stride)
                    u = skip + preact(w, key, u, stride)
                    continue
                first = preact(w, key, u)
                again = preact(w, key, first if literal else u + first)
                u = u + first + again if literal else u + again
        return head(w, u)

    return run


Draw = Callable[[Tensor], Tensor]


def noisy(
    step: Callable[[Tensor, Callable[[Tensor], Tensor], Draw], Tensor],
    draw: Draw,
    change: str = "noisy",
    shared: bool = False,
    branch: Callable[..., Tensor] = preact,
) -> Callable[[Weights, Tensor], Tensor]:
    """``u = step(u, f, draw)``, one draw a step, in the order of the steps.

    At a change of shape the step is taken from the projection, its branch from the value before, or the block
    is ``plain``. ``shared``: the projection has the first BN-ReLU of the block.
    """

    def run(w: Weights, x: Tensor) -> Tensor:
        u = stem(w, x)
        for stage, (_, steps, stride) in enumerate(TINY, start=1):
            for index in range(steps):
                key = f"stage{stage}.{index}"
                f = lambda at, s=1, key=key: branch(w, f"{key}.f", at, s)  # noqa: E731
                if stage == 1 or index:
                    u = step(u, f, draw)
                    continue
                slope = f(u, stride)
                if shared:
                    own = F.relu(bn(w, f"{key}.f.bn1", u))
                    skip = F.conv2d(own, w[f"{key}.projection.conv.weight"], None, stride)
                else:
                    skip = projection(w, f"{key}.projection", u, stride)
                plain = change == "plain"
                u = skip + slope if plain else step(skip, lambda _, slope=slope: slope, draw)
        return head(w, u)

    return run


def kept(u: Tensor) -> Tensor:
    return torch.empty_like(u).bernoulli_(0.8) / 0.8


def inner(w: Weights, key: str, x: Tensor, stride: int = 1) -> Tensor:
    """The pre-activation branch with dropout before its last convolution."""
    x = F.conv2d(F.relu(bn(w, f"{key}.bn1", x)), w[f"{key}.conv1.weight"], None, stride, 1)
    x = F.relu(bn(w, f"{key}.bn2", x))
    return F.conv2d(x * kept(x), w[f"{key}.conv2.weight"], None, 1, 1)


def gauss(axes: int) -> Draw:
    """N(0, 1) for each of the first ``axes`` axes."""
    return lambda u: u.new_empty([n if i < axes else 1 for i, n in enumerate(u.shape)]).normal_()


def en_step(u: Tensor, f: Callable[[Tensor], Tensor], draw: Draw) -> Tensor:
    y = u + f(u)
    return y + draw(u) * torch.std(y) / 10


NOISY = {
    "dropout": noisy(lambda u, f, d: u + d(u) * f(u), kept),
    "dropout_inner": noisy(lambda u, f, d: u + f(u), kept, branch=inner),
    "dropout_state": noisy(lambda u, f, d: d(u) * u + f(u), kept),
    "dropout_input": noisy(lambda u, f, d: u + f(d(u) * u), kept, change="plain"),
    "euler_maruyama": noisy(lambda u, f, d: u + f(u) + d(u) / 10, gauss(4)),
    "gaussian_noise_channel": noisy(lambda u, f, d: u + f(u) + d(u) / 10, gauss(2)),
    "gaussian_noise_sample": noisy(lambda u, f, d: u + f(u) + d(u) / 10, gauss(1)),
    "gaussian_dropout": noisy(lambda u, f, d: u + (1 + d(u) / 2) * f(u), gauss(4)),
    "en_resnet": noisy(en_step, gauss(4), shared=True),
}


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_where_it_is_published(name: str) -> None:
    """With the same draws, outputs and gradients (through the deviation of a batch too) are the same."""
    model = randomised(schemegen.build(name, "tiny")).train()
    weights = dict(model.named_parameters())
    found = []
    for run in (model, lambda x: NOISY[name](weights, x)):
        torch.manual_seed(0)
        model.zero_grad()
        y = run(images())
        y.square().sum().backward()
        found.append((y.detach(), [p.grad.clone() for p in weights.values() if p.grad is not None]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-12, atol=1e-12)
    assert len(found[0][1]) == len(found[1][1]) > 10
    for mine, theirs in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    model.eval()
    again = [model(images()) for _ in range(2)]
    assert torch.equal(*again) is (name != "en_resnet")


REFERENCES = {
    "hamiltonian": hamiltonian,
    "midpoint_net": midpoint,
    "leapfrog_net": leapfrog,
    "antisymmetric_net": haber_ruthotto,
    "lm_resnet": lm(projected=False),
    "lm_resnext": lm(projected=True),
    "momentum_resnet": momentum,
    "zerosnet": zerosnet(family=False),
    "zerosnet_family": zerosnet(family=True),
    "dense_multistep": dense,
    "polynet": poly(literal=True),
    "polynet_picard": poly(literal=False),
    "polynet_mpoly": two_branches(preact, lambda u, f, g, s: f + g(f if s == 1 else u, s)),
    "polynet_2way": two_branches(preact, lambda u, f, g, s: f + g(u, s)),
    "even_even": two_branches(shake, lambda u, f, g, s: (f + g(u, s)) / 2),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_the_published_network(name: str) -> None:
    model = randomised(schemegen.build(name, "tiny")).train()
    weights = dict(model.named_parameters())
    x = images()
    wanted = REFERENCES[name](weights, x)
    torch.testing.assert_close(model(x), wanted, rtol=1e-12, atol=1e-12)
    # Nothing but what the reference reads is trained, and all of it is.
    model.zero_grad()
    wanted.square().sum().backward()
    unused = [key for key, item in weights.items() if item.grad is None]
    assert not unused


def test_a_partial_start_needs_params_that_remove_what_is_missing() -> None:
    text = """scheme s {
  state u
  drift f(u): block preact
  param k: learnable, init 1/2
  step { u[n+1] = k*u[n] + (1 - k)*u[n-1] + h*f(u[n]) }
  start: partial
  transition: history reset
}
"""
    with pytest.raises(SchemeError, match=r"removes `u\[n-1\]`") as caught:
        schemegen.build(from_text(text), "tiny")
    assert caught.value.diagnostics[0].code == "E0604"
    other = text.replace("k*u[n] + (1 - k)*u[n-1]", "(1 - k)*u[n] + k*u[n-1]")
    model = schemegen.build(from_text(other), "tiny")
    assert [key for key, _ in model.named_parameters() if key.endswith(".k")] == [
        f"stage{stage}.{index}.k" for stage in (1, 2) for index in (1, 2)
    ]
