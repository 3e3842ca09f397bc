"""The four corruptions of noise kind at five severities, as CIFAR-10-C has them, computed for any images.

Source: Hendrycks, Dietterich (2019), arXiv 1903.12261; formulas and constants are those of the authors' program
for CIFAR-10-C (make_cifar_c.py), the cut to bytes included. The draws are others.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from schemegen.diagnostics import UsageError

__all__ = ["CONSTANTS", "CORRUPTIONS", "SEVERITIES", "corrupted"]

SEVERITIES = (1, 2, 3, 4, 5)
CONSTANTS: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),  # standard deviation
    "shot_noise": (500, 250, 100, 75, 50),  # photons at white
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),  # share of values that become black or white
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),  # standard deviation, relative
}
CORRUPTIONS = tuple(CONSTANTS)


def corrupted(x: Tensor, name: str, severity: int, seed: int) -> Tensor:
    """Return images in [0, 1] with noise, in steps of 1/255.

    The draws depend on ``seed``, the name and the severity. Errors: :class:`UsageError` for one that there is not.
    """
    if name not in CONSTANTS or severity not in SEVERITIES:
        raise UsageError(
            f"unknown corruption `{name}` of severity {severity}",
            f"{', '.join(CORRUPTIONS)}; 1 to 5",
        )
    c = CONSTANTS[name][severity - 1]
    generator = torch.Generator().manual_seed(_own(seed, name, severity))
    clean = x.cpu().double()
    match name:
        case "gaussian_noise":
            noisy = clean + c * _normal(clean, generator)
        case "shot_noise":
            noisy = torch.poisson(clean * c, generator=generator) / c
        case "speckle_noise":
            noisy = clean + c * clean * _normal(clean, generator)
        case _:
            struck = torch.rand(clean.shape, generator=generator) <= c
            white = torch.rand(clean.shape, generator=generator) <= 0.5
            noisy = torch.where(struck, white.double(), clean)
    whole = (noisy.clamp(0, 1) * 255).floor()
    return (whole / 255).to(x.device, x.dtype)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def _own(seed: int, name: str, severity: int) -> int:
    digest = hashlib.sha256(f"{seed} {name} {severity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
