"""Weights that are smooth in depth: interpolation between knots, statistics of each step, the limit."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.scheme.builders import from_text

TEXT = """scheme s {{
  state u
  drift f(u): block {block}, weights smooth {knots}
  stepsize h = 1/{steps}
  tableau explicit {{
    0 |
    --+---
      | 1
  }}
}}
network one "" {{
  input: shape [1, 8, 8], classes 10
  stem: conv(3), width 4
  stage: width 4, steps {steps}
  head: avgpool, linear
}}
"""


def built(block: str = "preact", knots: int = 3, steps: int = 6) -> torch.nn.Module:
    return schemegen.build(from_text(TEXT.format(block=block, knots=knots, steps=steps)), "one")


def images() -> torch.Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def test_steps_interpolate_between_knots() -> None:
    """Six steps between three knots lie at depths 0, 1/5, .., 1, in double steps of the knots."""
    model = built().double().train()
    w = dict(model.named_parameters())
    x = images()
    u = F.conv2d(x, w["stem.0.weight"], padding=1)
    for step in range(6):
        place = 2 * step / 5
        first = min(int(place), 1)
        share = place - first
        at = {
            name: (1 - share) * w[f"shared_f.knots.{first}.{name}"]
            + share * w[f"shared_f.knots.{first + 1}.{name}"]
            for name in (
                "bn1.weight",
                "bn1.bias",
                "conv1.weight",
                "bn2.weight",
                "bn2.bias",
                "conv2.weight",
            )
        }
        y = F.batch_norm(u, None, None, at["bn1.weight"], at["bn1.bias"], training=True)
        y = F.conv2d(F.relu(y), at["conv1.weight"], padding=1)
        y = F.batch_norm(y, None, None, at["bn2.weight"], at["bn2.bias"], training=True)
        u = u + F.conv2d(F.relu(y), at["conv2.weight"], padding=1) / 6
    wanted = F.linear(u.mean((2, 3)), w["head.1.weight"], w["head.1.bias"])
    torch.testing.assert_close(model(x), wanted, rtol=1e-12, atol=1e-12)
    assert len([key for key in w if key.endswith("conv1.weight")]) == 3
    model(x).square().sum().backward()
    assert all(item.grad is not None and bool(item.grad.abs().max() > 0) for item in w.values())


def test_each_step_has_statistics_of_its_own() -> None:
    """In evaluation a network gives what it gave in training once its statistics are those of the batch."""
    model = built(steps=4).double().train()
    for item in model.modules():
        if type(item).__name__ == "StageBatchNorm":
            assert len(item.statistics) == 4
    for _ in range(400):
        wanted = model(images())
    model.eval()
    n = 3 * 64
    scale = (n / (n - 1)) ** 0.5  # running variances are unbiased
    assert scale < 1.003
    torch.testing.assert_close(model(images()), wanted, rtol=1e-2, atol=1e-2)


def test_the_limit_has_an_error_of_one_step() -> None:
    """The same knots on N steps: the distance to 256 steps goes as 1/N."""
    found = {}
    state = built("conv1x1", steps=8).state_dict()
    for steps in (8, 16, 32, 256):
        model = built("conv1x1", steps=steps).double()
        model.load_state_dict(state)
        with torch.no_grad():
            for key, item in model.named_parameters():
                if "knots" in key:
                    item.mul_(0.5)
        found[steps] = model(images()).detach()
    errors = [float((found[n] - found[256]).norm()) for n in (8, 16, 32)]
    assert errors[0] / errors[1] == pytest.approx(31 / 15, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(15 / 7, rel=0.2)


def test_two_shapes_have_knots_of_their_own() -> None:
    """Three steps of 4 channels, two of 8, and one that strides, which needs no interpolation."""
    model = schemegen.build("smooth_resnet", "tiny")
    knots = {
        name: len(item.knots) for name, item in model.named_children() if hasattr(item, "knots")
    }
    assert sorted(knots.values()) == [2, 3]
    assert len([name for name, _ in model.named_children() if name.startswith("shared_f")]) == 3
    assert 2 * schemegen.analyze("smooth_resnet").depth_term == -1
