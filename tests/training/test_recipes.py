"""Recipes of the papers: what they set, and how they change the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from schemegen.diagnostics import UsageError
from schemegen.training import RECIPES, Config, load_data, recipe, train
from schemegen.training.images import _padded, _shifted
from schemegen.training.optimizer import rate


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_setting_of_its_paper(name: str) -> None:
    config = recipe(recipe=name)
    assert config.data == name.partition("-")[2]
    assert (config.batch_size, config.lr, config.momentum) == (128, 0.1, 0.9)
    assert (config.weight_decay, config.opt, config.recipe) == (1e-4, "sgd", name)
    epochs = (80, 120, 160) if config.data == "cifar10" else (150, 225, 300)
    assert config.epochs == epochs[-1]
    rates = [
        rate(config, epoch * 390, 390)
        for epoch in (0, epochs[0] - 1, epochs[0], epochs[1] - 1, epochs[1], epochs[2] - 1)
    ]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert RECIPES[name].source
    assert len(RECIPES[name].differences) > 1


def test_what_is_given_takes_the_place_of_what_a_recipe_says() -> None:
    config = recipe("digits", recipe="lu2018-cifar10", epochs=8, lr=None)
    assert (config.data, config.epochs, config.lr, config.warmup_epochs) == ("digits", 8, 0.1, 0)
    assert [rate(config, epoch, 1) for epoch in (3, 4, 6)] == pytest.approx([0.1, 0.01, 0.001])
    assert config.recorded()["recipe"] == "lu2018-cifar10"


def test_augmentation_is_in_proportion_and_deviations_only_for_the_own_data(
    make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_subject().network
    black = load_data("digits", Path("data"), network, recipe=RECIPES["lu2018-cifar10"])
    mirrored = load_data("digits", Path("data"), network, recipe=RECIPES["yang2020-cifar10"])
    assert (black.shift, black.padding, black.flip) == (1, "constant", False)
    assert (mirrored.shift, mirrored.padding) == (1, "reflect")
    assert black.deviation == mirrored.deviation == (0.3760,)
    monkeypatch.setattr(
        "schemegen.training.datasets.cifar.cifar",
        lambda *given: replace(black, name="cifar10", deviation=(1.0,)),
    )
    own = load_data("cifar10", Path("data"), network, recipe=RECIPES["yang2020-cifar10"])
    assert own.deviation == (0.2023, 0.1994, 0.2010)


def test_a_mirrored_margin_repeats_no_outermost_pixel() -> None:
    images = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 3, 4)
    expected = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="reflect")
    assert torch.equal(_padded(images, 2, "reflect").float(), expected)
    moves = torch.randint(0, 3, (2, 100, 1), generator=torch.Generator().manual_seed(0))
    moved = _shifted(images.repeat(100, 1, 1, 1), 1, moves, "reflect")
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 9
    assert (5, 4, 5, 6, 1, 0, 1, 2, 5, 4, 5, 6) in {
        tuple(image.flatten().tolist()) for image in moved
    }


def test_a_run_follows_its_recipe(make_subject: Any) -> None:
    results = [
        train(make_subject(), recipe("digits", recipe=name, epochs=2, progress=False))
        for name in ("lu2018-cifar10", "yang2020-cifar10")
    ]
    assert results[0].history[-1].lr == pytest.approx(0.001)
    assert results[0].history != results[1].history


def test_an_unknown_recipe_is_refused() -> None:
    for make in (lambda: recipe(recipe="he2016"), lambda: Config(recipe="he2016")):
        with pytest.raises(UsageError, match="unknown recipe `he2016`") as caught:
            make()
        assert caught.value.help is not None
        assert "yang2020-cifar100" in caught.value.help
