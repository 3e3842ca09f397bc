"""A network that a run has trained, compiled again, with the data it was trained on: what is to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemegen.diagnostics import UsageError
from schemegen.saving import put, recompiled

if TYPE_CHECKING:
    import torch

    from schemegen.training import Data, FolderData, Subject
    from schemegen.training.robustness import Pixels

__all__ = ["Trained", "trained", "weights_file"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A checkpoint's network in eval mode on ``device``, and the data set on the processor."""

    subject: Subject
    data: Data | FolderData
    recipe: str | None
    sha256: str
    device: torch.device

    def pixels(self) -> Pixels:
        """Return the network of images in [0, 1]."""
        from schemegen.training.robustness import Pixels

        shape = self.subject.network.input_shape
        return Pixels.of(self.subject.model, shape, self.data).to(self.device)

    def images(self, count: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first ``count`` test images (all where None) in [0, 1] and their labels, on ``device``."""
        from schemegen.training.robustness import pixels_of

        images, labels = pixels_of(self.data, count)
        return images.to(self.device), labels.to(self.device)

    def as_json(self) -> dict[str, Any]:
        """Return what a measurement must say of its subject: names, hashes of texts and of the file, the data."""
        from schemegen.training.robustness import versions

        return {
            "scheme": self.subject.scheme.name,
            "scheme_sha256": self.subject.sha256,
            "network": self.subject.network.name,
            "checkpoint_sha256": self.sha256,
            "data": {"name": self.data.name, "recipe": self.recipe, "split": "test"},
            "device": self.device.type,
            "versions": versions(),
        }


def weights_file(run: Path) -> Path:
    """Return the checkpoint of a run: the file itself, or the last one of a folder."""
    from schemegen.training.folder import LAST

    if not run.is_dir():
        return run
    if not (run / LAST).exists():
        raise UsageError(f"no `{LAST}` in `{run}`", "name a run's folder or a .safetensors file")
    return run / LAST


def trained(
    path: Path,
    *,
    data: str | None = None,
    data_dir: Path = Path("data"),
    download: bool = False,
    device: str = "auto",
    blocks: Mapping[str, str] | None = None,
) -> Trained:
    """Read the checkpoint ``path`` (or that of a run's folder), compile its texts and load its data.

    ``data`` is another data set than the one it was trained on. Errors: :class:`UsageError` for a checkpoint,
    device or data set that is not there, or does not fit (E0801, E0802, E0803).
    """
    from schemegen.training import Subject, load_data, read_checkpoint
    from schemegen.training.devices import choose_device
    from schemegen.training.recipes import named

    place = choose_device(device)
    file = weights_file(path)
    checkpoint = read_checkpoint(file)
    name = data or checkpoint.config.get("data")
    if name is None:
        raise UsageError(f"`{file}` does not say what it was trained on", "`--data NAME` does")
    network, scheme, spec = recompiled(checkpoint, str(file), blocks)
    put(network, checkpoint)
    recipe = checkpoint.config.get("recipe")
    images = load_data(
        str(name), data_dir, spec, download=download, recipe=named(recipe) if recipe else None
    )
    return Trained(
        subject=Subject(network.to(place).eval(), scheme, spec),
        data=images,
        recipe=recipe,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        device=place,
    )
