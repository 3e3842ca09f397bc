"""All that a run is in the middle of, as tensors and JSON, and back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from schemegen.diagnostics import UsageError
from schemegen.training.checkpoint import Checkpoint, restore
from schemegen.training.config import Config
from schemegen.training.devices import random_state, rank_seed, restore_random_state, seed_all
from schemegen.training.engine import Engine
from schemegen.training.metrics import EpochMetrics
from schemegen.training.optimizer import Average, load_state, optimizer, put, state_of
from schemegen.training.subject import Subject

__all__ = ["Run", "Saved"]


@dataclass(frozen=True, slots=True)
class Saved:
    """The content of a checkpoint: the network that was evaluated, what else a run needs, and its history."""

    model: dict[str, Tensor]
    extra: dict[str, Tensor]
    progress: dict[str, Any]


@dataclass(slots=True)
class Run:
    """What changes while a run goes on.

    ``model`` is the network as it is called in training, on several processes a wrapper of the subject's own.
    """

    subject: Subject
    config: Config
    engine: Engine
    model: nn.Module
    optimizer: Optimizer
    average: Average | None
    history: list[EpochMetrics] = field(default_factory=list)

    @classmethod
    def begin(cls, subject: Subject, config: Config, engine: Engine) -> Run:
        """Put the network on its device and make the optimiser; from here on, all that is random is seeded."""
        model = engine.prepare(subject.model)
        average = Average(subject.model, config.model_ema_decay) if config.model_ema else None
        seed_all(config.seed)
        return cls(subject, config, engine, model, optimizer(subject.model, config), average)

    def buffers(self) -> Iterator[Tensor]:
        """Yield the buffers of the network and those of its average."""
        yield from self.subject.model.buffers()
        if self.average is not None:
            yield from self.average.buffers()

    def saved(self) -> Saved:
        """Return the state, every rank's random generators included; every rank has to call it.

        The network is the averaged one where there is an average, so that whoever loads it has the one whose
        accuracy is told; its own weights are then ``raw``.
        """
        own = self.subject.model
        model = {key: whole(value) for key, value in own.state_dict().items()}
        extra = {key: whole(value) for key, value in state_of(own, self.optimizer).items()}
        if self.average is not None:
            extra |= {f"raw.{key}": whole(value) for key, value in self.average.other.items()}
        for key, value in random_state().items():
            for rank, item in enumerate(self.engine.gather(value)):
                extra[f"random.{rank}.{key}"] = item
        progress = {
            "history": [asdict(item) for item in self.history],
            "processes": self.engine.share.world,
            "scaler": self.engine.scaler.state_dict(),
        }
        return Saved(model, extra, progress)

    def resume(self, checkpoint: Checkpoint, name: str) -> tuple[str, ...]:
        """Continue from ``checkpoint``, called ``name``; return remarks on what differs.

        Errors: E0801 for another scheme or network; UsageError where the file lacks what a run needs.
        """
        try:
            return self._resumed(checkpoint)
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UsageError(f"`{name}` cannot be continued from: {error}") from error

    def _resumed(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        force, extra, own = self.config.force, checkpoint.extra, self.subject.model
        history = [EpochMetrics(**item) for item in checkpoint.progress["history"]]
        if [item.epoch for item in history] != list(range(1, len(history) + 1)):
            raise ValueError("its epochs are not in order")
        if not all(isinstance(v, int | float) for item in history for v in asdict(item).values()):
            raise ValueError("its metrics are no numbers")
        restore(self.subject, checkpoint, force=force)
        if self.average is not None:
            self._take_average(checkpoint)
        remarks = differing(checkpoint.config, self.config.recorded())
        if checkpoint.config.get("opt") == self.config.opt:
            load_state(own, self.optimizer, extra, force=force)
        if checkpoint.progress.get("scaler") and self.engine.scaler.is_enabled():
            self.engine.scaler.load_state_dict(checkpoint.progress["scaler"])
        rank, world = self.engine.share.rank, self.engine.share.world
        prefix = f"random.{rank}."
        states = {k.removeprefix(prefix): v for k, v in extra.items() if k.startswith(prefix)}
        if states:
            restore_random_state(states)
        else:
            reseed(self.config.seed, rank, len(history))
        before = checkpoint.progress.get("processes", 1)
        if before != world:
            remarks = (*remarks, f"{before} processes before, {world} now")
        self.history = history
        return remarks

    def _take_average(self, checkpoint: Checkpoint) -> None:
        """Make the network that was saved the average, and ``raw`` the weights that training goes on with."""
        assert self.average is not None
        own = self.subject.model.state_dict(keep_vars=True)
        for key, value in own.items():
            put(self.average.other[key], whole(value.detach()))
            raw = checkpoint.extra.get(f"raw.{key}")
            if raw is not None:
                if raw.shape != value.shape:
                    raise ValueError(f"`raw.{key}` is of another shape")
                put(value.detach(), raw)


def whole(value: Tensor) -> Tensor:
    """Return a tensor with the parts of all ranks."""
    from torch.distributed.tensor import DTensor

    return value.full_tensor() if isinstance(value, DTensor) else value


def reseed(seed: int, rank: int, epoch: int) -> None:
    """Seed a rank that the interrupted run did not have."""
    seed_all(rank_seed(seed, rank + 1) ^ epoch)
    random.seed(rank_seed(seed, rank + 1) ^ epoch)


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one remark for each setting that is not what it was."""
    return tuple(
        f"{key} was {before[key]}, is {value}"
        for key, value in sorted(now.items())
        if key in before and before[key] != value
    )
