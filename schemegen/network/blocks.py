"""Blocks: the trainable branches ``f`` of a network, and the normalisation they share out.

Every block is built as ``Block(in_width, out_width, stride, calls)`` and maps ``(N, in_width, ..)`` to
``(N, out_width, ..)``. ``calls`` is the number of evaluations that keep batch-norm statistics of their own;
a block with ``calls > 1`` takes the number of the evaluation as its second argument, one that depends on the
time takes that last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.network.convolutions import conv, pointwise
from schemegen.network.fractal import Fractal
from schemegen.network.lipschitz import Lipschitz
from schemegen.network.tied import Antisymmetric, DampedAntisymmetric, Tied
from schemegen.network.timed import Ode
from schemegen.network.transformer import Attention, Encoder, Feedforward

__all__ = [
    "BLOCKS",
    "Bottleneck",
    "Conv1x1",
    "InnerBottleneck",
    "InnerPreact",
    "Mlp",
    "Postact",
    "PostactBottleneck",
    "Preact",
    "Projection",
    "Shake",
    "StageBatchNorm",
    "Statistics",
    "VectorProjection",
    "narrow",
    "norm",
    "preactivate",
    "transform",
]


class Statistics(nn.Module):
    """Running mean and variance of one evaluation of a block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.running_mean = nn.Buffer(torch.zeros(width))
        self.running_var = nn.Buffer(torch.ones(width))


class StageBatchNorm(nn.Module):
    """Batch normalisation with one affine map and running statistics for each evaluation.

    The inputs of a block's evaluations in one step have different distributions, so that averaged
    statistics would describe none of them in eval mode.
    """

    def __init__(self, width: int, calls: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.statistics = nn.ModuleList(Statistics(width) for _ in range(calls))

    def forward(self, x: Tensor, call: int) -> Tensor:
        own = self.statistics[call]
        mean, variance = own.get_buffer("running_mean"), own.get_buffer("running_var")
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training)


def norm(width: int, calls: int = 1) -> nn.Module:
    """Return the batch normalisation of images of ``width`` channels for ``calls`` evaluations."""
    return nn.BatchNorm2d(width) if calls == 1 else StageBatchNorm(width, calls)


class Preact(nn.Module):
    """BN-ReLU-conv3x3(stride)-BN-ReLU-conv3x3, ``width`` channels inside (as many as it returns).

    Source: He et al. (2016), Identity Mappings.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        width: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner = width or out_width
        self.bn1 = norm(in_width, calls)
        self.conv1 = conv(in_width, inner, 3, stride, groups)
        self.bn2 = norm(inner, calls)
        self.conv2 = conv(inner, out_width, 3, 1, groups)

    def preactivate(self, x: Tensor, *call: int) -> Tensor:
        return F.relu(self.bn1(x, *call))

    def transform(self, x: Tensor, *call: int) -> Tensor:
        result: Tensor = self.conv2(self.within(F.relu(self.bn2(self.conv1(x), *call))))
        return result

    def within(self, x: Tensor) -> Tensor:
        """Return what the last convolution is given for ``x``: where noise inside the branch acts."""
        return x

    def forward(self, x: Tensor, *call: int) -> Tensor:
        return self.transform(self.preactivate(x, *call), *call)


class InnerPreact(Preact):
    """:class:`Preact` with a noise on the input of its last convolution (Zagoruyko, Komodakis, 2016)."""

    def __init__(self, drop: nn.Module, *shape: int, **options: int) -> None:
        super().__init__(*shape, **options)
        self.drop = drop

    def within(self, x: Tensor) -> Tensor:
        result: Tensor = self.drop(x)
        return result


def narrow(out_width: int, expansion: int, widen: int) -> int:
    """Return the channels inside a bottleneck: ``out_width/expansion``, ``widen`` times as many."""
    return max(out_width * widen // expansion, 1)


class Bottleneck(nn.Module):
    """BN-ReLU-conv1x1, BN-ReLU-conv3x3(stride), BN-ReLU-conv1x1, see :func:`narrow` for the channels inside.

    ``groups`` of the middle convolution make it the aggregated branch of Xie et al. (2017).
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        expansion: int = 4,
        widen: int = 1,
        width: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner = width or narrow(out_width, expansion, widen)
        self.bn1 = norm(in_width, calls)
        self.conv1 = conv(in_width, inner, 1)
        self.bn2 = norm(inner, calls)
        self.conv2 = conv(inner, inner, 3, stride, groups)
        self.bn3 = norm(inner, calls)
        self.conv3 = conv(inner, out_width, 1)

    def preactivate(self, x: Tensor, *call: int) -> Tensor:
        return F.relu(self.bn1(x, *call))

    def transform(self, x: Tensor, *call: int) -> Tensor:
        x = self.conv2(F.relu(self.bn2(self.conv1(x), *call)))
        result: Tensor = self.conv3(self.within(F.relu(self.bn3(x, *call))))
        return result

    def within(self, x: Tensor) -> Tensor:
        """Return what the last convolution is given for ``x``: where noise inside the branch acts."""
        return x

    def forward(self, x: Tensor, *call: int) -> Tensor:
        return self.transform(self.preactivate(x, *call), *call)


class InnerBottleneck(Bottleneck):
    """:class:`Bottleneck` with a noise on the input of its last convolution."""

    def __init__(self, drop: nn.Module, *shape: int, **options: int) -> None:
        super().__init__(*shape, **options)
        self.drop = drop

    def within(self, x: Tensor) -> Tensor:
        result: Tensor = self.drop(x)
        return result


class Postact(nn.Module):
    """conv3x3(stride)-BN-ReLU-conv3x3-BN, ``width`` channels inside (as many as it returns).

    Source: He et al. (2016), Deep Residual Learning; names as in torchvision's ``BasicBlock``.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        width: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner = width or out_width
        self.conv1 = conv(in_width, inner, 3, stride, groups)
        self.bn1 = norm(inner, calls)
        self.conv2 = conv(inner, out_width, 3, 1, groups)
        self.bn2 = norm(out_width, calls)

    def forward(self, x: Tensor, *call: int) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x), *call))
        result: Tensor = self.bn2(self.conv2(x), *call)
        return result


class PostactBottleneck(nn.Module):
    """conv1x1-BN-ReLU, conv3x3(stride)-BN-ReLU, conv1x1-BN, see :func:`narrow` for the channels inside.

    Source: He et al. (2016), Deep Residual Learning, with the stride of torchvision's ``Bottleneck``; ``groups``
    after Xie et al. (2017), ``widen`` after Zagoruyko, Komodakis (2016).
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        expansion: int = 4,
        widen: int = 1,
        width: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner = width or narrow(out_width, expansion, widen)
        self.conv1 = conv(in_width, inner, 1)
        self.bn1 = norm(inner, calls)
        self.conv2 = conv(inner, inner, 3, stride, groups)
        self.bn2 = norm(inner, calls)
        self.conv3 = conv(inner, out_width, 1)
        self.bn3 = norm(out_width, calls)

    def forward(self, x: Tensor, *call: int) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x), *call))
        x = F.relu(self.bn2(self.conv2(x), *call))
        result: Tensor = self.bn3(self.conv3(x), *call)
        return result


class Shake(nn.Module):
    """ReLU-conv3x3(stride)-BN-ReLU-conv3x3-BN, one branch of shake-shake; ``width`` channels inside.

    Source: Gastaldi (2017), arXiv 1705.07485, sec. 2.1.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        width: int | None = None,
        groups: int = 1,
    ) -> None:
        super().__init__()
        inner = width or out_width
        self.conv1 = conv(in_width, inner, 3, stride, groups)
        self.bn1 = norm(inner, calls)
        self.conv2 = conv(inner, out_width, 3, 1, groups)
        self.bn2 = norm(out_width, calls)

    def forward(self, x: Tensor, *call: int) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(F.relu(x)), *call))
        result: Tensor = self.bn2(self.conv2(inner), *call)
        return result


class Conv1x1(nn.Module):
    """A linear field: one 1x1 convolution without bias, 0 at 0."""

    def __init__(
        self, in_width: int, out_width: int, stride: int = 1, calls: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = pointwise(in_width, out_width, stride, groups)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class Mlp(nn.Module):
    """linear-tanh-linear on vectors, a smooth field; ``width`` hidden units, else ``expansion`` times its own."""

    def __init__(
        self,
        in_width: int,
        out_width: int,
        stride: int = 1,
        calls: int = 1,
        *,
        expansion: int = 1,
        width: int | None = None,
    ) -> None:
        super().__init__()
        hidden = width or out_width * expansion
        self.linear1 = nn.Linear(in_width, hidden)
        self.linear2 = nn.Linear(hidden, out_width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear2(torch.tanh(self.linear1(x)))
        return result


class Projection(nn.Module):
    """The shortcut at a change of shape: BN-ReLU-conv1x1(stride).

    With ``own`` false it maps the first BN-ReLU of the block beside it (``bn shared``).
    """

    def __init__(self, in_width: int, out_width: int, stride: int = 1, own: bool = True) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_width) if own else None
        self.conv = pointwise(in_width, out_width, stride)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x if self.bn is None else F.relu(self.bn(x)))
        return result


class VectorProjection(nn.Module):
    """The shortcut at a change of width of vectors: BN-ReLU-linear without bias."""

    def __init__(self, in_width: int, out_width: int, stride: int = 1, own: bool = True) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(in_width) if own else None
        self.linear = nn.Linear(in_width, out_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(x if self.bn is None else F.relu(self.bn(x)))
        return result


def preactivate(block: nn.Module, x: Tensor) -> Tensor:
    """Return the first BN-ReLU of ``block`` at ``x``, which a projection shares (``bn shared``)."""
    return block.preactivate(x)  # type: ignore[operator, no-any-return]


def transform(block: nn.Module, x: Tensor) -> Tensor:
    """Return the rest of ``block`` after :func:`preactivate`."""
    return block.transform(x)  # type: ignore[operator, no-any-return]


BLOCKS: dict[str, type[nn.Module]] = {
    "preact": Preact,
    "bottleneck": Bottleneck,
    "postact": Postact,
    "postact_bottleneck": PostactBottleneck,
    "mlp": Mlp,
    "conv1x1": Conv1x1,
    "attention": Attention,
    "feedforward": Feedforward,
    "encoder": Encoder,
    "shake": Shake,
    "fractal": Fractal,
    "tied": Tied,
    "antisymmetric": Antisymmetric,
    "damped_antisymmetric": DampedAntisymmetric,
    "lipschitz": Lipschitz,
    "ode": Ode,
}
