"""How the papers trained on CIFAR, as named settings: ``--recipe lu2018-cifar10``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemegen.diagnostics import UsageError

__all__ = ["RECIPES", "Recipe", "named"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A paper's optimiser, schedule and augmentation.

    ``shift`` is in pixels of images 32 wide; on others it is in proportion. Mirroring and means are those of the
    data; ``deviation`` is the paper's where it differs from that of the images. ``differences`` says what
    here is not as in the source, or where text and code of the source disagree.
    """

    name: str
    data: str
    settings: Mapping[str, Any] = field(hash=False)
    shift: int
    padding: str
    source: str
    differences: tuple[str, ...] = ()
    deviation: tuple[float, ...] | None = None


def _settings(epochs: int) -> dict[str, Any]:
    """SGD as in both papers: rate 0.1, a tenth from half and from three quarters of the epochs on."""
    return {
        "epochs": epochs,
        "batch_size": 128,
        "opt": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "sched": "step",
        "warmup_epochs": 0,
    }


_LU = "Lu, Zhong, Li, Dong (2018), arXiv 1710.10121, section 3"
_YANG = "Yang, Liu, Bao, Shi (2020), arXiv 2006.05749, its released code"
_LU_DIFFERENCES = (
    "the text pads by 4 black pixels, the released loader mirrors 2; here as in the text",
    "weight decay is that of LM-ResNet; LM-ResNeXt was trained with 5e-4",
    "pixels are scaled by the deviation of all pixels, in the released loader by the mean one of single images",
    "an incomplete last batch is left out, 80 images an epoch",
)
_YANG_DIFFERENCES = (
    "padding mirrors 2 pixels, as in the released loader",
    "an incomplete last batch is left out, 80 images an epoch",
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("lu2018-cifar10", "cifar10", _settings(160), 4, "constant", _LU, _LU_DIFFERENCES),
        Recipe("lu2018-cifar100", "cifar100", _settings(300), 4, "constant", _LU, _LU_DIFFERENCES),
        Recipe("yang2020-cifar10", "cifar10", _settings(160), 2, "reflect", _YANG,
               ("pixels are scaled by the mean deviation of single images, as in the released loader",
                *_YANG_DIFFERENCES), (0.2023, 0.1994, 0.2010)),
        Recipe("yang2020-cifar100", "cifar100", _settings(300), 2, "reflect", _YANG,
               ("means and deviations are those of CIFAR-100", *_YANG_DIFFERENCES)),
    )
}  # fmt: skip


def named(name: str) -> Recipe:
    """Return a recipe. Errors: :class:`UsageError` for a name that there is not."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe `{name}`", f"recipes: {', '.join(RECIPES)}")
    return RECIPES[name]
