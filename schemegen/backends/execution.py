"""The network as a graph module whose errors name the line of the scheme they come from."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from schemegen.backends.picklable import PicklableGraph
from schemegen.network.region import Region
from schemegen.network.replay import Chain
from schemegen.network.solvers import Solver

Step = tuple[int | str, int | None]

__all__ = ["NetworkError", "SchemeNetwork", "failing_place"]


class NetworkError(RuntimeError):
    """A call of a generated network failed; the message names the scheme's line, stage and step."""


class SchemeNetwork(PicklableGraph):
    """A generated network.

    A call that fails is run again node by node to find the place in the scheme file; a compiled or traced
    network is left alone. ``meta["coefficients"]`` tells of every learnable coefficient by state-dict key.
    """

    def __init__(self, root: Any, graph: fx.Graph, class_name: str = "GraphModule") -> None:
        super().__init__(root, graph, class_name)
        for name, item in self.named_modules():
            if isinstance(item, Solver):
                item.place = name
        for node in self.graph.nodes:
            if node.op == "call_module":
                called = self.get_submodule(str(node.target))
                if isinstance(called, Chain):
                    called.bind(self, [str(item.target) for item in node.args[1]])

    def _deepcopy_init(self) -> Any:
        return SchemeNetwork.__init__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            where = failing_place(self, args)
            if where is None:
                raise
            raise NetworkError(f"{where}: {error}") from error


class Locator(fx.Interpreter):
    """Runs a graph node by node, a chain step by step, and remembers the last node.

    ``step`` is the stage and step of a node of a chain, whose functions several steps share.
    """

    last: fx.Node | None = None
    step: Step | None = None

    def run_node(self, n: fx.Node) -> Any:
        self.last, self.step = n, None
        return super().run_node(n)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = self.fetch_attr(str(target))
        if isinstance(found, Region):
            custom = self.last.meta["custom"] if self.last is not None else {}
            return self.inside(found, args, (custom.get("stage", ""), custom.get("step")))
        if not isinstance(found, Chain):
            return super().call_module(target, args, kwargs)
        carry, owners_ = args
        for call in found.calls:
            owners = (owners_[index] for index in call.owners)
            carry = self.inside(found.forms[call.form], (*carry, *owners), call.place)
        return carry

    def inside(self, form: nn.Module, args: tuple[Any, ...], step: Step) -> Any:
        """Run a function that several steps share, for one of them."""
        inner = Locator(form.form if isinstance(form, Region) else form)
        inner.extra_traceback = False
        try:
            return inner.run(*args)
        except Exception:
            self.last, self.step = inner.last, step
            raise


def failing_place(module: fx.GraphModule, args: tuple[Any, ...]) -> str | None:
    """Run ``module`` again and return the place in the scheme that fails, None if none does."""
    locator = Locator(module)
    locator.extra_traceback = False
    try:
        with torch.no_grad():
            locator.run(*args)
    except Exception:
        node = locator.last
        known = node is not None and "custom" in node.meta
        return place(node, locator.step) if known else None  # type: ignore[arg-type]
    return None


def place(node: fx.Node, step: Step | None = None) -> str:
    """Return ``file.scheme:7: stage 2, step 0, k1`` for a node."""
    custom = node.meta["custom"]
    custom = custom if step is None else {**custom, "stage": step[0], "step": step[1]}
    where = f"{custom['file']}:{custom['line']}"
    if custom["step"] is None:
        return f"{where}: {custom['stage']}, {custom['value']}"
    return f"{where}: stage {custom['stage']}, step {custom['step']}, {custom['value']}"
