"""Plans in compiled and exported networks: one graph, the same numbers, and nothing left behind."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from torch import nn

import schemegen
from schemegen.network import opaque


def trained(module: nn.Module, call, steps: int = 2) -> list:
    """Train a little and return all that may differ."""
    optimizer = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9)
    torch.manual_seed(5)
    x = torch.randn(6, 1, 8, 8)
    found = []
    for _ in range(steps):
        y = call(x)
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()
        found += [y.detach(), *(p.grad for p in module.parameters())]
    return [*found, *module.state_dict().values(), torch.get_rng_state()]


def compiled(module: nn.Module, backend: str = "aot_eager"):
    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend=backend)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", ["lm_resnet", "stochastic_depth", "momentum_net", "fractalnet"])
def test_one_graph_with_the_numbers_of_the_stored_run(scheme: str) -> None:
    stored = schemegen.build(scheme, network="tiny")
    again = schemegen.build(scheme, network="tiny", backprop="checkpoint=2")
    one, other = trained(stored, stored), trained(again, compiled(again))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    gc.collect()
    assert not opaque._held


@pytest.mark.filterwarnings("ignore")
def test_inductor_autocast_and_eval_mode() -> None:
    stored = schemegen.build("rk2", network="tiny")
    again = schemegen.build("rk2", network="tiny", backprop="checkpoint=2")
    call = compiled(again, "inductor")
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for mode in (True, False):
        results = []
        for module, run in ((stored.train(mode), stored), (again.train(mode), call)):
            with torch.autocast("cpu", torch.bfloat16):
                y = run(x).float()
            results.append([y, *torch.autograd.grad(y.square().sum(), list(module.parameters()))])
        for a, b in zip(*results, strict=True):
            assert float((a - b).norm()) <= 0.05 * float(a.norm()) + 1e-6


@pytest.mark.filterwarnings("ignore")
def test_a_copy_and_a_replaced_block_are_what_runs() -> None:
    module = schemegen.build("resnet", network="tiny", backprop="checkpoint=2")
    twin = copy.deepcopy(module)
    twin.get_submodule("stage1.1").f = schemegen.network.blocks.Preact(4, 4)
    plain = copy.deepcopy(twin)
    one, other = trained(plain, plain), trained(twin, compiled(twin))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_abandoned_pass_is_forgotten() -> None:
    module = schemegen.build("resnet", network="tiny", backprop="checkpoint=2")
    y = compiled(module)(torch.randn(2, 1, 8, 8))
    assert opaque._held
    del y
    gc.collect()
    assert not opaque._held


@pytest.mark.filterwarnings("ignore")
def test_an_exported_graph_holds_the_plain_steps() -> None:
    module = schemegen.build("lm_resnet", network="tiny", backprop="checkpoint=2").eval()
    x = torch.randn(2, 1, 8, 8)
    program = torch.export.export(module, (x,))
    assert "schemegen" not in str(program.graph)
    assert torch.allclose(program.module()(x), module(x), atol=1e-6)
