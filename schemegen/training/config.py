"""What is to be trained on, for how long and how: plain values, no tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from schemegen.diagnostics import UsageError
from schemegen.training.recipes import named

__all__ = [
    "AMP_DTYPES",
    "DATASETS",
    "LOGS",
    "NETWORKS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Config",
    "recipe",
]

OPTIMIZERS = ("sgd", "nesterov", "adam", "adamw", "rmsprop")
SCHEDULES = ("cosine", "step", "linear", "constant")
AMP_DTYPES = ("bfloat16", "float16")
LOGS = ("tensorboard",)


@dataclass(frozen=True, slots=True)
class Config:
    """A training run; the names are those of timm's options.

    ``batch_size`` images a process make a gradient and ``grad_accum_steps`` of them a step, so that a step sees
    ``batch_size * grad_accum_steps * processes`` images. ``sched`` follows ``warmup_epochs`` epochs of linear
    growth. ``clip_grad`` bounds the norm of the gradient. ``output`` None writes no files. ``resume`` is ``last``,
    ``best`` or the path of a checkpoint. ``deterministic`` asks torch for bitwise repeatable kernels on every
    device; on a CPU a run repeats for its seed anyway.
    ``optimize`` calls ``schemegen.optimize`` of the network in training, with equal losses up to rounding.
    ``workers`` processes decode the images of a folder, None leaves their number to the machine.
    """

    data: str = "digits"
    recipe: str | None = None
    data_dir: Path = Path("data")
    download: bool = False
    output: Path | None = None
    epochs: int = 12
    batch_size: int = 64
    opt: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    sched: str = "cosine"
    warmup_epochs: int = 1
    augment: bool = True
    grad_accum_steps: int = 1
    clip_grad: float | None = None
    model_ema: bool = False
    model_ema_decay: float = 0.9998
    sync_bn: bool = False
    seed: int = 0
    device: str = "auto"
    amp: bool = False
    amp_dtype: str = "bfloat16"
    channels_last: bool = False
    torchcompile: bool = False
    optimize: bool = False
    fsdp: bool = False
    deterministic: bool = False
    workers: int | None = None
    keep: int = 0
    log_interval: int = 0
    log: tuple[str, ...] = ()
    resume: str | None = None
    force: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        _require(self.data in DATASETS, f"unknown data set `{self.data}`", _data_help())
        if self.recipe is not None:
            named(self.recipe)
        for name, known in (("opt", OPTIMIZERS), ("sched", SCHEDULES), ("amp_dtype", AMP_DTYPES)):
            value = getattr(self, name)
            what = {"opt": "optimiser", "sched": "schedule", "amp_dtype": "precision"}[name]
            _require(
                value in known,
                f"unknown {what} `{value}`",
                f"`{_flag(name)}` takes {', '.join(known)}",
            )
        for value in self.log:
            _require(value in LOGS, f"unknown log `{value}`", f"`--log` takes {', '.join(LOGS)}")
        for name in ("epochs", "batch_size", "grad_accum_steps"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1", None)
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"{name} must be finite and not negative", None)
        clip = self.clip_grad
        _require(
            clip is None or 0 < clip < float("inf"), "clip_grad must be finite and positive", None
        )
        _require(self.model_ema_decay < 1, "model_ema_decay must be below 1", None)
        _require(self.opt != "nesterov" or self.momentum > 0, "nesterov needs a momentum", None)
        _require(not (self.optimize and self.torchcompile),
                 "torch.compile takes the graph of a network, which optimize leaves as it is",
                 "give one of `--optimize` and `--torchcompile`")  # fmt: skip
        _require("tensorboard" not in self.log or self.output is not None,
                 "a log needs a folder to be written to", "give an output")  # fmt: skip

    def recorded(self) -> dict[str, Any]:
        """Return what decides the outcome, as a checkpoint records it: no paths, no device."""
        return {key: value for key, value in asdict(self).items() if key not in _LEFT_OUT}


_NOT_NEGATIVE = (
    "lr", "momentum", "weight_decay", "warmup_epochs", "seed", "model_ema_decay", "keep",
    "log_interval",
)  # fmt: skip
_LEFT_OUT = {
    "data_dir", "download", "output", "device", "workers", "keep", "log_interval", "log", "resume", "force",
    "progress",
}  # fmt: skip


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


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
    "cifar10": {"epochs": 160, "batch_size": 128, "weight_decay": 1e-4, "sched": "step"},
    "cifar100": {"epochs": 300, "batch_size": 128, "weight_decay": 1e-4, "sched": "step"},
    "folder": {"epochs": 90, "batch_size": 256, "weight_decay": 1e-4, "warmup_epochs": 5},
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
