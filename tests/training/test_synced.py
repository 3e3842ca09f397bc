"""Batch normalisation over ranks: the one of the joined batch, values and gradients alike."""

from __future__ import annotations

import copy
import socket
from pathlib import Path

import pytest
import torch
from torch import Tensor, multiprocessing, nn

import schemegen
from schemegen.network.blocks import StageBatchNorm
from schemegen.network.noise import Kept
from schemegen.network.synced import Masked, synchronize

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch without distributed"
)


class Normalised(nn.Module):
    """One layer of each kind; the block's statistics are those of its second evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.images = nn.BatchNorm2d(3, momentum=0.3)
        self.average = nn.BatchNorm2d(3, momentum=None)
        self.stages = StageBatchNorm(3, 2)
        self.vectors = nn.BatchNorm1d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.average(self.images(x).relu()).tanh(), 1)
        return self.vectors(x.flatten(2)).square().sum((1, 2))


def made() -> Normalised:
    torch.manual_seed(1)
    model = Normalised().double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    return model


def batch() -> Tensor:
    """Six images far from the origin, where a variance by differences of squares would be lost."""
    generator = torch.Generator().manual_seed(2)
    scale = torch.arange(1, 7).view(-1, 1, 1, 1)
    return torch.randn(6, 3, 4, 4, dtype=torch.float64, generator=generator) * scale + 1e3


def steps(model: nn.Module, x: Tensor, weights: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run two training passes and one in eval mode; return gradients of the input and all else."""
    model.train()
    x.requires_grad_()
    for _ in range(2):
        (model(x) * weights).sum().backward()
    assert x.grad is not None
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found |= {f"buffer.{name}": buffer for name, buffer in model.named_buffers()}
    found["eval"] = model.eval()(x.detach())
    return x.grad, found


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    try:
        model = made()
        synchronize(model)
        own = slice(0, 4) if rank == 0 else slice(4, 6)  # of different sizes
        gradient, found = steps(model, batch()[own], torch.arange(1.0, 7.0)[own])
        torch.save({"gradient": gradient, **found}, Path(folder) / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def test_two_ranks_normalise_as_one_process_does_the_joined_batch(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=worker, args=(r, port, str(tmp_path))) for r in range(2)]
    for process in workers:
        process.start()
    gradient, expected = steps(made(), batch(), torch.arange(1.0, 7.0))
    for process in workers:
        process.join(120)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(2))
    joined = torch.cat([first.pop("gradient"), second.pop("gradient")])
    torch.testing.assert_close(joined, gradient, rtol=1e-9, atol=1e-9)
    for name, value in expected.items():
        if name.startswith("buffer."):
            torch.testing.assert_close(first[name], value, rtol=1e-12, atol=1e-12)
            assert torch.equal(first[name], second[name])
        elif name == "eval":
            both = torch.cat([first[name], second[name]])
            torch.testing.assert_close(both, value, rtol=1e-9, atol=1e-9)
        else:
            torch.testing.assert_close(first[name] + second[name], value, rtol=1e-9, atol=1e-9)


def test_names_weights_and_shared_layers_stay() -> None:
    plain = schemegen.build("stochastic_depth", "tiny")
    model = copy.deepcopy(plain)
    synchronize(model)
    assert plain.state_dict().keys() == model.state_dict().keys()
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(plain.eval()(x), model.eval()(x))
    kinds = {type(module) for module in model.modules()}
    assert Masked in kinds
    assert not kinds & {nn.BatchNorm1d, nn.BatchNorm2d, StageBatchNorm, Kept}
    shared = nn.BatchNorm2d(2)
    twice = nn.ModuleList([shared, shared])
    synchronize(twice)
    assert twice[0] is twice[1] is shared
