"""Folders of images: read by workers, the same whatever their number, and what is wrong is said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from schemegen.diagnostics import UsageError
from schemegen.training import FolderData, load_data, recipe, train
from schemegen.training.data import batches


def write(
    folder: Path, classes: Iterable[str], count: int, size: tuple[int, int] = (20, 30)
) -> None:
    """Write ``count`` images a class: dark ones of the first class, lighter ones of the next."""
    generator = numpy.random.RandomState(0)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.randint(60 * index, 60 * index + 50, (*size, 3)).astype(numpy.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "train", "abc", 8)
    write(tmp_path / "val", "abc", 3)
    return tmp_path


def epoch(data: Any, *, augment: bool = True, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([x for x, _ in batches(data, 8, (3, 16, 16), generator, augment=augment)])


def test_images_have_the_size_of_the_network(folder: Path, make_subject: Any) -> None:
    network = make_subject(shape=(3, 16, 16), classes=3).network
    data = load_data("folder", folder, network, workers=0)
    assert isinstance(data, FolderData)
    images, labels = zip(*data.test_batches(4), strict=True)
    assert [item.shape for item in images] == [(4, 3, 16, 16), (4, 3, 16, 16), (1, 3, 16, 16)]
    assert images[0].dtype == torch.uint8
    assert torch.cat(labels).tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert images[0].float().mean() < images[2].float().mean()


def test_workers_and_the_noise_of_the_network_do_not_matter(
    folder: Path, make_subject: Any
) -> None:
    network = make_subject(shape=(3, 16, 16), classes=3).network
    alone, helped = (load_data("folder", folder, network, workers=count) for count in (0, 2))
    state = torch.get_rng_state()
    first = epoch(alone)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(5)
    assert torch.equal(first, epoch(helped))
    assert not torch.equal(first, epoch(alone, seed=1))
    assert not torch.equal(first, epoch(alone, augment=False))


def test_a_network_is_trained_on_a_folder(folder: Path, make_subject: Any) -> None:
    subject = make_subject(shape=(3, 16, 16), classes=3)
    config = recipe(
        "folder",
        data_dir=folder,
        epochs=12,
        batch_size=8,
        warmup=0,
        augment=False,
        progress=False,
        device="cpu",
    )
    assert train(subject, config).test_accuracy == 1


def test_an_image_that_cannot_be_read_is_named(folder: Path, make_subject: Any) -> None:
    network = make_subject(shape=(3, 16, 16), classes=3).network
    bad = folder / "train" / "b" / "003.png"
    bad.write_bytes(bad.read_bytes()[:60])
    for workers in (0, 1):
        data = load_data("folder", folder, network, workers=workers)
        with pytest.raises(UsageError, match=r"the image .*003\.png cannot be read") as caught:
            epoch(data)
        assert caught.value.code == "E0803"


def test_folders_that_do_not_fit_are_refused(folder: Path, make_subject: Any) -> None:
    network = make_subject(shape=(3, 16, 16), classes=3).network
    with pytest.raises(UsageError, match=r"no images in .*nothing/train/") as caught:
        load_data("folder", folder / "nothing", network)
    assert caught.value.code == "E0803"
    with pytest.raises(UsageError, match="tells 4 classes apart, folder has 3"):
        load_data("folder", folder, make_subject(shape=(3, 16, 16), classes=4).network)
    with pytest.raises(UsageError, match="images of a folder have 1 or 3 channels"):
        load_data("folder", folder, make_subject(shape=(12,), classes=3).network)
    write(folder / "val", "d", 1)
    with pytest.raises(UsageError, match="have other classes: d"):
        load_data("folder", folder, network)
