"""Data: the split, the batches, the augmentation, and what a misfit says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training import load_data
from schemegen.training.data import batches
from schemegen.training.images import _flipped, _shifted


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


def test_an_epoch_is_a_permutation_without_the_incomplete_batch(make_subject: Any) -> None:
    data = digits(make_subject)
    generator = torch.Generator().manual_seed(3)
    epoch = list(batches(data, 64, (1, 8, 8), generator, augment=False))
    assert [len(labels) for _, labels in epoch] == [64] * 21
    generator.manual_seed(3)
    order = torch.randperm(1400, generator=generator)
    assert torch.equal(torch.cat([labels for _, labels in epoch]), data.train_labels[order[:1344]])
    everything = list(batches(data, 5000, (64,), generator, augment=True))
    assert [inputs.shape for inputs, _ in everything] == [(1400, 64)]


def test_images_are_shifted_whole_and_padded_with_black() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3).repeat(200, 1, 1, 1)
    moved = _shifted(images, 1, torch.Generator().manual_seed(0))
    variants = {tuple(image.flatten().tolist()) for image in moved}
    assert len(variants) == 9
    assert (1, 2, 3, 4, 5, 6, 7, 8, 9) in variants
    assert (5, 6, 0, 8, 9, 0, 0, 0, 0) in variants
    assert (0, 0, 0, 0, 1, 2, 0, 4, 5) in variants


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.tensor([1, 2], dtype=torch.uint8).reshape(1, 1, 1, 2).repeat(1000, 1, 1, 1)
    mirrored = _flipped(images, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 2
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
        [(inputs, labels), *_] = batches(data, 32, shape, torch.Generator(), augment=True)
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
    [(inputs, labels)] = batches(data, 20, (3, 32, 32), torch.Generator(), augment=True)
    assert inputs.shape == (20, 3, 32, 32)
    assert sorted(labels.tolist()) == sorted(data.train_labels.tolist())


def test_a_missing_extra_says_what_to_install(
    make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UsageError) as caught:
        digits(make_subject)
    assert caught.value.help == "pip install 'schemegen[train]'"
