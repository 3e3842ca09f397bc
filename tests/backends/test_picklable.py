"""Generated networks as pickles: the same numbers, nodes and origins, in both modes."""

from __future__ import annotations

import pickle

import pytest
import torch

import schemegen

CASES = [
    ("resnet", "store"),
    ("lm_stochastic_depth", "store"),
    ("sdirk2", "store"),
    ("rk4", "checkpoint=2"),
    ("revnet", "reversible"),
    ("implicit_midpoint", "store"),
]


def outputs(module: torch.nn.Module) -> list[torch.Tensor]:
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for mode in (True, False):
        torch.manual_seed(1)
        found.append(module.train(mode)(x))
        module.zero_grad()
        found[-1].square().sum().backward()
        found += [p.grad.clone() for p in module.parameters() if p.grad is not None]
    return found


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize(("scheme", "backprop"), CASES)
def test_a_pickle_is_the_network(scheme: str, backprop: str) -> None:
    graph = schemegen.build(scheme, "tiny", backprop=backprop)
    content = pickle.dumps(graph)
    twin = pickle.loads(content)  # noqa: S301  our own bytes
    assert type(twin).__name__ == type(graph).__name__
    assert str(twin.graph) == str(graph.graph)
    for one, other in zip(graph.graph.nodes, twin.graph.nodes, strict=True):
        assert (one.name, one.op, one.target) == (other.name, other.op, other.target)
        assert one.stack_trace == other.stack_trace
        assert one.meta.get("custom") == other.meta.get("custom")
        assert one.meta.get("shape") == other.meta.get("shape")
    assert twin.meta == graph.meta
    assert list(twin.state_dict()) == list(graph.state_dict())
    for one, other in zip(outputs(graph), outputs(twin), strict=True):
        assert torch.equal(one, other)


def test_a_pickle_keeps_weights_modes_and_errors() -> None:
    graph = schemegen.build("revnet", "tiny").double().eval()
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.add_(0.5)
    twin = pickle.loads(pickle.dumps(graph))  # noqa: S301  our own bytes
    assert not twin.training
    for key, value in graph.state_dict().items():
        assert torch.equal(twin.state_dict()[key], value)
    with pytest.raises(RuntimeError, match=r"revnet\.scheme:\d+|digits|tiny"):
        twin(torch.zeros(2, 3, 8, 8, dtype=torch.float64))
