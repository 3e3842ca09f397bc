"""In-ResNet and lambda-In-ResNet as published: update, start values, plain steps, and both limits bit for bit.

Yang, Liu, Bao, Shi (2020), arXiv 2006.05749; what its code does: (1 - lam) x + f(x), or
(1 - lam) x + (1 + lam) f(x), with lam from U(0.20, 0.25) (164 layers: U(0.1, 0.2)), never in the first block nor
where the shape changes.
"""

from __future__ import annotations

import pytest
import torch

import schemegen
from schemegen.scheme.builders import from_text
from schemegen.scheme.model import Scheme
from schemegen.sources import zoo_file

GAINS = {"in_resnet": "1", "lambda_in_resnet": "2"}
PLAIN = """scheme written {{
  state u
  drift f(u): block preact
  step {{ u[n+1] = {update} }}
  transition: scheme off
}}
"""


def images(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def bit_equal(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Both have the same tensors and give the same bits, gradients included."""
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict())
    for mode in (True, False):
        found = []
        for model in (ours, theirs):
            model.train(mode).zero_grad()
            y = model(images())
            y.square().sum().backward()
            found.append((y, [p.grad for p in model.parameters()]))
        assert torch.equal(found[0][0], found[1][0])
        assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


def everywhere(name: str) -> Scheme:
    """Return the scheme with every step damped."""
    text = zoo_file(name).read_text(encoding="utf-8")
    assert ", first off, transition off" in text
    return from_text(text.replace(", first off, transition off", ""))


@pytest.mark.parametrize("name", GAINS)
def test_without_damping_it_is_the_residual_network(name: str) -> None:
    bit_equal(schemegen.build(name, "digits", lam=0), schemegen.build("resnet", "digits"))


@pytest.mark.parametrize(("name", "gain"), GAINS.items())
def test_with_damping_one_it_is_the_plain_network(name: str, gain: str) -> None:
    update = "h*f(u[n])" if gain == "1" else f"{gain}*h*f(u[n])"
    ours = schemegen.build(everywhere(name), "digits", lam=1)
    bit_equal(ours, schemegen.build(from_text(PLAIN.format(update=update)), "digits"))
    assert not any(n.target in (torch.add, torch.addcmul) for n in ours.graph.nodes)
    assert not any("projection" in key for key in ours.state_dict())


@pytest.mark.parametrize("name", GAINS)
def test_at_damping_one_only_the_plain_steps_have_a_skip(name: str) -> None:
    model = schemegen.build(name, "digits", lam=1)
    sums = [n.name for n in model.graph.nodes if n.target in (torch.add, torch.addcmul)]
    assert [text.rpartition("_")[0] for text in sums] == ["stage1_step0", "stage2_step0"]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("in_resnet", 0.20, 0.25),
        ("lambda_in_resnet", 0.20, 0.25),
        ("in_resnet_164", 0.1, 0.2),
        ("lambda_in_resnet_164", 0.1, 0.2),
    ],
)
def test_start_values(name: str, low: float, high: float) -> None:
    torch.manual_seed(0)
    model = schemegen.build(name, "cifar_resnet56")
    raw = torch.tensor([v.item() for k, v in model.named_parameters() if k.endswith(".lam")])
    value = torch.relu(raw if name.startswith("lambda") else 1 - raw)
    assert len(value) == 27 - 3
    assert low <= float(value.min()) < low + 0.2 * (high - low)
    assert high - 0.2 * (high - low) < float(value.max()) <= high


def test_which_blocks_are_damped() -> None:
    """Of the 54 blocks of 110 layers 51 have a live scalar; no scalar is made that nothing uses."""
    model = schemegen.build("in_resnet", "cifar_resnet110")
    named = [k.removesuffix(".lam") for k, _ in model.named_parameters() if k.endswith(".lam")]
    blocks = [f"stage{s}.{i}" for s in (1, 2, 3) for i in range(18)]
    assert named == [b for b in blocks if not b.endswith(".0")]
    plain = schemegen.build("resnet", "cifar_resnet110")
    count = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert count(model) == count(plain) + 51


@pytest.mark.parametrize(("name", "sign"), [("in_resnet", 0.0), ("lambda_in_resnet", 1.0)])
def test_the_update(name: str, sign: float) -> None:
    """Step by step in float64: (1 - lam) x + (1 + sign lam) f(x), the first block x + f(x)."""
    model = schemegen.build(name, "digits").double().eval()
    x = next(model.stem.children())(images().double())
    for stage in (model.stage1, model.stage2):
        for index in range(3):
            step = getattr(stage, str(index))
            slope = step.f(x)
            if index == 0:
                x = (step.projection(x) if hasattr(step, "projection") else x) + slope
                assert not hasattr(step, "lam")
                continue
            lam = torch.relu(step.lam if sign else 1 - step.lam)
            x = (1 - lam) * x + (1 + sign * lam) * slope
    for layer in model.head.children():
        x = layer(x)
    torch.testing.assert_close(model(images().double()), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["explicit", "exact", "implicit"])
@pytest.mark.parametrize("shape", ["scalar", "channel"])
@pytest.mark.parametrize("per", ["step", "stage", "network"])
@pytest.mark.parametrize("via", ["relu(1 - raw)", "relu(raw)", "softplus(raw)"])
def test_every_kind_of_damping_learns(mode: str, shape: str, per: str, via: str) -> None:
    text = f"""scheme damped {{
  state u
  drift f(u): block preact
  param lam: learnable, per {per}, shape {shape}, init 1/5, via {via}
  damping lam: {mode}, gain (1 + lam)
  tableau explicit {{
    0 |
    --+---
      | 1
  }}
  transition: scheme off
}}
"""
    model = schemegen.build(from_text(text), "tiny")
    raws = [p for k, p in model.named_parameters() if "lam" in k]
    assert raws
    size = 1 if shape == "scalar" else max(p.numel() for p in raws)
    assert size == 1 or all(p.dim() == 3 for p in raws)
    x = torch.randn(4, *model.meta.get("input", (1, 8, 8)))
    model(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().max() > 0) for p in raws)
