"""Data sets by name, checked against the network that is to be trained on them."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

from schemegen.diagnostics import UsageError
from schemegen.scheme.network import NetworkSpec
from schemegen.training.datasets.folder import FolderData
from schemegen.training.images import Data
from schemegen.training.recipes import Recipe

__all__ = ["Data", "FolderData", "load_data"]


def load_data(
    name: str,
    folder: Path,
    network: NetworkSpec,
    *,
    download: bool = False,
    recipe: Recipe | None = None,
    workers: int | None = None,
) -> Data | FolderData:
    """Return the data set ``name`` after checking that ``network`` fits it, augmented as ``recipe`` says.

    Raises UsageError: E0803 for data that is not in ``folder``, a missing extra, another shape.
    """
    data: Data | FolderData
    match name:
        case "digits":
            from schemegen.training.datasets.digits import digits

            data = digits()
        case "glyphs" | "glyphs36" | "glyphs62":
            from schemegen.training.datasets.glyphs import glyphs

            data = glyphs(name, folder)
        case "cifar10" | "cifar100":
            from schemegen.training.datasets.cifar import cifar

            data = cifar(name, folder, download)
        case "folder":
            from schemegen.training.datasets.folder import folder_data

            data = folder_data(folder, network, workers=workers)
        case "fake":
            from schemegen.training.datasets.fake import fake

            data = fake(network)
        case _:
            raise UsageError(f"unknown data set `{name}`")
    _fitting(data, network)
    return _augmented(data, recipe) if recipe and isinstance(data, Data) else data


_NETWORKS = {"cifar10": "cifar"}


def _fitting(data: Data | FolderData, network: NetworkSpec) -> None:
    if prod(data.shape) != prod(network.input_shape) or len(network.input_shape) not in (1, 3):
        raise UsageError(
            f"network `{network.name}` takes {_size(network.input_shape)}, {data.name} images are "
            f"{_size(data.shape)}",
            "choose a network made for them, as in "
            f"`--network {_NETWORKS.get(data.name, data.name)}`",
        )
    if data.classes != network.classes:
        raise UsageError(
            f"network `{network.name}` tells {network.classes} classes apart, "
            f"{data.name} has {data.classes}",
            f"write `classes {data.classes}` in its `input` statement",
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _augmented(data: Data, recipe: Recipe) -> Data:
    """Return data augmented and normalised as in a paper, shifts in proportion to the images."""
    changed = replace(
        data,
        shift=max(round(recipe.shift * data.shape[-1] / 32), 1),
        padding=recipe.padding,
    )
    if data.name == recipe.data and recipe.deviation is not None:
        return replace(changed, deviation=recipe.deviation)
    return changed
