"""Noise of five severities: its moments, its repeatability, folders of CIFAR-10-C, and intervals."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from schemegen.diagnostics import UsageError
from schemegen.training.proportions import clustered, share, wilson
from schemegen.training.robustness import (
    CORRUPTIONS,
    SEVERITIES,
    Pixels,
    accuracy,
    computed,
    corrupted,
    from_folder,
)
from schemegen.training.robustness.noise import CONSTANTS

GREY = torch.full((60, 3, 16, 16), 102 / 255)  # 0.4


def test_constants_are_those_of_the_published_program() -> None:
    assert CONSTANTS == {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "shot_noise": (500, 250, 100, 75, 50),
        "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
        "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    }


@pytest.mark.parametrize("severity", SEVERITIES)
def test_moments_of_the_noise(severity: int) -> None:
    """Mean 0.4 (less 1/510 for the cut to bytes) and the variances of the formulas."""
    c = {name: constants[severity - 1] for name, constants in CONSTANTS.items()}
    variances = {
        "gaussian_noise": c["gaussian_noise"] ** 2,
        "shot_noise": 0.4 / c["shot_noise"],
        "speckle_noise": (0.4 * c["speckle_noise"]) ** 2,
    }
    for name, variance in variances.items():
        noisy = corrupted(GREY, name, severity, 0)
        assert float(noisy.mean()) == pytest.approx(0.4 - 1 / 510, abs=1.5e-3)
        assert float(noisy.var()) == pytest.approx(variance, rel=0.05)
    noisy = corrupted(GREY, "impulse_noise", severity, 0)
    black, white = ((noisy == value).float().mean() for value in (0, 1))
    assert float(black + white) == pytest.approx(c["impulse_noise"], rel=0.08)
    assert float(black / white) == pytest.approx(1, abs=0.25)
    assert float((noisy == GREY).float().mean()) == pytest.approx(1 - c["impulse_noise"], abs=0.01)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_noise_is_bytes_of_a_seed(name: str) -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    noisy = corrupted(images, name, 3, 1)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(noisy, corrupted(images, name, 3, 1))
    assert not torch.equal(noisy, corrupted(images, name, 3, 2))
    assert not torch.equal(noisy, corrupted(images, name, 4, 1))
    assert torch.equal((255 * noisy).round() / 255, noisy)
    assert 0 <= noisy.min() <= noisy.max() <= 1


def test_an_unknown_noise_is_refused() -> None:
    for name, severity in (("fog", 1), ("shot_noise", 0), ("shot_noise", 6)):
        with pytest.raises(UsageError, match="unknown corruption"):
            corrupted(GREY, name, severity, 0)


class Bright(nn.Module):
    """Class 1 where the mean of the normalised image is positive; it remembers what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        mean = x.flatten(1).mean(1)
        return torch.stack([-mean, mean], dim=1)


@pytest.fixture
def halves() -> tuple[Tensor, Tensor]:
    """Return 20 dark and 20 bright images of 3 x 4 x 4 and their labels."""
    images = torch.cat([torch.full((20, 3, 4, 4), 0.3), torch.full((20, 3, 4, 4), 0.7)])
    return images, torch.arange(2).repeat_interleave(20)


def test_a_table_of_severities(halves: Any) -> None:
    model = Pixels(Bright(), (3, 4, 4), [0.5] * 3, [0.25] * 3)
    parts = list(computed(model, *halves, seed=1))
    assert [part.name for part in parts] == list(CORRUPTIONS)
    for part in parts:
        found = part.as_json()
        assert found["accuracy"] == 1
        assert found["n"] == 40
        assert [item["severity"] for item in found["severities"]] == [1, 2, 3, 4, 5]
        assert [item["correct"] for item in found["severities"]] == [40] * 5
    assert accuracy(model, *halves)["classes"][1]["correct"] == 20


def test_own_statistics_are_those_of_all_severities_together(halves: Any) -> None:
    network = Bright()
    model = Pixels(network, (3, 4, 4), [0.0] * 3, [1.0] * 3)
    [trained] = computed(model, *halves, ("gaussian_noise",))
    assert trained.accuracy == pytest.approx(0.5)  # everything is bright beside a mean of 0
    network.seen.clear()
    [own] = computed(model, *halves, ("gaussian_noise",), own_statistics=True)
    assert own.accuracy == 1
    seen = torch.cat(network.seen).transpose(0, 1).flatten(1)
    assert torch.allclose(seen.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(seen.std(1, correction=0), torch.ones(3), atol=1e-5)


def write_folder(folder: Path, images: Tensor, labels: Tensor) -> None:
    """Write the five severities as CIFAR-10-C has them: bytes, colours last, one severity after another."""
    folder.mkdir()
    for name in CORRUPTIONS:
        levels = torch.cat([corrupted(images, name, severity, 1) for severity in SEVERITIES])
        stored = (255 * levels).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        np.save(folder / f"{name}.npy", stored)
    np.save(folder / "labels.npy", labels.repeat(5).to(torch.uint8).numpy())


@pytest.mark.parametrize("own", [False, True])
def test_a_folder_gives_what_was_computed(own: bool, halves: Any, tmp_path: Path) -> None:
    images, labels = halves
    images = images + torch.linspace(0.3, -0.3, 40)[:, None, None, None]
    write_folder(tmp_path / "c", images, labels)
    model = Pixels(Bright(), (3, 4, 4), [0.5] * 3, [0.25] * 3)
    for one, other in zip(
        computed(model, images, labels, seed=1, own_statistics=own),
        from_folder(model, tmp_path / "c", own_statistics=own),
        strict=True,
    ):
        assert torch.equal(one.right, other.right)
        assert 0.5 < one.accuracy < 1
    [every] = from_folder(model, tmp_path / "c", ("shot_noise",))
    [first] = from_folder(model, tmp_path / "c", ("shot_noise",), count=7)
    assert torch.equal(first.right, every.right[:, :7])
    assert not torch.equal(every.right, every.right[:1, :1].expand_as(every.right))


def test_a_folder_that_is_not_right_is_refused(halves: Any, tmp_path: Path) -> None:
    model = Pixels(Bright(), (3, 4, 4), [0.5] * 3, [0.25] * 3)

    def refused(text: str) -> None:
        with pytest.raises(UsageError, match=text) as caught:
            list(from_folder(model, tmp_path / "c"))
        assert caught.value.code == "E0803"

    refused(r"no labels\.npy")
    write_folder(tmp_path / "c", *halves)
    path = tmp_path / "c" / "gaussian_noise.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    refused("is no array of numpy")
    path.write_bytes(b"")
    refused("is no array of numpy")
    path.write_bytes(pickle.dumps(print))
    refused("is no array of numpy")
    np.save(path, np.array([print], dtype=object), allow_pickle=True)
    refused("is no array of numpy")
    np.save(path, np.zeros((200, 4, 4, 3)))
    refused("holds float64 of shape")
    np.save(path, np.zeros((200, 5, 5, 3), np.uint8))
    refused(r"takes bytes of shape \(5 n, 4, 4, 3\)")
    path.unlink()
    refused(r"no gaussian_noise\.npy")


def test_wilson_by_hand() -> None:
    """Newcombe (1998), table I: 81 of 263 and 15 of 148, 0 of 20 and 1 of 29, to four digits."""
    for successes, trials, interval in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        assert wilson(successes, trials) == pytest.approx(interval, abs=5e-5)
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1), abs=5e-5)
    assert wilson(0, 0) == (0, 1)
    assert share(torch.tensor([True, False]))["correct"] == 1


def test_trials_that_repeat_one_another_count_once() -> None:
    once = torch.rand(1, 200, generator=torch.Generator().manual_seed(0)) < 0.8
    plain = wilson(int(once.sum()), 200)
    assert clustered(once) == pytest.approx(plain, abs=1e-3)
    assert clustered(once.expand(5, 200)) == pytest.approx(plain, abs=1e-3)
    free = torch.rand(5, 200, generator=torch.Generator().manual_seed(1)) < 0.8
    low, high = clustered(free)
    assert 0.35 < (high - low) / (plain[1] - plain[0]) < 0.55
    assert clustered(torch.ones(5, 20, dtype=torch.bool)) == pytest.approx(wilson(20, 20))
