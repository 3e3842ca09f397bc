"""Branches with a Lipschitz constant below 1, so that ``x + f(x)`` has an inverse."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["BoundedConv", "Lipschitz"]


class BoundedConv(nn.Module):
    """A convolution with the kernel ``W min(1, c/sigma)``, sigma its largest singular value on its images.

    sigma is that of the linear map of images of ``rows x columns`` with its zero padding, by power iteration on
    the convolution and its adjoint: ``start`` iterations when the layer is made, ``iterations`` a call in
    training, none in evaluation. Source: Behrmann et al. (2019), arXiv 1811.00995, sec. 2.2;
    Gouk et al. (2018), arXiv 1804.04368.
    """

    start = 50
    iterations = 5

    def __init__(
        self, in_width: int, out_width: int, size: int, rows: int, columns: int, bound: float
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_width, in_width, size, size))
        self.bias = nn.Parameter(torch.zeros(out_width))
        self.direction = nn.Buffer(torch.randn(1, in_width, rows, columns))
        self.padding = size // 2
        self.bound = bound
        nn.init.normal_(self.weight, 0.0, (2.0 / (size * size * out_width)) ** 0.5)
        self.iterate(self.start)

    @torch.no_grad()
    def iterate(self, count: int) -> None:
        """Turn the direction towards the right singular vector of sigma."""
        v: Tensor = self.direction
        for _ in range(count):
            image = F.conv2d(v, self.weight, padding=self.padding)
            v = F.conv_transpose2d(image, self.weight, padding=self.padding)
            v = v / v.norm().clamp_min(torch.finfo(v.dtype).tiny)
        self.direction.copy_(v)

    def sigma(self) -> Tensor:
        """Return ``|K v|`` for the direction v; its gradient in K is that of the singular value."""
        image: Tensor = F.conv2d(self.direction.clone(), self.weight, padding=self.padding)
        return image.norm()  # type: ignore[no-any-return]

    def kernel(self) -> Tensor:
        """Return the kernel in use."""
        return self.weight * (self.bound / self.sigma()).clamp(max=1.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.iterate(self.iterations)
        return F.conv2d(x, self.kernel(), self.bias, padding=self.padding)


class Lipschitz(nn.Module):
    """ELU-conv3x3-ELU-conv1x1-ELU-conv3x3 without normalisation, each convolution of norm at most c.

    ELU has the Lipschitz constant 1, so the branch has at most c^3. ``per_cent`` is c in hundredths, ``width`` the
    channels inside (as many as outside). ``rows`` and ``columns`` are the size of the images.
    Source: Behrmann et al. (2019), arXiv 1811.00995, sec. 5 and appendix.
    """

    sized = True

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        width: int | None = None,
        per_cent: int = 90,
        rows: int,
        columns: int,
    ) -> None:
        super().__init__()
        if in_width != out_width or stride != 1:
            raise ValueError(
                f"an invertible step keeps the shape, not {in_width} to {out_width} channels at "
                f"stride {stride}; write `transition: scheme on`"
            )
        if not 0 < per_cent < 100:
            raise ValueError(f"a norm of {per_cent} % is no contraction; write 1 to 99")
        inner, bound = width or out_width, per_cent / 100
        self.conv1 = BoundedConv(in_width, inner, 3, rows, columns, bound)
        self.conv2 = BoundedConv(inner, inner, 1, rows, columns, bound)
        self.conv3 = BoundedConv(inner, out_width, 3, rows, columns, bound)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.elu(x))
        result: Tensor = self.conv3(F.elu(self.conv2(F.elu(x))))
        return result
