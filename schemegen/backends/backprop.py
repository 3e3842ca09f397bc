"""How gradients come back through the steps: what the user asks for, and the plan that does it."""

from __future__ import annotations

from dataclasses import dataclass

from schemegen.backends.binomial import advances, binomial, enough
from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.folding import fold
from schemegen.backends.steps import Network
from schemegen.diagnostics import UsageError
from schemegen.network.replay import Plan

__all__ = ["METHODS", "Request", "request", "with_plan"]

METHODS = ("auto", "store", "checkpoint=K")


@dataclass(frozen=True, slots=True)
class Request:
    """``method``: ``auto``, ``store`` or ``checkpoint`` with ``kept`` carries."""

    method: str = "store"
    kept: int | None = None


def request(text: str) -> Request:
    """Read ``auto``, ``store`` or ``checkpoint=K``. Errors: :class:`UsageError`."""
    method, equals, number = text.partition("=")
    if method == "checkpoint" and number.isascii() and number.isdigit() and int(number) > 0:
        return Request(method, int(number))
    if method in METHODS and not equals:
        return Request(method)
    raise UsageError(f"unknown backpropagation `{text}`", f"one of {', '.join(METHODS)}")


def with_plan(module: SchemeNetwork, network: Network, wanted: Request) -> SchemeNetwork:
    """Return the network with its steps run as ``wanted`` asks; ``store`` leaves it as it is."""
    count = len(network.steps)
    if wanted.method == "store" or count < 2:
        return module
    plan: Plan = binomial(0, count, wanted.kept or enough(count, 2))
    module = fold(module, network.steps, plan)
    module.meta["backprop"] = {
        "method": "checkpoint",
        "kept": wanted.kept or enough(count, 2),
        "steps": count,
        "run_again": advances(plan),
    }
    return module
