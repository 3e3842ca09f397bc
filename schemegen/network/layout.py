"""Whether the convolutions of a network may run on images with the channels last."""

from __future__ import annotations

import torch
from torch import nn

from schemegen.network.convolutions import StridedConv1x1
from schemegen.network.solvers import Solver

__all__ = ["may_be_last", "suits_channels_last"]


def block() -> int:
    """Return how many numbers an instruction takes: 16 with AVX-512, or where that is not known, else 8."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return 16 if known.get("avx512_f", True) else 8


def may_be_last(network: nn.Module) -> bool:
    """Return whether torch can train a network on a processor with the channels of images last.

    The gradient of a kernel of one pixel with a stride writes past its work space there, where the images have
    fewer channels than one block (oneDNN issue 6035, in torch 2.14).
    """
    least = block()
    return not any(
        isinstance(layer, nn.Conv2d)
        and not isinstance(layer, StridedConv1x1)
        and set(layer.kernel_size) == {1}
        and max(layer.stride) > 1
        and layer.in_channels < least
        for layer in network.modules()
    )


def flattens(network: nn.Module) -> bool:
    """Return whether a network solves equations: its solvers take images as one vector.

    That is a view of an image as it comes, a copy of one with its channels last, in every iteration.
    """
    return any(isinstance(item, Solver) for item in network.modules())


def suits_channels_last(network: nn.Module) -> bool:
    """Return whether a network can be trained on images with their channels last, and gains by that."""
    return may_be_last(network) and not flattens(network)
