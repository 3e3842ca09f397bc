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
from schemegen.training import FolderData, Loader, load_data, recipe, train
from schemegen.training.images import Share


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
    loader = Loader(data, 8, (3, 16, 16), seed, augment=augment)
    return torch.cat([x for x, _ in loader.epoch(0)])


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


def test_ranks_share_the_images_of_a_folder_out(folder: Path, make_subject: Any) -> None:
    network = make_subject(shape=(3, 16, 16), classes=3).network
    data = load_data("folder", folder, network, workers=0)
    whole = list(Loader(data, 10, (3, 16, 16), 4).epoch(1))
    shares = [Share(rank, 2) for rank in range(2)]
    parts = [list(Loader(data, 5, (3, 16, 16), 4, share=share).epoch(1)) for share in shares]
    assert len(whole) == 2
    for index, (inputs, labels) in enumerate(whole):
        assert torch.equal(inputs, torch.cat([part[index][0] for part in parts]))
        assert torch.equal(labels, torch.cat([part[index][1] for part in parts]))
    tested = [list(data.test_batches(4, share)) for share in shares]
    assert [[len(labels) for _, labels in part] for part in tested] == [[4, 1], [4, 0]]
    assert [[len(images) for images, _ in part] for part in tested] == [[4, 1], [4, 1]]
    seen = torch.cat([labels for part in tested for _, labels in part])
    assert seen.sort().values.tolist() == data.test_labels.tolist()


def test_a_network_is_trained_on_a_folder(folder: Path, make_subject: Any) -> None:
    subject = make_subject(shape=(3, 16, 16), classes=3)
    config = recipe(
        "folder",
        data_dir=folder,
        epochs=12,
        batch_size=8,
        warmup_epochs=0,
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


def test_images_of_one_epoch_are_cut_each_in_its_own_way(folder: Path, make_subject: Any) -> None:
    one = (folder / "train" / "b" / "000.png").read_bytes()
    for path in (folder / "train").rglob("*.png"):
        path.write_bytes(one)
    network = make_subject(shape=(3, 16, 16), classes=3).network
    inputs = epoch(load_data("folder", folder, network, workers=0))
    assert len({image.numpy().tobytes() for image in inputs}) == len(inputs) == 24
