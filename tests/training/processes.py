"""Processes for tests: of a server that has imported everything, so that each starts in a moment."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["finished", "pair", "start"]

servers = multiprocessing.get_context("forkserver")
servers.set_forkserver_preload(["accelerate", "schemegen.training", "schemegen.backends", "sympy"])


def start(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = servers.Process(target=work, args=arguments)
    process.start()
    return process


def pair(work: Callable[..., None], *arguments: Any) -> list[BaseProcess]:
    """Start ``work(rank, *arguments)`` on two ranks that are to find one another."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    return [start(_ranked, rank, port, work, arguments) for rank in range(2)]


def _ranked(rank: int, port: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ.update(place, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, OMP_NUM_THREADS="1")
    work(rank, *arguments)


def finished(*processes: BaseProcess) -> None:
    """Wait for processes that are to end well."""
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(processes)
