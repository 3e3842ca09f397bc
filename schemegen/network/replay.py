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

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from schemegen.network.blocks import Statistics
from schemegen.network.solvers import Solver

__all__ = ["Call", "Chain", "Plan", "Rerun", "Reverse"]

Carry = tuple[Tensor, ...]
Values = dict[int, Tensor]


@dataclass(frozen=True, slots=True)
class Rerun:
    """Steps ``start`` to ``stop`` (not included): keep the carry before them, run ``inner`` from it later."""

    start: int
    stop: int
    inner: Plan


@dataclass(frozen=True, slots=True)
class Reverse:
    """Steps ``start`` to ``stop`` (not included): keep the carry after them, run them backwards later."""

    start: int
    stop: int


Plan = tuple[int | Rerun | Reverse, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One step: a function of the carry, and which modules and parameters it is called with.

    ``form`` and ``inverse`` number the functions of a chain; ``owners`` and ``undo`` their further arguments.
    """

    form: int
    owners: tuple[int, ...]
    inverse: int | None = None
    undo: tuple[int, ...] = ()


class Chain(nn.Module):
    """Runs steps in a row and pulls gradients back through them as a plan says.

    ``forms`` are functions ``(*carry, *owners) -> carry`` without parameters of their own; a call hands them the
    modules and parameters of the network. Where no gradient is asked for, and in an exported graph, the steps
    simply run.
    """

    def __init__(self, forms: Sequence[nn.Module], calls: Sequence[Call], plan: Plan) -> None:
        super().__init__()
        self.forms = nn.ModuleList(forms)
        self.calls = tuple(calls)
        self.plan = plan

    def forward(self, carry: Carry, owners: tuple[nn.Module | Tensor, ...]) -> Carry:
        if torch.compiler.is_exporting() or not torch.is_grad_enabled():
            for call in self.calls:
                chosen = [owners[index] for index in call.owners]
                carry = self.forms[call.form](*carry, *chosen)
            return carry
        return _Run(self, owners).planned(carry)

    def extra_repr(self) -> str:
        return f"steps={len(self.calls)}"


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a step finds a parameter: by name in a module, or as an argument (``module`` None)."""

    module: nn.Module | None
    name: str
    key: int


@dataclass(frozen=True, slots=True)
class _Tape:
    """A step whose activations are held: leaves in, results out."""

    inputs: Carry
    values: Values
    outputs: Carry


Entry = tuple[Rerun | Reverse, Carry]
Pending = list[Entry | _Tape]


class _Run:
    """One forward pass of a chain and what its backward pass needs besides the kept carries."""

    def __init__(self, chain: Chain, owners: tuple[nn.Module | Tensor, ...]) -> None:
        self.chain = chain
        self.owners = owners
        self.parameters: Values = {}
        self.slots = [self.slots_of(call) for call in chain.calls]
        used = [key for slots in self.slots for key in {slot.key for slot in slots}]
        self.shared = {key for key in self.parameters if used.count(key) > 1} if used else set()
        self.draws: dict[int, list[Tensor]] = {}
        self.before: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self.recording = True

    def slots_of(self, call: Call) -> list[_Slot]:
        found: list[_Slot] = []
        for index in call.owners:
            owner = self.owners[index]
            if isinstance(owner, nn.Module):
                for module in owner.modules():
                    for name, parameter in module._parameters.items():
                        if parameter is not None:
                            found.append(_Slot(module, name, id(parameter)))
                            self.parameters[id(parameter)] = parameter
            elif owner.requires_grad:
                found.append(_Slot(None, "", id(owner)))
                self.parameters[id(owner)] = owner
        return found

    def keys(self, start: int, stop: int) -> list[int]:
        """Return the parameters of some steps, in the order of first use."""
        return list(dict.fromkeys(s.key for slots in self.slots[start:stop] for s in slots))

    # --- forward --------------------------------------------------------------------------------------

    def planned(self, carry: Carry) -> Carry:
        """Run the steps so that autograd follows the plan."""
        values: Values = {}
        for stored, items in groupby(self.chain.plan, key=lambda item: isinstance(item, int)):
            group = tuple(items)
            if stored:
                for item in group:
                    carry = self.step(item, carry, values)  # type: ignore[arg-type]
                continue
            keys = self.keys(group[0].start, group[-1].stop)  # type: ignore[union-attr]
            tensors = [values.get(key, self.parameters[key]) for key in keys]
            shared = [key for key in keys if key in self.shared]
            results = _Replayed.apply(self, group, len(carry), tuple(keys), *carry, *tensors)
            carry = results[: len(results) - len(shared)]
            values.update(zip(shared, results[len(carry) :], strict=True))
        return carry

    def step(self, index: int, carry: Carry, values: Values, undo: bool = False) -> Carry:
        """Run one step, or its inverse, with ``values`` in place of the parameters they are keyed by."""
        call = self.chain.calls[index]
        form, chosen = (call.inverse, call.undo) if undo else (call.form, call.owners)
        owners = [self.owners[item] for item in chosen]
        arguments = [
            values.get(id(item), item) if isinstance(item, Tensor) else item for item in owners
        ]
        with _swapped(self.slots[index], values), self.history(index, carry):
            result: Carry = self.chain.forms[form](*carry, *arguments)  # type: ignore[index]
        return result

    @contextmanager
    def history(self, index: int, carry: Carry) -> Iterator[None]:
        """In the first run note the generators and buffers a step changes; later start from them again."""
        if not self.recording:
            if index in self.draws:
                _set_generators(self.draws[index], carry)
            for buffer, value in self.before.get(index, ()):
                buffer.data.copy_(value)
            yield
            return
        generators = _generators(carry)
        buffers = [(buffer, buffer.clone()) for buffer in self.stateful(index)]
        yield
        if not all(map(torch.equal, generators, _generators(carry))):
            self.draws[index] = generators
        changed = [(b, value) for b, value in buffers if not torch.equal(b, value)]
        if changed:
            self.before[index] = changed

    def modules(self, index: int) -> Iterator[nn.Module]:
        for item in self.chain.calls[index].owners:
            owner = self.owners[item]
            if isinstance(owner, nn.Module):
                yield from owner.modules()

    def stateful(self, index: int) -> Iterator[Tensor]:
        """Yield the buffers a step may compute with and change; batch statistics are not computed with."""
        for module in self.modules(index):
            if not isinstance(module, nn.modules.batchnorm._BatchNorm | Statistics):
                yield from (item for item in module._buffers.values() if item is not None)

    # --- backward -------------------------------------------------------------------------------------

    def expand(self, plan: Plan, carry: Carry, pending: Pending) -> Carry:
        """Run the steps of a plan and put on ``pending`` what pulling back through them starts from."""
        for item in plan:
            if isinstance(item, int):
                tape = self.tape(item, carry)
                pending.append(tape)
                carry = tuple(value.detach() for value in tape.outputs)
                continue
            kept = carry
            for index in range(item.start, item.stop):
                carry = self.advance(index, carry)
            pending.append((item, carry if isinstance(item, Reverse) else kept))
        return carry

    def advance(self, index: int, carry: Carry) -> Carry:
        """Run a step and keep nothing of it.

        An implicit gradient makes a solver sweep once more, so such a step runs as it will with its activations.
        """
        if any(isinstance(item, Solver) for item in self.modules(index)):
            return tuple(item.detach() for item in self.tape(index, carry).outputs)
        return self.step(index, carry, {})

    def tape(self, index: int, carry: Carry) -> _Tape:
        """Run a step with its activations held."""
        keys = {slot.key for slot in self.slots[index]}
        with torch.enable_grad():
            inputs = tuple(item.detach().requires_grad_() for item in carry)
            values = {
                key: item.detach().requires_grad_(item.requires_grad)
                for key, item in self.parameters.items()
                if key in keys
            }
            return _Tape(inputs, values, self.step(index, inputs, values))

    def pull(
        self, tape: _Tape, gradients: Sequence[Tensor | None], sums: Values
    ) -> list[Tensor | None]:
        """Pull the gradients of a step's results back to its carry; add those of parameters to ``sums``.

        A sum so far enters as the gradient of the parameter itself, and so is added to first.
        """
        wanted = {key: value for key, value in tape.values.items() if value.requires_grad}
        roots = [(value, sums[key]) for key, value in wanted.items() if key in sums]
        for value, gradient in zip(tape.outputs, gradients, strict=True):
            if gradient is not None and value.requires_grad:
                roots.append((value, gradient))
        leaves = [*tape.inputs, *wanted.values()]
        if not roots:
            return [None for _ in tape.inputs]
        found = torch.autograd.grad(
            [value for value, _ in roots],
            leaves,
            [gradient for _, gradient in roots],
            allow_unused=True,
        )
        for key, gradient in zip(wanted, found[len(tape.inputs) :], strict=True):
            if gradient is not None:
                sums[key] = gradient
        return list(found[: len(tape.inputs)])

    def back(
        self, pending: Pending, gradients: Sequence[Tensor | None], sums: Values
    ) -> Sequence[Tensor | None]:
        """Work off ``pending`` from the end and return the gradients of the first carry."""
        while pending:
            entry = pending.pop()
            if isinstance(entry, _Tape):
                gradients = self.pull(entry, gradients, sums)
                continue
            item, carry = entry
            if isinstance(item, Rerun):
                self.expand(item.inner, carry, pending)
                continue
            for index in reversed(range(item.start, item.stop)):
                carry = self.step(index, carry, {}, undo=True)
                gradients = self.pull(self.tape(index, carry), gradients, sums)
        return gradients

    @contextmanager
    def again(self, start: int, stop: int, carry: Carry) -> Iterator[None]:
        """Recompute some steps and leave generators and buffers as they were."""
        generators = _generators(carry)
        found = {
            id(buffer): buffer
            for index in range(start, stop)
            for module in self.modules(index)
            for buffer in module._buffers.values()
            if buffer is not None
        }
        kept = [(buffer, buffer.clone()) for buffer in found.values()]
        self.recording = False
        try:
            yield
        finally:
            _set_generators(generators, carry)
            for buffer, value in kept:
                buffer.data.copy_(value)  # a plain copy would spoil graphs that saved the buffer


class _Replayed(torch.autograd.Function):
    """Steps without their activations; the backward pass computes them again as the plan says."""

    @staticmethod
    def forward(
        ctx: Any, run: _Run, group: Plan, width: int, keys: tuple[int, ...], *tensors: Tensor
    ) -> Carry:
        pending: Pending = []
        carry = run.expand(group, tensors[:width], pending)
        kept: list[Tensor] = []
        ctx.kept = []
        for item, values in pending:  # type: ignore[misc]
            ctx.kept.append((item, len(kept), len(kept) + len(values)))
            kept += values
        ctx.save_for_backward(*kept)
        ctx.run, ctx.keys, ctx.width = run, keys, width
        ctx.autocast = _autocast_of(tensors[0].device.type)
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
        run: _Run = ctx.run
        shared = [key for key in ctx.keys if key in run.shared]
        split = len(gradients) - len(shared)
        sums = {
            key: gradient
            for key, gradient in zip(shared, gradients[split:], strict=True)
            if gradient is not None
        }
        saved = ctx.saved_tensors
        pending: Pending = [(item, saved[first:last]) for item, first, last in ctx.kept]
        first, last = pending[0][0].start, pending[-1][0].stop  # type: ignore[index]
        with run.again(first, last, saved), _autocast(ctx.autocast):
            found = run.back(pending, gradients[:split], sums)
        return (None, None, None, None, *found, *(sums.get(key) for key in ctx.keys))


@contextmanager
def _swapped(slots: Sequence[_Slot], values: Values) -> Iterator[None]:
    """Put ``values`` in place of the parameters of a step's modules."""
    changed = [slot for slot in slots if slot.module is not None and slot.key in values]
    old = [slot.module._parameters[slot.name] for slot in changed]  # type: ignore[union-attr]
    for slot in changed:
        slot.module._parameters[slot.name] = values[slot.key]  # type: ignore
    try:
        yield
    finally:
        for slot, parameter in zip(changed, old, strict=True):
            slot.module._parameters[slot.name] = parameter  # type: ignore[union-attr]


def _generators(carry: Carry) -> list[Tensor]:
    """Return the states of the generators that steps on these tensors draw from."""
    device = carry[0].device
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def _set_generators(states: Sequence[Tensor], carry: Carry) -> None:
    device = carry[0].device
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], device)


Autocast = tuple[str, bool, torch.dtype, bool]


def _autocast_of(device: str) -> Autocast:
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return device, enabled, dtype, torch.is_autocast_cache_enabled()


@contextmanager
def _autocast(state: Autocast) -> Iterator[None]:
    """Compute again in the precision of the first run, whatever holds in the backward pass."""
    device, enabled, dtype, cached = state
    with torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cached):
        yield
