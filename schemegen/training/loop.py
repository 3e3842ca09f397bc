"""The training loop: one seed in, the same weights out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.training.checkpoint import (
    read_checkpoint,
    restore,
    write_atomically,
    write_checkpoint,
)
from schemegen.training.config import Config
from schemegen.training.data import Data, FolderData, batches, load_data
from schemegen.training.devices import choose_device, random_state, restore_random_state, seed_all
from schemegen.training.metrics import EpochMetrics, Progress, show_progress, write_metrics
from schemegen.training.optimizer import load_momentum, momentum_state, rate, sgd
from schemegen.training.ratios import largest_branch_ratio
from schemegen.training.recipes import named
from schemegen.training.subject import Subject

__all__ = ["LAST", "Result", "evaluate", "train"]

LAST = "last.safetensors"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a run; ``checkpoint`` None where nothing was written."""

    test_accuracy: float
    test_loss: float
    test_count: int
    history: tuple[EpochMetrics, ...]
    checkpoint: Path | None
    seconds: float = field(compare=False)

    def summary(self) -> str:
        """Return the final line."""
        epochs = len(self.history)
        line = (
            f"test accuracy {100 * self.test_accuracy:.2f} %  ({self.test_count} images, "
            f"{epochs} epoch{'s' * (epochs != 1)}, {self.seconds:.0f} s)"
        )
        return line if self.checkpoint is None else f"{line}  wrote {self.checkpoint}"


@dataclass(slots=True)
class _Run:
    """What changes while a run goes on."""

    subject: Subject
    config: Config
    data: Data | FolderData
    device: torch.device
    optimizer: SGD
    order: torch.Generator
    history: list[EpochMetrics]

    @property
    def steps(self) -> int:
        return max(len(self.data.train_labels) // self.config.batch_size, 1)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.subject.network.input_shape


def train(subject: Subject, config: Config) -> Result:
    """Train ``subject.model`` in place and return what it reached.

    Writes ``last.safetensors`` after every epoch, ``metrics.jsonl`` and the scheme to ``config.output``.
    The caller seeds the initial weights; everything after that follows ``config.seed``.

    Errors: UsageError for data, device, extra or checkpoint (E0801, E0802, E0803); SchemeError with
    E0804 where the loss is not finite; KeyboardInterrupt passes, ``last`` being that of the last epoch.
    """
    started = perf_counter()
    run = _prepare(subject, config)
    with _deterministic(config.deterministic):
        _train_epochs(run)
    last = run.history[-1]
    return Result(
        test_accuracy=last.test_accuracy,
        test_loss=last.test_loss,
        test_count=len(run.data.test_labels),
        history=tuple(run.history),
        checkpoint=None if config.output is None else config.output / LAST,
        seconds=perf_counter() - started,
    )


def _prepare(subject: Subject, config: Config) -> _Run:
    device = choose_device(config.device)
    data = load_data(
        config.data,
        config.data_dir,
        subject.network,
        download=config.download,
        recipe=None if config.recipe is None else named(config.recipe),
    )
    model = subject.model.to(device)
    seed_all(config.seed)
    run = _Run(
        subject=subject,
        config=config,
        data=data.to(device),
        device=device,
        optimizer=sgd(model, config),
        order=torch.Generator().manual_seed(config.seed),
        history=[],
    )
    if config.resume and config.output is not None and (config.output / LAST).exists():
        _resume(run, config.output / LAST)
    elif config.output is not None:
        write_atomically(config.output / "scheme.scheme", subject.scheme.source.text.encode())
        _save(run)
    if config.compile:
        model.compile()
    return run


def _resume(run: _Run, path: Path) -> None:
    checkpoint = read_checkpoint(path)
    restore(run.subject, checkpoint, force=run.config.force)
    load_momentum(run.subject.model, run.optimizer, checkpoint.extra)
    restore_random_state(checkpoint.extra, run.order)
    run.history = [EpochMetrics(**item) for item in checkpoint.progress["history"]]


def _save(run: _Run) -> None:
    folder = run.config.output
    if folder is None:
        return
    write_checkpoint(
        folder / LAST,
        run.subject,
        progress={"history": [asdict(item) for item in run.history]},
        config=run.config.recorded(),
        extra=random_state(run.order) | momentum_state(run.subject.model, run.optimizer),
    )
    write_metrics(folder / "metrics.jsonl", run.history)


def _train_epochs(run: _Run) -> None:
    first = len(run.history)
    epochs, steps = run.config.epochs, run.steps
    with show_progress(epochs, steps, first, shown=run.config.progress) as progress:
        for epoch in range(first, epochs):
            train_loss, train_accuracy, lr = _train_epoch(run, epoch, progress)
            test_loss, test_accuracy = evaluate(run.subject, run.data, amp=run.config.amp)
            metrics = EpochMetrics(
                epoch + 1, lr, train_loss, train_accuracy, test_loss, test_accuracy
            )
            run.history.append(metrics)
            _save(run)
            progress.epoch(metrics)


def _train_epoch(run: _Run, epoch: int, progress: Progress) -> tuple[float, float, float]:
    model, config = run.subject.model, run.config
    model.train()
    total, right, seen, lr = 0.0, 0, 0, config.lr
    stream = batches(run.data, config.batch_size, run.shape, run.order, augment=config.augment)
    for index, (inputs, labels) in enumerate(stream):
        step = epoch * run.steps + index
        lr = rate(config, step, run.steps)
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        with _autocast(run.device, config.amp):
            logits = model(inputs)
            loss = cross_entropy(logits.float(), labels)
        value = loss.item()
        if not torch.isfinite(loss):
            raise SchemeError([_not_finite(run, step, inputs)])
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        total += value * len(labels)
        right += int((logits.argmax(1) == labels).sum())
        seen += len(labels)
        progress.batch(value)
    return total / seen, right / seen, lr


def evaluate(
    subject: Subject, data: Data | FolderData, *, amp: bool = False, batch_size: int = 512
) -> tuple[float, float]:
    """Return the mean loss and the accuracy on the test images, in eval mode."""
    model = subject.model
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for images, labels in data.test_batches(batch_size):
            with _autocast(images.device, amp):
                logits = model(data.normalised(images, subject.network.input_shape)).float()
            total += cross_entropy(logits, labels, reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
    return total / len(data.test_labels), right / len(data.test_labels)


def _autocast(device: torch.device, enabled: bool) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _not_finite(run: _Run, step: int, inputs: Tensor) -> Diagnostic:
    """E0804, with the step whose branch is largest beside the state it is added to."""
    message = f"loss is not finite at step {step + 1}"
    found = largest_branch_ratio(run.subject.model, inputs)
    if found is not None:
        message += (
            f"; largest branch ratio {found.ratio:.3g} at step {found.step} of stage {found.stage}"
        )
    kept = "" if run.config.output is None else f"; the last good checkpoint is `{LAST}`"
    return Diagnostic("E0804", message, None, f"lower `--lr`{kept}")
