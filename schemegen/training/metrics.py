"""What each epoch measured: as JSON lines in a file, and as a line or a bar on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from time import perf_counter
from typing import Protocol, TextIO

from schemegen.training.config import Config

__all__ = ["EpochMetrics", "Progress", "lines", "show_progress"]


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Means over one epoch; accuracies are fractions, ``lr`` is that of its last step."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


def lines(history: Iterable[EpochMetrics]) -> str:
    """Return one JSON object a line; no times, so that equal runs give equal files."""
    return "".join(json.dumps(asdict(item)) + "\n" for item in history)


class Progress(Protocol):
    """Where a run shows how far it is."""

    def step(self, number: int, loss: float, images: int) -> None:
        """Tell of step ``number`` (from 0 in the whole run), which has seen ``images``."""

    def epoch(self, metrics: EpochMetrics) -> None: ...

    def note(self, text: str) -> None: ...


class _Silent:
    def step(self, number: int, loss: float, images: int) -> None:
        pass

    def epoch(self, metrics: EpochMetrics) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class _Lines:
    """One line an epoch, for pipes and log files, and one each ``every`` steps where that is not 0."""

    def __init__(self, epochs: int, first: int, every: int, stream: TextIO) -> None:
        self.epochs = epochs
        self.first = first
        self.every = every
        self.stream = stream
        self.images = 0
        self.started = perf_counter()

    def step(self, number: int, loss: float, images: int) -> None:
        self.images += images
        if self.every and (number + 1) % self.every == 0:
            self.note(f"step {number + 1}  loss {loss:.4f}  {self.speed()}")

    def epoch(self, metrics: EpochMetrics) -> None:
        taken = perf_counter() - self.started
        left = taken / (metrics.epoch - self.first) * (self.epochs - metrics.epoch)
        end = f"{timedelta(seconds=round(left))} left" if metrics.epoch < self.epochs else "done"
        self.note(f"{_line(metrics, self.epochs)}  {self.speed()}, {end}")

    def speed(self) -> str:
        return f"{self.images / (perf_counter() - self.started):.0f} images/s"

    def note(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


def _line(metrics: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch:{len(str(epochs))}}/{epochs}  loss {metrics.train_loss:.4f}  "
        f"train {100 * metrics.train_accuracy:.1f} %  test {100 * metrics.test_accuracy:.1f} %"
    )


@contextmanager
def show_progress(
    config: Config, steps: int, first: int, *, shown: bool = True
) -> Iterator[Progress]:
    """Yield a bar of all steps on a terminal, lines elsewhere, nothing if none is wanted or ``shown`` here.

    ``steps`` make an epoch, ``first`` epochs are already done. Everything goes to stderr.
    """
    if not (config.progress and shown):
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines(config.epochs, first, config.log_interval, sys.stderr)
    else:
        with _bar(config.epochs, steps, first) as progress:
            yield progress


@contextmanager
def _bar(epochs: int, steps: int, first: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=epochs * steps, completed=first * steps, speed="")
        started = perf_counter()

        class Shown:
            images = 0

            def step(self, number: int, loss: float, images: int) -> None:
                self.images += images
                speed = f"{self.images / (perf_counter() - started):.0f} images/s"
                bar.update(task, advance=1, description=f"loss {loss:.4f}", speed=speed)

            def epoch(self, metrics: EpochMetrics) -> None:
                self.note(_line(metrics, epochs))

            def note(self, text: str) -> None:
                bar.console.print(text, highlight=False, markup=False)

        yield Shown()
