"""Programs and network specifications as torch graphs and as standalone source."""

from schemegen.backends.backprop import Request, request, with_batch
from schemegen.backends.execution import NetworkError, SchemeNetwork
from schemegen.backends.graph import emit_graph
from schemegen.backends.optimize import optimize
from schemegen.backends.source import emit_source

__all__ = [
    "NetworkError",
    "Request",
    "SchemeNetwork",
    "emit_graph",
    "emit_source",
    "optimize",
    "request",
    "with_batch",
]
