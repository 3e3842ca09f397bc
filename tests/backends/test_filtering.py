"""Networks for inference that are compiled: minimal filtering, portions, one body or several."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.backends import filtering, regions
from schemegen.network.region import Region
from schemegen.network.winograd import convolved
from schemegen.resources import resource_dir
from schemegen.sources import zoo_file

pytestmark = pytest.mark.usefixtures("fresh_compiler")

ALL = sorted(path.stem for path in resource_dir("zoo").glob("schemes/*.scheme"))
DEFAULT = (
    "euler",
    "lm_resnet",
    "rk4",
    "revnet",
    "stochastic_depth",
    "en_resnet",
    "backward_euler",
    "dense_multistep",
)
CASES = [pytest.param(name, marks=[] if name in DEFAULT else pytest.mark.slow) for name in ALL]
NETWORK = """network n {{
  input: shape [3, {size}, {size}], classes 3
  stem: conv(3), width {width}
  stage: width {width}, steps {steps}
  head: bn, relu, avgpool, linear
}}"""


SHARED = """scheme shared {
  state u
  drift f(u): block b, weights network
  step { u[n+1] = u[n] + h/4*f(u[n]) }
}
"""


def frozen(scheme: str = "euler", width: int = 24, size: int = 8, steps: int = 2) -> fx.GraphModule:
    network = schemegen.build(
        zoo_file(scheme).read_text(encoding="utf-8")
        + NETWORK.format(width=width, size=size, steps=steps)
    )
    network(torch.randn(4, 3, size, size))
    return schemegen.optimize(network.double(), mode="inference")


def images(count: int, size: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, size, size, dtype=torch.double)


def of(module: nn.Module) -> list[object]:
    """Return what the compiled bodies of a network call."""
    bodies = [item.form for item in module.modules() if isinstance(item, Region)]
    return [node.target for form in bodies for node in form.graph.nodes]


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize("scheme", CASES)
def test_schemes_of_the_zoo_are_filtered(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution of 3 x 3 with tiles of any number, whole and by parts, sample by sample and not."""
    monkeypatch.setattr(filtering, "LEAST", 1)
    monkeypatch.setattr(filtering, "FEW", 1)
    monkeypatch.setattr(filtering, "COVER", 99)
    try:
        network = schemegen.build(scheme, network="tiny")
    except schemegen.SchemeError:
        network = schemegen.build(scheme, network="mlp")
    network = network.double()
    shape = next(node.meta["shape"] for node in network.graph.nodes if node.op == "placeholder")
    for _ in range(2):
        network(torch.randn(4, *shape, dtype=torch.double))
    plain = schemegen.optimize(network, mode="inference")
    x = torch.randn(3, *shape, dtype=torch.double)
    # the bodies as they are handed to a compiler
    monkeypatch.setattr(torch, "compile", lambda body, **options: body)
    for most, space in ((10**9, 1 << 40), (0, 1)):
        monkeypatch.setattr(regions, "WHOLE", most)
        monkeypatch.setattr(filtering, "SPACE", space)
        compiled = schemegen.compile_network(plain, backend="eager")
        found = []
        for module in (plain, compiled):
            torch.manual_seed(0)
            with torch.no_grad():
                found.append(module(x))
        torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)
        modules = list(plain.graph.find_nodes(op="call_module"))
        assert (compiled.meta["portion"] is None) == (
            bool(modules) or convolved not in of(compiled)
        )


def test_convolutions_are_filtered_where_it_pays() -> None:
    def count(**shape: int) -> tuple[int, int]:
        called = of(schemegen.compile_network(frozen(**shape), backend="eager"))
        return called.count(convolved), called.count(F.conv2d)

    assert count() == (4, 1)  # all but that of the stem, which has three channels
    assert count(width=23) == (0, 5)
    assert count(size=4) == (0, 5)  # one tile
    assert count(size=6) == (0, 5)  # 8 x 8 pixels in tiles for 36
    assert count(size=7) == (4, 1)


def test_only_plain_convolutions_of_3_x_3_are_filtered() -> None:
    weight = torch.zeros(32, 32, 3, 3)
    assert filtering.pays(weight, (32, 8, 8))
    assert not filtering.pays(weight, None)
    assert not filtering.pays(weight.half(), (32, 8, 8))
    assert not filtering.pays(weight.to("meta"), (32, 8, 8))
    assert not filtering.pays(weight[:, :, :1, :1], (32, 8, 8))
    assert not filtering.pays(torch.zeros(1024, 1024, 3, 3), (1024, 8, 8))
    text = """scheme s {
  state u
  drift f(u): block b
  step { u[n+1] = u[n] + h*f(u[n]) }
}
network n {
  input: shape [3, 8, 8], classes 3
  block b: seq [conv(5), relu, conv(1), relu, conv(3)]
  stem: conv(3), width 48
  stage: width 48, steps 1
  head: avgpool, linear
}"""
    network = schemegen.build(text).double()
    plain = schemegen.optimize(network, mode="inference")
    compiled = schemegen.compile_network(plain, backend="eager")
    assert of(compiled).count(convolved) == 1
    x = images(2)
    torch.testing.assert_close(compiled(x), plain(x))


def test_steps_that_share_weights_share_their_transform() -> None:
    own = "  block b: seq [conv(3), relu, conv(3)]\n  stem"
    text = SHARED + NETWORK.format(width=24, size=8, steps=5).replace("  stem", own)
    network = schemegen.build(text).double().eval()
    compiled = schemegen.compile_network(
        schemegen.optimize(network, mode="inference"), backend="eager"
    )
    assert of(compiled).count(convolved) == 10
    names = [name for name, _ in compiled.named_buffers()]
    assert sum(name.endswith("_filter") for name in names) == 2
    x = images(3)
    torch.testing.assert_close(compiled(x), network(x).detach())


# Dynamo looks at `.grad` of what it is handed, also where that is no leaf.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_large_batches_are_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "SPACE", 8 * 3 * 36 * 4 * 24)
    plain = frozen()
    compiled = schemegen.compile_network(plain, backend="eager")
    assert compiled.meta["portion"] == 3
    seen: list[int] = []
    region = next(item for item in compiled.modules() if isinstance(item, Region))
    region.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    for count, wanted in ((3, [3]), (8, [3, 3, 2])):
        x = images(count)
        seen.clear()
        torch.testing.assert_close(compiled(x), plain(x))
        assert seen == wanted
        x.requires_grad_()
        slopes = [torch.autograd.grad(module(x).sum(), x)[0] for module in (plain, compiled)]
        torch.testing.assert_close(*slopes)
    with pytest.raises(schemegen.backends.NetworkError, match=r"euler\.scheme|:\d+"):
        compiled(torch.randn(8, 4, 8, 8, dtype=torch.double))


def test_compiled_networks_are_copied_and_pickled() -> None:
    compiled = schemegen.compile_network(frozen(), backend="eager")
    x = images(2)
    wanted = compiled(x)
    stored = pickle.dumps(compiled)
    for other in (copy.deepcopy(compiled), pickle.loads(stored)):  # noqa: S301  our own bytes
        assert type(other).__mro__[1] is filtering.PortionedNetwork
        assert other.meta["portion"] == compiled.meta["portion"]
        torch.testing.assert_close(other(x), wanted)


def test_deep_networks_are_compiled_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "WHOLE", 300)
    bodies = []
    for steps in (2, 4, 9):
        plain = frozen(steps=steps)
        compiled = schemegen.compile_network(plain, backend="eager")
        x = images(2)
        torch.testing.assert_close(compiled(x), plain(x))
        bodies.append(sum(isinstance(item, Region) for item in compiled.modules()))
    assert bodies == [1, 3, 3]


def test_exported_and_compiled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "WHOLE", 0)
    plain = frozen()
    compiled = schemegen.compile_network(plain, backend="eager")
    # the exporter of torch 2.11 compares strides as if they did not all grow with the batch
    count = torch.export.Dim("batch") if torch.__version__ >= (2, 14) else torch.export.Dim.STATIC
    program = torch.export.export(compiled, (images(5),), dynamic_shapes=({0: count},)).module()
    whole = torch.compile(compiled, backend="eager", fullgraph=True)
    x = images(5)
    torch.testing.assert_close(program(x), plain(x))
    torch.testing.assert_close(whole(x), plain(x))


def test_inductor_computes_the_same_for_every_batch() -> None:
    plain = frozen(steps=1).float()
    compiled = schemegen.compile_network(plain)
    assert compiled.meta["portion"] == 303
    with torch.no_grad():
        for count in (4, 1, 7):
            x = images(count).float()
            torch.testing.assert_close(compiled(x), plain(x), rtol=1e-5, atol=1e-5)


def test_perceptrons_for_inference_are_compiled_as_one_body() -> None:
    network = schemegen.build("rk4", network="mlp").double().eval()
    plain = schemegen.optimize(network, mode="inference")
    compiled = schemegen.compile_network(plain, backend="eager")
    assert sum(isinstance(item, Region) for item in compiled.modules()) == 1
    shape = next(node.meta["shape"] for node in network.graph.nodes if node.op == "placeholder")
    x = torch.randn(3, *shape, dtype=torch.double)
    torch.testing.assert_close(compiled(x), network(x).detach())
