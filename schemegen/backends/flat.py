"""Networks and blocks as flat functions of their input, and whether they still are what was written."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter, getitem
from typing import Any

import torch
from torch import Tensor, fx, nn

from schemegen.backends.adjoint import runnable, with_adjoint
from schemegen.backends.costs import cheapest, forms
from schemegen.backends.functional import alone, functional
from schemegen.backends.inplace import accumulate, reuse
from schemegen.backends.written import HOOKS, Functional, observed
from schemegen.network.blocks import StageBatchNorm
from schemegen.network.layout import suits_channels_last
from schemegen.network.solvers import evaluate

__all__ = ["Code", "Flat", "Flats", "places"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, StageBatchNorm)
MODE = attrgetter("training")
Function = Callable[..., Any]


class Flat:
    """A network as a function, and whether it still is that network.

    The function was written for modules that were not observed, in the mode they were in. A module that was
    replaced, got a hook, a parametrisation or another ``forward`` is noticed before each call. ``ordered``: images
    are left as they lie in memory.
    """

    def __init__(self, root: fx.GraphModule, *, ordered: bool = False) -> None:
        written = functional(root)
        self.owners, self.keys = places(root, list(written.values))
        for place in handed(written):
            owner, key = self.owners[place], self.keys[place]
            if isinstance(owner[key], nn.Module) and not isinstance(owner[key], fx.GraphModule):
                self.owners[place] = {key: Standing(owner, key)}
        self.parents, self.names, self.expected = held(root, written)
        self.flat = [root, *written.flat.values()]
        self.watched = [getattr(m, name) for m in self.flat for name in HOOKS]
        self.types = list(map(type, self.flat))
        self.bodies = [module.__dict__ for module in self.flat]
        self.sizes = list(map(len, self.bodies))
        self.modal = list(written.modes.values())
        self.modes = list(map(MODE, self.modal))
        self.ordered = ordered or written.ordered or not suits_channels_last(root)
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

    def followed(self, x: Tensor, *, constant: bool = False) -> Any:
        """Return the same, pulled back by autograd; ``constant``: to ``x`` alone."""
        values = map(getitem, self.owners, self.keys)
        if constant:
            values = map(detached, values)
        return self.plain(x, *values)

    def cheapest(self, batch: int) -> Code:
        """Return the code for a batch; batches of like size have the same."""
        size = 1 << max(batch.bit_length() - 1, 0)
        place = cheapest([code.graph for code in self.codes], size)
        return self.by_batch.setdefault(batch, self.codes[place])


def detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


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


def handed(written: Functional) -> Iterator[int]:
    """Return the places of what modules are handed as an argument."""
    for place, node in enumerate(written.values.values()):
        called = [user for user in node.users if user.target is evaluate]
        if called and all(user.args[0] is not node for user in called):
            yield place


class Standing:
    """A block that other modules are handed, as a function of its input.

    ``standing(x, *call)`` is ``block(x, *call)``. A block that is not known, or one of more tensors than ``x``, is
    called as it is. Gradients are left to autograd: a backward pass of its own does not pay for one block, and
    solvers ask for the gradient of ``x`` often, for which autograd visits only what leads there.
    """

    def __init__(self, owner: dict[str, Any], key: str) -> None:
        self.owner, self.key = owner, key
        self.block: nn.Module = owner[key]
        self.known: dict[Any, tuple[fx.GraphModule, Flats]] = {}

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.owner[self.key].parameters()  # type: ignore[no-any-return]

    def __call__(self, x: Tensor, *call: Any) -> Any:
        flat = self.of(x, call)
        if flat is None:
            return self.block(x, *call)
        return flat.followed(x) if torch.is_grad_enabled() else flat(x)

    def constant(self, x: Tensor, *call: Any) -> Any:
        """Return the same without gradients of what the block has learned."""
        flat = self.of(x, call)
        return self.block(x, *call) if flat is None else flat.followed(x, constant=True)

    def of(self, x: Tensor, call: tuple[Any, ...]) -> Flat | None:
        block = self.owner[self.key]
        if block is not self.block:  # another one took its place
            self.block, self.known = block, {}
        if any(isinstance(item, Tensor) for item in call):
            return None
        key = (x.shape[1:], *call)
        if key not in self.known:
            self.known[key] = alone(self.block, x.shape[1:], call), Flats(ordered=True)
        network, flats = self.known[key]
        found = flats.of(network)
        return found if found is not None and self.block in found.flat else None


class Flats:
    """The functions of one network by mode. Copies and pickles begin anew."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.ordered = ordered
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
            self.last = found or Flat(root, ordered=self.ordered)
            self.known = [*self.known[-3:], self.last]
        return self.last
