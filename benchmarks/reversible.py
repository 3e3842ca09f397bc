"""Reversible stacks of the same branches: by schemegen, by memcnn, by revlib and by momentumnet.

Everybody has the stem, the branches and the head of one generated network, used as the peers' own pages say;
:func:`contestants` checks that all compute the same numbers. A peer that is not installed says so.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

import schemegen
from benchmarks.harness import Options, Report, interleaved, missing, ratios
from schemegen.network.memory import MIB, Bytes, size_of
from schemegen.pipeline import load
from schemegen.sources import zoo_file

__all__ = ["PEERS", "beside_peers"]

PEERS = ("memcnn", "revlib", "momentumnet")
STORED = "schemegen, stored"
REVERSIBLE = "schemegen, reversible"
GAMMA = 0.9
MOMENTUM = """scheme momentum "Momentum ResNet with a given momentum" {
  state x, v
  drift f(x): block preact
  step {
    v[n+1] = 9/10*v[n] + 1/10*f(x[n])
    x[n+1] = x[n] + h*v[n+1]
  }
  start: v zero
}
"""


class Stack(nn.Module):
    """The stem and the head of a network around somebody else's stack of its branches."""

    def __init__(self, network: fx.GraphModule, stack: nn.Module) -> None:
        super().__init__()
        self.stem, self.stack = nn.Sequential(*network.get_submodule("stem").children()), stack
        self.head = nn.Sequential(*network.get_submodule("head").children())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.stack(self.stem(x)))
        return y


def branches(network: fx.GraphModule, steps: int, *names: str) -> list[nn.Module]:
    return [network.get_submodule(f"stage1.{n}.{name}") for n in range(steps) for name in names]


def by_memcnn(network: fx.GraphModule, steps: int) -> nn.Module | str:
    if (absent := missing("memcnn")) is not None:
        return absent
    import memcnn

    pairs = [branches(network, steps, name) for name in ("f", "g")]
    rows = (memcnn.AdditiveCoupling(Fm=f, Gm=g) for f, g in zip(*pairs, strict=True))
    return nn.Sequential(
        *(memcnn.InvertibleModuleWrapper(fn=row, keep_input=False) for row in rows)
    )


def by_revlib(network: fx.GraphModule, steps: int) -> nn.Module | str:
    if (absent := missing("revlib")) is not None:
        return absent
    import revlib

    found: nn.Module = revlib.ReversibleSequential(*branches(network, steps, "f", "g"))
    return found


def by_momentumnet(network: fx.GraphModule, steps: int) -> nn.Module | str:
    if (absent := missing("momentumnet")) is not None:
        return absent
    import momentumnet

    functions = branches(network, steps, "f")
    found: nn.Module = momentumnet.MomentumNet(functions, gamma=GAMMA, use_backprop=False)
    return found


SCHEMES: dict[str, dict[str, Callable[[fx.GraphModule, int], nn.Module | str]]] = {
    "revnet": {"memcnn": by_memcnn, "revlib": by_revlib},
    "momentum": {"momentumnet": by_momentumnet},
}


class Held(Bytes):
    """The most bytes that tensors hold, taken at every operation: memcnn shrinks storages that are alive."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__(given)
        self.alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        sizes = [(place, storage()) for place, storage in self.alive.items()]
        self.alive = {place: self.alive[place] for place, storage in sizes if storage is not None}
        now = sum(storage.nbytes() for _, storage in sizes if storage is not None)
        self.peak = max(self.peak, now)
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.known:
            self.alive[storage._cdata] = weakref.ref(storage)


def activations(module: nn.Module, x: Tensor) -> float:
    """Return the peak of a training step in MiB without parameters, buffers and gradients of parameters."""
    module.zero_grad()
    with Held([*module.parameters(), *module.buffers()]) as held:
        held.alive[x.untyped_storage()._cdata] = weakref.ref(x.untyped_storage())
        module(x).square().mean().backward()
    return (held.peak - size_of(module.parameters())) / MIB


def contestants(
    scheme: str, network: str, steps: int, width: int, x: Tensor
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Return everybody's network, and what is said of those who are not installed."""
    text = MOMENTUM if scheme == "momentum" else zoo_file(scheme).read_text(encoding="utf-8") + "\n"
    text += network.format(steps=steps, width=width)
    own = schemegen.build(load(text, scheme), backprop="store")
    backwards = schemegen.build(load(text, scheme), backprop="reversible")
    backwards.load_state_dict(own.state_dict())
    found: dict[str, nn.Module] = {STORED: own, REVERSIBLE: backwards}
    said = {}
    for name, make in SCHEMES[scheme].items():
        stack = make(own, steps)
        if isinstance(stack, str):
            said[name] = stack
        else:
            found[name] = Stack(own, stack)
    with torch.no_grad():
        for name, module in found.items():
            torch.testing.assert_close(module(x), own(x), rtol=1e-3, atol=1e-3, msg=name)
    return found, said


def step(module: nn.Module, x: Tensor) -> Callable[[], None]:
    def run() -> None:
        module.zero_grad()
        module(x).square().mean().backward()

    return run


def beside_peers(report: Report, options: Options, network: str, width: int, batch: int) -> None:
    """Memory of a training step by depth, and its time at the first of the depths."""
    depths = [2, 4] if options.quick else [10, 50, 100]
    names = [f"{depth} steps" for depth in depths]
    title = f"Reversible stacks of the same branches: MiB of activations by depth, and time of {depths[0]} steps"
    table = report.table(
        f"{title} over the stored network, batch {batch}, {width} channels of 32 x 32",
        "scheme", "by", *names, "time",
    )  # fmt: skip
    x = torch.randn(batch, 3, 32, 32)
    for scheme in SCHEMES:
        peaks: dict[str, list[object]] = {}
        time: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the peers call is deprecated in part
            for depth in depths:
                found, said = contestants(scheme, network, depth, width, x)
                for name, module in found.items():
                    peaks.setdefault(name, []).append(round(activations(module, x), 2))
                if depth == depths[0]:
                    runs = {name: step(module, x) for name, module in found.items()}
                    time = ratios(interleaved(runs, options.number(9), warmup=1), STORED)
        table.rows += [[scheme, name, *peaks[name], time[name]] for name in peaks]
        table.rows += [[scheme, name, *[text] * len(depths), None] for name, text in said.items()]
