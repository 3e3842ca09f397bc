"""Steps in a row whose activations are computed again in the backward pass instead of being kept.

A plan says how: a number is a step whose activations are stored, :class:`Rerun` keeps the carry before some
steps and runs them again from there, :class:`Reverse` keeps the carry after them and runs them backwards. The
*carry* is what one step hands to the next: the states and the remembered values.

Recomputation leaves no trace. Random draws are those of the first run, and the generators and all buffers end
as a stored run leaves them. A parameter that several steps use collects its gradient in the order in which a
stored run adds it, so that gradients agree to the last bit, except behind :class:`Reverse`, where the carry is
rounded anew.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from schemegen.diagnostics import InternalError
from schemegen.network.conditions import Autocast, Carry, Meter, autocast, autocast_of
from schemegen.network.opaque import numbered, run_opaque
from schemegen.network.rerun import Call, Pending, Plan, Rerun, Reverse, Run, Slot, Values, swapped
from schemegen.network.solvers import blind

__all__ = ["Call", "Chain", "Held", "Plan", "Rerun", "Reverse"]


class Chain(nn.Module):
    """Runs steps in a row and pulls gradients back through them as a plan says.

    ``forms`` are functions ``(*carry, *owners) -> carry`` without parameters of their own; a call hands them the
    modules and parameters of the network. Where no gradient is asked for, and in an exported graph, the steps
    simply run. ``bound`` is the relative error that a carry may have which was run back to.
    """

    def __init__(
        self,
        forms: Sequence[nn.Module],
        calls: Sequence[Call],
        plan: Plan,
        bound: float | None = None,
    ) -> None:
        super().__init__()
        self.meter = Meter(bound)
        self.forms = nn.ModuleList(forms)
        self.calls = tuple(calls)
        self.plan = plan
        self.number = 0
        self.root: weakref.ref[nn.Module] | None = None
        self.names: tuple[str, ...] = ()

    def bind(self, root: nn.Module, names: Sequence[str]) -> None:
        """Say in which network the chain is, and what its owners are called there."""
        self.root, self.names = weakref.ref(root), tuple(names)
        self.number = numbered(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "root": None}

    def forward(self, carry: Carry, owners: tuple[nn.Module | Tensor, ...]) -> Carry:
        if torch.compiler.is_exporting() or not torch.is_grad_enabled():
            for call in self.calls:
                chosen = [owners[index] for index in call.owners]
                carry = self.forms[call.form](*carry, *chosen)
            return carry
        if torch.compiler.is_compiling():
            return run_opaque(self, carry, owners)
        self.meter.check()
        run = Run(list(self.forms), self.calls, owners, meter=self.meter)
        return planned(run, self.plan, carry)

    def owners(self) -> tuple[nn.Module | Tensor, ...]:
        """Return what the network calls its steps with."""
        root = None if self.root is None else self.root()
        if root is None:
            raise InternalError("a chain is run without its network")
        return tuple(operator.attrgetter(name)(root) for name in self.names)

    def hold(self, carry: Carry, parameters: Sequence[Tensor]) -> Held:
        """Run the steps with ``parameters`` in place of the network's own, and hold what goes back."""
        self.meter.check()
        run = Run(list(self.forms), self.calls, self.owners(), parameters, self.meter)
        pending: Pending = []
        results = run.expand(self.plan, carry, pending)
        return Held(run, pending, results, autocast_of(carry[0].device.type))

    def shapes(
        self, carry: Carry, parameters: Sequence[Tensor], buffers: Mapping[int, Tensor]
    ) -> Carry:
        """Run the steps on tensors without values; ``buffers`` replace those of the network by ``id``."""
        owners = self.owners()
        run = Run(list(self.forms), self.calls, owners, parameters)
        slots = [
            Slot(module, name, id(value))
            for owner in owners
            if isinstance(owner, nn.Module)
            for module in owner.modules()
            for name, value in module._buffers.items()
            if value is not None
        ]
        with swapped(slots, buffers, "_buffers"), ExitStack() as stack:
            for owner in owners:
                if isinstance(owner, nn.Module):
                    stack.enter_context(blind(owner))
            for index in range(len(self.calls)):
                carry = run.bare(index, carry, run.values)
        return carry

    def extra_repr(self) -> str:
        return f"steps={len(self.calls)}"


def planned(run: Run, plan: Plan, carry: Carry) -> Carry:
    """Run the steps so that autograd follows the plan."""
    values: Values = {}
    for stored, items in groupby(plan, key=lambda item: isinstance(item, int)):
        group = tuple(items)
        if stored:
            for item in group:
                carry = run.step(item, carry, values)  # type: ignore[arg-type]
            continue
        keys = run.keys(group[0].start, group[-1].stop)  # type: ignore[union-attr]
        tensors = [values.get(key, run.parameters[key]) for key in keys]
        shared = [key for key in keys if key in run.shared]
        results = _Replayed.apply(run, group, len(carry), tuple(keys), *carry, *tensors)
        carry = results[: len(results) - len(shared)]
        values.update(zip(shared, results[len(carry) :], strict=True))
    return carry


class _Replayed(torch.autograd.Function):
    """Steps without their activations; the backward pass computes them again as the plan says."""

    @staticmethod
    def forward(
        ctx: Any, run: Run, group: Plan, width: int, keys: tuple[int, ...], *tensors: Tensor
    ) -> Carry:
        pending: Pending = []
        carry = run.expand(group, tensors[:width], pending)
        kept: list[Tensor] = []
        ctx.kept = []
        for item, before, after in pending:  # type: ignore[misc]
            ctx.kept.append((item, len(kept), len(kept) + len(before)))
            kept += [*before, *after]
        ctx.save_for_backward(*kept)
        ctx.run, ctx.keys, ctx.width = run, keys, width
        ctx.autocast = autocast_of(tensors[0].device.type)
        ctx.set_materialize_grads(False)
        sums = [
            value.detach()
            for key, value in zip(keys, tensors[width:], strict=True)
            if key in run.shared
        ]
        return (*carry, *sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        run: Run = ctx.run
        shared = [key for key in ctx.keys if key in run.shared]
        split = len(gradients) - len(shared)
        sums = {
            key: gradient
            for key, gradient in zip(shared, gradients[split:], strict=True)
            if gradient is not None
        }
        saved = ctx.saved_tensors
        pending: Pending = []
        ends = [first for _, first, _ in ctx.kept[1:]] + [len(saved)]
        for (item, first, middle), last in zip(ctx.kept, ends, strict=True):
            pending.append((item, saved[first:middle], saved[middle:last]))
        first, last = ctx.kept[0][0].start, ctx.kept[-1][0].stop
        with run.again(first, last, saved[0].device), autocast(ctx.autocast):
            found = run.back(pending, gradients[:split], sums)
        return (None, None, None, None, *found, *(sums.get(key) for key in ctx.keys))


@dataclass(frozen=True, slots=True)
class Held:
    """A pass through a whole chain, and what its backward pass starts from."""

    run: Run
    pending: Pending
    results: Carry
    precision: Autocast

    def back(self, gradients: Sequence[Tensor | None]) -> tuple[Sequence[Tensor | None], Values]:
        """Return the gradients of the carry and, by key, those of the parameters."""
        sums: Values = {}
        last = len(self.run.calls)
        with self.run.again(0, last, self.results[0].device), autocast(self.precision):
            return self.run.back(self.pending, gradients, sums), sums
