"""What is measured of a trained network beside its accuracy: attacks and noise, by the robustness package."""

from __future__ import annotations

import platform
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import torch

from schemegen import __version__
from schemegen.comparison.model import Measures, Run
from schemegen.diagnostics import UsageError
from schemegen.training.data import load_data
from schemegen.training.robustness import (
    CORRUPTIONS,
    SEVERITIES,
    Attack,
    Pixels,
    computed,
    pixels_of,
    run_attack,
)
from schemegen.training.subject import Subject

__all__ = ["ACCURACY", "check_measures", "measure_names", "measured", "versions"]

ACCURACY = "accuracy"


def check_measures(wanted: Measures) -> None:
    """Raise :class:`UsageError` for an attack, a bound or a noise that there is not."""
    if bool(wanted.attacks) != bool(wanted.eps):
        raise UsageError(
            "an attack needs a bound, and a bound an attack", "`--attack pgd --eps 8/255`"
        )
    for kind in wanted.attacks:
        for eps in wanted.eps:
            attack_of(wanted, kind, eps)
    unknown = [name for name in wanted.corruptions if name not in CORRUPTIONS]
    if unknown:
        raise UsageError(
            f"unknown corruption `{unknown[0]}`", f"corruptions: {', '.join(CORRUPTIONS)}"
        )


def attack_of(wanted: Measures, kind: str, eps: str) -> Attack:
    """Return an attack with one of the bounds."""
    try:
        bound = Fraction(eps)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"`{eps}` is no bound of an attack", "write 8/255 or 0.03") from error
    steps = None if kind in ("fgsm", "autoattack") else wanted.steps
    return Attack.of(kind, eps=bound, norm=wanted.norm, steps=steps)


def measure_names(wanted: Measures) -> list[str]:
    """Return the names of all measures in the order of the request."""
    names = [ACCURACY]
    names += [f"{kind} {eps}" for kind in wanted.attacks for eps in wanted.eps]
    for noise in wanted.corruptions:
        names += [noise, *(f"{noise} {severity}" for severity in SEVERITIES)]
    return names


def measured(
    subject: Subject, run: Run, data_dir: Path, accuracy: float
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return shares of images by measure, and what the attacks warned of.

    ``accuracy`` on the test images as they are; ``pgd 8/255``: of those an attack leaves standing;
    ``gaussian_noise`` over all severities, ``gaussian_noise 3`` at one. Attacks and noise are seeded with 0, not
    with the run's seed: all networks meet the same noise.
    """
    wanted = run.measures
    found = {ACCURACY: accuracy}
    said: list[str] = []
    if not wanted.attacks and not wanted.corruptions:
        return found, ()
    data = load_data(run.group.data, data_dir, subject.network)
    device = next(subject.model.parameters()).device
    x, y = (tensor.to(device) for tensor in pixels_of(data, wanted.images))
    pixels = Pixels.of(subject.model, subject.network.input_shape, data).to(device)
    for kind in wanted.attacks:
        for eps in wanted.eps:
            outcome = run_attack(pixels, x, y, attack_of(wanted, kind, eps))
            found[f"{kind} {eps}"] = float(outcome.robust.float().mean())
            said += [f"{item.code}: {item.message}" for item in outcome.warnings]
    for noise in computed(pixels, x, y, wanted.corruptions) if wanted.corruptions else ():
        found[noise.name] = noise.accuracy
        for severity, right in zip(SEVERITIES, noise.right, strict=True):
            found[f"{noise.name} {severity}"] = float(right.double().mean())
    return found, tuple(dict.fromkeys(said))


def versions() -> dict[str, str]:
    """Return the versions that decide the digits of a result."""
    return {
        "schemegen": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
    }
