"""The convolutions of a network by themselves: what is left of a step when everything else costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["alone"]


def alone(network: nn.Module, x: Tensor, *, backward: bool) -> Callable[[], None]:
    """Return a run of every convolution on the images that the network gives it.

    Gradients, of ``backward``, are those that training asks for: of the kernels, and of every image but the first.
    """
    images: list[tuple[nn.Module, Tensor]] = []

    def seen(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        image = given[0].detach()
        images.append((layer, image.requires_grad_(given[0].requires_grad)))

    layers = [item for item in network.modules() if isinstance(item, nn.Conv2d)]
    handles = [layer.register_forward_pre_hook(seen) for layer in layers]
    network(x)
    for handle in handles:
        handle.remove()
    if not backward:
        return lambda: forward(images)
    with torch.no_grad():
        cotangents = [torch.randn_like(layer(image)) for layer, image in images]

    def run() -> None:
        for (layer, image), cotangent in zip(images, cotangents, strict=True):
            wanted = [layer.weight, *([image] if image.requires_grad else [])]
            torch.autograd.grad(layer(image), wanted, cotangent)

    return run


@torch.no_grad()
def forward(images: Sequence[tuple[nn.Module, Tensor]]) -> None:
    for layer, image in images:
        layer(image)
