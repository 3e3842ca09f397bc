"""Shapes of a generated network, found without computing: what does not fit is an error of the file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from schemegen.backends.builder import Construction
from schemegen.backends.execution import Locator, SchemeNetwork, place
from schemegen.diagnostics import Diagnostic, SchemeError
from schemegen.network.solvers import blind
from schemegen.scheme.network import NetworkSpec

__all__ = ["first_line", "propagate"]


def propagate(module: SchemeNetwork, spec: NetworkSpec, made: Mapping[str, Construction]) -> None:
    """Run the graph on fake tensors: shapes into ``meta["shape"]``, misfits as errors of the file."""
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    propagation = FakeProp(module, mode, made)
    training = module.training
    module.eval()
    try:
        with blind(module):
            propagation.propagate(torch.zeros(2, *spec.input_shape, dtype=dtype))
    except Exception as error:
        node = propagation.last
        if node is None or "custom" not in node.meta or not is_misfit(error):
            raise
        message = f"{place(node).partition(': ')[2]}: {first_line(error)}"
        raise SchemeError([Diagnostic("E0605", message, node.meta["span"])]) from error
    finally:
        module.train(training)
    for node in module.graph.nodes:
        value = node.meta.pop("val", None)
        node.meta.pop("tensor_meta", None)
        node.meta.pop("span", None)
        if isinstance(value, torch.Tensor):
            node.meta["shape"] = tuple(value.shape[1:])


class FakeProp(Locator, FakeTensorProp):
    """Fake-tensor propagation that remembers the node it is at.

    Modules of one construction give the same shape for the same shapes, so each runs once: the time of a
    deep network is that of its different blocks.
    """

    def __init__(
        self, module: fx.GraphModule, mode: FakeTensorMode, made: Mapping[str, Construction]
    ) -> None:
        FakeTensorProp.__init__(self, module, mode)
        self.extra_traceback = False
        self.construction = made
        self.known: dict[tuple[object, ...], Any] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = self.construction.get(str(target))
        # What a user's class computes may depend on more than its arguments.
        if made is None or "python:" in repr(made) or not all(map(described, args)):
            return super().call_module(target, args, kwargs)
        shapes = ((x.shape, x.dtype) if isinstance(x, torch.Tensor) else (type(x), x) for x in args)
        key = (made, *shapes)
        if key not in self.known:
            self.known[key] = super().call_module(target, args, kwargs)
        return self.known[key]


def described(value: Any) -> bool:
    """Return whether shape and type, or the value itself, say all that a shape depends on."""
    return isinstance(value, torch.Tensor | int | float)


def is_misfit(error: Exception) -> bool:
    return isinstance(error, RuntimeError | ValueError | TypeError | IndexError)


def first_line(error: Exception) -> str:
    return inspect.cleandoc(str(error)).split("\n", 1)[0]
