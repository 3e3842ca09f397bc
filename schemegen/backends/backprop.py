"""How gradients come back through the steps: what the user asks for, and the plan that does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isinf
from typing import Any

import torch
from torch import nn

from schemegen.backends.binomial import advances, binomial, enough
from schemegen.backends.builder import Builder
from schemegen.backends.execution import SchemeNetwork
from schemegen.backends.fitting import Trial, fastest, run_again
from schemegen.backends.fitting import facts as described
from schemegen.backends.folding import CHAIN, Cut, cuts, fold
from schemegen.backends.plan import StepPlan
from schemegen.backends.probe import Probe
from schemegen.backends.reverse import Undone, errors, undone, written
from schemegen.backends.steps import Network
from schemegen.diagnostics import Diagnostic, SchemeError, UsageError
from schemegen.network.memory import MIB
from schemegen.network.replay import Chain, Plan, Rerun, Reverse
from schemegen.step.program import Solve

__all__ = ["METHODS", "Request", "request", "with_batch", "with_plan"]

METHODS = (
    "auto", "store", "checkpoint=K", "reversible", "reversible=ERROR", "memory=MIB,batch=N",
)  # fmt: skip
ASKED, CHOSEN = 0.05, 1e-3  # errors accepted where running backwards is asked for, and by `auto`
BUDGET = re.compile(r"memory=([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:,batch=([0-9]{1,6}))?")

Start = Callable[[StepPlan, nn.Module], Builder]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: ``auto``, ``store``, ``checkpoint`` with ``kept`` carries, or ``reversible``.

    ``bound`` is the relative error of a reconstructed carry that is accepted. With ``memory`` MiB for a training
    step of ``batch`` examples the method is found.
    """

    method: str = "store"
    kept: int | None = None
    bound: float = CHOSEN
    memory: float | None = None
    batch: int | None = None


def request(text: str) -> Request:
    """Read one of :data:`METHODS`. Errors: :class:`UsageError`."""
    method, equals, number = text.partition("=")
    try:
        value = Fraction(number) if equals and number.isascii() else None
    except (ValueError, ZeroDivisionError):
        value = None
    if method == "checkpoint" and value is not None and value.denominator == 1 and value > 0:
        return Request(method, int(value))
    if method == "reversible" and value is not None and 0 < value < 1:
        return Request(method, bound=float(value))
    if text in ("auto", "store", "reversible"):
        return Request(method, bound=ASKED if method == "reversible" else CHOSEN)
    found = BUDGET.fullmatch(text)
    if found is not None and float(found[1]) > 0 and found[2] != "0":
        batch = None if found[2] is None else int(found[2])
        return Request("auto", memory=float(found[1]), batch=batch)
    raise UsageError(f"unknown backpropagation `{text}`", f"one of {', '.join(METHODS)}")


def with_batch(text: str, batch: int) -> str:
    """Return a memory budget with the batch size it is for, where it does not say; other texts as they are."""
    budget = text.startswith("memory=") and "batch" not in text
    return f"{text},batch={batch}" if budget else text


def with_plan(
    module: SchemeNetwork, network: Network, wanted: Request, start: Start
) -> SchemeNetwork:
    """Return the network with its steps run as ``wanted`` asks; ``store`` leaves it as it is.

    ``start`` returns a builder at a step. Errors: :class:`SchemeError`, E0806 where the steps cannot be undone
    and E0807 where that is too inaccurate.
    """
    count = len(network.steps)
    if wanted.method == "store" or count < 2:
        return module
    found = cuts(module, network.steps)
    if wanted.memory is not None:
        return within(module, network, found, wanted, start)
    kept = wanted.kept or enough(count, 2)
    if wanted.method != "checkpoint":
        reverse = reversed_network(module, network, found, wanted, start)
        if reverse is not None and (
            wanted.method == "reversible" or facts(reverse)["kept"] <= kept
        ):
            return reverse
    plan = binomial(0, count, kept)
    module = fold(module, found, plan, {})
    module.meta["backprop"] = {
        "method": "checkpoint",
        "kept": kept,
        "steps": count,
        "run_again": advances(plan),
    }
    return module


def within(
    module: SchemeNetwork, network: Network, found: Sequence[Cut], wanted: Request, start: Start
) -> SchemeNetwork:
    """Return the network with the plan that runs the fewest steps again within a budget.

    Errors: :class:`SchemeError`, E0808 where none does; :class:`UsageError` without a batch size.
    """
    if wanted.batch is None or wanted.memory is None:
        raise UsageError("a memory budget is for a batch size", "for example memory=512,batch=64")
    budget, batch, shape = wanted.memory * MIB, wanted.batch, network.spec.input_shape
    peak = Trial(module, shape, batch).peak()
    plan: Plan | None = None
    if peak <= budget:
        module.meta["backprop"] = described(plan, peak, budget, batch, found)
        return module
    back = reversed_network(module, network, found, wanted, start)
    folded = fold(module, found, (0,), {})
    plan, peak = fastest(Trial(folded, shape, batch), budget)
    if back is not None:
        smaller = Trial(back, shape, batch).peak()
        reverse = chain_of(back).plan
        if smaller <= budget and (plan is None or run_again(reverse) < run_again(plan)):
            more = described(reverse, smaller, budget, batch, found)
            back.meta["backprop"] = {**more, **facts(back), "run_again": run_again(reverse)}
            return back
        peak = peak if plan is not None else min(peak, smaller)
    if plan is None:
        raise SchemeError([too_small(network, peak, budget, batch)])
    chain_of(folded).plan = plan
    folded.meta["backprop"] = described(plan, peak, budget, batch, found)
    return folded


def chain_of(module: SchemeNetwork) -> Chain:
    found = module.get_submodule(CHAIN)
    assert isinstance(found, Chain)
    return found


def too_small(network: Network, peak: float, budget: float, batch: int) -> Diagnostic:
    """E0808."""
    message = (
        f"no plan trains `{network.program.name}` with batches of {batch} in {budget / MIB:g} MiB"
    )
    help_ = f"the least is {peak / MIB:.1f} MiB; or use smaller batches"
    return Diagnostic("E0808", message, network.spec.span, help_)


def facts(module: SchemeNetwork) -> dict[str, Any]:
    found: dict[str, Any] = module.meta["backprop"]
    return found


def reversed_network(
    module: SchemeNetwork, network: Network, found: Sequence[Cut], wanted: Request, start: Start
) -> SchemeNetwork | None:
    """Return the network with its steps run backwards, None where ``auto`` does better without."""
    known: dict[object, Undone | None] = {}
    each = {i: undone(network, i, cut, module, known) for i, cut in enumerate(found)}
    steps = {index: item for index, item in each.items() if item is not None}
    regular = {index for index in steps if network.steps[index].kind == "step"}
    if not regular:
        if wanted.method == "auto":
            return None
        raise SchemeError([irreversible(network)])
    inverses = {
        index: written(network, index, item, start(network.steps[index], module), found[index])
        for index, item in steps.items()
    }
    folded = fold(module, found, (), inverses, wanted.bound)
    chain = chain_of(folded)
    probe = Probe(folded, chain, network.spec.input_shape)
    plan, error = reversing(len(found), steps, wanted.bound, probe)
    used = {i for item in plan if isinstance(item, Reverse) for i in range(item.start, item.stop)}
    if not used & regular:
        if wanted.method == "auto":
            return None
        raise SchemeError([inaccurate(network, steps, wanted.bound)])
    chain.plan = plan
    folded.meta["backprop"] = {
        "method": "reversible",
        "kept": len(plan),
        "expected_error": error,
        "bound": wanted.bound,
        "steps": len(found),
        "run_again": advances(plan),
    }
    return folded


def reversing(
    count: int, steps: Mapping[int, Undone], bound: float, probe: Probe
) -> tuple[Plan, float]:
    """Return the plan that undoes as many steps as can be with just enough carries, and its error.

    Segments are as long as the error allows, from the end. A step that is not undone is run again from the
    carry before it; the last step keeps its activations, since it is pulled back first.
    """
    items: list[int | Rerun | Reverse] = [count - 1]
    stop, worst = count - 1, 0.0
    while stop > 0:
        start = stop
        while start > 0 and start - 1 in steps:
            start -= 1
        sizes = expected(steps, start, stop, probe)
        length = next((i for i, size in enumerate(sizes) if size > bound), len(sizes))
        if length:
            worst = max(worst, *sizes[:length])
            items.append(Reverse(stop - length, stop))
        else:
            items.append(Rerun(stop - 1, stop, (stop - 1,)))
        stop -= max(length, 1)
    return tuple(reversed(items)), worst


def expected(steps: Mapping[int, Undone], start: int, stop: int, probe: Probe) -> list[float]:
    """Return the error after undoing 1, 2, .. steps before ``stop``.

    It is the larger one of what follows from the coefficients, whatever values they start with, and of what the
    branches at hand add on random inputs.
    """
    if start == stop:
        return []
    exact = errors([steps[index] for index in range(start, stop)], epsilon())
    return [max(pair) for pair in zip(exact, probe.errors(start, stop), strict=True)]


def epsilon() -> float:
    return torch.finfo(torch.float32).eps


def irreversible(network: Network) -> Diagnostic:
    """E0806."""
    program = network.program
    message = f"a step of `{program.name}` cannot be run backwards"
    if network.spec.after is not None:
        message += f": `after: {network.spec.after.name}` drops what would be needed"
    elif program.noises:
        message += ": it draws random numbers"
    elif any(isinstance(item, Solve) for item in program.statements):
        message += ": its implicit stages are solved up to a residual only"
    help_ = "`--backprop checkpoint=K` works for every scheme"
    return Diagnostic("E0806", message, program.statements[-1].origin.span, help_)


def inaccurate(network: Network, steps: Mapping[int, Undone], bound: float) -> Diagnostic:
    """E0807."""
    worst = max(errors([step], epsilon())[0] for step in steps.values())
    message = (
        f"running a step of `{network.program.name}` backwards has the relative error {worst:.1e}"
    )
    if isinf(worst):
        found = {item for step in steps.values() for item in step.inverse.divisors}
        divisors = sorted(str(-x if x.could_extract_minus_sign() else x) for x in found)
        message = (
            f"running a step of `{network.program.name}` backwards divides by `{', '.join(divisors)}`, "
            "which may be 0 with the values that training starts with"
        )
    else:
        message += f"; the bound is {bound:.1e}"
    help_ = "`--backprop checkpoint=K` has no such error"
    return Diagnostic("E0807", message, network.program.statements[-1].origin.span, help_)
