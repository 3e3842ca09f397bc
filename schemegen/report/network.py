"""What a report says of a generated network: plain numbers, so that no tensor library is needed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NetworkSummary"]


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """Input shape, widths and steps by stage, nodes of the graph, trained numbers of the network.

    ``coefficients`` are those of ``parameters`` that belong to the scheme itself; ``after`` is what follows each
    step, nothing where that is the next one.
    """

    name: str
    input_shape: tuple[int, ...]
    classes: int
    widths: tuple[int, ...]
    steps: tuple[int, ...]
    nodes: int
    parameters: int
    coefficients: int
    after: str = ""
