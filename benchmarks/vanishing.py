"""Terms that vanish: what is left out, over loops by hand that compute them and multiply by 0."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, fx, nn

import schemegen
from benchmarks.harness import Options, Report, interleaved, ratios, timed
from benchmarks.literal import literal
from schemegen.sources import zoo_file

__all__ = ["dropped", "inference"]

GAINED = """scheme gained {
  state u
  drift f(u): block preact
  param g: learnable, per step, init 0
  step { u[n+1] = u[n] + g*h*f(u[n]) }
}"""
DRAWN = """scheme drawn {{
  state u
  drift f(u): block preact
  schedule p = list({survivals})
  noise b: bernoulli(p), scope batch, compute {compute}
  step {{ u[n+1] = u[n] + h*b*f(u[n]) }}
}}"""
LOOP = "loop by hand"


def zoo(name: str) -> str:
    return zoo_file(name).read_text(encoding="utf-8")


def set_to(network: fx.GraphModule, values: tuple[float, ...]) -> fx.GraphModule:
    """Set the learned coefficients of the steps in turn."""
    with torch.no_grad():
        for place, name in enumerate(network.meta["coefficients"]):
            network.get_parameter(name).fill_(values[place % len(values)])
    return network


class EveryStage(nn.Module):
    """The loop over the tableau of ``bs23`` with the weight 0 of its last stage written out."""

    def __init__(self, network: fx.GraphModule, steps: int) -> None:
        super().__init__()
        self.stem, self.head = network.get_submodule("stem"), network.get_submodule("head")
        self.blocks = [network.get_submodule(f"stage1.{step}.f") for step in range(steps)]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stem.children():
            x = layer(x)
        for f in self.blocks:
            k1 = f(x)
            k2 = f(x + 0.5 * k1)
            k3 = f(x + 0.75 * k2)
            k4 = f(x + 2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3)
            x = x + 2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3 + 0 * k4
        for layer in self.head.children():
            x = layer(x)
        return x


def cases(network: str, steps: int) -> dict[str, tuple[fx.GraphModule, nn.Module]]:
    """Return networks of which something vanishes, each with its loop by hand, in eval mode."""

    def learned(text: str, *values: float) -> tuple[fx.GraphModule, nn.Module]:
        found = set_to(schemegen.build(text + network), values).eval()
        return found, literal(found)

    third = schemegen.build(zoo("bs23") + network).eval()
    return {
        "lambda_in_resnet, lambda = 0": learned(zoo("lambda_in_resnet"), 0.0),
        "lambda_in_resnet, lambda = 1": learned(zoo("lambda_in_resnet"), 1.0),
        "lm_resnet, k = 0": learned(zoo("lm_resnet"), 1.0),  # what is stored is 1 - k
        "a learned gain of 0 in every other step": learned(GAINED, 1.0, 0.0),
        "bs23, a stage of weight 0": (third, EveryStage(third, steps).eval()),
    }


def inference(report: Report, options: Options, network: str, steps: int, shape: list[int]) -> None:
    """Networks whose learned coefficients are 0 or 1, in eval mode without gradients."""
    x = torch.randn(shape, device=options.device)
    names = ("as emitted", "optimize", 'mode="inference", nothing dropped', 'mode="inference"')
    title = "Inference where a coefficient is 0 or 1, over the loop that multiplies by it"
    table = report.table(f"{title}: {steps} steps, batch {shape[0]}", "case", *names)
    every = cases(network, steps)
    for case in list(every)[:2] if options.quick else every:
        own, loop = (module.to(options.device) for module in every[case])
        fast, frozen = schemegen.optimize(own), schemegen.optimize(own, mode="inference")
        with patch("schemegen.backends.frozen._Constants.drop", lambda constants: None):
            entire = schemegen.optimize(own, mode="inference")
        torch.testing.assert_close(frozen(x), loop(x), rtol=1e-3, atol=1e-3)
        calls = dict(zip((LOOP, *names), (loop, own, fast, entire, frozen), strict=True))
        runs = {name: timed(call, [], x, False) for name, call in calls.items()}
        found = ratios(interleaved(runs, options.number(25)), LOOP)
        table.rows.append([case, *(found[name] for name in names)])


def dropped(report: Report, options: Options, network: str, steps: int, shape: list[int]) -> None:
    """Stochastic depth in training whose branches of every other step are never kept."""
    x = torch.randn(shape, device=options.device)
    names = ("as emitted", "optimize")
    title = f"Training of {steps} steps with survival 1, 0, 1, .., over the loop that masks: batch {shape[0]}"
    table = report.table(title, "branches evaluated", *names)
    survivals = ", ".join(str((step + 1) % 2) for step in range(steps))

    def built(compute: str) -> fx.GraphModule:
        text = DRAWN.format(survivals=survivals, compute=compute) + network
        return schemegen.build(text).to(options.device).train()

    own = built("kept")
    calls = dict(
        zip((LOOP, *names), (literal(built("all")), own, schemegen.optimize(own)), strict=True)
    )
    runs = {n: timed(call, list(call.parameters()), x, True) for n, call in calls.items()}
    found = ratios(interleaved(runs, options.number(25)), LOOP)
    table.rows.append([f"{(steps + 1) // 2} of {steps}", *(found[name] for name in names)])
