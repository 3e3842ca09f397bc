"""The folder of a run: which files it holds, in which order they are replaced, and what is kept.

A run that is killed at any moment leaves a folder from which it goes on: ``last`` is replaced after everything
that belongs to the same epoch, so that what is lost with it is written again alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically
from schemegen.training.metrics import EpochMetrics, lines

__all__ = ["BEST", "LAST", "Folder"]

LAST, BEST = "last.safetensors", "best.safetensors"


@dataclass(frozen=True, slots=True)
class Folder:
    """``path`` with ``last``, ``best`` and the ``keep`` best epochs of a run."""

    path: Path
    keep: int = 0

    def begin(self, texts: dict[str, str]) -> None:
        """Make the folder and write what stays as it is; remove what a killed run left half written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (LAST, BEST, "epoch_*.safetensors", "metrics.jsonl", *texts):
                for left in self.path.glob(f".{name}.*"):
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        for name, text in texts.items():
            write_atomically(self.path / name, text)

    def clear(self) -> None:
        """Remove the checkpoints of an earlier run, of which the new one is no continuation."""
        for path in [self.path / BEST, self.path / LAST, *self.epochs()]:
            path.unlink(missing_ok=True)

    def save(self, content: bytes, history: Sequence[EpochMetrics]) -> None:
        """Write the checkpoint of the last epoch of ``history``. Errors: UsageError, the old files being kept."""
        ranked = sorted(history, key=lambda item: (-item.test_accuracy, item.epoch))
        kept = {item.epoch for item in ranked[: self.keep]}
        now = len(history)
        if now in kept:
            write_atomically(self.epoch(now), content)
        if ranked and ranked[0].epoch == now:
            write_atomically(self.path / BEST, content)
        write_atomically(self.path / LAST, content)
        self.tell(history)
        for path in self.epochs():
            if path not in {self.epoch(number) for number in kept}:
                path.unlink(missing_ok=True)

    def tell(self, history: Sequence[EpochMetrics]) -> None:
        """Write the metrics."""
        write_atomically(self.path / "metrics.jsonl", lines(history))

    def epoch(self, number: int) -> Path:
        return self.path / f"epoch_{number:04d}.safetensors"

    def epochs(self) -> list[Path]:
        return sorted(self.path.glob("epoch_*.safetensors"))

    def find(self, wanted: str) -> Path | None:
        """Return the checkpoint called ``last``, ``best`` or by its path; None for a ``last`` not yet written."""
        if wanted == "last":
            found = self.path / LAST
            return found if found.exists() else None
        return self.path / BEST if wanted == "best" else Path(wanted)
