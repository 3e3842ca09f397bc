"""Lipschitz figures and the curvature penalty of networks, in closed form and by Monte Carlo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import schemegen
from schemegen.diagnostics import UsageError
from schemegen.network.layers import Sequence
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_file
from schemegen.training import curvature_penalty, lyapunov
from schemegen.training.curvature import noise_only
from schemegen.training.jacobians import logarithmic_norm, spectral_norm, upper_bound


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- norms of linear maps --------------------------------------------------------------------------


def test_norms_of_a_matrix() -> None:
    matrix = torch.randn(6, 6, generator=generator(), dtype=torch.float64)
    x = torch.randn(3, 6, generator=generator(1), dtype=torch.float64)
    f = lambda v: v @ matrix.T  # noqa: E731
    norm = spectral_norm(f, x, iterations=300)
    torch.testing.assert_close(norm, torch.linalg.matrix_norm(matrix, 2).expand(3))
    mu = logarithmic_norm(f, x, iterations=300)
    wanted = torch.linalg.eigvalsh((matrix + matrix.T) / 2).max()
    torch.testing.assert_close(mu, wanted.expand(3), rtol=1e-6, atol=1e-8)


def test_a_negative_logarithmic_norm_is_found() -> None:
    """A rotation with decay contracts though its norm is 1.3: mu = -0.5."""
    matrix = torch.tensor([[-0.5, 1.2], [-1.2, -0.5]], dtype=torch.float64)
    f = lambda v: v @ matrix.T  # noqa: E731
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert float(spectral_norm(f, x)) == pytest.approx(1.3)
    assert float(logarithmic_norm(f, x)) == pytest.approx(-0.5)


def test_norms_are_of_each_sample() -> None:
    x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    found = spectral_norm(lambda v: v**2, x)
    torch.testing.assert_close(found, torch.tensor([0.0, 4.0], dtype=torch.float64))


def scaled(name: str, **values: object) -> nn.Module:
    torch.manual_seed(0)
    model = schemegen.build(name, "digits", **values).double()
    for item in model.modules():
        if isinstance(item, nn.BatchNorm2d):
            item.running_var.uniform_(0.5, 2.0)
            item.running_mean.uniform_(-0.3, 0.3)
            item.weight.data.uniform_(0.2, 1.0)
    return model


def digits(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=generator(), dtype=torch.float64)


def test_the_upper_bound_holds_everywhere() -> None:
    model = scaled("resnet")
    block = model.get_submodule("stage1.1.f").eval()
    x = torch.randn(16, 16, 8, 8, generator=generator(), dtype=torch.float64)
    bound = upper_bound(block, x)
    assert bound is not None
    far = x + torch.randn(x.shape, generator=generator(2), dtype=torch.float64)
    with torch.no_grad():
        moved = (block(x) - block(far)).flatten(1).norm(dim=1) / (x - far).flatten(1).norm(dim=1)
    assert float(moved.max()) <= bound
    assert float(spectral_norm(block, x).max()) <= bound * (1 + 1e-9)
    assert upper_bound(nn.Softmax(1), torch.zeros(1, 3)) is None


@pytest.mark.parametrize("name", ["resnet", "in_resnet", "lambda_in_resnet", "rk2"])
def test_every_step_stays_below_its_bound(name: str) -> None:
    scheme = schemegen.load(name)
    model = scaled(name)
    found = lyapunov(model, scheme, digits())
    assert [(m.stage, m.step) for m in found] == [(s, i) for s in (1, 2) for i in range(3)]
    for step in found:
        assert step.branches
        if step.step == 0 and step.stage == 2:  # the shape changes
            assert (step.ratio, step.bound, step.local, step.rate) == (None, None, None, None)
            continue
        assert step.bound is not None
        assert step.local is not None
        assert step.local <= step.bound * (1 + 1e-9)
        assert step.rate is not None
        assert step.ratio is not None
        assert step.ratio <= step.bound
    assert model.training


def test_damping_and_branch_are_those_of_the_formula() -> None:
    """|1 - lam| + L of In-ResNet; where the branch is 0 the step contracts by 1 - lam, and the rate is -lam."""
    scheme = schemegen.load("in_resnet")
    model = scaled("in_resnet")
    for item in model.modules():
        if isinstance(item, nn.Conv2d) and item.weight.shape[-1] == 3 and item.weight.shape[1] > 1:
            item.weight.data.zero_()
    step = lyapunov(model, scheme, digits())[1]
    lam = 1 - model.get_parameter("stage1.1.lam").item()
    assert step.coefficients["lam"] == pytest.approx(lam)
    assert step.bound == pytest.approx(1 - lam)
    assert step.ratio == pytest.approx(1 - lam, rel=1e-6)
    assert step.rate == pytest.approx(-lam, abs=1e-9)


@pytest.mark.parametrize("mode", ["explicit", "exact", "implicit"])
def test_the_worst_channel_counts(mode: str) -> None:
    """Channels damped by 0.02 and 0.9, branches that are 0: the step keeps 1 - 0.02 of what is in the first."""
    scheme = from_text(f"""scheme s {{
  state u
  drift f(u): block preact
  param lam: learnable, per step, shape channel, init 1/2, via relu(raw)
  damping lam: {mode}
  tableau explicit {{
    0 |
    --+---
      | 1
  }}
  transition: scheme off
}}
""")
    model = schemegen.build(scheme, "digits").double()
    for key, value in model.named_parameters():
        if ".f.conv" in key:
            value.data.zero_()
        if key.endswith(".lam"):
            value.data.fill_(0.9)
            value.data[0] = 0.02
    step = lyapunov(model, scheme, digits())[1]
    assert step.ratio is not None
    assert step.bound is not None
    assert step.ratio <= step.bound * (1 + 1e-9)
    assert step.rate == pytest.approx(-0.02)


@pytest.mark.parametrize("per", ["stage", "network"])
def test_a_plain_step_has_no_damping(per: str) -> None:
    text = zoo_file("in_resnet").read_text(encoding="utf-8").replace("per step", f"per {per}")
    scheme = from_text(text)
    model = schemegen.build(scheme, "digits").double()
    for key, value in model.named_parameters():
        if ".f.conv" in key:
            value.data.zero_()
    step = lyapunov(model, scheme, digits())[0]
    assert step.ratio == pytest.approx(1.0)
    assert step.bound == pytest.approx(1.0)


def test_the_bound_of_a_convolution_is_one() -> None:
    """Against the exact norm of the matrix of the convolution, strides and groups included."""
    for seed, options in enumerate(
        [{}, {"stride": 2}, {"groups": 2}, {"padding": 0}, {"dilation": 2}]
    ):
        torch.manual_seed(seed)
        layer = nn.Conv2d(4, 6, 3, bias=False, **{"padding": 1, **options}).double()
        x = torch.zeros(1, 4, 6, 5, dtype=torch.float64)
        basis = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
        exact = float(torch.linalg.matrix_norm(layer(basis).flatten(1), 2).detach())
        bound = upper_bound(Sequence(layer), x)
        assert bound is not None
        assert exact <= bound * (1 + 1e-12)
        assert bound < 1.6 * exact


def test_branches_that_a_draw_may_remove_are_measured() -> None:
    found = lyapunov(scaled("stochastic_depth"), schemegen.load("stochastic_depth"), digits())
    assert all(step.branches for step in found)


def test_a_plan_of_the_backward_pass_is_refused() -> None:
    model = schemegen.build("stochastic_depth", "digits", backprop="checkpoint=2")
    with pytest.raises(UsageError, match="run again"):
        curvature_penalty(model, digits().float(), torch.sum)
    with pytest.raises(UsageError, match="run again"):
        lyapunov(model, schemegen.load("stochastic_depth"), digits().float())


@pytest.mark.parametrize("name", ["shake_shake", "stochastic_depth", "dropout", "milstein"])
def test_the_penalty_of_schemes_of_the_zoo(name: str) -> None:
    found = curvature_penalty(scaled(name), digits(), lambda y: y.square().mean())
    assert len(found.terms) == 6
    assert any(value != 0 for value in found.terms.values())


# --- curvature ---------------------------------------------------------------------------------------

NOISES = {
    "stochastic depth": (
        "u[n] + h*2*b*f(u[n])",
        "stepsize h = 1/20; noise b: bernoulli(1/2), scope sample",
    ),
    "one draw for the batch": ("u[n] + h*(1 + s)*f(u[n])", "noise s: gaussian(1/20), scope batch"),
    "dropout": (
        "u[n] + h*2*m*f(u[n])",
        "stepsize h = 1/20; noise m: bernoulli(1/2), scope element",
    ),
    "Gaussian injection": ("u[n] + h*f(u[n]) + s", "noise s: gaussian(1/20), scope element"),
    "channels": ("u[n] + h*(1 + s)*f(u[n])", "noise s: gaussian(1/20), scope channel"),
    "shake-shake": (
        "u[n] + h*(a*f(u[n]) + (1 - a)*g(u[n]))",
        "noise a: uniform(9/20, 11/20), scope sample",
    ),
    "products of draws": (
        "u[n] + h*f(u[n]) + (s^2 - 1/400)*u[n] + s*u[n]",
        "noise s: gaussian(1/20), scope element",
    ),
}


SMOOTH = """network smooth "No kink after the noise" {
  input: shape [6], classes 3
  block preact: mlp
  block conv1x1: seq [linear]
  stem: linear, width 8
  stage: width 8, steps 3
  head: linear
}
"""


def network(update: str, noise: str, folder: Path) -> nn.Module:
    fields = "".join(f"  drift {name}(u): block mlp\n" for name in "fg" if f"{name}(" in update)
    lines = "\n  ".join(noise.split("; "))
    text = f"scheme s {{\n  state u\n{fields}  {lines}\n  step {{ u[n+1] = {update} }}\n}}\n"
    path = folder / "smooth.scheme"
    path.write_text(SMOOTH, encoding="utf-8")
    torch.manual_seed(0)
    return schemegen.build(from_text(text), path).double()


@pytest.mark.parametrize("name", NOISES)
def test_the_penalty_is_what_monte_carlo_finds(name: str, tmp_path: Path) -> None:
    """The mean loss with noise less the loss without, over seeded draws, against the second derivatives."""
    model = network(*NOISES[name], tmp_path)
    x = torch.randn(1, 6, generator=generator(3), dtype=torch.float64)
    loss = lambda y: (2.0 * y).square().mean()  # noqa: E731
    found = curvature_penalty(model, x, loss, probes=400)
    model.eval()
    with torch.no_grad():
        assert found.loss == pytest.approx(float(loss(model(x))))
        noisy = noise_only(model)
        torch.manual_seed(1)
        count = 20000
        samples = []
        for _ in range(5):
            many = noisy(x.expand(count, -1)) if "batch" not in NOISES[name][1] else None
            if many is None:
                many = torch.cat([noisy(x) for _ in range(400)])
            samples.append((2.0 * many).square().mean(1))
        values = torch.cat(samples) - found.loss
    error = float(values.std() / len(values) ** 0.5)
    assert abs(float(values.mean()) - found.penalty) < 5 * error + 0.05 * abs(found.penalty)
    assert abs(found.penalty) > 3 * error or name == "one draw for the batch"


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(UsageError, match="no noise"):
        curvature_penalty(schemegen.build("resnet", "digits"), digits().float(), torch.sum)


def test_the_penalty_of_a_quadratic_loss_is_exact() -> None:
    """A linear network and |y|^2: every step adds ``s^2 |J|^2``, J the Jacobian of what comes after its noise."""
    text = """scheme s {
  state u
  drift f(u): block conv1x1
  noise s: gaussian(1/2), scope sample
  step { u[n+1] = u[n] + h*(1 + s)*f(u[n]) }
}
"""
    torch.manual_seed(0)
    model = schemegen.build(from_text(text), "mlp").double().eval()
    layers = [model.get_submodule(f"stage1.{i}.f") for i in range(6)]
    x = torch.randn(1, 64, generator=generator(3), dtype=torch.float64)
    found = curvature_penalty(model, x, lambda y: y.square().sum())
    u = next(model.get_submodule("stem").children())(x)
    head = list(model.get_submodule("head").children())

    def after(state: torch.Tensor, first: int) -> torch.Tensor:
        for layer in layers[first:]:
            state = state + layer(state)
        for layer in head:
            state = layer(state)
        return state

    for index, layer in enumerate(layers):
        slope = layer(u).detach()
        t = torch.zeros((), dtype=torch.float64, requires_grad=True)
        value = after(u.detach() + (1 + t) * slope, index + 1).square().sum()
        (first,) = torch.autograd.grad(value, t, create_graph=True)
        (second,) = torch.autograd.grad(first, t)
        wanted = 0.5 * 0.25 * float(second)
        assert found.terms[f"stage1.{index}.s"] == pytest.approx(wanted, rel=1e-9)
        u = u + layer(u)
