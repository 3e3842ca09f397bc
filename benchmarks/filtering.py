"""One convolution of 3 x 3 by minimal filtering, over one by products: ``python -m benchmarks filtering``.

Forward as networks for inference are compiled, with its bias and a ReLU; both gradients as the written backward
pass takes them. "float32 error" is the root mean square of filtering's over that of products.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.harness import Options, Report, interleaved, ratios, setting
from schemegen.backends.filtering import pays
from schemegen.backends.regions import pooled
from schemegen.network.winograd import convolved, transformed
from schemegen.network.winograd_pulled import by_products, convolution_pulled, suits
from schemegen.network.winograd_pulled import pays as pulls

QUESTION = "What does minimal filtering bring for one convolution?"
SHAPES = (
    (16, 32),
    (24, 32),
    (32, 16),
    (32, 32),
    (64, 8),
    (64, 16),
    (64, 32),
    (128, 8),
    (128, 16),
    (256, 8),
    (256, 14),
)
OUTSIDE = "(not used)"


def run(options: Options) -> Report:
    report = Report("filtering", QUESTION, setting(options))
    table = report.table(
        "Time over that of products", "channels", "size", "batch", "forward, compiled", "float32 error",
        "gradients",
    )  # fmt: skip
    for channels, size in ((64, 8),) if options.quick else SHAPES:
        for batch in (16,) if options.quick else (1, 16):
            x, gradient = (image(batch, channels, size, options.device) for _ in range(2))
            weight = torch.randn(channels, channels, 3, 3, device=options.device)
            weight = (weight / (3 * channels**0.5)).to(memory_format=torch.channels_last)
            forward: object = OUTSIDE
            gradients: object = OUTSIDE
            with torch.no_grad():
                if pays(weight, (channels, size, size)):
                    forward = over_products(ahead(x, weight), options)
                if suits((size, size), weight.shape) and pulls(x, weight):
                    gradients = over_products(back(gradient, x, weight), options)
                table.rows.append(
                    [channels, size, batch, forward, round(error(x, weight), 1), gradients]
                )
    return report


def over_products(runs: dict[str, Callable[[], object]], options: Options) -> object:
    return ratios(interleaved(runs, options.number(15)), "products")["filtering"]


def image(batch: int, channels: int, size: int, device: str) -> Tensor:
    return torch.randn(batch, channels, size, size, device=device).to(
        memory_format=torch.channels_last
    )


def ahead(x: Tensor, weight: Tensor) -> dict[str, Callable[[], object]]:
    """Return the convolution compiled in both ways, as ``compile_network`` compiles it."""
    torch._dynamo.reset()
    bias, kernel = torch.randn(len(weight), device=x.device), transformed(weight)

    def products(x: Tensor) -> Tensor:
        return torch.relu(F.conv2d(x, weight, bias, padding=1))

    def filtering(x: Tensor) -> Tensor:
        return torch.relu(convolved(x, kernel, bias))

    found: dict[str, Callable[[], object]] = {}
    for body in (products, filtering):
        compiled = torch.compile(body, **pooled(nn.ParameterList([weight]), {"dynamic": False}))
        found[body.__name__] = lambda compiled=compiled: compiled(x)
    return found


def back(gradient: Tensor, x: Tensor, weight: Tensor) -> dict[str, Callable[[], object]]:
    return {
        "products": lambda: by_products(gradient, x, weight),
        "filtering": lambda: convolution_pulled(gradient, x, weight),
    }


def error(x: Tensor, weight: Tensor) -> float:
    true = F.conv2d(x.double(), weight.double(), padding=1)
    one, other = convolved(x, transformed(weight)), F.conv2d(x, weight, padding=1)
    return float((one - true).norm() / (other - true).norm())
