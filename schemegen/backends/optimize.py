"""Faster forms of a network that is there."""

from __future__ import annotations

from torch import nn

from schemegen.backends.execution import SchemeNetwork
from schemegen.diagnostics import UsageError

__all__ = ["MODES", "optimize"]

MODES = ("training", "inference")


def optimize(network: nn.Module, *, mode: str = "training") -> SchemeNetwork:
    """Return a network that computes the same, up to rounding, in less time.

    Args:
        mode: ``training`` shares modules, parameters, buffers and state-dict keys with ``network`` and works
            wherever it does: blocks run as plain calls of torch functions, the backward pass is written out.
            ``inference`` is a copy whose weights are buffers, with what is known computed beforehand.

    Errors: :class:`UsageError` for another mode, or a module that schemegen did not generate.
    """
    if mode not in MODES:
        raise UsageError(f"unknown mode `{mode}`", f"one of {', '.join(MODES)}")
    if not isinstance(network, SchemeNetwork):
        raise UsageError(
            "only a generated network can be optimised", "schemegen.build(..) makes one"
        )
    from schemegen.backends.frozen import frozen
    from schemegen.backends.optimized import optimized

    return optimized(network) if mode == "training" else frozen(network)
