"""What generated networks are run for besides classes: their states, their inverse, ensembles of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from schemegen.diagnostics import UsageError
from schemegen.saving import origin_of, read

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule

    from schemegen.backends.inverting import Carry, Steps
    from schemegen.network.ensemble import Ensemble
    from schemegen.scheme.model import Scheme

__all__ = ["ensemble", "inverse", "states"]


def states(network: GraphModule, x: Tensor) -> list[Carry]:
    """Return what the steps of a network of :func:`schemegen.build` carry for the input ``x``.

    Item 0 enters the first step, item n leaves the n-th. Each is a tuple: the states, and what later steps
    read of earlier ones. Errors: :class:`UsageError` where ``network`` is not one of ours.
    """
    return steps_of(network).states(x)


def inverse(
    network: GraphModule,
    carry: Sequence[Tensor],
    steps: int | None = None,
    *,
    tolerance: float | None = None,
    iterations: int = 500,
) -> list[Carry]:
    """Undo the last ``steps`` steps (all of them unless given) from what the last one left.

    Returns the carries from the earliest on, ``carry`` last, as :func:`states` does. A step that the analysis
    proves reversible is undone algebraically; another one of a single state is solved by the fixed point
    ``x <- x + y - F(x)`` to a residual of ``tolerance (1 + max |y|)``, 32 units of roundoff unless given; it
    contracts where the branch has a Lipschitz constant below 1.
    Source: Behrmann et al. (2019), arXiv 1811.00995, algorithm 1.

    Errors: :class:`UsageError` in training mode, at a change of shape and for steps without an inverse;
    ``schemegen.backends.inverting.InverseError`` where a fixed point is not reached.
    """
    return steps_of(network).inverse(carry, steps, tolerance, iterations)


def steps_of(network: GraphModule) -> Steps:
    """Return the steps of a network, compiled again from its texts."""
    from schemegen.backends import SchemeNetwork
    from schemegen.backends.inverting import Steps
    from schemegen.scheme import bind
    from schemegen.step import lower

    origin = origin_of(network)
    assert isinstance(network, SchemeNetwork)
    scheme, spec = read(origin, "text")
    return Steps(network, lower(scheme), bind(scheme, spec), origin["blocks"])


def ensemble(
    scheme: Scheme | str | Path,
    network: str | Path | None = None,
    *,
    members: int,
    seed: int = 0,
    backprop: str = "store",
    **values: object,
) -> Ensemble:
    """Return ``members`` networks of :func:`schemegen.build`, each initialised by itself, and their mean.

    Member i is initialised from ``seed + i``; the output is the mean of the logits.
    Source: Wang, Yuan, Shi, Osher (2019), arXiv 1811.10745, sec. 3.
    """
    from schemegen.network.ensemble import Ensemble
    from schemegen.pipeline import emit, unit_of

    if members < 1:
        raise UsageError(f"an ensemble has 1 member or more, not {members}")
    unit = unit_of(scheme, network, values)
    return Ensemble([emit(unit, seed=seed + i, backprop=backprop) for i in range(members)])
