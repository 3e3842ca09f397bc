"""How far a trained network moves two inputs apart: the quantities of the Lyapunov statement, measured.

For ``x' = c f(x) - a x`` two solutions obey ``d|x - y|/dt <= (c mu - a) |x - y|``, mu the largest eigenvalue of
the symmetric part of the Jacobian of f, and one step has the Lipschitz constant that its coefficients and those of
the branches give. Both are measured at data: norms of Jacobians by power iteration with products J v and J^T v.

Source: Hairer, Norsett, Wanner (1993), I.10; Yang et al. (2020), arXiv 2006.05749; Golub, Van Loan (2013), 8.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor, fx, nn

from schemegen.analysis.contraction import contraction
from schemegen.analysis.expansion import expand
from schemegen.network.noise import Kept
from schemegen.scheme.model import Scheme
from schemegen.step.arithmetic import real
from schemegen.step.lower import lower
from schemegen.training.coefficients import coefficients_at, tensor_arithmetic
from schemegen.training.curvature import refuse_chains
from schemegen.training.jacobians import logarithmic_norm, norms, spectral_norm, upper_bound

__all__ = [
    "Branch",
    "Recorder",
    "StepMeasure",
    "lyapunov",
    "step_size",
]


@dataclass(frozen=True, slots=True)
class Branch:
    """One evaluation of a drift at the data, the largest over the samples.

    ``lipschitz``: spectral norm of its Jacobian, a lower bound of its Lipschitz constant. ``upper``: the product
    of the norms of its layers, an upper bound; None where a layer has none here. ``logarithmic_norm``: mu.
    """

    name: str
    lipschitz: float
    upper: float | None
    logarithmic_norm: float


@dataclass(frozen=True, slots=True)
class StepMeasure:
    """One step of the network.

    ``coefficients`` by name (the largest entry of a tensor). ``ratio``: the largest ``|x' - y'|/|x - y|`` over the
    pairs of inputs, None at a change of shape. ``bound``: the Lipschitz constant of the step by the formula of the
    report with the ``upper`` bounds; ``local``: the same with the norms at the data. ``rate``: ``c mu - a`` of the
    equation with the measured mu, negative where the flow contracts there.
    """

    stage: int
    step: int
    branches: tuple[Branch, ...]
    coefficients: dict[str, float]
    ratio: float | None
    bound: float | None
    local: float | None
    rate: float | None


def lyapunov(
    model: fx.GraphModule,
    scheme: Scheme,
    inputs: Tensor,
    *,
    perturbation: float = 1e-3,
    iterations: int = 60,
    seed: int = 0,
) -> tuple[StepMeasure, ...]:
    """Measure every step of a generated network at ``inputs`` (a batch), in evaluation mode.

    Args:
        perturbation: size of the second inputs' distance, relative to the first, in a random direction.
        iterations:   of the power method; more where the two largest singular values are close.
    """
    refuse_chains(model)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(inputs.shape, generator=generator).to(inputs)
            scale = norms(inputs) / norms(noise).clamp_min(1e-30)
            others = inputs + perturbation * noise * scale.view(-1, *[1] * (inputs.dim() - 1))
            first, second = Recorder(model), Recorder(model)
            first.run(inputs)
            second.run(others)
        return tuple(_measures(model, scheme, first, second, iterations, seed))
    finally:
        model.train(training)


class Recorder(fx.Interpreter):
    """Keeps every value of a run, by node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.found[n] = super().run_node(n)
        return self.found[n]


def _measures(
    model: fx.GraphModule,
    scheme: Scheme,
    first: Recorder,
    second: Recorder,
    iterations: int,
    seed: int,
) -> Iterator[StepMeasure]:
    program = lower(scheme)
    statement, _ = contraction(scheme, program, expand(program, 2))
    previous = _last_of(model, None, scheme)
    places = _places(model)
    for place in places:
        branches = tuple(_branches(model, scheme, place, first, iterations, seed))
        last = _last_of(model, place, scheme)
        reshapes = _reshapes(first, previous, last)
        coefficients = coefficients_at(model, scheme, place)
        if _plain(scheme, first_step=place == places[0], reshapes=reshapes) and scheme.damping:
            for symbol in scheme.damping.rate.free_symbols:
                coefficients[str(symbol)] = torch.zeros(())
        ratio = bound = local = rate = None
        if previous is not None and last is not None and not reshapes:
            ratio = _ratio(first, second, previous, last)
        if statement is not None and branches and not reshapes:
            values = {**coefficients, "h": torch.tensor(step_size(scheme))}
            uppers = [b.upper for b in branches]
            known = [item for item in uppers if item is not None]
            if len(known) == len(uppers):
                bound = _evaluated(statement.lipschitz, values, "L", max(known))
            local = _evaluated(statement.lipschitz, values, "L", max(b.lipschitz for b in branches))
            if statement.rate is not None:
                mu = max(b.logarithmic_norm for b in branches)
                rate = _evaluated(statement.rate, values, "mu", mu)
        shown = {name: float(value.max()) for name, value in coefficients.items()}
        yield StepMeasure(int(place[0]), int(place[1]), branches, shown, ratio, bound, local, rate)
        previous = last


def _branches(
    model: fx.GraphModule,
    scheme: Scheme,
    place: tuple[Any, Any],
    first: Recorder,
    iterations: int,
    seed: int,
) -> Iterator[Branch]:
    """Measure each evaluation of a drift in a step, those that a draw may remove included."""
    drifts = {drift.name for drift in scheme.drifts}
    for node in model.graph.nodes:
        if _place(node) != place or node.op != "call_module":
            continue
        block = model.get_submodule(str(node.target))
        path, arguments = str(node.target), node.args
        if isinstance(block, Kept):
            path, arguments = str(node.args[0].target), (node.args[1], *node.args[5:])
            block = model.get_submodule(path)
        name = path.rpartition(".")[2]
        if name in drifts or name.rstrip("0123456789_") in drifts:
            yield _branch(path, block, arguments, first, iterations, seed)


def _plain(scheme: Scheme, *, first_step: bool, reshapes: bool) -> bool:
    """Say whether the damping is off in a step."""
    damping = scheme.damping
    if damping is None:
        return False
    return (first_step and not damping.first) or (reshapes and not damping.transition)


# --- places ---------------------------------------------------------------------------------------


def _place(node: fx.Node) -> tuple[Any, Any] | None:
    custom = node.meta.get("custom", {})
    stage, step = custom.get("stage"), custom.get("step")
    return (stage, step) if isinstance(stage, int) and isinstance(step, int) else None


def _places(model: fx.GraphModule) -> list[tuple[Any, Any]]:
    return list(dict.fromkeys(p for n in model.graph.nodes if (p := _place(n)) is not None))


def _last_of(
    model: fx.GraphModule, place: tuple[Any, Any] | None, scheme: Scheme
) -> fx.Node | None:
    """Return the node of the first state after a step, or of the stem; None where there are several states."""
    if len(scheme.states) != 1:
        return None
    if place is None:
        found = [n for n in model.graph.nodes if n.name.startswith("stem_")]
    else:
        found = [n for n in model.graph.nodes if _place(n) == place]
    return found[-1] if found else None


def _reshapes(run: Recorder, before: fx.Node | None, after: fx.Node | None) -> bool:
    if before is None or after is None:
        return False
    return bool(run.found[before].shape != run.found[after].shape)


def _ratio(first: Recorder, second: Recorder, before: fx.Node, after: fx.Node) -> float | None:
    x0, y0 = first.found[before], second.found[before]
    x1, y1 = first.found[after], second.found[after]
    start, end = norms(x0 - y0), norms(x1 - y1)
    kept = start > 0
    return float((end[kept] / start[kept]).max()) if bool(kept.any()) else None


def _branch(
    name: str,
    block: nn.Module,
    arguments: tuple[Any, ...],
    run: Recorder,
    iterations: int,
    seed: int,
) -> Branch:
    numbers = tuple(item for item in arguments if not isinstance(item, fx.Node))
    at = [run.found[item] for item in arguments if isinstance(item, fx.Node)]
    sizes = [x.shape[1] for x in at]
    x = torch.cat([item.detach() for item in at], 1)

    def f(value: Tensor) -> Tensor:
        result: Tensor = block(*torch.split(value, sizes, 1), *numbers)
        return result

    norm = float(spectral_norm(f, x, iterations=iterations, seed=seed).max())
    with torch.no_grad():
        square = f(x).shape == x.shape
    mu = norm
    if square:
        mu = float(logarithmic_norm(f, x, iterations=iterations, seed=seed).max())
    return Branch(name, norm, upper_bound(block, x, *numbers, iterations=iterations), mu)


def step_size(scheme: Scheme) -> float:
    free = scheme.step_size.free_symbols
    return 1.0 if free else float(real(scheme.step_size))


def _evaluated(
    expression: sympy.Expr, values: dict[str, Tensor], name: str, value: float
) -> float | None:
    """Return the largest entry of an expression in coefficients that may be tensors: the worst channel counts."""
    known = {k: v.double() for k, v in values.items()} | {name: torch.tensor(value).double()}
    if any(str(s) not in known for s in expression.free_symbols):
        return None
    return float(torch.as_tensor(tensor_arithmetic(known).coefficient(expression)).max())
