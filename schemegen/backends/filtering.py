"""A network for inference before it is compiled: convolutions by minimal filtering, large batches in portions."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F  # noqa: N812

from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.folding import described
from schemegen.backends.optimized import watched
from schemegen.backends.rebuilt import finished, shallow
from schemegen.network.winograd import SIZE, TILE, convolved, transformed

__all__ = ["PortionedNetwork", "filtered"]

LEAST = 24
"""With fewer channels, in or out, the transforms cost what they save, or more."""
COVER = 1.6
"""How many times as many pixels as the image has its tiles may have: they save that much less."""
FEW, WIDE = 4, 128
"""With fewer tiles in an image, or more channels for each, one image reads large weights for too few products."""
SAME = [(1, 1), (1, 1), (1, 1), 1]
"""Stride, padding, dilation and groups."""
SPACE = 4 << 20
"""Bytes of transformed images that are worked on at once. Much more of them leaves the caches of a core."""


class PortionedNetwork(SchemeNetwork):
    """A network that takes a large batch in portions of ``meta["portion"]`` samples, whole if that is None."""

    def _deepcopy_init(self) -> Any:
        return PortionedNetwork.__init__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call, portion = super().__call__, self.meta["portion"]
        if portion is None or kwargs or len(args) != 1 or watched(args[0]) or not args[0].dim():
            return call(*args, **kwargs)
        if len(args[0]) <= portion:
            return call(args[0])
        return torch.cat([call(part) for part in args[0].split(portion)])


def filtered(network: SchemeNetwork) -> SchemeNetwork:
    """Return a network for inference with minimal filtering where that is less work on a processor.

    The weights of these convolutions are computed beforehand, four times as many.
    """
    root, graph = shallow(network), fx.Graph()
    described(graph.output(graph.graph_copy(network.graph, {})), network.graph.output_node())
    space = 0
    for node in graph.find_nodes(op="call_function", target=F.conv2d):
        x, held, bias = node.args[:3]
        weight = getattr(root, str(held.target)) if held.op == "get_attr" else None
        shape = node.meta.get("shape")
        if weight is None or list(node.args[3:]) != SAME or not pays(weight, shape):
            continue
        name = f"{held.target}_filter"
        if not hasattr(root, name):
            root.register_buffer(name, transformed(weight))
        with graph.inserting_before(node):
            kernel = graph.get_attr(name)
        node.target, node.args = convolved, (x, kernel, bias)
        count = SIZE * SIZE * tiles(shape) * max(weight.shape[:2])
        space = max(space, count * weight.element_size())
    graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))
    for name in {*root._buffers} - {str(node.target) for node in graph.nodes}:
        delattr(root, name)
    result = finished(root, graph, network, PortionedNetwork)
    # a module draws numbers, or solves for all samples until the last one has converged
    apart = space and not graph.find_nodes(op="call_module")
    result.meta["portion"] = max(1, SPACE // space) if apart else None
    return result


def tiles(shape: tuple[int, ...]) -> int:
    """Return how many tiles an image of a shape has."""
    return prod(-(-size // TILE) for size in shape[1:])


def pays(weight: Tensor, shape: tuple[int, ...] | None) -> bool:
    """Return whether a convolution with a result of a shape, without the batch, is filtered in less time."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        return False
    if tuple(weight.shape[2:]) != (3, 3) or shape is None or min(weight.shape[:2]) < LEAST:
        return False
    count = tiles(shape)
    covered = count * TILE * TILE <= COVER * prod(shape[1:])
    return covered and count >= FEW and max(weight.shape[:2]) <= WIDE * count
