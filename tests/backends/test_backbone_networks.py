"""Networks of the zoo that others have published: equal parameter counts, and equal numbers out."""

from __future__ import annotations

import inspect
import types

import pytest
import torch
import torchvision
from reference import compare
from torch import nn

import schemegen
from schemegen.backends import emit_graph, emit_source, request
from schemegen.backends.exports import exported_program
from schemegen.backends.graph import image_size
from schemegen.backends.layers import CONSTRUCTORS
from schemegen.diagnostics import Source, UsageError
from schemegen.language import parse
from schemegen.network.blocks import BLOCKS
from schemegen.scheme import blocks, check, layers
from schemegen.scheme.network import NetworkSpec
from schemegen.step import lower

TORCHVISION = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2",
)  # fmt: skip
POSTACT = """network small {
  input: shape [3, 16, 16], classes 5
  block preact: postact_bottleneck, widen 2, groups 2
  stem: conv(7, 2), bn, relu, maxpool(3, 2), width 8
  shortcut: conv1x1, bn
  after: relu
  stage: width 16, steps 3
  stage: width 32, steps 3, stride 2
  head: avgpool, linear
}
"""
SHARED = """network small {
  input: shape [3, 8, 8], classes 5
  block preact: preact
  stem: conv(3), width 4
  shortcut: shared, conv1x1
  stage: width 8, steps 3
  stage: width 16, steps 3, stride 2
  head: bn, relu, avgpool, linear
}
"""
TOKENS = """network small {
  input: shape [3, 8, 8], classes 5
  block attention: attention, heads 2
  block feedforward: feedforward, expansion 2
  block preact: encoder, heads 2, expansion 3
  stem: patch(2), positions, width 8
  stage: width 8, steps 3
  stage: width 16, steps 3, stride 2
  head: layernorm, avgpool, linear
}
"""


def spec_of(text: str) -> NetworkSpec:
    (spec,) = check(parse(Source("small.scheme", text))).networks
    return spec


def count(module: nn.Module) -> int:
    return sum(item.numel() for item in module.parameters())


def randomise(module: nn.Module) -> None:
    """Give every tensor other values, batch-norm statistics included; sizes stay what they were."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, item in module.state_dict().items():
            if item.is_floating_point():
                noise = torch.rand(item.shape, generator=draws, dtype=item.dtype)
                item.copy_(noise + 0.5 if "var" in name else item + (noise - 0.5) / 10)


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameter_counts_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        ours = schemegen.build("resnet", network=f"imagenet_{name}")
        theirs = getattr(torchvision.models, name)()
        assert count(ours) == count(theirs)
        renamed = schemegen.from_torchvision(theirs.state_dict())
        assert {k: v.shape for k, v in renamed.items()} == {
            k: v.shape for k, v in ours.state_dict().items()
        }


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("cifar_resnext29_8x64d", 34_426_698),
        ("cifar_resnext29_16x64d", 68_155_210),
        ("cifar_wrn28_10", 36_479_194),
    ],
)
def test_parameter_counts_of_cifar_networks(name: str, published: int) -> None:
    """Published as 34.4, 68.1 (ResNeXt, table 7) and 36.5 (Wide ResNet, table 4) million."""
    with torch.device("meta"):
        assert count(schemegen.build("resnet", network=name)) == published


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_logits_of_torchvision(name: str) -> None:
    """Forward Euler with torchvision's weights is torchvision's network, in both precisions."""
    theirs = getattr(torchvision.models, name)(num_classes=1000).eval()
    randomise(theirs)
    with torch.device("meta"):
        ours = schemegen.build("resnet", network=f"imagenet_{name}").eval()
    ours.load_state_dict(schemegen.from_torchvision(theirs.state_dict()), assign=True)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for dtype, bound in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        with torch.no_grad():
            wanted, found = theirs.to(dtype)(x.to(dtype)), ours.to(dtype)(x.to(dtype))
        assert wanted.std() > 0.01
        assert (found - wanted).abs().max() <= bound * wanted.abs().max()
    back = schemegen.to_torchvision(ours.state_dict())
    assert all(torch.equal(back[key], value) for key, value in theirs.state_dict().items())


def test_keys_of_other_networks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"has the key 'classifier\.weight'"):
        schemegen.from_torchvision({"classifier.weight": torch.zeros(1)})
    state = {"layer1.0.conv1.weight": torch.zeros(1)}
    assert list(schemegen.from_torchvision(state, drift="g")) == ["stage1.0.g.conv1.weight"]
    with pytest.raises(UsageError, match=r"stage1\.0\.g\.conv1\.weight"):
        schemegen.to_torchvision(schemegen.from_torchvision(state, drift="g"))


def layer_state(step: nn.Module) -> dict[str, torch.Tensor]:
    """Return a step of ``lie_trotter`` as the state of a ``TransformerEncoderLayer``."""
    attention, feedforward = step.get_submodule("f"), step.get_submodule("g")
    parts = {
        "norm1": attention.norm,
        "self_attn.out_proj": attention.outward,
        "norm2": feedforward.norm,
        "linear1": feedforward.linear1,
        "linear2": feedforward.linear2,
    }
    state = {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}
    inward = attention.inward
    return {
        **state,
        "self_attn.in_proj_weight": inward.weight,
        "self_attn.in_proj_bias": inward.bias,
    }


def test_lie_trotter_is_the_pre_norm_transformer() -> None:
    """Stem, then torch's own encoder layers on the tokens, then the head: the same logits and gradients."""
    ours = schemegen.build("lie_trotter", network="digits_vit").double()
    randomise(ours)
    layers = []
    for step in ours.get_submodule("stage1").children():
        layer = nn.TransformerEncoderLayer(
            32, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        ).double()
        layer.load_state_dict(layer_state(step))
        layers.append(layer)
    assert len(layers) == 4
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 8, 8, generator=draws, dtype=torch.float64, requires_grad=True)
    u = x
    for index in range(2):
        u = ours.get_submodule(f"stem.{index}")(u)
    tokens = u.flatten(2).transpose(1, 2)
    for layer in layers:
        tokens = layer(tokens)
    norm, linear = ours.get_submodule("head.0"), ours.get_submodule("head.2")
    wanted = linear(nn.functional.layer_norm(tokens, (32,), norm.weight, norm.bias).mean(1))
    found = ours(x)
    assert (found - wanted).abs().max() < 1e-12 * wanted.abs().max()
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (found, wanted)]
    assert (gradients[0] - gradients[1]).abs().max() < 1e-12 * gradients[1].abs().max()


def test_macaron_is_half_a_feedforward_on_either_side() -> None:
    ours = schemegen.build("macaron", network="digits_vit").double()
    step = ours.get_submodule("stage1.0")
    u = torch.randn(2, 32, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = u + step.g_1(u) / 2
    wanted = wanted + step.f(wanted)
    wanted = wanted + step.g_2(wanted) / 2
    assert not torch.equal(step.g_1.linear1.weight, step.g_2.linear1.weight)
    found = run_step(ours, "stage1_step0_", "stem_u", u)
    assert (found - wanted).abs().max() < 1e-14


@pytest.mark.parametrize("scheme", ["resnet", "lm_resnet", "rk4", "revnet", "zerosnet"])
@pytest.mark.parametrize("text", [POSTACT, SHARED, TOKENS], ids=["postact", "shared", "tokens"])
def test_any_scheme_on_any_backbone(scheme: str, text: str) -> None:
    """model.py is the graph bit for bit in both modes; gradients reach everything; an export gives the same."""
    spec = spec_of(text)
    program = lower(schemegen.load(scheme))
    graph = emit_graph(program, spec)
    module = types.ModuleType("model")
    exec(compile(emit_source(program, spec), "model.py", "exec"), module.__dict__)  # noqa: S102  our own text
    model = module.Model()
    model.load_state_dict(graph.state_dict())
    x = torch.randn(2, *spec.input_shape, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        assert torch.equal(graph.train(mode)(x), model.train(mode)(x))
    graph.train()(x).square().sum().backward()
    for name, item in graph.named_parameters():
        assert item.grad is not None, name
        assert item.grad.isfinite().all(), name
    if scheme != "lm_resnet":
        return
    graph.eval()
    exported = exported_program(graph, spec.input_shape).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), graph(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scheme", ["resnet", "lm_resnet", "rk2", "momentum_net", "in_resnet"])
def test_post_activation_networks_are_the_interpreter(scheme: str) -> None:
    program, spec = lower(schemegen.load(scheme)), spec_of(POSTACT)
    assert compare(program, spec, emit_graph(program, spec)) < 1e-12


def test_a_shared_shortcut_reads_the_first_bn_relu_of_the_block() -> None:
    graph = emit_graph(lower(schemegen.load("resnet")), spec_of(SHARED)).eval()
    randomise(graph)
    step = graph.get_submodule("stage2.0")
    u = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    inner = torch.relu(step.f.bn1(u))
    wanted = step.projection(inner) + step.f.conv2(torch.relu(step.f.bn2(step.f.conv1(inner))))
    assert [type(item) for item in step.projection] == [nn.Conv2d]
    found = run_step(graph, "stage2_step0_", "stage1_step2_u", u)
    torch.testing.assert_close(found, wanted)


def test_a_second_drift_does_not_take_the_shared_bn_relu() -> None:
    """The Euler form of an additive method evaluates both drifts at the state; one of them shares."""
    graph = emit_graph(lower(schemegen.load("ars222")), spec_of(SHARED)).eval()
    randomise(graph)
    step = graph.get_submodule("stage2.0")
    u = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    inner = torch.relu(step.f.bn1(u))
    wanted = step.projection(inner) + step.f(u) + step.g(u)
    torch.testing.assert_close(run_step(graph, "stage2_step0_", "stage1_step2_u", u), wanted)


def run_step(graph: torch.fx.GraphModule, prefix: str, entry: str, u: torch.Tensor) -> torch.Tensor:
    """Run the nodes of one step from its state; return the last value."""
    found: dict[torch.fx.Node, torch.Tensor] = {}
    run = torch.fx.Interpreter(graph)
    value = u
    for node in graph.graph.nodes:
        if node.name == entry:
            found[node] = u
        elif node.name.startswith(prefix):
            arguments = torch.fx.map_arg((node.args, node.kwargs), found.get)
            value = found[node] = getattr(run, node.op)(node.target, *arguments)
    return value


def test_after_projects_the_states_that_later_steps_see() -> None:
    """The history of a two-step scheme holds projected states; what starts at zero is not projected."""
    spec = spec_of(POSTACT)
    graph = emit_graph(lower(schemegen.load("lm_resnet")), spec)
    nodes = {node.name: node for node in graph.graph.nodes}
    combine = nodes["stage1_step2_u"]
    assert nodes["stage1_step2_u_after"].args == (combine,)
    read = {item.name for item in combine.all_input_nodes} | {
        item.name for node in combine.all_input_nodes for item in node.all_input_nodes
    }
    assert {"stage1_step0_u_after", "stage1_step1_u_after"} <= read
    momentum = emit_graph(lower(schemegen.load("momentum_net")), spec)
    projected = [node.name for node in momentum.graph.nodes if node.name.endswith("_after")]
    assert len(projected) == 6
    assert {momentum.graph.find_nodes(op="output")[0].args[0].name.startswith("head")} == {True}


def test_an_activation_after_each_step_is_not_undone() -> None:
    program, wanted = lower(schemegen.load("revnet")), request("reversible")
    with pytest.raises(schemegen.SchemeError, match="E0806") as raised:
        emit_graph(program, spec_of(POSTACT), backprop=wanted)
    assert "`after: relu` drops" in str(raised.value)
    assert emit_graph(program, spec_of(SHARED), backprop=wanted).meta["backprop"]["steps"] == 6
    network = schemegen.build("revnet", network="imagenet_resnet18").eval()
    with pytest.raises(UsageError, match="ends in `after: relu`"):
        schemegen.inverse(network, [torch.zeros(1, 256, 7, 7)] * 2, 1)


STEMS = [
    ("conv(7, 2), maxpool(3, 2)", 15),
    ("conv(3, 3), maxpool(2)", 17),
    ("conv1x1, avgpool(3), maxpool(3, 1)", 14),
    ("patch(4), positions", 12),
    ("conv(5), maxpool(5), maxpool(4, 3)", 31),
]


@pytest.mark.parametrize(("stem", "size"), STEMS)
def test_extents_are_those_of_torch(stem: str, size: int) -> None:
    spec = spec_of(
        f"network n {{\n input: shape [2, {size}, {size}], classes 3\n stem: {stem}, width 4\n"
        " stage: width 4, steps 1\n head: avgpool, linear\n}\n"
    )
    graph = emit_graph(lower(schemegen.load("resnet")), spec).eval()
    shapes = {node.name: node.meta.get("shape") for node in graph.graph.nodes}
    assert shapes["stem_u"][1:] == image_size(spec)
    assert graph(torch.zeros(1, 2, size, size)).shape == (1, 3)


def test_tables_of_the_language_and_of_the_backends_agree() -> None:
    """What the checker knows of layers and blocks without torch is what is built."""
    assert layers.LAYERS.keys() == CONSTRUCTORS.keys()
    assert blocks.BLOCKS.keys() == BLOCKS.keys()
    for name, kind in blocks.BLOCKS.items():
        known = inspect.signature(BLOCKS[name]).parameters
        assert set(kind.options) <= set(known), name
        assert kind.shares == hasattr(BLOCKS[name], "preactivate"), name
        sized = {"rows": 4, "columns": 4} if "rows" in known else {}
        made = [type(item).__name__ for item in BLOCKS[name](8, 8, 1, 2, **sized).modules()]
        assert kind.normed == ("StageBatchNorm" in made), name
