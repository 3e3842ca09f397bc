"""A network run backwards from its last states: step by step, algebraically or by a fixed point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, fx, nn

from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.folding import CHAIN, Cut, cuts, form_of
from schemegen.backends.graph import started, unplanned
from schemegen.backends.reverse import Undone, draws, undone, written
from schemegen.backends.steps import Network
from schemegen.diagnostics import UsageError
from schemegen.scheme.network import NetworkSpec
from schemegen.step.program import Program

__all__ = ["Carry", "InverseError", "Steps"]

Carry = tuple[Tensor, ...]


class InverseError(RuntimeError):
    """The fixed point of a step's inverse was not reached: its branch is no contraction there."""


class Steps:
    """The steps of a network as functions of what they carry: the states, and values that later steps read.

    ``module`` was made from ``program`` and ``spec``; its own blocks and coefficients are used, in its mode.
    """

    def __init__(
        self,
        module: SchemeNetwork,
        program: Program,
        spec: NetworkSpec,
        blocks: Mapping[str, str] | None = None,
    ) -> None:
        if hasattr(module, CHAIN):
            help_ = "build it with backprop='store'"
            raise UsageError("the steps of this network are folded for its backward pass", help_)
        self.module = module
        twin, self.network = unplanned(program, spec, blocks=blocks)
        self.found = with_states_first(cuts(twin, self.network.steps), self.network)
        self.forward = [form_of(cut) for cut in self.found]
        known: dict[object, Undone | None] = {}
        self.back: dict[int, tuple[fx.GraphModule, list[str]]] = {}
        for index, cut in enumerate(self.found):
            item = undone(self.network, index, cut, twin, known)
            if item is not None:
                builder = started(program, self.network.steps[index], twin)
                self.back[index] = form_of(written(self.network, index, item, builder, cut))
        self.names = [node.name for node in self.found[0].before]

    def run(self, form: tuple[fx.GraphModule, list[str]], carry: Sequence[Tensor]) -> Carry:
        function, targets = form
        result: Carry = function(*carry, *(attribute_at(self.module, name) for name in targets))
        return result

    def states(self, x: Tensor) -> list[Carry]:
        """Return what enters the first step, and what leaves each step."""
        first = fx.Interpreter(self.module, garbage_collect_values=False)
        first.run(x)
        nodes = {node.name: value for node, value in first.env.items()}
        carries: list[Carry] = [tuple(nodes[name] for name in self.names)]
        for form in self.forward:
            carries.append(self.run(form, carries[-1]))
        return carries

    def inverse(
        self, carry: Sequence[Tensor], count: int | None, tolerance: float | None, iterations: int
    ) -> list[Carry]:
        """Undo the last ``count`` steps, see :func:`schemegen.inverse`."""
        if self.module.training:
            raise UsageError("batch statistics cannot be undone", "call network.eval() first")
        total = len(self.found)
        stop = 0 if count is None else total - count
        if not 0 <= stop <= total:
            raise UsageError(f"the network has {total} steps, not {count}")
        for index in range(stop, total):
            reason = self.obstacle(index)
            if reason:
                step = self.network.steps[index]
                help_ = f"undo the last {total - index - 1} steps at most"
                raise UsageError(f"stage {step.stage}, step {step.index} {reason}", help_)
        carries: list[Carry] = [tuple(carry)]
        for index in reversed(range(stop, total)):
            if index in self.back:
                carries.append(self.run(self.back[index], carries[-1]))
            else:
                carries.append(self.solved(index, carries[-1], tolerance, iterations))
        return carries[::-1]

    def obstacle(self, index: int) -> str:
        """Return why a step cannot be undone, or nothing."""
        step, cut = self.network.steps[index], self.found[index]
        if step.reshapes:
            return "changes the shape, which has no inverse"
        after = self.network.spec.after
        if after is not None:
            return f"ends in `after: {after.name}`, which has no inverse"
        if index in self.back:
            return ""
        if draws(step, cut, self.module) and any(n.active == "always" for n in step.program.noises):
            return "draws random numbers, which the inverse does not know"
        if step.program.history or len(cut.before) != 1 or len(cut.after) != 1:
            return "has no inverse: it is no step of one state near the identity"
        return ""

    def solved(self, index: int, carry: Carry, tolerance: float | None, iterations: int) -> Carry:
        """Return x with ``F(x) = y`` by ``x <- x + y - F(x)``, which contracts where ``F - 1`` does."""
        (y,) = carry
        relative = 32 * torch.finfo(y.dtype).eps if tolerance is None else tolerance
        x, error, goal = y, torch.inf, relative * (1 + float(y.detach().abs().max()))
        for _ in range(iterations):
            (image,) = self.run(self.forward[index], (x,))
            rest = y - image
            x = x + rest
            error = float(rest.detach().abs().max())
            if error <= goal:
                return (x,)
        step = self.network.steps[index]
        raise InverseError(
            f"stage {step.stage}, step {step.index}: residual {error:.1e} after {iterations} iterations; "
            "the branch is no contraction there"
        )


def with_states_first(found: Sequence[Cut], network: Network) -> list[Cut]:
    """Return the steps with the states first in every carry; the last has all that a further step would read."""
    carries = [cut.before for cut in found] + [found[-1].after]
    ordered: list[tuple[fx.Node, ...]] = []
    for index, (carry, (states, history)) in enumerate(zip(carries, network.borders, strict=True)):
        known = dict.fromkeys([*states.values(), *history.values()])
        alive = known if index == len(found) else set(carry)
        ordered.append(tuple(node for node in (*known, *carry) if node in alive))
    unique = [tuple(dict.fromkeys(carry)) for carry in ordered]
    return [
        replace(cut, before=unique[index], after=unique[index + 1])
        for index, cut in enumerate(found)
    ]


def attribute_at(module: nn.Module, path: str) -> object:
    """Return the module or tensor at a dotted path."""
    found: object = module
    for name in path.split("."):
        found = getattr(found, name)
    return found
