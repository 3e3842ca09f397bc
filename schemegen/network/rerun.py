"""Running steps again: the work of one pass of a chain, see :mod:`schemegen.network.replay`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from schemegen.network.blocks import Statistics
from schemegen.network.conditions import Carry, Meter, distance, generators, set_generators
from schemegen.network.opaque import Owners, parameters_of
from schemegen.network.retrace import ended
from schemegen.network.solvers import Solver

__all__ = [
    "Call",
    "Pending",
    "Plan",
    "Rerun",
    "Reverse",
    "Run",
]

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
    ``retrace`` undoes the step and runs it again, with ``owners``; see :mod:`schemegen.network.retrace`.
    ``place`` is the stage and the step within it.
    """

    form: int
    owners: tuple[int, ...]
    inverse: int | None = None
    undo: tuple[int, ...] = ()
    retrace: int | None = None
    place: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a step finds a parameter: by name in a module, or as an argument (``module`` None)."""

    module: nn.Module | None
    name: str
    key: int


@dataclass(frozen=True, slots=True)
class Tape:
    """A step whose activations are held, from its leaves to where the gradients of its results enter."""

    inputs: Carry
    values: Values
    ends: tuple[GradientEdge | None, ...]


Entry = tuple[Rerun | Reverse, Carry, Carry]
Pending = list[Entry | Tape]


class Run:
    """One forward pass of a chain and what its backward pass needs besides the kept carries."""

    def __init__(
        self,
        forms: Sequence[nn.Module],
        calls: Sequence[Call],
        owners: Owners,
        given: Sequence[Tensor] | None = None,
        meter: Meter | None = None,
    ) -> None:
        """``given`` stand for the parameters of ``owners``, in their order."""
        self.meter = meter or Meter()
        self.forms = forms
        self.calls = calls
        self.owners = owners
        self.parameters: Values = {id(item): item for item in parameters_of(owners)}
        self.values: Values = {}
        if given is not None:
            self.values = self.parameters = dict(zip(self.parameters, given, strict=True))
        self.learning = {id(item) for item in parameters_of(owners) if item.requires_grad}
        self.slots = [self.slots_of(call) for call in calls]
        used = Counter(key for slots in self.slots for key in {slot.key for slot in slots})
        self.shared = {key for key, count in used.items() if count > 1}
        self.draws: dict[int, list[Tensor]] = {}
        self.before: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self.recording = True

    def slots_of(self, call: Call) -> list[Slot]:
        found: list[Slot] = []
        for index in call.owners:
            owner = self.owners[index]
            if isinstance(owner, nn.Module):
                for module in owner.modules():
                    for name, parameter in module._parameters.items():
                        if parameter is not None:
                            found.append(Slot(module, name, id(parameter)))
            else:
                found.append(Slot(None, "", id(owner)))
        return found

    def keys(self, start: int, stop: int) -> list[int]:
        """Return the parameters of some steps, in the order of first use."""
        return list(dict.fromkeys(s.key for slots in self.slots[start:stop] for s in slots))

    def step(self, index: int, carry: Carry, values: Values, undo: bool = False) -> Carry:
        """Run one step, or its inverse, with ``values`` in place of the parameters they are keyed by."""
        with self.history(index, carry[0].device):
            return self.bare(index, carry, values, undo)

    def bare(self, index: int, carry: Carry, values: Values, undo: bool = False) -> Carry:
        """Run one step without noting or repeating what it draws and changes."""
        call = self.calls[index]
        form, owners = (call.inverse, call.undo) if undo else (call.form, call.owners)
        result: Carry = self.call(index, form, owners, values, *carry)
        return result

    def call(
        self, index: int, form: int | None, chosen: Sequence[int], values: Values, *given: Any
    ) -> Any:
        """Call a function of a step."""
        owners = [self.owners[item] for item in chosen]
        arguments = [
            values.get(id(item), item) if isinstance(item, Tensor) else item for item in owners
        ]
        with swapped(self.slots[index], values):
            return self.forms[form](*given, *arguments)  # type: ignore[index]

    @contextmanager
    def history(self, index: int, device: torch.device) -> Iterator[None]:
        """In the first run note the generators and buffers a step changes; later start from them again."""
        if device.type == "meta":
            yield
            return
        if not self.recording:
            if index in self.draws:
                set_generators(self.draws[index], device)
            for buffer, value in self.before.get(index, ()):
                buffer.data.copy_(value)
            yield
            return
        states = generators(device)
        buffers = [(buffer, buffer.clone()) for buffer in self.stateful(index)]
        yield
        if not all(map(torch.equal, states, generators(device))):
            self.draws[index] = states
        changed = [(b, value) for b, value in buffers if not torch.equal(b, value)]
        if changed:
            self.before[index] = changed

    def modules(self, index: int) -> Iterator[nn.Module]:
        for item in self.calls[index].owners:
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
                tape, carry = self.tape(item, carry)
                pending.append(tape)
                continue
            kept = carry
            for index in range(item.start, item.stop):
                carry = self.advance(index, carry)
            pending.append((item, kept, carry if isinstance(item, Reverse) else ()))
        return carry

    def advance(self, index: int, carry: Carry) -> Carry:
        """Run a step and keep nothing of it.

        An implicit gradient makes a solver sweep once more, so such a step runs as it will with its activations.
        """
        if any(isinstance(item, Solver) for item in self.modules(index)):
            return self.tape(index, carry)[1]
        return self.step(index, carry, self.values)

    def tape(self, index: int, carry: Carry) -> tuple[Tape, Carry]:
        """Run a step with its activations held; return these, and the carry after it."""
        values = self.leaves(index)
        with torch.enable_grad():
            inputs = tuple(item.detach().requires_grad_() for item in carry)
            outputs = self.step(index, inputs, values)
        return Tape(inputs, values, tuple(map(ended, outputs))), tuple(y.detach() for y in outputs)

    def leaves(self, index: int) -> Values:
        """Return the parameters of a step as starts of a graph."""
        keys = {slot.key for slot in self.slots[index]}
        return {
            key: item.detach().requires_grad_(key in self.learning)
            for key, item in self.parameters.items()
            if key in keys
        }

    def returned(self, index: int, carry: list[Tensor]) -> Tape:
        """Undo a step and run it again with its activations held; ``carry`` becomes that before it."""
        call = self.calls[index]
        if call.retrace is None:
            carry[:] = self.step(index, tuple(carry), self.values, undo=True)
            return self.tape(index, tuple(carry))[0]
        values = self.leaves(index)
        with torch.enable_grad(), self.history(index, carry[0].device):
            before, after = self.call(index, call.retrace, call.owners, values, carry)
        carry[:] = [item.detach() for item in before]
        return Tape(before, values, tuple(map(ended, after)))

    def pull(
        self, tape: Tape, gradients: Sequence[Tensor | None], sums: Values
    ) -> list[Tensor | None]:
        """Pull the gradients of a step's results back to its carry; add those of parameters to ``sums``.

        A sum so far enters as the gradient of the parameter itself, and so is added to first.
        """
        wanted = {key: value for key, value in tape.values.items() if value.requires_grad}
        roots: list[tuple[Any, Tensor]] = [
            (value, sums[key]) for key, value in wanted.items() if key in sums
        ]
        for end, gradient in zip(tape.ends, gradients, strict=True):
            if gradient is not None and end is not None:
                roots.append((end, gradient))
        leaves = [*tape.inputs, *wanted.values()]
        if not roots:
            return [None for _ in tape.inputs]
        found = torch.autograd.grad(
            [start for start, _ in roots],
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
            if isinstance(entry, Tape):
                gradients = self.pull(entry, gradients, sums)
                continue
            item, before, carry = entry
            if isinstance(item, Rerun):
                self.expand(item.inner, before, pending)
                continue
            state = list(carry)
            del entry, carry
            for index in reversed(range(item.start, item.stop)):
                gradients = self.pull(self.returned(index, state), gradients, sums)
            self.meter.read(distance(tuple(state), before))
        return gradients

    @contextmanager
    def again(self, start: int, stop: int, device: torch.device) -> Iterator[None]:
        """Recompute some steps and leave generators and buffers as they were."""
        states = generators(device)
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
            set_generators(states, device)
            for buffer, value in kept:
                buffer.data.copy_(value)  # a plain copy would spoil graphs that saved the buffer


@contextmanager
def swapped(
    slots: Sequence[Slot], values: Mapping[int, Tensor], kind: str = "_parameters"
) -> Iterator[None]:
    """Put ``values`` in place of parameters (or buffers) of modules."""
    changed = [
        (getattr(slot.module, kind), slot)
        for slot in slots
        if slot.module is not None and slot.key in values
    ]
    old = [tensors[slot.name] for tensors, slot in changed]
    for tensors, slot in changed:
        tensors[slot.name] = values[slot.key]
    try:
        yield
    finally:
        for (tensors, slot), tensor in zip(changed, old, strict=True):
            tensors[slot.name] = tensor
