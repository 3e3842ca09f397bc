"""Steps that run again in the backward pass: same numbers to the last bit, and no trace."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from torch import nn

import schemegen
from schemegen.backends import NetworkError
from schemegen.backends.binomial import advances, binomial, enough, fewest, kept_at_once
from schemegen.diagnostics import UsageError
from schemegen.resources import resource_dir
from schemegen.scheme.blocks import BLOCKS
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_file
from schemegen.training.ratios import largest_branch_ratio

# Shared weights, learnable coefficients of a step and of the network, history, noise that is drawn in a step, in
# a block, once for all steps and again in the backward pass, implicit stages, statistics of each stage, changes
# of shape.
SCHEMES = (
    "rk4", "lm_resnet", "momentum_net", "hamiltonian", "ab3", "shake_shake", "stochastic_depth",
    "dropout", "polynet", "radau_iia2", "fractalnet",
)  # fmt: skip
DROP = """scheme inner {
  state u
  drift f(u): block branch
  noise m: bernoulli(3/4), scope element
  noise w: gaussian(1/10), scope element
  step { u[n+1] = u[n] + h*f(u[n]) + h*w*u[n] }
}
network n {
  input: shape [1, 8, 8], classes 3
  block branch: seq [bn, relu, conv(3), drop(m), bn, relu, conv(3), drop(1/10)]
  stem: conv(3), width 4
  stage: width 4, steps 5
  head: bn, relu, avgpool, linear
}"""


def pair(scheme: str, backprop: str, network: str | None = "tiny") -> list[nn.Module]:
    what = from_text(scheme) if "{" in scheme else scheme
    return [schemegen.build(what, network=network, backprop=how) for how in ("store", backprop)]


def trained(module: nn.Module, shape: tuple[int, ...] = (1, 8, 8), steps: int = 2) -> list:
    """Train a little and return all that may differ: outputs, gradients, state, generator."""
    torch.manual_seed(5)
    x = torch.randn(6, *shape, dtype=next(module.parameters()).dtype)
    optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9)
    found = []
    for _ in range(steps):
        y = module(x)
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()
        found += [y.detach(), *(p.grad for p in module.parameters())]
    assert all(item is None or bool(torch.isfinite(item).all()) for item in found)
    return [*found, *module.state_dict().values(), torch.get_rng_state()]


def equal(one: list, other: list) -> bool:
    return len(one) == len(other) and all(
        (a is None and b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_is_that_of_a_stored_run_to_the_last_bit(scheme: str) -> None:
    stored, again = pair(scheme, "checkpoint=2")
    assert list(stored.state_dict()) == list(again.state_dict())
    assert equal(trained(stored), trained(again))


def test_parameters_keep_their_order() -> None:
    """An optimiser knows them by it. Here a step computes with its coefficient before it calls its branch."""
    text = zoo_file("lm_stochastic_depth").read_text(encoding="utf-8")
    text = text.replace("block preact", "block preact, weights network")
    text += (resource_dir("zoo") / "networks" / "tiny.scheme").read_text(encoding="utf-8")
    stored, again = pair(text, "checkpoint=2")
    assert list(dict(stored.named_parameters())) == list(dict(again.named_parameters()))
    assert list(stored.state_dict()) == list(again.state_dict())
    assert equal(trained(stored), trained(again))


@pytest.mark.parametrize("kept", [1, 2, 3, 9])
def test_draws_inside_blocks_repeat(kept: int) -> None:
    stored, again = pair(DROP, f"checkpoint={kept}", None)
    assert equal(trained(stored), trained(again))


@pytest.mark.parametrize("how", ["checkpoint=1", "auto"])
def test_vectors_in_double_precision(how: str) -> None:
    stored, again = (module.double() for module in pair("rk2", how, "mlp"))
    assert equal(trained(stored, (64,)), trained(again, (64,)))


def test_autocast_is_that_of_the_first_run() -> None:
    stored, again = pair("lm_resnet", "checkpoint=2")

    def run(module: nn.Module) -> list:
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            y = module(x)
        y.float().square().sum().backward()
        return [y, *(p.grad for p in module.parameters())]

    assert equal(run(stored), run(again))


def test_eval_mode_frozen_statistics_and_no_gradient() -> None:
    for prepare in (nn.Module.eval, lambda module: module.requires_grad_(False)):
        stored, again = map(prepare, pair("lm_resnet", "checkpoint=2"))
        x = torch.randn(3, 1, 8, 8, requires_grad=True)
        results = []
        for module in (stored, again):
            y = module(x)
            results.append([y, *torch.autograd.grad(y.square().sum(), x)])
        assert equal(*results)
        with torch.no_grad():
            assert torch.equal(stored(x), again(x))


def test_the_activations_are_gone() -> None:
    """What autograd holds between the passes: not the insides of the steps, and less with fewer carries."""

    def held(module: nn.Module) -> int:
        found: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return tensor

        own = {p.untyped_storage().data_ptr() for p in module.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = module(torch.randn(64, 1, 8, 8))
        assert y.requires_grad
        return sum(size for place, size in found.items() if place not in own)

    plain, three, one = (
        held(schemegen.build(from_text(LONG), backprop=how))
        for how in ("store", "checkpoint=3", "checkpoint=1")
    )
    assert one < three < plain / 4


LONG = """scheme long { state u; drift f(u): block preact; step { u[n+1] = u[n] + h*f(u[n]) } }
network n {
  input: shape [1, 8, 8], classes 3
  stem: conv(3), width 8
  stage: width 8, steps 20
  head: bn, relu, avgpool, linear
}"""


class Counted(nn.Module):
    """A branch with a buffer that it computes with and changes, and whose calls are counted."""

    calls: list[int]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.scale = nn.Buffer(torch.ones(width))
        self.calls = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(1)
        self.scale.mul_(1.25)
        return torch.tanh(self.weight * self.scale * x)


def counted(steps: int, kept: int | None) -> tuple[nn.Module, list[Counted]]:
    """Return a chain of steps ``x + block(x)`` with blocks of this file."""
    text = LONG.replace("steps 20", f"steps {steps}").replace("block preact", "block wide")
    text = text.replace("stem:", "block wide: conv1x1\n  stem:")
    how = "store" if kept is None else f"checkpoint={kept}"
    module = schemegen.build(from_text(text), backprop=how).double()
    blocks = []
    for index in range(steps):
        block = Counted(8).double()
        block.weight.data = block.weight.data[:, None, None]
        block.scale.data = block.scale.data[:, None, None]
        module.get_submodule(f"stage1.{index}").f = block
        blocks.append(block)
    return module, blocks


@pytest.mark.parametrize(("steps", "kept"), [(2, 1), (10, 1), (10, 2), (10, 3), (21, 4), (6, 9)])
def test_every_step_runs_as_often_as_the_optimum_says(steps: int, kept: int) -> None:
    module, blocks = counted(steps, kept)
    module(torch.randn(2, 1, 8, 8, dtype=torch.float64)).sum().backward()
    runs = sum(len(block.calls) for block in blocks)
    assert runs == steps + fewest(steps, kept)


def test_buffers_that_are_computed_with_have_their_old_values() -> None:
    results = []
    for kept in (None, 2):
        torch.manual_seed(0)
        module, _ = counted(7, kept)
        results.append(trained(module))
    assert equal(*results)


def test_a_graph_can_be_pulled_back_twice() -> None:
    stored, again = pair("stochastic_depth", "checkpoint=2")
    results = []
    for module in (stored, again):
        torch.manual_seed(3)
        y = module(torch.ones(4, 1, 8, 8)).square().sum()
        y.backward(retain_graph=True)
        y.backward()
        results.append([p.grad for p in module.parameters()])
    assert equal(*results)


def test_a_copy_trains_alone() -> None:
    stored, again = pair("lm_resnet", "checkpoint=2")
    twin = copy.deepcopy(again)
    before = [p.clone() for p in again.parameters()]
    assert equal(trained(stored), trained(twin))
    assert equal(before, list(again.parameters()))


@cache
def least(steps: int, kept: int) -> int:
    """The same number by dynamic programming over where the next carry is kept."""
    if steps == 1:
        return 0
    if kept == 1:
        return steps * (steps - 1) // 2
    return min(m + least(m, kept) + least(steps - m, kept - 1) for m in range(1, steps))


@pytest.mark.parametrize("kept", [1, 2, 3, 5, 8])
def test_plans_attain_the_published_optimum(kept: int) -> None:
    for steps in range(1, 41):
        plan = binomial(0, steps, kept)
        assert advances(plan) == fewest(steps, kept) == least(steps, kept)
        assert kept_at_once(plan) <= kept


def test_numbers_by_hand() -> None:
    # By hand: C(5, 3) = 10, so r = 2 and 2 * 10 - C(5, 4) = 15.
    assert fewest(10, 3) == 15
    assert enough(10, 2) == 3
    assert enough(11, 2) == 4
    assert advances(binomial(0, 1202, 5)) == fewest(1202, 5)


@pytest.mark.parametrize("how", ["checkpoint=2", "reversible"])
def test_errors_and_ratios_name_their_step(how: str) -> None:
    stored, planned = pair("revnet", how)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for module in (stored, planned):
        module.eval()
    assert largest_branch_ratio(stored, x) == largest_branch_ratio(planned, x) is not None
    said = []
    for module in (stored, planned):
        module.get_submodule("stage2.1.g").conv1 = nn.Conv2d(7, 4, 3)
        with pytest.raises(NetworkError) as failed:
            module(x)
        said.append(str(failed.value))
    assert said[0] == said[1]
    assert "stage 2, step 1, k1_g" in said[0]


def test_unknown_values_are_refused() -> None:
    for text in ("revolve", "checkpoint", "checkpoint=0", "checkpoint=-1", "store=2", ""):
        with pytest.raises(UsageError, match="unknown backpropagation"):
            schemegen.build("resnet", network="tiny", backprop=text)


ON_MLP = ("preact", "conv1x1")  # what the network `mlp` says these blocks are


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "path", sorted(zoo_file("rk2").parent.glob("*.scheme")), ids=lambda p: p.stem
)
def test_the_whole_zoo_to_the_last_bit(path) -> None:
    drifts = schemegen.load(path.stem).drifts
    images = [d for d in drifts if BLOCKS[d.block].maps == "image" and d.block not in ON_MLP]
    inside = [d for d in drifts if d.inner]  # which the perceptron has no place for
    vectors = not images and not inside
    network, shape = ("mlp", (64,)) if vectors else ("tiny", (1, 8, 8))
    stored, again = pair(path.stem, "checkpoint=2", network)
    assert equal(trained(stored, shape, 1), trained(again, shape, 1))
