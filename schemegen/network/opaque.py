"""A chain of steps as one operator, for compiled networks.

A compiler that traces a recomputation sees the same expressions twice and keeps the first, which is what a plan
avoids. In a compiled network a chain is therefore one node that the compiler does not look into: its steps run as
they do in an eager network, with the same draws and the same memory.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from schemegen.network.replay import Chain, Held

__all__ = ["numbered", "parameters_of", "run_opaque"]

Owners = Sequence[nn.Module | Tensor]

_numbers = itertools.count(1)
_chains: weakref.WeakValueDictionary[int, Chain] = weakref.WeakValueDictionary()
_held: dict[int, Held] = {}
# How operators are dispatched outside of any; inside of one, autograd and autocast are switched off.
_INCLUDED = torch._C._dispatch_tls_local_include_set()
_EXCLUDED = torch._C._dispatch_tls_local_exclude_set()


def numbered(chain: Chain) -> int:
    """Return a number by which the operator finds a chain while it lives."""
    number = next(_numbers)
    _chains[number] = chain
    return number


def parameters_of(owners: Owners) -> list[Tensor]:
    """Return the parameters that steps are called with, each once."""
    found: list[Tensor] = []
    for owner in owners:
        found += list(owner.parameters()) if isinstance(owner, nn.Module) else [owner]
    return list(dict.fromkeys(found))


def buffers_of(owners: Owners) -> list[Tensor]:
    """Return the buffers that steps are called with, each once."""
    found: list[Tensor] = []
    for owner in owners:
        found += list(owner.buffers()) if isinstance(owner, nn.Module) else []
    return list(dict.fromkeys(found))


def run_opaque(chain: Chain, carry: tuple[Tensor, ...], owners: Owners) -> tuple[Tensor, ...]:
    """Run a chain as one node of a compiled graph."""
    device = carry[0].device.type
    _, *results = torch.ops.schemegen.chain(
        list(carry),
        parameters_of(owners),
        buffers_of(owners),
        chain.number,
        torch.is_autocast_enabled(device),
        torch.get_autocast_dtype(device),
    )
    return tuple(results)


@contextmanager
def outside() -> Iterator[None]:
    """Compute as outside of an operator."""
    with torch._C._ForceDispatchKeyGuard(_INCLUDED, _EXCLUDED):
        yield


@torch.library.custom_op("schemegen::chain", mutates_args=())
def chain(
    carry: list[Tensor],
    parameters: list[Tensor],
    buffers: list[Tensor],
    number: int,
    autocast: bool,
    dtype: torch.dtype,
) -> list[Tensor]:
    """Run the steps of a chain; the first result is the ticket of its backward pass.

    Running statistics change in the modules themselves. The compiler does not see that, and does not use them.
    """
    with outside(), torch.no_grad():
        with torch.autocast(carry[0].device.type, dtype=dtype, enabled=autocast):
            held = _chains[number].hold(tuple(carry), parameters)
        ticket = torch.tensor(next(_numbers))
        _held[int(ticket)] = held
        weakref.finalize(ticket, _held.pop, int(ticket), None)
        given = {id(item) for item in carry}
        return [ticket, *(item.clone() if id(item) in given else item for item in held.results)]


@chain.register_fake
def _(
    carry: list[Tensor],
    parameters: list[Tensor],
    buffers: list[Tensor],
    number: int,
    autocast: bool,
    dtype: torch.dtype,
) -> list[Tensor]:
    """Run the steps on tensors without values, with such parameters and buffers too."""
    found = _chains[number]
    replaced = dict(zip(map(id, buffers_of(found.owners())), buffers, strict=True))
    with torch.no_grad(), torch.autocast(carry[0].device.type, dtype=dtype, enabled=autocast):
        results = found.shapes(tuple(carry), parameters, replaced)
    return [torch.empty((), dtype=torch.long, device="cpu"), *map(torch.empty_like, results)]


@torch.library.custom_op("schemegen::chain_back", mutates_args=())
def chain_back(
    gradients: list[Tensor], carry: list[Tensor], parameters: list[Tensor], ticket: Tensor
) -> list[Tensor]:
    """Pull gradients back through a chain that ran; no gradient is zero."""
    held = _held.pop(int(ticket), None)
    if held is None:
        raise RuntimeError("a compiled chain is pulled back once; keep the graph of an eager one")
    with outside():
        found, sums = held.back(gradients)
    result = [*found, *(sums.get(key) for key in held.run.parameters)]
    return [
        torch.zeros_like(value) if item is None else item
        for item, value in zip(result, [*carry, *parameters], strict=True)
    ]


@chain_back.register_fake
def _(
    gradients: list[Tensor], carry: list[Tensor], parameters: list[Tensor], ticket: Tensor
) -> list[Tensor]:
    return [torch.empty_like(item) for item in (*carry, *parameters)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    carry, parameters, buffers, *_ = inputs
    ctx.width, ctx.others = len(carry), len(buffers)
    ctx.save_for_backward(*carry, *parameters, output[0])


def _backward(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    *inputs, ticket = ctx.saved_tensors
    carry, parameters = inputs[: ctx.width], inputs[ctx.width :]
    found = torch.ops.schemegen.chain_back(gradients[1:], carry, parameters, ticket)
    return found[: ctx.width], found[ctx.width :], [None] * ctx.others, None, None, None


chain.register_autograd(_backward, setup_context=_setup)
