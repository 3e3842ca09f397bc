"""How networks stand attacks and noise: measured so that a weak attack is not taken for a strong network.

Images are in [0, 1] and normalising is part of the network, :class:`Pixels`::

    x, y = pixels_of(data, 1000)
    outcome = run_attack(Pixels.of(model, network.input_shape, data), x, y, Attack.of("pgd", eps=Fraction(8, 255)))
    print(outcome.as_json()["robust"])
"""

from __future__ import annotations

from schemegen.training.robustness.clean import accuracy
from schemegen.training.robustness.corruptions import Corrupted, computed, from_folder
from schemegen.training.robustness.gradients import KINDS, NORMS, Attack, perturbed
from schemegen.training.robustness.noise import CORRUPTIONS, SEVERITIES, corrupted
from schemegen.training.robustness.outcome import Outcome, run_attack, versions
from schemegen.training.robustness.pixels import Pixels, pixels_of, random_outputs
from schemegen.training.robustness.surface import Surface, loss_surface

__all__ = [
    "CORRUPTIONS",
    "KINDS",
    "NORMS",
    "SEVERITIES",
    "Attack",
    "Corrupted",
    "Outcome",
    "Pixels",
    "Surface",
    "accuracy",
    "computed",
    "corrupted",
    "from_folder",
    "loss_surface",
    "perturbed",
    "pixels_of",
    "random_outputs",
    "run_attack",
    "versions",
]
