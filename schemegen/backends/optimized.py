"""Networks that run as one flat function where nobody looks inside, and as they are otherwise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.autograd import forward_ad
from torch.nn.modules import module as nn_module

from schemegen.backends.execution import NetworkError, SchemeNetwork, failing_place
from schemegen.backends.flat import Flats
from schemegen.network.layout import suits_channels_last

__all__ = ["OptimizedNetwork", "optimized"]

transforms = torch._C._functorch.peek_interpreter_stack
tracing = torch._C._get_tracing_state


def optimized(network: fx.GraphModule) -> OptimizedNetwork:
    """Return a network that runs flat, with the modules, parameters and buffers of ``network`` itself.

    Kernels of convolutions are laid out channels-last, in place, where torch can train the network with that and
    no solver makes images vectors.
    """
    result = OptimizedNetwork(network, network.graph, type(network).__name__)
    result.meta.update(network.meta)
    for parameter in result.parameters() if suits_channels_last(result) else ():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return result


class OptimizedNetwork(SchemeNetwork):
    """A network whose calls run as one flat function.

    Its graph, modules, parameters and state-dict keys are those of the network it was made from, with which it
    shares them. The graph itself runs where a compiler, an exporter or a transform looks at it.
    """

    def __init__(self, root: Any, graph: fx.Graph, class_name: str = "GraphModule") -> None:
        super().__init__(root, graph, class_name)
        self.flats = Flats()

    def _deepcopy_init(self) -> Any:
        return OptimizedNetwork.__init__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 1 or watched(args[0]):
            return super().__call__(*args, **kwargs)
        flat = self.flats.of(self)
        if flat is None:
            return super().__call__(*args)
        try:
            return flat(args[0])
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            where = failing_place(self, args)
            if where is None:
                raise
            raise NetworkError(f"{where}: {error}") from error


def watched(x: object) -> bool:
    """Return whether a call has to go through the graph and its modules, whatever the network."""
    return (
        torch.compiler.is_compiling()
        or type(x) is not Tensor
        or forward_ad._current_level >= 0
        or transforms() is not None
        or tracing() is not None
        or nn_module._has_any_global_hook()  # type: ignore[no-untyped-call]
    )
