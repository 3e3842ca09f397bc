"""The training loop: one seed in, the same weights out, on one process or many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.training.board import logged
from schemegen.training.checkpoint import packed, read_checkpoint, restore, texts_of
from schemegen.training.config import Config
from schemegen.training.data import Data, FolderData, load_data
from schemegen.training.engine import Engine
from schemegen.training.evaluation import evaluate_together
from schemegen.training.folder import LAST, Folder
from schemegen.training.loader import Loader
from schemegen.training.metrics import EpochMetrics, Progress, show_progress
from schemegen.training.optimizer import rate
from schemegen.training.ranks import Stop, ending_together
from schemegen.training.ratios import largest_branch_ratio
from schemegen.training.recipes import named
from schemegen.training.record import record
from schemegen.training.state import Run
from schemegen.training.subject import Subject

__all__ = ["Result", "evaluate_checkpoint", "train"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a run; ``checkpoint`` None where nothing was written.

    ``input_wait`` is the part of the steps' time that went by waiting for batches, the first epoch of several
    left out.
    """

    test_accuracy: float
    test_loss: float
    test_count: int
    history: tuple[EpochMetrics, ...]
    checkpoint: Path | None
    seconds: float = field(compare=False)
    input_wait: float = field(default=0.0, compare=False)

    def summary(self) -> str:
        """Return the final line."""
        epochs = len(self.history)
        line = (
            f"test accuracy {100 * self.test_accuracy:.2f} %  ({self.test_count} images, "
            f"{epochs} epoch{'s' * (epochs != 1)}, {self.seconds:.0f} s)"
        )
        return line if self.checkpoint is None else f"{line}  wrote {self.checkpoint}"


def train(subject: Subject, config: Config, data: Data | FolderData | None = None) -> Result:
    """Train ``subject.model`` in place on ``data``, or what ``config`` names, and return what it reached.

    Writes checkpoints and ``metrics.jsonl`` after every epoch to ``config.output``, and first what is needed to
    repeat the run. The caller seeds the initial weights; everything after that follows ``config.seed``. Under
    ``torchrun`` or ``accelerate launch`` every process calls it with equal arguments and gets the same result.

    Errors: UsageError for data, device, extra, folder or checkpoint (E0801, E0802, E0803); SchemeError with
    E0804 where the loss is not finite; KeyboardInterrupt after SIGINT or SIGTERM, ``last`` being that of the
    last complete epoch.
    """
    started = perf_counter()
    engine = Engine.start(config)
    stop = Stop()
    with stop.listening(), ending_together(*_place(engine)), _deterministic(config.deterministic):
        with engine.first():
            found = data or _data(subject, config)
        trainer = _Trainer.begin(subject, config, engine, found, stop)
        trainer.epochs()
    last = trainer.run.history[-1]
    if trainer.run.average is not None:
        trainer.run.average.exchange()
    return Result(
        test_accuracy=last.test_accuracy,
        test_loss=last.test_loss,
        test_count=len(found.test_labels),
        history=tuple(trainer.run.history),
        checkpoint=None if config.output is None else config.output / LAST,
        seconds=perf_counter() - started,
        input_wait=trainer.clock.share,
    )


def evaluate_checkpoint(subject: Subject, config: Config) -> Result:
    """Return what the checkpoint that ``config.resume`` names (``last`` if none) reaches; nothing is written."""
    started = perf_counter()
    engine = Engine.start(config)
    with ending_together(*_place(engine)):
        with engine.first():
            data = _data(subject, config)
        folder = Folder(config.output or Path())
        path = folder.find(config.resume or "last") or folder.path / LAST
        checkpoint = read_checkpoint(path)
        restore(subject, checkpoint, force=config.force)
        subject.model.to(engine.device)
        loss, accuracy = evaluate_together(subject, data.to(engine.device), engine)
    history = checkpoint.progress.get("history", ())
    known = tuple(EpochMetrics(**item) for item in history)
    return Result(accuracy, loss, len(data.test_labels), known, None, perf_counter() - started)


def _data(subject: Subject, config: Config) -> Data | FolderData:
    return load_data(
        config.data,
        config.data_dir,
        subject.network,
        download=config.download,
        recipe=None if config.recipe is None else named(config.recipe),
        workers=config.workers,
    )


def _place(engine: Engine) -> tuple[int, int]:
    return engine.share.rank, engine.share.world


@dataclass(slots=True)
class _Clock:
    """How long steps took and how much of that went by waiting for their batches."""

    waited: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float:
        return self.waited / self.total if self.total else 0.0

    def waiting(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield ``items``, counting the time that each took to come."""
        source = iter(items)
        while True:
            before = perf_counter()
            found = list(islice(source, 1))
            self.waited += perf_counter() - before
            if not found:
                return
            yield found[0]


@dataclass(slots=True)
class _Trainer:
    """One run, its data and its folder."""

    run: Run
    data: Data | FolderData
    loader: Loader
    folder: Folder | None
    stop: Stop
    remarks: tuple[str, ...]
    clock: _Clock = field(default_factory=_Clock)

    @classmethod
    def begin(
        cls, subject: Subject, config: Config, engine: Engine, data: Data | FolderData, stop: Stop
    ) -> _Trainer:
        own = data.to(engine.device)
        loader = Loader(
            own,
            config.batch_size * config.grad_accum_steps,
            subject.network.input_shape,
            config.seed,
            augment=config.augment,
            share=engine.share,
            channels_last=config.channels_last,
        )
        run = Run.begin(subject, config, engine)
        folder = None if config.output is None else Folder(config.output, config.keep)
        trainer = cls(run, own, loader, folder, stop, ())
        trainer.open()
        return trainer

    def open(self) -> None:
        """Take the checkpoint that is to be resumed from, or write that of the untrained network."""
        run, config, folder = self.run, self.run.config, self.folder
        found = None
        if config.resume is not None:
            found = (folder or Folder(Path())).find(config.resume)
            if found is None:
                self.remarks = (f"no {LAST} to continue from; starting at the first epoch",)
            else:
                differing = run.resume(read_checkpoint(found), str(found))
                self.remarks = (f"continuing after epoch {len(run.history)}", *differing)
        if folder is None:
            return
        run.engine.wait()  # nobody reads any more what is replaced now
        if run.engine.main:
            texts = {
                "run.json": record(run.subject, run.engine, self.data),
                "scheme.scheme": run.subject.scheme.source.text,
                "network.scheme": run.subject.network.source.text,
            }
            folder.begin(texts)
            if found is None:
                folder.clear()
            else:
                folder.tell(run.history)
        if found is None:
            self.save()

    def epochs(self) -> None:
        """Run the epochs that are missing."""
        run, config = self.run, self.run.config
        first = len(run.history)
        quiet = nullcontext if run.average is None else run.average.applied
        with self.progress(first) as progress:
            for remark in self.remarks:
                progress.note(remark)
            for epoch in range(first, config.epochs):
                train_loss, train_accuracy, lr = self.epoch(epoch, progress)
                run.engine.agree(run.buffers())
                with quiet():
                    loss, accuracy = evaluate_together(run.subject, self.data, run.engine)
                    metrics = EpochMetrics(
                        epoch + 1, lr, train_loss, train_accuracy, loss, accuracy
                    )
                    run.history.append(metrics)
                    self.save()
                progress.epoch(metrics)
                if epoch == first and config.epochs > first + 1:
                    self.clock = _Clock()

    @contextmanager
    def progress(self, first: int) -> Iterator[Progress]:
        config, main = self.run.config, self.run.engine.main
        steps = len(self.loader)
        with show_progress(config, steps, first, shown=main) as progress:
            if not main:
                yield progress
                return
            with logged(progress, config, steps, first) as both:
                yield both

    def epoch(self, epoch: int, progress: Progress) -> tuple[float, float, float]:
        """Return mean loss, accuracy and the last rate of one epoch of steps."""
        run, steps = self.run, len(self.loader)
        run.model.train()
        total, right, seen, lr = 0.0, 0.0, 0.0, run.config.lr
        before = perf_counter()
        for index, (inputs, labels) in enumerate(self.clock.waiting(self.loader.epoch(epoch))):
            step = epoch * steps + index
            lr = rate(run.config, step, steps)
            loss, correct, count, stopped = self.step(step, lr, inputs, labels)
            if stopped:
                progress.note(f"stopped; `--resume` continues after epoch {len(run.history)}")
                raise KeyboardInterrupt
            if run.average is not None:
                run.average.update(step)
            total, right, seen = total + loss, right + correct, seen + count
            progress.step(step, loss / count, int(count))
        self.clock.total += perf_counter() - before
        return total / seen, right / seen, lr

    def step(self, step: int, lr: float, inputs: Tensor, labels: Tensor) -> list[float]:
        """Take one step; return over all ranks the sum of losses, right answers, images and wishes to stop."""
        run, engine = self.run, self.run.engine
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        run.optimizer.zero_grad(set_to_none=True)
        size = run.config.batch_size
        sums = torch.zeros(4, device=engine.device)
        sums[3] = float(self.stop.asked)
        parts = list(zip(torch.split(inputs, size), torch.split(labels, size), strict=True))
        for index, (x, y) in enumerate(parts):
            final = index == len(parts) - 1
            with engine.part(run.model, last=final):
                with engine.autocast():
                    logits = run.model(x)
                    loss = cross_entropy(logits.float(), y)
                with torch.no_grad():
                    sums[0] += loss * len(y)
                    sums[1] += (logits.argmax(1) == y).sum()
                    sums[2] += len(y)
                if final:
                    figures = engine.total(sums)
                engine.backward(loss / len(parts))
        found = figures.wait()
        if not torch.isfinite(torch.tensor(found[0])):
            raise SchemeError([self.not_finite(step, inputs[:size])])
        if not found[3]:
            engine.update(run.optimizer, list(run.subject.model.parameters()))
        return found

    def not_finite(self, step: int, inputs: Tensor) -> Diagnostic:
        """E0804, with the step whose branch is largest beside the state it is added to."""
        run = self.run
        message = f"loss is not finite at step {step + 1}"
        found = None if run.engine.sharded else largest_branch_ratio(run.subject.model, inputs)
        if found is not None:
            message += f"; largest branch ratio {found.ratio:.3g} at step {found.step} of stage {found.stage}"
        kept = "" if self.folder is None else f"; the last good checkpoint is `{LAST}`"
        return Diagnostic("E0804", message, None, f"lower `--lr`{kept}")

    def save(self) -> None:
        """Write the checkpoint and the metrics of the epochs so far; every rank has to come here."""
        run = self.run
        if self.folder is None:
            return
        saved = run.saved()
        if run.engine.main:
            content = packed(
                saved.model,
                texts_of(run.subject),
                progress=saved.progress,
                config=run.config.recorded(),
                extra=saved.extra,
            )
            self.folder.save(content, run.history)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only so
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
