"""Attacks: within their bounds, as strong as foolbox's, and honest where they fail."""

from __future__ import annotations

import importlib
import itertools
import os
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from schemegen.diagnostics import UsageError
from schemegen.scheme.network import NetworkSpec
from schemegen.training import load_data
from schemegen.training.robustness import (
    KINDS,
    NORMS,
    Attack,
    Pixels,
    loss_surface,
    perturbed,
    pixels_of,
    random_outputs,
    run_attack,
)
from schemegen.training.robustness.gradients import start
from schemegen.training.robustness.pixels import log_odds
from schemegen.training.robustness.published import published

EPS = {"Linf": Fraction(1, 10), "L2": Fraction(1, 2)}


@pytest.fixture(scope="module")
def read() -> tuple[Pixels, Tensor, Tensor]:
    """Return a small network that reads the digits, and test images that it reads rightly."""
    spec = NetworkSpec.__new__(NetworkSpec)
    object.__setattr__(spec, "name", "n")
    object.__setattr__(spec, "input_shape", (1, 8, 8))
    object.__setattr__(spec, "classes", 10)
    data = load_data("digits", Path("data"), spec)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    inputs = data.normalised(data.train_images, (1, 8, 8))
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(network(inputs), data.train_labels).backward()
        optimizer.step()
    model = Pixels.of(network, (1, 8, 8), data)
    x, y = pixels_of(data)
    right = model(x).argmax(1) == y
    assert right.float().mean() > 0.9
    return model, x[right][:150], y[right][:150]


def robust(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) == y


def foolbox() -> Any:
    """Import foolbox, which warns of its own imports and asks for a git it does not need."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("foolbox")


def foolbox_on(model: nn.Module) -> Any:
    return foolbox().PyTorchModel(model, bounds=(0, 1), device="cpu")


def foolbox_attack(norm: str, *, random: bool, steps: int, step_size: float) -> Any:
    names = {
        ("Linf", False): "LinfBasicIterativeAttack",
        ("L2", False): "L2BasicIterativeAttack",
        ("Linf", True): "LinfPGD",
        ("L2", True): "L2PGD",
    }
    kind = getattr(foolbox().attacks, names[norm, random])
    return kind(steps=steps, abs_stepsize=step_size, random_start=random)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS[:3])
def test_every_attack_stays_in_its_ball_and_in_the_pixels(kind: str, norm: str, read: Any) -> None:
    model, x, y = read
    attack = Attack.of(kind, eps=EPS[norm], norm=norm)
    moved = perturbed(model, x, y, attack)
    assert moved.min() >= 0
    assert moved.max() <= 1
    way = (moved - x).flatten(1)
    length = way.abs().amax(1) if norm == "Linf" else way.norm(dim=1)
    assert length.max() <= float(attack.eps) + 1e-6
    assert length.max() > 0.9 * float(attack.eps)
    assert robust(model, moved, y).sum() < len(y)


def test_one_step_is_the_sign_of_the_gradient_times_eps() -> None:
    """Worked by hand: logits (0, w x), label 0; the loss grows along the sign of w."""
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, -1.0, 3.0, -4.0]])
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    network[1].weight.data = weight
    model = Pixels(network, (1, 2, 2), [0.0], [1.0])
    x = torch.full((1, 1, 2, 2), 0.5)
    moved = perturbed(model, x, torch.tensor([0]), Attack.of("fgsm", eps=Fraction(1, 8)))
    assert (moved - x).flatten().tolist() == [0.125, -0.125, 0.125, -0.125]
    attack = Attack.of("fgsm", eps=Fraction(1, 8), norm="L2")
    moved = perturbed(model, x, torch.tensor([0]), attack)
    expected = weight[1] / 30**0.5 / 8
    assert torch.allclose((moved - x).flatten(), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_without_chance_it_breaks_whatever_foolbox_breaks(norm: str, read: Any) -> None:
    model, x, y = read
    attack = Attack.of("ifgsm", eps=EPS[norm] / 2, norm=norm, steps=10)
    step = float(attack.step_size)
    theirs = foolbox_attack(norm, random=False, steps=10, step_size=step)
    _, moved, broken = theirs(foolbox_on(model), x, y, epsilons=float(attack.eps))
    ours = robust(model, perturbed(model, x, y, attack), y)
    assert 5 < broken.sum() < len(y) - 5
    assert not (ours & broken).any()
    # The same steps: the published protocol takes the last iterate, as foolbox does.
    if norm == "Linf":
        last = published(model, x, y, replace(attack, protocol="yang2020"))
        assert torch.allclose(last, moved, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("part", [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)])
def test_pgd_breaks_whatever_foolbox_breaks_with_the_same_budget(
    norm: str, part: Fraction, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal eps, steps, step size and restarts, from the same starts: luck is left out of the comparison."""
    model, x, y = read
    attack = Attack.of("pgd", eps=EPS[norm] * part, norm=norm, steps=10, restarts=2)
    theirs = foolbox_attack(norm, random=True, steps=10, step_size=float(attack.step_size))
    generator = torch.Generator().manual_seed(attack.seed)

    def begin(images: Any, eps: float) -> Any:
        return type(images)(start(images.raw, attack, generator))

    monkeypatch.setattr(theirs, "get_random_start", begin)
    _, _, broken = theirs.repeat(2)(foolbox_on(model), x, y, epsilons=float(attack.eps))
    held = robust(model, perturbed(model, x, y, attack), y)
    assert 0 < broken.sum() < len(y)
    assert not (held & broken).any()


@pytest.mark.parametrize("norm", NORMS)
def test_pgd_from_its_own_starts_is_as_strong_as_foolbox_but_for_luck(norm: str, read: Any) -> None:
    model, x, y = read
    ours = theirs = 0
    for seed in range(4):
        attack = Attack.of("pgd", eps=EPS[norm] * 3 / 4, norm=norm, steps=10, seed=seed)
        other = foolbox_attack(norm, random=True, steps=10, step_size=float(attack.step_size))
        torch.manual_seed(100 + seed)
        _, _, broken = other(foolbox_on(model), x, y, epsilons=float(attack.eps))
        theirs += int((~broken).sum())
        ours += int(robust(model, perturbed(model, x, y, attack), y).sum())
    assert ours <= theirs + 4  # one image a run


def test_a_saturated_softmax_hides_nothing(read: Any) -> None:
    """Logits times 10^4: the cross-entropy's gradient is zero nearly everywhere, that of the log-odds is not."""
    model, x, y = read

    class Sure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 1e4 * model(images)

    attack = Attack.of("ifgsm", eps=EPS["Linf"] / 2, steps=10)
    held = robust(model, perturbed(model, x, y, attack), y)
    sure = robust(model, perturbed(Sure(), x, y, attack), y)
    assert torch.equal(held, sure)
    theirs = foolbox_attack("Linf", random=False, steps=10, step_size=float(attack.step_size))
    _, _, broken = theirs(foolbox_on(Sure().eval()), x, y, epsilons=float(attack.eps))
    assert (~broken).sum() > held.sum() + 20


def test_log_odds_have_the_direction_of_the_cross_entropy() -> None:
    logits = torch.randn(6, 5, dtype=torch.double, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    odds = log_odds(logits, labels)
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    assert torch.allclose(odds, ((1 - p) / p).log())
    (one,) = torch.autograd.grad(odds.sum(), logits, retain_graph=True)
    (other,) = torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), logits)
    assert torch.allclose(one * (1 - p)[:, None], other)


def test_restarts_and_steps_only_help(read: Any) -> None:
    model, x, y = read
    counts = []
    for steps, restarts in ((1, 1), (10, 1), (10, 4)):
        attack = Attack.of(
            "pgd", eps=Fraction(1, 20), step_size=Fraction(1, 80), steps=steps, restarts=restarts
        )
        counts.append(int(robust(model, perturbed(model, x, y, attack), y).sum()))
    assert counts[0] > counts[1] >= counts[2]


def test_the_image_of_the_largest_loss_counts_not_the_last_one(read: Any) -> None:
    """Steps as long as the bound go to and fro; a longer run still never ends at a smaller loss."""
    model, x, y = read
    attack = Attack.of("ifgsm", eps=Fraction(1, 40), step_size=Fraction(1, 25))
    losses = [
        log_odds(model(perturbed(model, x, y, replace(attack, steps=steps))), y)
        for steps in range(1, 7)
    ]
    for shorter, longer in itertools.pairwise(losses):
        assert (longer >= shorter - 1e-6).all()


class Noisy(nn.Module):
    """Noise on every pixel, also in evaluation."""

    def __init__(self, model: nn.Module, strength: float) -> None:
        super().__init__()
        self.model = model
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + self.strength * torch.randn_like(x))


def test_noise_in_evaluation_is_found_and_averaged_over(read: Any) -> None:
    model, x, y = read
    assert not random_outputs(model, x)
    noisy = Noisy(model, 0.15)
    assert random_outputs(noisy, x)
    attack = Attack.of("pgd", eps=Fraction(1, 20), steps=5)
    outcomes = [
        run_attack(noisy, x, y, replace(attack, eot=eot), eot_given=given, checks=False)
        for eot, given in ((1, True), (1, False))
    ]
    assert [outcome.attack.eot for outcome in outcomes] == [1, 20]
    assert [item.code for outcome in outcomes for item in outcome.warnings] == ["W0805", "W0805"]
    assert "over 20 passes" in outcomes[1].warnings[0].message
    assert outcomes[1].robust.sum() < outcomes[0].robust.sum()


def test_an_outcome_is_repeatable_and_leaves_the_random_state(read: Any) -> None:
    model, x, y = read
    attack = Attack.of("pgd", eps=Fraction(1, 20), steps=10, seed=3)
    state = torch.get_rng_state()
    first, second = (run_attack(model, x, y, attack, batch_size=64) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.moved, second.moved)
    other = run_attack(model, x, y, replace(attack, seed=4), batch_size=64)
    assert not torch.equal(first.moved, other.moved)
    found = first.as_json()
    assert found["attack"]["step_size"] == "1/80"
    assert found["clean"]["accuracy"] == 1
    assert 0 < found["robust"]["accuracy"] < 1
    assert found["farthest"] == pytest.approx(0.05, abs=1e-6)
    assert found["warnings"] == []


def codes(model: nn.Module, x: Tensor, y: Tensor, attack: Attack) -> set[str]:
    return {item.code for item in run_attack(model, x, y, attack).warnings}


def test_rounded_inputs_are_masked_gradients(read: Any) -> None:
    model, x, y = read

    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return model((5 * images).round() / 5)

    right = robust(Rounded(), x, y)
    attack = Attack.of("ifgsm", eps=Fraction(1, 5), steps=5)
    assert {"W0801", "W0804"} <= codes(Rounded(), x[right], y[right], attack)


def test_steps_that_reach_nowhere_are_noticed(read: Any) -> None:
    model, x, y = read
    short = Attack.of("pgd", eps=Fraction(1, 10), steps=5, step_size=Fraction(1, 10**5))
    assert "W0802" in codes(model, x, y, short)
    far = Attack.of("pgd", eps=Fraction(1, 10), steps=10)
    assert not codes(model, x, y, far)


def test_a_larger_bound_that_breaks_fewer_is_noticed() -> None:
    class Waves(nn.Module):
        """Class 0 where cos(10 pi (x - 1/2)) > 0: a step of 0.1 from 0.51 leaves it, one of 0.2 comes back."""

        def forward(self, images: Tensor) -> Tensor:
            wave = torch.cos(10 * torch.pi * (images[:, 0, 0, 0] - 0.5))
            wave = wave + 2 * images[:, 0, 0, 1].round()
            return torch.stack([wave, torch.zeros_like(wave), wave - 9, wave - 9], dim=1)

    x = torch.tensor([[0.51, 0.0]] * 10 + [[0.51, 1.0]] * 10).reshape(20, 1, 1, 2)
    attack = Attack.of("ifgsm", eps=Fraction(1, 10), steps=1, step_size=Fraction(1, 10))
    assert "W0803" in codes(Waves(), x, torch.zeros(20, dtype=torch.long), attack)


def test_probabilities_instead_of_logits_are_noticed(read: Any) -> None:
    model, x, y = read

    class Ends(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return model(images).softmax(1)

    assert "W0806" in codes(Ends(), x, y, Attack.of("fgsm", eps=Fraction(1, 10)))


def test_the_published_protocol_reaches_twice_as_far(read: Any) -> None:
    model, x, y = read
    attack = Attack.of("pgd", eps=Fraction(4, 255), protocol="yang2020")
    assert (attack.steps, attack.step_size) == (20, Fraction(1, 255))
    outcome = run_attack(model, x, y, attack)
    assert 4.5 / 255 < outcome.farthest <= 8 / 255 + 1e-6
    steps = Attack.of("ifgsm", eps=Fraction(4, 255), protocol="yang2020")
    assert run_attack(model, x, y, steps).farthest <= 4 / 255 + 1e-6


@pytest.mark.parametrize(
    ("norm", "count"), [("Linf", 8), pytest.param("L2", 40, marks=pytest.mark.slow)]
)
def test_autoattack_is_never_weaker_than_pgd(norm: str, count: int, read: Any) -> None:
    model, x, y = read
    x, y, eps = x[:count], y[:count], EPS[norm] * 3 / 4
    pgd = run_attack(model, x, y, Attack.of("pgd", eps=eps, norm=norm, steps=40, restarts=3))
    best = run_attack(model, x, y, Attack.of("autoattack", eps=eps, norm=norm))
    assert best.robust.sum() <= pgd.robust.sum() < len(y)
    assert best.farthest <= float(eps) + 1e-5
    assert best.as_json()["attack"]["version"] == "standard"


def test_autoattack_averages_where_a_network_is_random(read: Any) -> None:
    model, x, y = read
    outcome = run_attack(
        Noisy(model, 0.1), x[:8], y[:8], Attack.of("autoattack", eps=Fraction(1, 8))
    )
    assert outcome.as_json()["attack"]["version"] == "rand"
    assert outcome.robust.sum() < outcome.clean.sum()


def test_autoattack_needs_its_package_and_four_classes(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, y = read

    class Two(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return model(images)[:, :2]

    attack = Attack.of("autoattack", eps=Fraction(1, 20))
    some = y < 2
    with pytest.raises(UsageError, match="tells 4 or more classes apart"):
        run_attack(Two(), x[some], y[some], attack)
    monkeypatch.setitem(__import__("sys").modules, "pyautoattack", None)
    with pytest.raises(UsageError) as caught:
        run_attack(model, x[:4], y[:4], attack)
    assert caught.value.help == "pip install 'schemegen[robust]'"


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("cw", {}, "unknown attack `cw`"),
        ("pgd", {"norm": "L1"}, "unknown norm `L1`"),
        ("pgd", {"eps": Fraction(0)}, "must be positive"),
        ("pgd", {"step_size": Fraction(-1)}, "must be positive"),
        ("pgd", {"steps": 0}, "steps must be at least 1"),
        ("fgsm", {"steps": 5}, "fgsm is one step"),
        ("pgd", {"norm": "L2", "protocol": "yang2020"}, "in the norm Linf"),
        ("pgd", {"protocol": "madry"}, "unknown protocol"),
    ],
)
def test_attacks_that_make_no_sense_are_refused(kind: str, settings: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Attack.of(kind, **settings)


@pytest.mark.parametrize("norm", NORMS)
def test_the_loss_surface_goes_through_the_images_and_the_attack(norm: str, read: Any) -> None:
    model, x, y = read
    attack = Attack.of("ifgsm", eps=EPS[norm] / 2, norm=norm, steps=5)
    moved = perturbed(model, x, y, attack)
    found = loss_surface(model, x, y, moved, attack, points=5)
    assert found.along == pytest.approx((-0.5, 0, 0.5, 1, 1.5))
    assert found.across == pytest.approx((-1, -0.5, 0, 0.5, 1))
    for column, images in ((1, x), (3, moved)):
        with torch.no_grad():
            assert found.loss[2][column] == pytest.approx(
                float(log_odds(model(images), y).mean()), abs=1e-5
            )
        assert found.right[2][column] == pytest.approx(
            float(robust(model, images, y).float().mean())
        )
    assert found.right[2][3] < min(found.right[0][1], found.right[4][1])
