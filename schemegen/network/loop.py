"""Equal steps with one set of weights as a compiled loop, whose graph has one step at any depth.

Forward, the loop keeps the carries (the values between two steps). Backward, a second loop pulls the gradient of
the carry through the steps,

    a[n] = (d carry[n+1] / d carry[n])^T a[n+1],

and since all carries and all a are known then, the gradients of the weights are those of one single step of all
carries at once, one product of large matrices instead of a sum of many small ones.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._higher_order_ops.scan import scan
from torch.autograd.function import once_differentiable

from schemegen.network import blocks, layers
from schemegen.network.conditions import autocast, autocast_of
from schemegen.network.opaque import parameters_of

__all__ = ["Loop", "per_sample"]

Carry = tuple[Tensor, ...]

ROW = 16
"""Steps that are written out in one turn of a loop; a turn by itself costs as much as a small step."""

PER_SAMPLE: tuple[type[nn.Module], ...] = (
    blocks.Mlp,
    blocks.Conv1x1,
    blocks.Preact,
    blocks.Bottleneck,
    layers.Sequence,
    layers.Flat,
    nn.Linear,
    nn.Conv2d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.Flatten,
    nn.Identity,
)


def per_sample(owner: nn.Module | Tensor) -> bool:
    """Return whether a step called with ``owner`` maps each sample by itself, changes and draws nothing."""
    if isinstance(owner, Tensor):
        return True
    plain = all(type(module) in PER_SAMPLE for module in owner.modules())
    return plain and not list(owner.buffers())


class Loop(nn.Module):
    """Runs ``form``, a function ``(*carry, *owners) -> carry`` of ``width`` values, ``count`` times.

    Compiled by the first call, as a loop forward and one backward. Inside of a compiled or exported network the
    steps are written out. Copies and pickles compile anew.
    """

    def __init__(
        self, form: fx.GraphModule, width: int, count: int, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.form = form
        self.width = width
        self.count = count
        self.options = dict(options)
        self.compiled: dict[str, Callable[..., Any]] = {}

    def forward(self, *arguments: Any) -> Carry:
        carry, owners = arguments[: self.width], arguments[self.width :]
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            for _ in range(self.count):
                carry = self.form(*carry, *owners)
            return carry
        parameters = parameters_of(owners)
        wanted = any(item.requires_grad for item in (*carry, *parameters))
        if not wanted or not torch.is_grad_enabled():
            result: Carry = self.part("ahead", ahead)(self.form, self.count, owners, carry)
            return result
        with torch.no_grad():
            found, before = self.part("recorded", recorded)(self.form, self.count, owners, carry)
        each = self.form(*(item.flatten(0, 1) for item in before), *owners)
        last: Carry = _Looped.apply(self, owners, *carry, *found, *before, *each)
        return last

    def part(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a compiled function of its own: compilers count the versions of a code object."""
        if name not in self.compiled:
            own = types.FunctionType(
                function.__code__.replace(co_name=f"{name}_{id(self):x}"),
                function.__globals__,
                name,
            )
            self.compiled[name] = torch.compile(own, fullgraph=True, **self.options)
        return self.compiled[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "compiled": {}}

    def extra_repr(self) -> str:
        return f"steps={self.count}"


def rows(count: int) -> tuple[int, int]:
    """Return how many rows of :data:`ROW` steps a loop runs, and how many steps stay in front of them."""
    return (0, count) if count < 2 * ROW else divmod(count, ROW)


def ahead(form: nn.Module, count: int, owners: tuple[Any, ...], carry: Carry) -> Carry:
    """Return the carry after all steps."""

    def body(carry: list[Tensor], tick: Tensor) -> tuple[list[Tensor], Tensor]:
        for _ in range(ROW):
            carry = form(*carry, *owners)
        return [item.clone() for item in carry], tick.clone()

    looped, single = rows(count)
    for _ in range(single):
        carry = form(*carry, *owners)
    if looped:
        ticks = torch.zeros(looped, device=carry[0].device)
        carry = tuple(scan(body, list(carry), ticks)[0])
    return carry


def recorded(
    form: nn.Module, count: int, owners: tuple[Any, ...], carry: Carry
) -> tuple[Carry, Carry]:
    """Return the carry after all steps, and those before each, stacked."""

    def taken(carry: Carry, number: int) -> tuple[Carry, list[Tensor]]:
        before = []
        for _ in range(number):
            before.append(carry)
            carry = form(*carry, *owners)
        return carry, [torch.stack(items) for items in zip(*before, strict=True)]

    def body(carry: list[Tensor], _: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        found, before = taken(tuple(carry), ROW)
        return [item.clone() for item in found], before

    looped, single = rows(count)
    before: list[Tensor] = []
    if single:
        carry, before = taken(carry, single)
    if looped:
        ticks = torch.zeros(looped, device=carry[0].device)
        last, more = scan(body, list(carry), ticks)
        more = [item.flatten(0, 1) for item in more]
        carry = tuple(last)
        before = [torch.cat(pair) for pair in zip(before, more, strict=True)] if single else more
    return carry, tuple(before)


def pulled(
    form: nn.Module, count: int, owners: tuple[Any, ...], before: Carry, gradients: Carry
) -> tuple[Carry, Carry]:
    """Return the gradients of the first carry, and those of the results of each step, stacked."""

    def taken(a: Carry, before: Carry, number: int) -> tuple[Carry, list[Tensor]]:
        after = []
        for index in reversed(range(number)):
            after.append(a)
            carry = [item[index] for item in before]
            _, pull, *_ = torch.func.vjp(lambda *items: form(*items, *owners), *carry)
            a = pull(a)
        return a, [torch.stack(items) for items in zip(*reversed(after), strict=True)]

    def body(a: list[Tensor], before: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        found, after = taken(tuple(a), tuple(before), ROW)
        return [item.clone() for item in found], after

    looped, single = rows(count)
    a: Carry = gradients
    after: list[Tensor] = []
    if looped:
        parts = [item[single:].reshape(looped, ROW, *item.shape[1:]) for item in before]
        first, rows_ = scan(body, list(gradients), parts, reverse=True)
        a, after = tuple(first), [item.flatten(0, 1) for item in rows_]
    if single:
        a, more = taken(a, tuple(item[:single] for item in before), single)
        after = [torch.cat(pair) for pair in zip(more, after, strict=True)] if looped else more
    return a, tuple(after)


class _Looped(torch.autograd.Function):
    """What the steps returned, as a function of the first carry and of every step's own result.

    Backward, the gradient of a step's result is ``a``; from there autograd goes on to the weights, for all steps
    at once.
    """

    @staticmethod
    def forward(ctx: Any, loop: Loop, owners: tuple[Any, ...], *tensors: Tensor) -> Carry:
        width = loop.width
        ctx.loop, ctx.owners = loop, owners
        ctx.autocast = autocast_of(tensors[0].device.type)
        ctx.save_for_backward(*tensors[2 * width : 3 * width])
        return tuple(item.view_as(item) for item in tensors[width : 2 * width])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        loop: Loop = ctx.loop
        back = loop.part("pulled", pulled)
        with autocast(ctx.autocast):
            first, after = back(loop.form, loop.count, ctx.owners, ctx.saved_tensors, gradients)
        unused = [None] * (2 * loop.width)
        return (None, None, *first, *unused, *(item.flatten(0, 1) for item in after))
