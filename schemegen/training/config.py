"""What is to be trained on, for how long and how: plain values, no tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from schemegen.diagnostics import UsageError
from schemegen.training.recipes import named

__all__ = ["DATASETS", "NETWORKS", "Config", "recipe"]


@dataclass(frozen=True, slots=True)
class Config:
    """A training run.

    ``schedule`` is ``cosine`` (to zero) or ``step`` (a tenth at 1/2 and at 3/4 of the epochs), both
    after ``warmup`` epochs of linear growth. ``output`` None writes no files. ``deterministic`` asks
    torch for bitwise repeatable kernels on every device; on a CPU a run repeats for its seed anyway.
    """

    data: str = "digits"
    recipe: str | None = None
    data_dir: Path = Path("data")
    download: bool = False
    output: Path | None = None
    epochs: int = 12
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup: int = 1
    augment: bool = True
    seed: int = 0
    device: str = "auto"
    amp: bool = False
    compile: bool = False
    deterministic: bool = False
    resume: bool = False
    force: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        _require(self.data in DATASETS, f"unknown data set `{self.data}`", _data_help())
        if self.recipe is not None:
            named(self.recipe)
        _require(self.schedule in ("cosine", "step"), f"unknown schedule `{self.schedule}`",
                 "schedules: cosine, step")  # fmt: skip
        for name in ("epochs", "batch_size"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1", None)
        for name in ("lr", "momentum", "weight_decay", "warmup", "seed"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"{name} must be finite and not negative", None)
        _require(not (self.nesterov and self.momentum == 0), "nesterov needs a momentum", None)

    def recorded(self) -> dict[str, Any]:
        """Return what decides the outcome, as a checkpoint records it: no paths, no device."""
        left_out = {"data_dir", "download", "output", "resume", "force", "progress", "device"}
        return {key: value for key, value in asdict(self).items() if key not in left_out}


def _require(condition: bool, message: str, advice: str | None) -> None:
    if not condition:
        raise UsageError(message, advice)


def _data_help() -> str:
    return "data sets: " + ", ".join(DATASETS)


DATASETS: dict[str, dict[str, Any]] = {
    "digits": {},
    "glyphs": {"epochs": 15, "batch_size": 128},
    "glyphs36": {"epochs": 15, "batch_size": 128},
    "glyphs62": {"epochs": 15, "batch_size": 128},
    "cifar10": {"epochs": 160, "batch_size": 128, "weight_decay": 1e-4, "schedule": "step"},
    "cifar100": {"epochs": 300, "batch_size": 128, "weight_decay": 1e-4, "schedule": "step"},
    "folder": {"epochs": 90, "batch_size": 256, "weight_decay": 1e-4, "warmup": 5},
    "fake": {"epochs": 1},
}
"""The data sets and the settings each is usually trained with.

Those of CIFAR follow Lu et al. (2018) and Yang et al. (2020): SGD with momentum 0.9, batches of 128, rate
0.1 cut to a tenth at half and at three quarters of 160 epochs (300 for CIFAR-100), weight decay 1e-4.
``fake`` is random images of the network's own shape, for timing and smoke tests.
"""

NETWORKS = {
    "glyphs": "glyphs",
    "glyphs36": "glyphs36",
    "glyphs62": "glyphs62",
    "cifar10": "cifar",
    "cifar100": "cifar100",
}
"""The network of the zoo for a data set, where the user names none and it is not the usual one."""


def recipe(data: str | None = None, *, recipe: str | None = None, **settings: Any) -> Config:
    """Return the usual settings of a data set, or those of a named recipe, which also knows its data set.

    ``settings`` that are not None take their place. Errors: UsageError for what there is not.
    """
    usual = {} if recipe is None else {"data": named(recipe).data, **named(recipe).settings}
    data = data or usual.get("data", "digits")
    _require(data in DATASETS, f"unknown data set `{data}`", _data_help())
    given = {key: value for key, value in settings.items() if value is not None}
    unknown = sorted(given.keys() - {item.name for item in fields(Config)})
    _require(not unknown, f"unknown setting `{', '.join(unknown)}`", None)
    return replace(Config(data, recipe), **{**DATASETS[data], **usual, **given, "data": data})
