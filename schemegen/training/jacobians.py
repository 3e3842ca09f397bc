"""Norms of Jacobians at data: by power iteration, and from above by the layers of a block.

Power iteration takes products J v and J^T v alone. Source: Golub, Van Loan (2013), 8.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from schemegen.network.blocks import BLOCKS, StageBatchNorm, Statistics
from schemegen.network.fractal import Fractal
from schemegen.network.layers import Sequence

__all__ = ["Map", "logarithmic_norm", "norms", "products", "spectral_norm", "upper_bound"]

Map = Callable[[Tensor], Tensor]


def norms(x: Tensor) -> Tensor:
    """Return the Euclidean norm of each sample, shape ``(N,)``."""
    found: Tensor = x.detach().flatten(1).norm(dim=1)
    return found


def spectral_norm(f: Map, x: Tensor, *, iterations: int = 60, seed: int = 0) -> Tensor:
    """Return the largest singular value of the Jacobian of f at each sample of x, shape ``(N,)``.

    Power iteration on ``J^T J``; samples must not meet in f.
    """
    v = _unit(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x))
    forward, transposed = products(f, x)
    jv = forward(v)
    for _ in range(iterations):
        v = transposed(jv)
        if not bool(v.abs().max() > 0):
            break
        v = _unit(v)
        jv = forward(v)
    return norms(jv)


def logarithmic_norm(f: Map, x: Tensor, *, iterations: int = 60, seed: int = 0) -> Tensor:
    """Return the largest eigenvalue of ``(J + J^T)/2`` at each sample of x, shape ``(N,)``.

    Power iteration on ``(J + J^T)/2 + s I``, s the spectral norm: no eigenvalue of it is negative.
    """
    shift = spectral_norm(f, x, iterations=iterations, seed=seed)
    shape = (-1, *[1] * (x.dim() - 1))
    v = _unit(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1)).to(x))
    value = shift
    forward, transposed = products(f, x)
    for _ in range(4 * iterations):
        symmetric = (forward(v) + transposed(v)) / 2
        value = (symmetric * v).flatten(1).sum(1)
        v = _unit(symmetric + shift.view(shape) * v)
    return value.detach()


def products(f: Map, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return ``v -> J v`` and ``w -> J^T w``; J v is the derivative of the linear map ``w -> J^T w``."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        y = f(at)
        w = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, at, w, create_graph=True)

    def forward(v: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(pulled, w, v, retain_graph=True)
        return result.detach()

    def transposed(other: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(y, at, other, retain_graph=True)
        return result

    return forward, transposed


def _unit(v: Tensor) -> Tensor:
    norms = v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    unit: Tensor = (v / norms.view(-1, *[1] * (v.dim() - 1))).detach()
    return unit


# Lipschitz constants of activations: of relu and tanh 1, of sigmoid 1/4; of silu and gelu as known to six digits.
ACTIVATIONS: dict[type[nn.Module], float] = {
    nn.ReLU: 1.0,
    nn.Tanh: 1.0,
    nn.Sigmoid: 0.25,
    nn.SiLU: 1.099840,
    nn.GELU: 1.128905,
    nn.Identity: 1.0,
}


def upper_bound(block: nn.Module, x: Tensor, *numbers: Any, iterations: int = 60) -> float | None:
    """Return the product of the norms of a block's layers; None where the block or a layer is not known here.

    Layers are met in order by running the block once, so that a convolution has the size it acts on. The functions
    between the layers of our own blocks (relu, tanh) have the Lipschitz constant 1.
    """
    if not isinstance(block, (*BLOCKS.values(), Sequence)) or isinstance(block, Fractal):
        return None  # the columns of a fractal are beside one another
    factors: list[float | None] = []

    def met(layer: nn.Module, args: Any, _out: Any) -> None:
        factors.append(_layer_norm(layer, args, iterations))

    layers = [
        item
        for item in block.modules()
        if isinstance(item, StageBatchNorm)
        or (not isinstance(item, Statistics) and not list(item.children()))
    ]
    handles = [layer.register_forward_hook(met) for layer in layers]
    try:
        with torch.no_grad():
            block(x[:1], *numbers)
    finally:
        for handle in handles:
            handle.remove()
    result = 1.0
    for factor in factors:
        if factor is None:
            return None
        result *= factor
    return result


def _layer_norm(layer: nn.Module, args: tuple[Any, ...], iterations: int) -> float | None:
    if isinstance(layer, StageBatchNorm):
        own = layer.statistics[args[1] if len(args) > 1 else 0]
        variance = own.get_buffer("running_var")
        return float(((variance + 1e-5).rsqrt() * layer.weight.abs()).max())
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_var is not None:
        scale = (layer.running_var + layer.eps).rsqrt()
        return float((scale if layer.weight is None else scale * layer.weight.abs()).max())
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(layer.weight, 2))
    if isinstance(layer, nn.Conv2d):
        return _convolution_norm(layer, args[0])
    return ACTIVATIONS.get(type(layer))


def _convolution_norm(layer: nn.Conv2d, x: Tensor) -> float | None:
    """Return a bound of the norm of a convolution with zero padding, whatever its stride.

    On a torus that the padded image fits on it is the largest norm of its Fourier blocks, exactly (Sedghi, Gupta,
    Long, 2019); the layer takes some of the torus's inputs and outputs, so its norm is not larger.
    """
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return None
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    sizes = [max(n + 2 * p, r) for n, p, r in zip(x.shape[2:], layer.padding, reach, strict=True)]
    spread = layer.weight.new_zeros(*layer.weight.shape[:2], *sizes)
    spread[:, :, : reach[0] : layer.dilation[0], : reach[1] : layer.dilation[1]] = layer.weight
    blocks = torch.fft.rfft2(spread).permute(2, 3, 0, 1)
    groups = blocks.reshape(*blocks.shape[:2], layer.groups, -1, blocks.shape[3])
    return float(torch.linalg.matrix_norm(groups, 2).max())


# --- formulas in coefficients ------------------------------------------------------------------------
