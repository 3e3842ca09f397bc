"""Every scheme of the zoo trains in single precision and under bfloat16 autocast."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "backends"))

from reference import network

import schemegen
from schemegen.backends import emit_graph
from schemegen.resources import resource_dir
from schemegen.step import lower

ZOO = sorted(path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme"))


@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
@pytest.mark.parametrize("name", ZOO)
def test_forward_and_backward(name: str) -> None:
    """Outputs and gradients are finite, in their own types, and of the size of the exact ones."""
    program = lower(schemegen.load(name))
    spec = network((4, program.history + 1, 1))
    graph = emit_graph(program, spec)
    x = torch.randn(8, *spec.input_shape, generator=torch.Generator().manual_seed(0))
    outputs = []
    for autocast in (False, True):
        graph.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = graph(x)
        assert y.dtype == (torch.bfloat16 if autocast else torch.float32)
        y.float().square().mean().backward()
        for key, value in graph.named_parameters():
            if value.requires_grad:
                assert value.grad is not None, key
                assert value.grad.dtype == torch.float32
                assert value.grad.isfinite().all(), key
        outputs.append(y.detach().float())
    single, half = outputs
    assert (half - single).norm() < 0.1 * single.norm()
    assert not torch.equal(half, single)
