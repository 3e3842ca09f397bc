"""Networks with another graph over modules, parameters and buffers that are there."""

from __future__ import annotations

from torch import fx, nn

from schemegen.backends.execution import SchemeNetwork

__all__ = ["finished", "shallow"]


def shallow(network: nn.Module) -> nn.Module:
    """Return a module with the modules, parameters and buffers of ``network``, to which more can be added."""
    root = nn.Module()
    for name, module in network.named_children():
        root.add_module(name, module)
    for name, parameter in network.named_parameters(recurse=False):
        root.register_parameter(name, parameter)
    for name, buffer in network.named_buffers(recurse=False):
        root.register_buffer(name, buffer)
    return root


def finished(
    root: nn.Module,
    graph: fx.Graph,
    network: SchemeNetwork,
    kind: type[SchemeNetwork] = SchemeNetwork,
) -> SchemeNetwork:
    """Return a network of a graph over what ``root`` has, in the mode and with the notes of ``network``."""
    graph.lint()
    result = kind(root, graph, type(network).__name__)
    for name in list(result._modules):
        delattr(result, name)
    # Modules are there whole and in order, also those of which the graph uses tensors alone.
    for name, module in root.named_children():
        result.add_module(name, module)
    result.meta.update(network.meta)
    return result.train(network.training)
