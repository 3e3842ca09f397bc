"""What a training step costs with noise: ``python -m benchmarks noise``.

Each variant's forward and backward pass is timed beside that of the noise-free network on the same data,
one after the other in every round; the median of the rounds' ratios is printed with its quartiles. The
Euler-Maruyama method of a small field is timed beside torchsde with its Brownian interval, where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import schemegen
from benchmarks.field import NETWORK as FIELD
from benchmarks.field import agree, torch_runs
from benchmarks.harness import Options, Report, interleaved, missing, ratios, setting
from schemegen.scheme.builders import from_text

TEXT = """scheme noisy {{
  state u
  drift f(u): block preact
  {noise}
  step {{ u[n+1] = u[n] + h*{factor}*f(u[n]) }}
}}
network steps "Steps of one shape, between a stem and a head" {{
  input: shape [3, 32, 32], classes 10
  stem: conv(3), width 16
  stage: width 16, steps {steps}
  head: bn, relu, avgpool, linear
}}"""
VARIANTS = {
    "stochastic depth, p = 1/2, a draw a batch, kept": ("bernoulli(1/2), scope batch", "b"),
    "stochastic depth, p = 1/2, a draw a batch, masked": (
        "bernoulli(1/2), scope batch, compute all",
        "b",
    ),
    "stochastic depth, p = 1/2, a draw a sample, kept": ("bernoulli(1/2), scope sample", "b"),
    "stochastic depth, p = 1/2, a draw a sample, masked": (
        "bernoulli(1/2), scope sample, compute all",
        "b",
    ),
    "dropout of the branch, p = 1/2, a draw an element": ("bernoulli(1/2), scope element", "2*b"),
    "gaussian factor, a draw an element": ("gaussian(1/10), scope element", "(1 + b)"),
}
DIFFUSIONS = {"additive": "1/10*dW", "multiplicative": "1/10*u[n]*dW"}
SDE = """scheme maruyama {{
  state u
  drift f(u): block mlp, weights network
  stepsize h = 1/{steps}
  noise dW: wiener, scope element, active always, eval sample
  step {{ u[n+1] = u[n] + h*f(u[n]) + {diffusion} }}
}}
"""
LOOP = "loop by hand"


def step(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Return one training step without the optimiser, for which noise changes nothing."""

    def run() -> None:
        module.zero_grad()
        module(x).square().sum().backward()

    return run


QUESTION = "What does a training step cost with noise?"


def by_hand(
    f: nn.Module, kind: str, steps: int, increments: Callable[[int, Tensor], Tensor] | None = None
) -> Callable[[Tensor], Tensor]:
    """Return Euler-Maruyama for ``du = f(u) dt + g(u) dW`` from 0 to 1 as one writes it, g = 1/10 or u/10."""
    h = 1 / steps

    def drawn(_: int, u: Tensor) -> Tensor:
        return h**0.5 * torch.randn_like(u)

    def run(u: Tensor) -> Tensor:
        for n in range(steps):
            noise = 0.1 * (increments or drawn)(n, u)
            u = u + h * f(u) + (noise if kind == "additive" else u * noise)
        return u

    return run


def by_torchsde(f: nn.Module, kind: str, steps: int, x: Tensor) -> Callable[[Tensor], Tensor] | str:
    """Return the same by ``torchsde.sdeint``, having compared it with the loop on one Brownian path."""
    if (absent := missing("torchsde")) is not None:
        return absent
    import torchsde

    class Equation(nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, u: Tensor) -> Tensor:
            y: Tensor = f(u)
            return y

        def g(self, t: Tensor, u: Tensor) -> Tensor:
            return torch.full_like(u, 0.1) if kind == "additive" else 0.1 * u

    equation, ends = Equation(), torch.tensor([0.0, 1.0], device=x.device)

    def run(u: Tensor, **given: object) -> Tensor:
        found = torchsde.sdeint(equation, u, ends, method="euler", dt=1 / steps, **given)
        last: Tensor = found[-1]
        return last

    path = torchsde.BrownianInterval(0.0, 1.0, size=tuple(x.shape), device=x.device)
    times = [n / steps for n in range(steps)] + [1.0]
    same = by_hand(f, kind, steps, lambda n, _: path(times[n], times[n + 1]))
    with torch.no_grad():
        agree(run(x, bm=path), same(x), "torchsde")
    return run


def equations(report: Report, options: Options) -> None:
    """Euler-Maruyama of a small field, one set of weights for all steps."""
    width, steps, batch = (8, 3, 2) if options.quick else (64, 20, 64)
    names = ("schemegen", "schemegen.optimize", "torchsde")
    for backward in (False, True):
        what = "Forward and backward" if backward else "Forward"
        title = f"{what}: Euler-Maruyama, {steps} steps of a field of width {width}, batch {batch}"
        table = report.table(f"{title}, over the loop by hand", "noise", *names)
        for kind, diffusion in DIFFUSIONS.items():
            text = SDE.format(steps=steps, diffusion=diffusion)
            own = schemegen.build(text + FIELD.format(steps=steps, width=width), "n")
            own.set_submodule("head.0", nn.Identity())
            own = own.to(options.device).train(backward)
            f = own.get_submodule("shared_f")
            x = torch.randn(batch, width, device=options.device) / 4
            fast = schemegen.optimize(own, mode="training" if backward else "inference")
            found = beside(f, kind, steps, x, [own, fast], backward, options)
            table.rows.append([kind, *(found[name] for name in names)])


def beside(
    f: nn.Module,
    kind: str,
    steps: int,
    x: Tensor,
    own: list[nn.Module],
    backward: bool,
    options: Options,
) -> dict[str, object]:
    """Return the ratios over the loop by hand, and what is said of a peer that is not installed."""
    calls: dict[str, Callable[[Tensor], Tensor] | str] = {LOOP: by_hand(f, kind, steps)}
    calls |= dict(zip(("schemegen", "schemegen.optimize"), own, strict=True))
    results = []
    for call in calls.values():
        torch.manual_seed(0)
        with torch.no_grad():
            results.append(call(x))
    for name, result in zip(calls, results, strict=True):
        agree(result, results[0], name)
    calls["torchsde"] = by_torchsde(f, kind, steps, x)
    made = {n: torch_runs(call, list(f.parameters()), x, backward) for n, call in calls.items()}
    runs = {name: item for name, item in made.items() if not isinstance(item, str)}
    said = {name: item for name, item in made.items() if isinstance(item, str)}
    return {**ratios(interleaved(runs, options.number(25)), LOOP), **said}


def run(options: Options) -> Report:
    steps, batch = (2, 4) if options.quick else (18, 32)
    torch.manual_seed(0)
    variants = {"without noise": ("", "1")}
    variants |= {name: (f"noise b: {noise}", factor) for name, (noise, factor) in VARIANTS.items()}
    runs = {}
    x = torch.randn(batch, 3, 32, 32, device=options.device)
    for name, (noise, factor) in variants.items():
        scheme = from_text(TEXT.format(noise=noise, factor=factor, steps=steps))
        runs[name] = step(schemegen.build(scheme).to(options.device).train(), x)
    found = ratios(interleaved(runs, options.number(15), warmup=1), "without noise")
    report = Report("noise", QUESTION, setting(options, ("torchsde",)))
    title = f"{steps} steps of 16 channels, 32 x 32, batch {batch}: forward and backward over the noise-free"
    table = report.table(title, "variant", "ratio")
    table.rows += [[name, found[name]] for name in VARIANTS]
    equations(report, options)
    return report
