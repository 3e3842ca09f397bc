"""``drop(b)``: a noise of the scheme inside a block."""

from __future__ import annotations

import pytest
import torch

import schemegen
from schemegen.backends import emit_source
from schemegen.diagnostics import Source
from schemegen.network.noise import Drop
from schemegen.pipeline import diagnose, prepare
from schemegen.scheme.builders import from_text

TEXT = """scheme inside {{
  state u
  drift f(u): block branch{weights}
  {extra}
  noise m: {noise}
  step {{ u[n+1] = u[n] + h*f(u[n]) }}
}}
network small {{
  input: shape [4], classes 2
  block branch: seq [{layers}]
  stem: identity, width 4
  stage: width 4, steps 3
  head: linear
}}"""


def text(noise: str, layers: str = "drop(m), linear, tanh, linear", **more: str) -> str:
    return TEXT.format(
        noise=noise, layers=layers, extra=more.get("extra", ""), weights=more.get("weights", "")
    )


def drops(module: torch.nn.Module) -> list[Drop]:
    return [item for item in module.modules() if isinstance(item, Drop)]


@pytest.mark.parametrize(
    ("noise", "mean", "variance"),
    [
        ("bernoulli(4/5)", 1, 1 / 4),
        ("bernoulli(1/2), scope sample", 1, 1),
        ("gaussian(1/2)", 1, 1 / 4),
        ("uniform(0, 1), scope channel", 1, 1 / 3),
        ("uniform(-1, 1)", 1, 1 / 3),
        ("rademacher", 1, 1),
        ("wiener", 1, 1),
    ],
)
def test_the_factor_has_mean_one_and_the_variance_of_the_noise(
    noise: str, mean: float, variance: float
) -> None:
    module = schemegen.build(from_text(text(noise))).double()
    layer = drops(module)[0]
    torch.manual_seed(0)
    x = torch.ones(40000, 1, dtype=torch.float64)
    found = layer.train()(x)
    assert float(found.mean()) == pytest.approx(mean, abs=0.03)
    assert float(found.var()) == pytest.approx(variance, abs=0.03)
    assert torch.equal(layer.eval()(x), x)


def test_each_step_has_the_probability_of_its_place() -> None:
    module = schemegen.build(from_text(text("bernoulli(p)", extra="schedule p = linear(1, 1/2)")))
    assert [item.arguments for item in drops(module)] == [(1.0,), (0.75,), (0.5,)]


def test_two_calls_differ_and_one_seed_repeats_them() -> None:
    module = schemegen.build(from_text(text("bernoulli(1/2)"))).train()
    x = torch.randn(8, 4)
    torch.manual_seed(1)
    one, other = module(x), module(x)
    torch.manual_seed(1)
    assert torch.equal(module(x), one)
    assert not torch.equal(one, other)


def test_model_py_draws_the_same() -> None:
    (unit,) = prepare(Source("inside.scheme", text("bernoulli(1/2), scope channel")))
    graph = schemegen.build(unit.scheme).train()
    space: dict[str, object] = {"__name__": "model"}
    source = emit_source(unit.program, unit.network)
    exec(compile(source, "model.py", "exec"), space)  # noqa: S102  our own text
    model = space["Model"]()
    model.load_state_dict(graph.state_dict())
    x = torch.randn(8, 4)
    torch.manual_seed(1)
    expected = graph(x)
    torch.manual_seed(1)
    assert torch.equal(model.train()(x), expected)


def test_a_number_is_the_share_that_plain_dropout_drops() -> None:
    module = schemegen.build(from_text(text("bernoulli(1/2)", "drop(1/5), linear, drop(m)")))
    assert [item.p for item in module.modules() if isinstance(item, torch.nn.Dropout)] == [0.2] * 3
    assert len(drops(module)) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (text("bernoulli(1/2)", "drop(b), linear"), "declares no noise `b`"),
        (text("bernoulli(1/2), backward redraw"), "it has `backward redraw`"),
        (
            text("bernoulli(q)", extra="param q: learnable, init 1/2, range (0, 1)"),
            "`q` is learnable",
        ),
        (
            text("bernoulli(p)", extra="schedule p = linear(1, 1/2)", weights=", weights network"),
            "`p` changes from step to step",
        ),
        (text("bernoulli(1/2)", "drop(1), linear"), "a share of at least 0 and less than 1"),
        (text("bernoulli(1/2)", "drop(m + 1), linear"), "a share of at least 0 and less than 1"),
        (text("bernoulli(1/2)").replace("head: ", "head: drop(m), "), "stands outside a block"),
    ],
)
def test_what_a_block_cannot_draw_is_an_error(given: str, message: str) -> None:
    found = [item for item in diagnose(Source("inside.scheme", given)) if item.is_error]
    assert [item.code for item in found] == ["E0608"]
    assert message in found[0].message
    assert "drop(" in found[0].span.text


def test_a_noise_of_a_block_is_not_unused() -> None:
    found = diagnose(Source("inside.scheme", text("bernoulli(1/2)")))
    assert not [item for item in found if item.code == "W0314"]
    found = diagnose(Source("inside.scheme", text("bernoulli(1/2)", "linear")))
    assert [item.code for item in found if "never used" in item.message] == ["W0314"]


@pytest.mark.parametrize(
    "block", ["preact", "bottleneck", "seq [bn, relu, conv(3), tanh, conv(3)]"]
)
def test_inner_noise_is_before_the_last_kernel(block: str) -> None:
    """``inner m`` draws where ``drop(m)`` before the last kernel would, in registered blocks too."""
    text = f"""scheme s {{
  state u
  drift f(u): block branch, inner m
  noise m: bernoulli(1/2), scope sample
  step {{ u[n+1] = u[n] + h*f(u[n]) }}
}}
network one "" {{
  input: shape [1, 8, 8], classes 3
  block branch: {block}
  stem: conv(3), width 8
  stage: width 8, steps 1
  head: avgpool, linear
}}
"""
    model = schemegen.build(from_text(text), "one").train()
    f = model.get_submodule("stage1.0.f")
    seen = {}
    kernels = [item for item in f.modules() if isinstance(item, torch.nn.Conv2d)]
    kernels[-1].register_forward_pre_hook(lambda _module, args: seen.update(last=args[0]))
    x = torch.randn(64, 1, 8, 8)
    model(x)
    alive = seen["last"].flatten(1).abs().sum(1) > 0
    assert 15 < int(alive.sum()) < 49
    model.eval()
    model(x)
    assert bool((seen["last"].flatten(1).abs().sum(1) > 0).all())
