"""What a network is as a function, and how each layer of it is written as a call of a torch function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812

from schemegen.network import blocks, layers
from schemegen.network.convolutions import StridedConv1x1
from schemegen.network.functions import pixels
from schemegen.network.noise import Drop, drawn_factor
from schemegen.network.timed import Time, with_time

__all__ = ["HOOKS", "LAYERS", "Functional", "heard", "observed"]

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass
class Functional:
    """``graph(*inputs, *values) -> outputs``, its ``values`` found in the network by path.

    ``flat`` are the modules that are no longer called, ``modes`` those of them whose mode decided what was
    written. ``ordered``: a module that is called needs the order that a tensor has in memory: it may draw numbers
    in it.
    """

    graph: fx.Graph
    values: dict[str, fx.Node] = field(default_factory=dict)
    flat: dict[str, nn.Module] = field(default_factory=dict)
    modes: dict[str, nn.Module] = field(default_factory=dict)
    ordered: bool = False


def observed(module: nn.Module) -> bool:
    """Return whether somebody listens to a module's calls or has changed what they do."""
    patched = "forward" in module.__dict__ or "parametrizations" in module._modules
    return patched or any(getattr(module, name) for name in HOOKS)


def heard(module: nn.Module) -> bool:
    """Return whether a module or one inside of it is :func:`observed`."""
    return any(map(observed, module.modules()))


class Writer(Protocol):
    """Writes a network as a function: calls, and arguments for what the network has at a path."""

    graph: fx.Graph
    result: Functional

    def emit(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node: ...

    def value(self, path: str) -> fx.Node: ...


Args = tuple[Any, ...]


def _learned(to: Writer, path: str, layer: nn.Module, name: str) -> fx.Node | None:
    """Return the argument for a parameter, None where the layer has none."""
    return None if getattr(layer, name) is None else to.value(f"{path}.{name}")


def _linear(to: Writer, path: str, layer: nn.Linear, args: Args) -> fx.Node:
    bias = _learned(to, path, layer, "bias")
    return to.emit(F.linear, args[0], to.value(f"{path}.weight"), bias)


def _conv(to: Writer, path: str, layer: nn.Conv2d, args: Args) -> fx.Node | None:
    if layer.padding_mode != "zeros":
        return None
    bias = _learned(to, path, layer, "bias")
    more = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return to.emit(F.conv2d, args[0], to.value(f"{path}.weight"), bias, *more)


def _strided(to: Writer, path: str, layer: StridedConv1x1, args: Args) -> fx.Node:
    taken = to.emit(pixels, args[0], layer.stride)
    weight = to.value(f"{path}.weight")
    return to.emit(F.conv2d, taken, weight, None, (1, 1), (0, 0), (1, 1), layer.groups)


def _batch_norm(
    to: Writer, path: str, layer: nn.BatchNorm1d | nn.BatchNorm2d, args: Args
) -> fx.Node | None:
    if not layer.affine or not layer.track_running_stats or layer.momentum is None:
        return None
    to.result.modes[path] = layer
    if layer.training:
        to.graph.call_method("add_", (to.value(f"{path}.num_batches_tracked"), 1))
    names = ("running_mean", "running_var", "weight", "bias")
    values = (to.value(f"{path}.{name}") for name in names)
    return to.emit(F.batch_norm, args[0], *values, layer.training, layer.momentum, layer.eps)


def _stage_norm(to: Writer, path: str, layer: blocks.StageBatchNorm, args: Args) -> fx.Node:
    to.result.modes[path] = layer
    x, call = args
    own = f"{path}.statistics.{call}"
    mean, variance = to.value(f"{own}.running_mean"), to.value(f"{own}.running_var")
    weight, bias = to.value(f"{path}.weight"), to.value(f"{path}.bias")
    return to.emit(F.batch_norm, x, mean, variance, weight, bias, layer.training)


def _group_norm(to: Writer, path: str, layer: nn.GroupNorm, args: Args) -> fx.Node | None:
    if not layer.affine:
        return None
    weight, bias = to.value(f"{path}.weight"), to.value(f"{path}.bias")
    return to.emit(F.group_norm, args[0], layer.num_groups, weight, bias, layer.eps)


def _layer_norm(to: Writer, path: str, layer: nn.LayerNorm, args: Args) -> fx.Node:
    known = (_learned(to, path, layer, name) for name in ("weight", "bias"))
    return to.emit(F.layer_norm, args[0], layer.normalized_shape, *known, layer.eps)


def _channel_norm(to: Writer, path: str, layer: layers.ChannelNorm, args: Args) -> fx.Node:
    normed = _layer_norm(to, path, layer, (to.emit(torch.movedim, args[0], 1, -1),))
    return to.emit(torch.movedim, normed, -1, 1)


def _positions(to: Writer, path: str, layer: layers.Positions, args: Args) -> fx.Node:
    return to.emit(torch.add, args[0], to.value(f"{path}.weight"))


def _time(to: Writer, path: str, layer: Time, args: Args) -> fx.Node | None:
    x, time = args
    return None if isinstance(time, fx.Node) else to.emit(with_time, x, time)


def _dropout(to: Writer, path: str, layer: nn.Dropout, args: Args) -> fx.Node:
    to.result.modes[path] = layer
    x: fx.Node = args[0]
    if not layer.training or not layer.p:
        return x
    # the mask is drawn in the order of memory, which must not depend on how images are laid out
    return to.emit(F.dropout, to.graph.call_method("contiguous", (x,)), layer.p, True)


def _drop(to: Writer, path: str, layer: Drop, args: Args) -> fx.Node | None:
    noise = f"{path}.noise"
    x: fx.Node = args[0]
    if observed(layer.noise):
        return None
    to.result.flat[noise] = to.result.modes[noise] = layer.noise
    if not layer.noise.drawing():
        return x
    factor = to.emit(drawn_factor, to.value(noise), x, *layer.arguments)
    return to.emit(torch.mul, x, factor)


def _pointwise(function: Callable[..., Any]) -> Callable[..., fx.Node]:
    def write(to: Writer, path: str, layer: nn.Module, args: Args) -> fx.Node:
        return to.emit(function, args[0])

    return write


def _gelu(to: Writer, path: str, layer: nn.GELU, args: Args) -> fx.Node | None:
    return to.emit(F.gelu, args[0]) if layer.approximate == "none" else None


def _elu(to: Writer, path: str, layer: nn.ELU, args: Args) -> fx.Node | None:
    return to.emit(F.elu, args[0]) if layer.alpha == 1 and not layer.inplace else None


def _softplus(to: Writer, path: str, layer: nn.Softplus, args: Args) -> fx.Node | None:
    return to.emit(F.softplus, args[0]) if (layer.beta, layer.threshold) == (1, 20) else None


def _identity(to: Writer, path: str, layer: nn.Module, args: Args) -> fx.Node:
    x: fx.Node = args[0]
    return x


def _flatten(to: Writer, path: str, layer: nn.Flatten, args: Args) -> fx.Node:
    return to.emit(torch.flatten, args[0], layer.start_dim, layer.end_dim)


def _flat(to: Writer, path: str, layer: layers.Flat, args: Args) -> fx.Node:
    return to.emit(torch.mean, args[0], (2, 3))


LAYERS: Mapping[type[nn.Module], Callable[..., fx.Node | None]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    StridedConv1x1: _strided,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    blocks.StageBatchNorm: _stage_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    layers.ChannelNorm: _channel_norm,
    layers.Patch: _conv,
    layers.Positions: _positions,
    Time: _time,
    nn.Dropout: _dropout,
    Drop: _drop,
    nn.GELU: _gelu,
    nn.SiLU: _pointwise(F.silu),
    nn.ELU: _elu,
    nn.Softplus: _softplus,
    nn.ReLU: _pointwise(torch.relu),
    nn.Tanh: _pointwise(torch.tanh),
    nn.Sigmoid: _pointwise(torch.sigmoid),
    nn.Identity: _identity,
    nn.Flatten: _flatten,
    layers.Flat: _flat,
}
"""How a layer is written as a function; None where its settings are not covered."""
