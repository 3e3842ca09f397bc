"""Random images of a network's own shape, for timing and smoke tests."""

from __future__ import annotations

import torch

from schemegen.scheme.network import NetworkSpec
from schemegen.training.images import Data

__all__ = ["fake"]


def fake(network: NetworkSpec) -> Data:
    """Return random images of the network's own shape: 256 to train on, 64 to test on."""
    generator = torch.Generator().manual_seed(0)
    shape = network.input_shape if len(network.input_shape) == 3 else (1, 1, *network.input_shape)
    images = torch.randint(0, 256, (320, *shape), generator=generator).to(torch.uint8)
    labels = torch.randint(0, network.classes, (320,), generator=generator)
    return Data(
        name="fake",
        classes=network.classes,
        train_images=images[:256],
        train_labels=labels[:256],
        test_images=images[256:],
        test_labels=labels[256:],
        peak=255.0,
        mean=(0.5,) * shape[0],
        deviation=(0.29,) * shape[0],
    )
