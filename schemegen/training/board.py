"""The metrics of a run as TensorBoard shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from schemegen.diagnostics import UsageError
from schemegen.training.config import Config
from schemegen.training.metrics import EpochMetrics, Progress

__all__ = ["logged"]


@contextmanager
def logged(progress: Progress, config: Config, steps: int, first: int) -> Iterator[Progress]:
    """Yield ``progress`` that writes the logs of ``config.log`` as well, ``first`` epochs being done.

    Every epoch's metrics are written over the number of steps so far, the loss of each ``log_interval``-th step
    besides. Errors: UsageError where TensorBoard is not installed.
    """
    if "tensorboard" not in config.log or config.output is None:
        yield progress
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the log needs TensorBoard, and `{error.name}` is not installed",
            "pip install 'schemegen[train]'",
        ) from error
    folder = str(config.output / "tensorboard")
    writer: Any = SummaryWriter(folder, purge_step=first * steps + 1)
    try:
        yield _Logged(progress, writer, config.log_interval, steps)
    finally:
        writer.close()


class _Logged:
    """Tells one log of everything, and then whatever else shows it."""

    def __init__(self, shown: Progress, writer: Any, every: int, steps: int) -> None:
        self.shown = shown
        self.writer = writer
        self.every = every
        self.steps = steps

    def step(self, number: int, loss: float, images: int) -> None:
        if self.every and (number + 1) % self.every == 0:
            self.writer.add_scalar("step/loss", loss, number + 1)
        self.shown.step(number, loss, images)

    def epoch(self, metrics: EpochMetrics) -> None:
        for name, value in asdict(metrics).items():
            if name != "epoch":
                self.writer.add_scalar(name, value, metrics.epoch * self.steps)
        self.writer.flush()
        self.shown.epoch(metrics)

    def note(self, text: str) -> None:
        self.shown.note(text)
