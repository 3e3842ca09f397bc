"""Every form of a network, written, read again, and compared: what the tests of schemes x backbones call."""

from __future__ import annotations

import copy
import io
import pickle
import re
import types
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, fx, nn

import schemegen
from schemegen.backends import emit_source
from schemegen.backends.exports import exported_bytes, exported_program, onnx_bytes
from schemegen.diagnostics import Source
from schemegen.pipeline import emit_network
from schemegen.resources import resource_dir
from schemegen.scheme import bind, fit
from schemegen.scheme.fits import history
from schemegen.scheme.model import Scheme
from schemegen.scheme.network import NetworkSpec
from schemegen.selection import read_network
from schemegen.step import lower

ZOO = resource_dir("zoo")
SCHEMES = sorted(path.stem for path in (ZOO / "schemes").glob("*.scheme"))
NETWORKS = sorted(path.stem for path in (ZOO / "networks").glob("*.scheme"))
FORMS = ("fx", "python", "safetensors", "export", "onnx")
SOLVED = ("tiny", "mlp", "digits_vit", "imagenet_resnet18", "imagenet_wide_resnet50_2")
"""Where implicit steps are converted to ONNX, which takes up to a minute: they are the same around any block."""
SIDE = 32  # of the largest images that are tried
WIDE = 256  # channels; the shapes of wider networks are tried on a quarter of them


def short_text(name: str, past: int, first: int = 2) -> str:
    """Return the first two stages of a network of the zoo, on small images, wide ones a quarter as wide.

    The first stage has ``past`` steps that build a history and ``first`` more, the other one more than a history
    has.
    """
    text = (ZOO / "networks" / f"{name}.scheme").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for further in re.findall(r"^\s*stage:.*\n", text, flags=re.MULTILINE)[2:]:
        text = text.replace(further, "")
    counts = iter([past + first])
    text = re.sub(r"\bsteps \d+", lambda _: f"steps {next(counts, past + 1)}", text)
    if max(int(width) for width in re.findall(r"\bwidth (\d+)", text)) > WIDE:
        text = re.sub(r"\bwidth (\d+)", lambda found: f"width {narrow(int(found[1]))}", text)
    return re.sub(
        r"shape \[(\d+), (\d+), \2\]",
        lambda found: f"shape [{found[1]}, {min(SIDE, int(found[2]))}, {min(SIDE, int(found[2]))}]",
        text,
    )


def narrow(width: int) -> int:
    return width if width % 4 else width // 4


def kinds() -> dict[str, tuple[str, ...]]:
    """Return the backbones that differ in more than numbers, and the networks like each, narrow ones first."""
    found: dict[str, list[str]] = {}
    for name in sorted(NETWORKS, key=lambda name: (width_of(name), name)):
        text = re.sub(r'^network \w+ "[^"]*"', "", short_text(name, 0))
        found.setdefault(re.sub(r"\d+", "", text), []).append(name)
    return {names[0]: tuple(names) for names in found.values()}


def width_of(name: str) -> int:
    return max(int(width) for width in re.findall(r"\bwidth (\d+)", short_text(name, 0)))


def kind_of(network: str) -> str:
    return next(kind for kind, names in kinds().items() if network in names)


def short(scheme: Scheme, network: str) -> NetworkSpec:
    """Return the short form of a network, long enough for every kind of step that the scheme has."""
    text = short_text(network, history(scheme), 1 if solved(scheme) else 2)
    return read_network(Source(f"{network}.scheme", text), network)


def misfits(scheme: Scheme, spec: NetworkSpec) -> tuple[str, ...]:
    """Return the codes for which a scheme does not fit a network."""
    return tuple(dict.fromkeys(item.code for item in fit(scheme, spec) if item.is_error))


def built(scheme: Scheme, spec: NetworkSpec) -> fx.GraphModule:
    """Return the network with branches so small that implicit steps converge, batch statistics or not."""
    network = emit_network(scheme, lower(scheme), bind(scheme, spec), {})
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.startswith("stage") and name not in network.meta["coefficients"]:
                value.mul_(0.25)
    return network


def inputs(spec: NetworkSpec, batch: int = 3) -> Tensor:
    return torch.randn(batch, *spec.input_shape, generator=torch.Generator().manual_seed(0))


def output(network: nn.Module, x: Tensor, seed: int = 1) -> Tensor:
    """Return what a network gives in evaluation mode, noise of evaluation included."""
    torch.manual_seed(seed)
    with torch.no_grad():
        return network(x)


def trains(network: fx.GraphModule, x: Tensor) -> None:
    """Forward and backward in single precision and under bfloat16 autocast."""
    network.train()
    sizes = []
    for autocast in (False, True):
        network.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = network(x)
        assert y.dtype == (torch.bfloat16 if autocast else torch.float32)
        y.float().square().mean().backward()
        for key, value in network.named_parameters():
            if value.requires_grad:
                assert value.grad is not None, key
                assert value.grad.dtype == torch.float32, key
                assert value.grad.isfinite().all(), key
        sizes.append(float(y.detach().float().norm()))
    assert 0.8 < sizes[0] / sizes[1] < 1.25
    network.zero_grad()


def again(form: str, network: fx.GraphModule, scheme: Scheme, spec: NetworkSpec, folder: Path):
    """Write a network in one form, read that, and return it as a function of a batch."""
    match form:
        case "fx":
            return pickle.loads(pickle.dumps(network))  # noqa: S301  our own bytes
        case "python":
            module = types.ModuleType("model")
            source = emit_source(lower(scheme), bind(scheme, spec))
            exec(compile(source, "model.py", "exec"), module.__dict__)  # noqa: S102  our own text
            model = module.Model().eval()
            model.load_state_dict(network.state_dict())
            return model
        case _:
            schemegen.save(network, folder / "network.safetensors")
            return schemegen.restore(folder / "network.safetensors").eval()


def solved(scheme: Scheme) -> bool:
    """Return whether steps are solved; Neumann terms are no more than evaluations."""
    return scheme.solver is not None and scheme.solver.method != "neumann"


def forms_of(scheme: Scheme, kind: str) -> tuple[str, ...]:
    """Return the forms that are tried for a scheme on a kind of backbone."""
    return FORMS[:4] if solved(scheme) and kind not in SOLVED else FORMS


def with_other_kernels(network: fx.GraphModule, spec: NetworkSpec, forms: tuple[str, ...]):
    """Yield the forms that other programs run, read again, as functions of a batch."""
    program = exported_program(network, spec.input_shape)
    yield "export", torch.export.load(io.BytesIO(exported_bytes(program))).module()
    if "onnx" in forms:
        session = onnxruntime.InferenceSession(onnx_bytes(program))
        (given,) = session.get_inputs()
        yield "onnx", lambda x: torch.from_numpy(session.run(None, {given.name: x.numpy()})[0])


def comes_back(network: fx.GraphModule, scheme: Scheme, spec: NetworkSpec, folder: Path) -> Tensor:
    """Return what a network gives; every form that schemegen reads again gives the same, bit for bit."""
    network.eval()
    x = inputs(spec)
    wanted = output(copy.deepcopy(network), x)
    for form in FORMS[:3]:
        assert torch.equal(output(again(form, network, scheme, spec, folder), x), wanted), form
    return wanted


def round_trips(
    network: fx.GraphModule,
    scheme: Scheme,
    spec: NetworkSpec,
    folder: Path,
    forms: tuple[str, ...] = FORMS,
) -> None:
    """Every form that is read again gives the same: bit for bit, or to rounding with other kernels."""
    wanted = comes_back(network, scheme, spec, folder)
    x = inputs(spec)
    near = 1e-4 * float(wanted.abs().max())
    spread = float((output(copy.deepcopy(network), x, seed=2) - wanted).abs().max())
    for form, found in with_other_kernels(network, spec, forms):
        error = float((output(found, x) - wanted).abs().max())
        # What is drawn in evaluation, an ONNX runtime draws for itself: it differs as two draws differ.
        far = 10 * spread if form == "onnx" and spread else near
        assert error < far, f"{form}: {error:.1e}"
