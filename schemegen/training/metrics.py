"""What each epoch measured: as JSON lines in a file, and as a line or a bar on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TextIO

from schemegen.training.checkpoint import write_atomically

__all__ = ["EpochMetrics", "Progress", "show_progress", "write_metrics"]


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """Means over one epoch; accuracies are fractions, ``lr`` is that of its last step."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


def write_metrics(path: Path, history: Iterable[EpochMetrics]) -> None:
    """Write one JSON object a line; no times, so that equal runs give equal files."""
    lines = "".join(json.dumps(asdict(item)) + "\n" for item in history)
    write_atomically(path, lines.encode())


class Progress(Protocol):
    """Where a run shows how far it is."""

    def batch(self, loss: float) -> None: ...

    def epoch(self, metrics: EpochMetrics) -> None: ...


class _Silent:
    def batch(self, loss: float) -> None:
        pass

    def epoch(self, metrics: EpochMetrics) -> None:
        pass


class _Lines:
    """One line an epoch, for pipes and log files."""

    def __init__(self, epochs: int, stream: TextIO) -> None:
        self.epochs = epochs
        self.stream = stream

    def batch(self, loss: float) -> None:
        pass

    def epoch(self, metrics: EpochMetrics) -> None:
        print(_line(metrics, self.epochs), file=self.stream, flush=True)


def _line(metrics: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {metrics.epoch:{len(str(epochs))}}/{epochs}  loss {metrics.train_loss:.4f}  "
        f"train {100 * metrics.train_accuracy:.1f} %  test {100 * metrics.test_accuracy:.1f} %"
    )


@contextmanager
def show_progress(epochs: int, steps: int, first: int, *, shown: bool) -> Iterator[Progress]:
    """Yield a bar of ``epochs * steps`` batches on a terminal, lines elsewhere, nothing if not ``shown``.

    ``first`` epochs are already done. Everything goes to stderr.
    """
    if not shown:
        yield _Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines(epochs, sys.stderr)
        return
    with _bar(epochs, steps, first) as progress:
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
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=epochs * steps, completed=first * steps)

        class Shown:
            def batch(self, loss: float) -> None:
                bar.update(task, advance=1, description=f"loss {loss:.4f}")

            def epoch(self, metrics: EpochMetrics) -> None:
                bar.console.print(_line(metrics, epochs), highlight=False)

        yield Shown()
