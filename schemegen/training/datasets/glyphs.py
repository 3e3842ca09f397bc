"""The drawn characters as a data set: made once, kept in the data folder, verified when read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from schemegen.diagnostics import UsageError
from schemegen.files import write_atomically
from schemegen.training.datasets.drawing import CHARACTERS, PIXELS, drawn
from schemegen.training.datasets.masks import masks
from schemegen.training.images import Data

__all__ = ["glyphs"]

TRAIN, TEST = 50_000, 10_000
SEEDS = (0, 1)
_DIGEST = 32
_SAMPLE = 50


def glyphs(name: str, folder: Path, *, train: int = TRAIN, test: int = TEST) -> Data:
    """Return ``glyphs`` (digits), ``glyphs36`` (and capitals) or ``glyphs62`` (and small letters).

    Training and test images are drawn from the same distribution by different seeds. The file in ``folder``
    begins with a SHA-256 over its images and all they depend on: the shapes of the characters as the installed
    fonts and FreeType give them, the seeds, the counts, and a few images that are drawn to tell one drawing
    from another. Where that does not match, the images are drawn again. Errors: :class:`UsageError` without
    matplotlib or where the folder is not writable.
    """
    characters = CHARACTERS[name]
    shapes = masks(characters)
    sample, _ = drawn(shapes, _SAMPLE, 0)
    key = repr((SEEDS, train, test, shapes.shape)).encode() + shapes.tobytes() + sample.tobytes()
    path = folder / f"{name}.images"
    content = _kept(path, key, (train + test) * 3 * PIXELS**2)
    if content is None:
        content = b"".join(
            drawn(shapes, count, seed)[0].tobytes()
            for count, seed in zip((train, test), SEEDS, strict=True)
        )
        _keep(path, key, content)
    images = torch.from_numpy(np.frombuffer(bytearray(content), np.uint8))
    images = images.reshape(-1, 3, PIXELS, PIXELS)
    labels = [torch.arange(count) % len(characters) for count in (train, test)]
    return Data(
        name=name,
        classes=len(characters),
        train_images=images[:train],
        train_labels=labels[0],
        test_images=images[train:],
        test_labels=labels[1],
        peak=255.0,
        mean=(0.5, 0.5, 0.5),
        deviation=(0.25, 0.25, 0.25),
        shift=2,
    )


def _kept(path: Path, key: bytes, length: int) -> bytes | None:
    """Return the images of an earlier run, None where there are none or they are not what ``key`` asks for."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    content = found[_DIGEST:]
    if len(content) != length or found[:_DIGEST] != _digest(key, content):
        return None
    return content


def _keep(path: Path, key: bytes, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the data folder {path.parent} cannot be made: {(error.strerror or '').lower()}",
            "name another with `--data-dir`",
        ) from error
    write_atomically(path, _digest(key, content) + content)


def _digest(key: bytes, content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + content).digest()
