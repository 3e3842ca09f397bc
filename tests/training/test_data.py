"""Data: the split, the batches, the augmentation, and what a misfit says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training import Data, Loader, load_data
from schemegen.training.images import Share


def digits(make_subject: Any) -> Any:
    return load_data("digits", Path("data"), make_subject().network)


def test_digits_are_split_once_and_for_all(make_subject: Any) -> None:
    data = digits(make_subject)
    assert data.train_images.shape == (1400, 1, 8, 8)
    assert data.test_images.shape == (397, 1, 8, 8)
    assert torch.bincount(data.test_labels, minlength=10).min() >= 25
    inputs = data.normalised(data.train_images, (1, 8, 8))
    assert abs(inputs.mean().item()) < 0.02
    assert abs(inputs.std().item() - 1) < 0.02
    again = digits(make_subject)
    assert torch.equal(data.test_images, again.test_images)


def numbered(images: torch.Tensor, **settings: Any) -> Data:
    """Data whose labels are the numbers of its images, and whose bytes enter a network as they are."""
    labels, channels = torch.arange(len(images)), images.shape[1]
    return Data(
        name="numbered",
        classes=len(images),
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        peak=1.0,
        mean=(0.0,) * channels,
        deviation=(1.0,) * channels,
        **settings,
    )


def test_an_epoch_is_a_permutation_without_the_incomplete_batch() -> None:
    data = numbered(torch.arange(140, dtype=torch.uint8).reshape(140, 1, 1, 1))
    loader = Loader(data, 32, (1, 1, 1), seed=3)
    epochs = [[labels for _, labels in loader.epoch(number)] for number in (0, 1, 0)]
    assert [len(labels) for labels in epochs[0]] == [32] * 4 == [32] * len(loader)
    first, second, again = (torch.cat(epoch) for epoch in epochs)
    assert len(set(first.tolist())) == 128
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    other = torch.cat([labels for _, labels in Loader(data, 32, (1, 1, 1), seed=4).epoch(0)])
    assert not torch.equal(first, other)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_a_batch_out_and_move_each_image_as_one_process_does(world: int) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (100, 3, 6, 5)).to(torch.uint8)
    data = numbered(images, shift=2, flip=True)
    whole = list(Loader(data, 24, (3, 6, 5), seed=1).epoch(5))
    parts = [
        list(Loader(data, 24 // world, (3, 6, 5), seed=1, share=Share(rank, world)).epoch(5))
        for rank in range(world)
    ]
    assert len(whole) == 4
    for index, (inputs, labels) in enumerate(whole):
        assert torch.equal(inputs, torch.cat([part[index][0] for part in parts]))
        assert torch.equal(labels, torch.cat([part[index][1] for part in parts]))


def test_a_batch_that_is_larger_than_the_data_is_refused() -> None:
    data = numbered(torch.zeros(10, 1, 2, 2, dtype=torch.uint8))
    with pytest.raises(UsageError, match="a batch of 11 images is larger than the 10") as caught:
        Loader(data, 11, (1, 2, 2), seed=0)
    assert caught.value.help == "at most `--batch-size 10`"
    with pytest.raises(UsageError, match="a batch of 4 images on 3 processes is larger") as caught:
        Loader(data, 4, (1, 2, 2), seed=0, share=Share(0, 3))
    assert caught.value.help == "at most `--batch-size 3`"


def test_images_are_shifted_whole_and_padded_with_black() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3).repeat(200, 1, 1, 1)
    loader = Loader(numbered(images, shift=1), 200, (1, 3, 3), seed=0)
    [(moved, _)] = loader.epoch(0)
    variants = {tuple(image.flatten().int().tolist()) for image in moved}
    assert len(variants) == 9
    assert (1, 2, 3, 4, 5, 6, 7, 8, 9) in variants
    assert (5, 6, 0, 8, 9, 0, 0, 0, 0) in variants
    assert (0, 0, 0, 0, 1, 2, 0, 4, 5) in variants


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.tensor([1, 2], dtype=torch.uint8).reshape(1, 1, 1, 2).repeat(1000, 1, 1, 1)
    [(inputs, _)] = Loader(numbered(images, flip=True), 1000, (1, 1, 2), seed=0).epoch(0)
    mirrored = inputs[:, 0, 0, 0] == 2
    assert 430 < mirrored.sum() < 570


def test_a_network_of_another_size_is_refused(make_subject: Any) -> None:
    with pytest.raises(UsageError, match="takes 3 x 32 x 32, digits images are 1 x 8 x 8"):
        load_data("digits", Path("data"), make_subject(shape=(3, 32, 32)).network)
    with pytest.raises(UsageError, match="tells 7 classes apart, digits has 10"):
        load_data("digits", Path("data"), make_subject(classes=7).network)


def test_fake_data_has_the_shape_of_the_network(make_subject: Any) -> None:
    for shape in ((3, 5, 4), (12,)):
        network = make_subject(shape=shape, classes=4).network
        data = load_data("fake", Path("data"), network)
        inputs, labels = next(Loader(data, 32, shape, seed=0).epoch(0))
        assert inputs.shape == (32, *shape)
        assert labels.max() < 4


def test_cifar_that_is_not_there_is_e0803(make_subject: Any, tmp_path: Path) -> None:
    network = make_subject(shape=(3, 32, 32)).network
    with pytest.raises(UsageError) as caught:
        load_data("cifar10", tmp_path / "data", network)
    assert caught.value.code == "E0803"
    assert caught.value.message == f"no CIFAR-10 in `{tmp_path / 'data'}/`"
    assert caught.value.help == "add `--download`, or use `--data glyphs`"


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_becomes_tensors(
    name: str, classes: int, make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stored:
        """What torchvision gives: rows, columns, colours as bytes and a list of labels."""

        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            count = 20 if train else 8
            generator = numpy.random.RandomState(int(train))
            self.data = generator.randint(0, 256, (count, 32, 32, 3)).astype(numpy.uint8)
            self.targets = [index % classes for index in range(count)]

    monkeypatch.setattr(f"torchvision.datasets.{name.upper()}", Stored)
    network = make_subject(shape=(3, 32, 32), classes=classes).network
    data = load_data(name, Path("data"), network)
    assert data.train_images.shape == (20, 3, 32, 32)
    assert data.test_images[3, 2, 5, 7] == Stored("", train=False, download=False).data[3, 5, 7, 2]
    assert (data.shift, data.flip) == (4, True)
    [(inputs, labels)] = Loader(data, 20, (3, 32, 32), seed=0).epoch(0)
    assert inputs.shape == (20, 3, 32, 32)
    assert sorted(labels.tolist()) == sorted(data.train_labels.tolist())


def test_a_missing_extra_says_what_to_install(
    make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError) as caught:
        digits(make_subject)
    assert caught.value.help == "pip install 'schemegen[train]'"
