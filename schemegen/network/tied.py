"""Branches whose Jacobian has a sign or a symmetry by construction: tied and antisymmetric kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["Antisymmetric", "DampedAntisymmetric", "Tied"]


def square(in_width: int, out_width: int, stride: int) -> int:
    """Return the width of a branch that maps its space to itself. Errors: ValueError where it does not."""
    if in_width != out_width or stride != 1:
        raise ValueError(
            f"a kernel with its transpose keeps the shape, not {in_width} to {out_width} channels "
            f"at stride {stride}; write `transition: scheme on`"
        )
    return in_width


class Tied(nn.Module):
    """``K^T relu(K z + b)`` with one convolution K of 3x3: the gradient of a convex function of ``z``.

    Its Jacobian ``K^T diag(relu') K`` is symmetric and has no negative eigenvalue. K maps to ``width`` channels,
    as many as ``z`` has unless given. Source: Chang et al. (2018), arXiv 1709.03698, eq. 6.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        width: int | None = None,
    ) -> None:
        super().__init__()
        inner = width or square(in_width, out_width, stride)
        self.weight = nn.Parameter(torch.empty(inner, square(in_width, out_width, stride), 3, 3))
        self.bias = nn.Parameter(torch.zeros(inner))
        nn.init.normal_(self.weight, 0.0, (2.0 / (9 * inner)) ** 0.5)

    def forward(self, z: Tensor) -> Tensor:
        inner = F.relu(F.conv2d(z, self.weight, self.bias, padding=1))
        return F.conv_transpose2d(inner, self.weight, padding=1)


class Antisymmetric(nn.Module):
    """``tanh((K - K^T) z + b)`` with one convolution K of 3x3.

    The Jacobian ``diag(tanh') (K - K^T)`` has imaginary eigenvalues alone. ``K^T`` is the adjoint of K with its
    zero padding: the convolution with the transposed, turned kernel.
    Source: Chang et al. (2018), arXiv 1709.03698, sec. 3 (midpoint network).
    """

    def __init__(self, in_width: int, out_width: int, stride: int = 1, calls: int = 1) -> None:
        super().__init__()
        width = square(in_width, out_width, stride)
        self.weight = nn.Parameter(torch.empty(width, width, 3, 3))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, 0.0, (1.0 / (9 * width)) ** 0.5)

    def kernel(self) -> Tensor:
        """Return the kernel of ``K - K^T``."""
        return self.weight - self.weight.transpose(0, 1).flip(2, 3)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(F.conv2d(z, self.kernel(), self.bias, padding=1))


class DampedAntisymmetric(Antisymmetric):
    """``tanh(1/2 (K - K^T - gamma I) z + b)``: eigenvalues of the Jacobian have real parts of at most 0.

    ``per_mille`` is gamma in thousandths. Source: Haber, Ruthotto (2017), arXiv 1705.03341, sec. 4.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        per_mille: int = 100,
    ) -> None:
        super().__init__(in_width, out_width, stride)
        self.gamma = per_mille / 1000

    def forward(self, z: Tensor) -> Tensor:
        inner = F.conv2d(z, self.kernel(), padding=1) - self.gamma * z
        return torch.tanh(inner / 2 + self.bias.view(-1, 1, 1))
