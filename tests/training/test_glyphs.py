"""Drawn characters: equal bytes for a seed, kept in a file that is verified, and readable."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from schemegen.diagnostics import UsageError
from schemegen.training.datasets import glyphs as module
from schemegen.training.datasets.drawing import CHARACTERS, drawn
from schemegen.training.datasets.glyphs import glyphs
from schemegen.training.datasets.masks import FONTS, SIDE, masks


def bars(classes: int = 3) -> np.ndarray:
    """Return masks that need no font: class i is a bar of i + 1 times four pixels."""
    shapes = np.zeros((2, classes, SIDE, SIDE), np.uint8)
    for index in range(classes):
        shapes[:, index, 10:38, 20 : 24 + 4 * index] = 255
    shapes[1] //= 2
    return shapes


def test_equal_masks_and_seeds_give_equal_bytes_on_every_machine() -> None:
    images, labels = drawn(bars(), 600, 7)
    assert images.shape == (600, 3, 32, 32)
    assert labels.tolist() == [index % 3 for index in range(600)]
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "2dcd5a699c2325e40e31f909b7a030c95ce3146a613e946fe91a3d843515a2f2"
    )
    assert not np.array_equal(images, drawn(bars(), 600, 8)[0])


def test_every_character_is_in_every_font_and_fits_its_mask() -> None:
    shapes = masks(CHARACTERS["glyphs62"])
    assert shapes.shape == (len(FONTS), 62, SIDE, SIDE)
    assert shapes.reshape(-1, SIDE * SIDE).max(axis=1).min() > 200  # none is blank
    edges = [shapes[:, :, 0], shapes[:, :, -1], shapes[..., 0], shapes[..., -1]]
    assert max(edge.max() for edge in edges) == 0
    for font in shapes:
        assert len({mask.tobytes() for mask in font}) == 62


def test_the_character_in_the_middle_is_the_label() -> None:
    """The likest mask tells digits apart far better than chance, and that of a turned image does not."""
    shapes = masks(CHARACTERS["glyphs"])
    images, labels = drawn(shapes, 1000, 3)
    small = functional.interpolate(torch.from_numpy(shapes).float(), 40, mode="area")
    small = small[:, :, 4:36, 4:36].flatten(2)
    small = small - small.mean(2, keepdim=True)
    small = small / small.norm(dim=2, keepdim=True)
    grey = torch.from_numpy(images.astype(np.float32)).mean(1).flatten(1)
    grey = grey - grey.mean(1, keepdim=True)

    def right(seen: torch.Tensor) -> float:
        likeness = torch.einsum("np,fcp->nfc", seen, small).abs().amax(1)
        return float((likeness.argmax(1) == torch.from_numpy(labels)).float().mean())

    assert right(grey) > 0.17
    assert right(grey.reshape(-1, 32, 32).flip(1).transpose(1, 2).flatten(1)) < 0.14


def test_the_file_is_made_once_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = glyphs("glyphs36", tmp_path / "data", train=72, test=36)
    path = tmp_path / "data" / "glyphs36.images"
    kept = path.read_bytes()
    assert first.classes == 36
    assert torch.bincount(first.train_labels).tolist() == [2] * 36
    assert not torch.equal(first.train_images[:36], first.test_images)

    def never(shapes: np.ndarray, count: int, seed: int) -> object:
        assert count == module._SAMPLE, "drawn again"
        return drawn(shapes, count, seed)

    monkeypatch.setattr(module, "drawn", never)
    second = glyphs("glyphs36", tmp_path / "data", train=72, test=36)
    assert torch.equal(first.train_images, second.train_images)
    monkeypatch.undo()

    for damaged in (kept[:-1], b"", kept[:50] + bytes([kept[50] ^ 1]) + kept[51:], b"\0" * 40):
        path.write_bytes(damaged)
        again = glyphs("glyphs36", tmp_path / "data", train=72, test=36)
        assert torch.equal(first.test_images, again.test_images)
        assert path.read_bytes() == kept
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_another_seed_or_drawing_makes_the_file_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def images() -> torch.Tensor:
        return glyphs("glyphs", tmp_path, train=20, test=10).train_images

    first = images()
    monkeypatch.setattr(module, "SEEDS", (5, 6))
    assert not torch.equal(first, images())
    monkeypatch.undo()

    def inverted(*given: Any) -> Any:
        pictures, labels = drawn(*given)
        return 255 - pictures, labels

    monkeypatch.setattr(module, "drawn", inverted)
    assert torch.equal(255 - first, images())
    monkeypatch.undo()
    assert torch.equal(first, images())


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"data folder .* cannot be made: not a directory"):
        glyphs("glyphs", tmp_path / "file" / "data", train=20, test=10)
    monkeypatch.setattr("schemegen.training.datasets.masks.FONTS", ("Wingdings",))
    with pytest.raises(UsageError, match=r"the font Wingdings\.ttf is not in"):
        masks("0")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError) as caught:
        masks("0")
    assert caught.value.help == "pip install 'schemegen[plot]'"
