"""How far a trained network moves two inputs apart: the quantities of the Lyapunov statement, measured.

For ``x' = c f(x) - a x`` two solutions obey ``d|x - y|/dt <= (c mu - a) |x - y|``, mu the largest eigenvalue of
the symmetric part of the Jacobian of f, and one step has the Lipschitz constant that its coefficients and those of
the branches give. Both are measured at data: norms of Jacobians by power iteration with products J v and J^T v.

Source: Hairer, Norsett, Wanner (1993), I.10; Yang et al. (2020), arXiv 2006.05749; Golub, Van Loan (2013), 8.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor, fx, nn

from schemegen.analysis.contraction import contraction
from schemegen.analysis.expansion import expand
from schemegen.network.blocks import BLOCKS, StageBatchNorm, Statistics
from schemegen.network.fractal import Fractal
from schemegen.network.layers import Sequence
from schemegen.network.noise import Kept
from schemegen.scheme.model import Scheme
from schemegen.step.arithmetic import real
from schemegen.step.lower import lower
from schemegen.training.coefficients import coefficients_at, tensor_arithmetic
from schemegen.training.curvature import refuse_chains

__all__ = [
    "Branch",
    "Recorder",
    "StepMeasure",
    "logarithmic_norm",
    "lyapunov",
    "products",
    "spectral_norm",
    "step_size",
]

Map = Callable[[Tensor], Tensor]


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
            scale = _norms(inputs) / _norms(noise).clamp_min(1e-30)
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
    start, end = _norms(x0 - y0), _norms(x1 - y1)
    kept = start > 0
    return float((end[kept] / start[kept]).max()) if bool(kept.any()) else None


def _norms(x: Tensor) -> Tensor:
    norms: Tensor = x.detach().flatten(1).norm(dim=1)
    return norms


# --- branches --------------------------------------------------------------------------------------


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


def spectral_norm(f: Map, x: Tensor, *, iterations: int = 60, seed: int = 0) -> Tensor:
    """Return the largest singular value of the Jacobian of f at each sample of x, shape ``(N,)``.

    Power iteration on ``J^T J``; samples must not meet in f.
    """
    v = _unit(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x))
    forward, transposed = products(f, x)
    jv = forward(v)
    for _ in range(iterations):
        v = transposed(jv)
        if not bool(v.abs().max() > 0):
            break
        v = _unit(v)
        jv = forward(v)
    return _norms(jv)


def logarithmic_norm(f: Map, x: Tensor, *, iterations: int = 60, seed: int = 0) -> Tensor:
    """Return the largest eigenvalue of ``(J + J^T)/2`` at each sample of x, shape ``(N,)``.

    Power iteration on ``(J + J^T)/2 + s I``, s the spectral norm: no eigenvalue of it is negative.
    """
    shift = spectral_norm(f, x, iterations=iterations, seed=seed)
    shape = (-1, *[1] * (x.dim() - 1))
    v = _unit(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1)).to(x))
    value = shift
    forward, transposed = products(f, x)
    for _ in range(4 * iterations):
        symmetric = (forward(v) + transposed(v)) / 2
        value = (symmetric * v).flatten(1).sum(1)
        v = _unit(symmetric + shift.view(shape) * v)
    return value.detach()


def products(f: Map, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return ``v -> J v`` and ``w -> J^T w``; J v is the derivative of the linear map ``w -> J^T w``."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        y = f(at)
        w = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, at, w, create_graph=True)

    def forward(v: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(pulled, w, v, retain_graph=True)
        return result.detach()

    def transposed(other: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(y, at, other, retain_graph=True)
        return result

    return forward, transposed


def _unit(v: Tensor) -> Tensor:
    norms = v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    unit: Tensor = (v / norms.view(-1, *[1] * (v.dim() - 1))).detach()
    return unit


# Lipschitz constants of activations: of relu and tanh 1, of sigmoid 1/4; of silu and gelu as known to six digits.
ACTIVATIONS: dict[type[nn.Module], float] = {
    nn.ReLU: 1.0,
    nn.Tanh: 1.0,
    nn.Sigmoid: 0.25,
    nn.SiLU: 1.099840,
    nn.GELU: 1.128905,
    nn.Identity: 1.0,
}


def upper_bound(block: nn.Module, x: Tensor, *numbers: Any, iterations: int = 60) -> float | None:
    """Return the product of the norms of a block's layers; None where the block or a layer is not known here.

    Layers are met in order by running the block once, so that a convolution has the size it acts on. The functions
    between the layers of our own blocks (relu, tanh) have the Lipschitz constant 1.
    """
    if not isinstance(block, (*BLOCKS.values(), Sequence)) or isinstance(block, Fractal):
        return None  # the columns of a fractal are beside one another
    factors: list[float | None] = []

    def met(layer: nn.Module, args: Any, _out: Any) -> None:
        factors.append(_layer_norm(layer, args, iterations))

    layers = [
        item
        for item in block.modules()
        if isinstance(item, StageBatchNorm)
        or (not isinstance(item, Statistics) and not list(item.children()))
    ]
    handles = [layer.register_forward_hook(met) for layer in layers]
    try:
        with torch.no_grad():
            block(x[:1], *numbers)
    finally:
        for handle in handles:
            handle.remove()
    result = 1.0
    for factor in factors:
        if factor is None:
            return None
        result *= factor
    return result


def _layer_norm(layer: nn.Module, args: tuple[Any, ...], iterations: int) -> float | None:
    if isinstance(layer, StageBatchNorm):
        own = layer.statistics[args[1] if len(args) > 1 else 0]
        variance = own.get_buffer("running_var")
        return float(((variance + 1e-5).rsqrt() * layer.weight.abs()).max())
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_var is not None:
        scale = (layer.running_var + layer.eps).rsqrt()
        return float((scale if layer.weight is None else scale * layer.weight.abs()).max())
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(layer.weight, 2))
    if isinstance(layer, nn.Conv2d):
        return _convolution_norm(layer, args[0])
    return ACTIVATIONS.get(type(layer))


def _convolution_norm(layer: nn.Conv2d, x: Tensor) -> float | None:
    """Return a bound of the norm of a convolution with zero padding, whatever its stride.

    On a torus that the padded image fits on it is the largest norm of its Fourier blocks, exactly (Sedghi, Gupta,
    Long, 2019); the layer takes some of the torus's inputs and outputs, so its norm is not larger.
    """
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return None
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    sizes = [max(n + 2 * p, r) for n, p, r in zip(x.shape[2:], layer.padding, reach, strict=True)]
    spread = layer.weight.new_zeros(*layer.weight.shape[:2], *sizes)
    spread[:, :, : reach[0] : layer.dilation[0], : reach[1] : layer.dilation[1]] = layer.weight
    blocks = torch.fft.rfft2(spread).permute(2, 3, 0, 1)
    groups = blocks.reshape(*blocks.shape[:2], layer.groups, -1, blocks.shape[3])
    return float(torch.linalg.matrix_norm(groups, 2).max())


# --- formulas in coefficients ------------------------------------------------------------------------


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
