"""Two real processes: their noise differs, their weights stay equal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

import schemegen
from schemegen.network.noise import Noise
from schemegen.training.devices import rank_seed, seed_all


def test_seeds_of_ranks() -> None:
    found = {rank_seed(seed, rank) for seed in range(20) for rank in range(20)}
    assert len(found) == 400
    assert [rank_seed(seed, 0) for seed in range(3)] == [0, 1, 2]
    assert all(0 <= seed < 2**63 for seed in found)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def worker(rank: int, port: int, folder: str) -> None:
    """Train two steps of stochastic depth and dropout on one rank; write draws and weights."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    try:
        torch.manual_seed(0)
        model = schemegen.build("dropout", "tiny")
        drawn: list[torch.Tensor] = []
        for item in model.modules():
            if isinstance(item, Noise):
                item.register_forward_hook(lambda _m, _a, out: drawn.append(out.detach().clone()))
        parallel = DistributedDataParallel(model)
        seed_all(7)
        optimiser = torch.optim.SGD(parallel.parameters(), lr=0.1)
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(rank))
        for _ in range(2):
            optimiser.zero_grad()
            parallel(x).square().mean().backward()
            optimiser.step()
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        torch.save({"drawn": drawn, "weights": weights}, Path(folder) / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_ranks_draw_differently_and_learn_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    port = free_port()
    workers = [context.Process(target=worker, args=(r, port, str(tmp_path))) for r in range(2)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(120)
        assert process.exitcode == 0
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    pairs = list(zip(found[0]["drawn"], found[1]["drawn"], strict=True))
    assert len(pairs) > 4
    assert not any(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(found[0]["weights"], found[1]["weights"])
