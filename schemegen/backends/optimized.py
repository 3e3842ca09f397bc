"""Networks that run as one flat function where nobody looks inside, and as they are otherwise."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter, getitem
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as nn_module

from schemegen.backends.adjoint import runnable, with_adjoint
from schemegen.backends.costs import cheapest, forms
from schemegen.backends.execution import NetworkError, SchemeNetwork, failing_place
from schemegen.backends.functional import HOOKS, Functional, functional, observed
from schemegen.backends.inplace import accumulate, reuse
from schemegen.network.blocks import StageBatchNorm
from schemegen.network.layout import flattens, may_be_last

__all__ = ["OptimizedNetwork", "optimized"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, StageBatchNorm)
MODE = attrgetter("training")
Function = Callable[..., Any]
transforms = torch._C._functorch.peek_interpreter_stack
tracing = torch._C._get_tracing_state


class Flat:
    """A network as a function, and whether it still is that network.

    The function was written for modules that were not observed, in the mode they were in. A module that was
    replaced, got a hook, a parametrisation or another ``forward`` is noticed before each call.
    """

    def __init__(self, root: fx.GraphModule) -> None:
        written = functional(root)
        self.owners, self.keys = places(root, list(written.values))
        self.parents, self.names, self.expected = held(root, written)
        self.flat = [root, *written.flat.values()]
        self.watched = [getattr(m, name) for m in self.flat for name in HOOKS]
        self.types = list(map(type, self.flat))
        self.bodies = [module.__dict__ for module in self.flat]
        self.sizes = list(map(len, self.bodies))
        self.modal = list(written.modes.values())
        self.modes = list(map(MODE, self.modal))
        self.ordered = written.ordered or not suits_channels_last(root)
        self.normed = any(isinstance(module, NORMS) and module.training for module in self.modal)
        self.plain = runnable(written.graph)
        self.codes = [Code(graph) for graph in forms(written.graph)]
        self.by_batch: dict[int, Code] = {}

    def holds(self) -> bool:
        return (
            list(map(MODE, self.modal)) == self.modes
            and list(map(getitem, self.parents, self.names)) == self.expected
            and not any(self.watched)
            and list(map(type, self.flat)) == self.types
            and list(map(len, self.bodies)) == self.sizes
        )

    def __call__(self, x: Tensor) -> Any:
        if x.dim() == 4 and not self.ordered:
            x = x.contiguous(memory_format=torch.channels_last)
        values = map(getitem, self.owners, self.keys)
        if torch._C._is_any_autocast_enabled() and torch.is_autocast_enabled(x.device.type):
            return self.plain(x, *values)
        batch = x.size(0)
        code = self.by_batch.get(batch) or self.cheapest(batch)
        if not torch.is_grad_enabled():
            return code.frugal(x, *values)
        # Statistics of a batch are computed as autograd would only on a CPU, of more than one sample.
        own = not self.normed or (x.device.type == "cpu" and x.shape[0] > 1)
        return (code.trained if own else self.plain)(x, *values)

    def cheapest(self, batch: int) -> Code:
        """Return the code for a batch; batches of like size have the same."""
        size = 1 << max(batch.bit_length() - 1, 0)
        place = cheapest([code.graph for code in self.codes], size)
        return self.by_batch.setdefault(batch, self.codes[place])


class Code:
    """What runs for a graph, made when it is first needed: with gradients, and without."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph

    @cached_property
    def trained(self) -> Function:
        return called(*with_adjoint(self.graph))

    @cached_property
    def frugal(self) -> Function:
        graph = copy.deepcopy(self.graph)
        accumulate(graph)
        reuse(graph)
        return runnable(graph)


def called(root: nn.Module, graph: fx.Graph) -> Function:
    """Return a graph as a function; where it is one run with one result, that without the graph around it."""
    (out,) = graph.output_node().all_input_nodes
    whole = out.args[0] if out.target is operator.getitem else None
    if isinstance(whole, fx.Node) and whole.op == "call_module" and list(whole.users) == [out]:
        inputs = [node for node in graph.nodes if node.op == "placeholder"]
        if list(whole.args) == inputs:
            return attrgetter(f"{whole.target}.first")(root)  # type: ignore[no-any-return]
    return fx.GraphModule(root, graph).forward


def places(root: nn.Module, paths: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return, for each path, the dictionary that holds what is there, and the key."""
    owners, keys = [], []
    for path in paths:
        prefix, _, key = path.rpartition(".")
        owner = root.get_submodule(prefix)
        kinds = (owner._parameters, owner._buffers, owner._modules)
        owners.append(next(kind for kind in kinds if key in kind))
        keys.append(key)
    return owners, keys


def held(
    root: nn.Module, written: Functional
) -> tuple[list[dict[str, Any]], list[str], list[nn.Module]]:
    """Return every module on the way to what a function uses: where it is kept, its name, itself."""
    paths = dict.fromkeys(written.flat)
    for path in written.values:
        paths[path.rpartition(".")[0]] = None
    every: dict[str, None] = {}
    for path in paths:
        parts = path.split(".") if path else []
        every.update(dict.fromkeys(".".join(parts[: i + 1]) for i in range(len(parts))))
    parents, names = places(root, list(every))
    return parents, names, [root.get_submodule(path) for path in every]


class Flats:
    """The functions of one network by mode. Copies and pickles begin anew."""

    def __init__(self) -> None:
        self.last: Flat | None = None
        self.known: list[Flat] = []

    def __reduce__(self) -> Any:
        return Flats, ()

    def of(self, root: fx.GraphModule) -> Flat | None:
        """Return the function of a network, None where somebody listens to the network itself."""
        if self.last is None or not self.last.holds():
            if observed(root):
                return None
            self.known = [item for item in self.known if item.modes != list(map(MODE, item.modal))]
            found = next((item for item in self.known if item.holds()), None)
            self.last = found or Flat(root)
            self.known = [*self.known[-3:], self.last]
        return self.last


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


def suits_channels_last(network: nn.Module) -> bool:
    """Return whether a network can be trained on images with their channels last, and gains by that."""
    return may_be_last(network) and not flattens(network)


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
