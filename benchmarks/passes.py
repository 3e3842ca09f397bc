"""What each pass of ``schemegen.optimize`` brings: ``python -m benchmarks passes``.

Everything is timed beside a loop over ``nn.Module`` blocks as one writes it, with weights of their own in each
step (in ``verlet`` and where it says "one set", the same for all); ratios below 1 are faster than the loop.
Passes are added one after the other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, fx, nn

import schemegen
from benchmarks import ablated, convolutions, encoders, vanishing
from benchmarks.harness import Options, Report, interleaved, missing, ratios, setting, timed
from schemegen.backends.adjoint import with_adjoint
from schemegen.backends.exports import exported_program, onnx_bytes
from schemegen.backends.flat import places
from schemegen.backends.functional import functional
from schemegen.backends.inplace import accumulate, reuse
from schemegen.backends.regions import looped
from schemegen.backends.rewrites import interpolate, share
from schemegen.backends.written import Functional
from schemegen.network.blocks import Mlp, Preact
from schemegen.sources import zoo_file

QUESTION = "What does each pass of schemegen.optimize bring?"
LOOP, WIDE, BARE = "loop by hand", "+ channels last", "convolutions alone"
FROZEN, ONNX = 'mode="inference"', "form onnx, onnxruntime"
DIRECT, COMPILED = "that in torch.compile", "that in compile_network"
VECTORS = """
network n {{
  input: shape [{width}], classes 10
  block preact: mlp
  stem: linear, width {width}
  stage: width {width}, steps {steps}
  head: linear
}}"""
IMAGES = """
network n {{
  input: shape [3, {size}, {size}], classes 10
  stem: conv(3), width {width}
  stage: width {width}, steps {steps}
  head: bn, relu, avgpool, linear
}}"""
VERLET = """scheme verlet {
  state x, v
  drift f(x): block preact, weights network
  step {
    w = v[n] + 1/2*h*f(x[n])
    x[n+1] = x[n] + h*w
    v[n+1] = w + 1/2*h*f(x[n+1])
  }
  start: v zero
}"""
ONE = ", one set"
EULER = f"euler{ONE}"
TIED = ("verlet", EULER, "rk4, one set")
SCHEMES = (*TIED, "euler", "rk2", "rk4", "ab2", "lm_resnet")
Call = Callable[[Tensor], Tensor]


class Loop(nn.Module):
    """The schemes as one writes them by hand."""

    def __init__(self, scheme: str, own: nn.Module, block: Callable[[], nn.Module], steps: int):
        super().__init__()
        self.scheme = scheme
        self.stem = copy.deepcopy(own.get_submodule("stem"))
        self.head = copy.deepcopy(own.get_submodule("head"))
        every = [block() for _ in range(1 if scheme.endswith(ONE) else steps)]
        self.blocks = nn.ModuleList(every * (steps // len(every)))
        self.k = nn.ParameterList(nn.Parameter(torch.tensor(-0.05)) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.stem.children():
            x = layer(x)
        x = getattr(self, self.scheme.removesuffix(ONE))(x)
        for layer in self.head.children():
            x = layer(x)
        return x

    def euler(self, u: Tensor) -> Tensor:
        for f in self.blocks:
            u = u + f(u)
        return u

    def rk2(self, u: Tensor) -> Tensor:
        for f in self.blocks:
            u = u + f(u + 0.5 * f(u))
        return u

    def rk4(self, u: Tensor) -> Tensor:
        for f in self.blocks:
            k1 = f(u)
            k2 = f(u + 0.5 * k1)
            k3 = f(u + 0.5 * k2)
            k4 = f(u + k3)
            u = u + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        return u

    def ab2(self, u: Tensor) -> Tensor:
        before = None
        for f in self.blocks:
            k = f(u)
            u = u + k if before is None else u + 1.5 * k - 0.5 * before
            before = k
        return u

    def lm_resnet(self, u: Tensor) -> Tensor:
        before = None
        for k, f in zip(self.k, self.blocks, strict=True):
            new = u + f(u) if before is None else (1 - k) * u + k * before + f(u)
            before, u = u, new
        return u

    def verlet(self, x: Tensor) -> Tensor:
        v, f = torch.zeros_like(x), self.blocks[0]
        for _ in self.blocks:
            w = v + 0.5 * f(x)
            x = x + w
            v = w + 0.5 * f(x)
        return x


def network(scheme: str, text: str) -> fx.GraphModule:
    if scheme == "verlet":
        return schemegen.build(VERLET + text)
    source = zoo_file(scheme.removesuffix(ONE)).read_text(encoding="utf-8")
    if scheme.endswith(ONE):
        source = source.replace("weights per step", "weights network")
    return schemegen.build(source + text)


def called(own: fx.GraphModule, written: Functional, call: Callable[..., Tensor]) -> Call:
    owners, keys = places(own, list(written.values))

    def run(x: Tensor) -> Tensor:
        return call(x, *(owner[key] for owner, key in zip(owners, keys, strict=True)))

    return run


def by_pass(own: fx.GraphModule, backward: bool) -> dict[str, Call]:
    """Return the network after each pass; the last is what ``schemegen.optimize`` runs."""
    result: dict[str, Call] = {"as emitted": own}
    written = functional(own)
    result["+ flat"] = called(own, written, compiled(nn.Module(), written.graph))
    interpolate(written.graph)
    share(written.graph)
    result["+ rewritten"] = called(own, written, compiled(nn.Module(), written.graph))
    if backward:
        result["+ adjoint"] = called(own, written, compiled(*with_adjoint(written.graph)))
    else:
        for name, passes in (("+ in place", (reuse,)), ("+ add in place", (accumulate, reuse))):
            graph = copy.deepcopy(written.graph)
            for change in passes:
                change(graph)
            result[name] = called(own, written, compiled(nn.Module(), graph))
    result["optimize (+ composed)"] = schemegen.optimize(own)
    return result


def compiled(root: nn.Module, graph: fx.Graph) -> Callable[..., Tensor]:
    call: Callable[..., Tensor] = fx.GraphModule(root, graph).forward
    return call


def small(report: Report, options: Options) -> None:
    """Steps of a small perceptron, pass by pass."""
    width, steps = (8, 3) if options.quick else (64, 20)
    for backward in (False, True):
        what = "Forward and backward" if backward else "Forward"
        table = None
        for scheme in ("verlet", "lm_resnet") if options.quick else SCHEMES:
            own = network(scheme, VECTORS.format(width=width, steps=steps)).to(options.device)
            loop = Loop(scheme, own, lambda: Mlp(width, width), steps).to(options.device)
            for batch in (2,) if options.quick else (1, 64):
                x = torch.randn(batch, width, device=options.device)
                calls: dict[str, Call] = {LOOP: loop, **by_pass(own, backward)}
                learned = {LOOP: list(loop.parameters())}
                runs = {
                    name: timed(call, learned.get(name, list(own.parameters())), x, backward)
                    for name, call in calls.items()
                }
                found = ratios(interleaved(runs, options.number(25)), LOOP)
                if table is None:
                    title = f"{what}: {steps} steps of a {width}-wide perceptron"
                    table = report.table(title, "scheme", "batch", *list(found)[1:])
                table.rows.append([scheme, batch, *list(found.values())[1:]])


def regrouped(report: Report, options: Options) -> None:
    """The same tableaux with a term for each slope, and with the fewest terms."""
    width, steps, batch = (8, 2, 2) if options.quick else (64, 10, 64)
    table = report.table(
        f"{steps} steps of a {width}-wide perceptron, batch {batch}, over one term for each slope",
        "scheme", "terms as stated", "terms", "forward", "forward and backward",
    )  # fmt: skip
    for scheme in ("ssprk43",) if options.quick else ("ssprk3", "ssprk43", "ssprk104"):
        text = zoo_file(scheme).read_text(encoding="utf-8")
        text += VECTORS.format(width=width, steps=steps)
        with patch("schemegen.backends.graph.regroup", lambda program: program):
            stated = schemegen.build(text).to(options.device)
        fewest = schemegen.build(text).to(options.device)
        x = torch.randn(batch, width, device=options.device)
        cells: list[object] = [sums(stated) // steps, sums(fewest) // steps]
        for backward in (False, True):
            runs = {
                name: timed(network, list(network.parameters()), x, backward)
                for name, network in (("stated", stated), ("fewest", fewest))
            }
            found = ratios(interleaved(runs, options.number(25)), "stated")
            cells.append(found["fewest"])
        table.rows.append([scheme, *cells])


def sums(network: fx.GraphModule) -> int:
    return sum(node.target in (torch.add, torch.lerp) for node in network.graph.nodes)


def zeros(report: Report, options: Options) -> None:
    """What is left out where a coefficient is 0 or 1."""
    width, steps, batch = (8, 2, 2) if options.quick else (64, 20, 64)
    text = VECTORS.format(width=width, steps=steps)
    vanishing.inference(report, options, text, steps, [batch, width])
    vanishing.dropped(report, options, text, steps, [batch, width])


def large(report: Report, options: Options) -> None:
    """Stages of convolutions: training in eager mode, and inference."""
    shapes = ((24, 8, 2),) if options.quick else ((16, 32, 16), (32, 16, 16), (64, 8, 16))
    steps = 2 if options.quick else 6
    training = report.table(
        f"Training (forward and backward) of a stage of {steps} steps of convolutions",
        "scheme", "width, size, batch", "as emitted", WIDE, "optimize", BARE,
    )  # fmt: skip
    inference = report.table(
        f"Inference of a stage of {steps} steps of convolutions",
        "scheme", "width, size, batch", "as emitted", WIDE, "optimize", FROZEN, DIRECT, COMPILED, ONNX, BARE,
    )  # fmt: skip
    for scheme in ("euler",) if options.quick else ("euler", "lm_resnet", "rk4"):
        for width, size, batch in shapes if scheme == "euler" else shapes[:1]:
            own = network(scheme, IMAGES.format(width=width, size=size, steps=steps))
            loop = Loop(scheme, own, lambda width=width: Preact(width, width), steps)
            own, loop = own.to(options.device), loop.to(options.device)
            wide = copy.deepcopy(own).to(memory_format=torch.channels_last)
            fast = schemegen.optimize(copy.deepcopy(own))
            x = torch.randn(batch, 3, size, size, device=options.device)
            named: dict[str, Any] = {LOOP: loop, "as emitted": own, WIDE: wide}
            named["optimize"] = fast
            given = {WIDE: x.to(memory_format=torch.channels_last)}
            runs = {
                n: timed(c, list(c.parameters()), given.get(n, x), True) for n, c in named.items()
            }
            runs[BARE] = convolutions.alone(wide, given[WIDE], backward=True)
            found = ratios(interleaved(runs, options.number(15)), LOOP)
            name = f"{width}, {size}, {batch}"
            training.rows.append([scheme, name, *list(found.values())[1:]])
            for module in named.values():
                module.eval()
            named[FROZEN] = schemegen.optimize(own, mode="inference")
            named[DIRECT], named[COMPILED] = compiled_forms(named[FROZEN])
            with torch.no_grad():
                torch.testing.assert_close(named[COMPILED](x), own(x), atol=1e-5, rtol=1e-5)
            runs = {n: timed(c, [], given.get(n, x), False) for n, c in named.items()}
            export = exported(own, x)
            if not isinstance(export, str):
                runs[ONNX] = export
            runs[BARE] = convolutions.alone(wide, given[WIDE], backward=False)
            found = ratios(interleaved(runs, options.number(15)), LOOP)
            said = {ONNX: export} if isinstance(export, str) else {}
            cells = {**found, **said}
            inference.rows.append(
                [scheme, name, *(cells[column] for column in inference.columns[2:])]
            )


def compiled_forms(frozen: fx.GraphModule) -> tuple[Call, Call]:
    """Return a network for inference compiled as it is, and with convolutions by minimal filtering."""
    torch._dynamo.reset()
    direct = torch.compile(frozen, fullgraph=True, **looped(frozen, {"dynamic": False}))
    return direct, schemegen.compile_network(frozen, dynamic=False)


def lacking(report: Report, options: Options) -> None:
    """Training without one pass: a perceptron with one set of weights, and convolutions."""
    width, steps, batch = (8, 3, 2) if options.quick else (64, 20, 64)
    size, channels, images = (6, 4, 2) if options.quick else (32, 16, 16)
    vectors = VECTORS.format(width=width, steps=steps)
    stage = IMAGES.format(width=channels, size=size, steps=2 if options.quick else 6)
    x = torch.randn(batch, width, device=options.device)
    y = torch.randn(images, 3, size, size, device=options.device)
    ablated.training(
        report,
        options,
        [
            (EULER, f"perceptron, {width} wide", network(EULER, vectors).to(options.device), x),
            ("euler", f"{channels} channels", network("euler", stage).to(options.device), y),
        ],
    )


def exported(network: nn.Module, x: Tensor) -> Callable[[], object] | str:
    """Return a run of the exported network in onnxruntime, or why there is none."""
    if (absent := missing("onnx", "onnxscript", "onnxruntime")) is not None:
        return absent
    if x.device.type != "cpu":
        return "on the CPU only"
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    model = onnx_bytes(exported_program(network, tuple(x.shape[1:])))
    session = onnxruntime.InferenceSession(model, settings)
    given = {session.get_inputs()[0].name: x.numpy()}
    with torch.no_grad():
        wanted = network(x)
    torch.testing.assert_close(
        torch.from_numpy(session.run(None, given)[0]), wanted, atol=1e-5, rtol=1e-5
    )
    return lambda: session.run(None, given)


def run(options: Options) -> Report:
    torch.manual_seed(0)
    report = Report("passes", QUESTION, setting(options))
    small(report, options)
    regrouped(report, options)
    zeros(report, options)
    large(report, options)
    lacking(report, options)
    encoders.encoders(report, options, Loop)
    return report
