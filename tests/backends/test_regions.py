"""Networks whose steps are compiled form by form: the same numbers, and as many bodies at any depth."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, fx, nn
from torch._dynamo.utils import counters

import schemegen
from schemegen.backends import costs, regions
from schemegen.diagnostics import UsageError
from schemegen.network.loop import Loop
from schemegen.network.region import Region
from schemegen.sources import zoo_file

# Dynamo looks at `.grad` of what it is handed, also where that is no leaf.
pytestmark = [
    pytest.mark.usefixtures("fresh_compiler"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]

NETWORK = """network n {{
  input: shape [3, 6, 6], classes 3
  stem: conv(3), width 4
  stage: width 4, steps {steps}
  stage: width 8, steps {steps}, stride 2
  head: bn, relu, avgpool, linear
}}"""


def built(scheme: str, steps: int = 3, how: str = "store") -> fx.GraphModule:
    text = zoo_file(scheme).read_text(encoding="utf-8") + NETWORK.format(steps=steps)
    return schemegen.build(text, backprop=how).train()


def trained(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the result and the gradients of one training step, and the buffers after it."""
    torch.manual_seed(7)
    result = network(x)
    result.square().sum().backward()
    gradients = [item.grad for item in network.parameters() if item.grad is not None]
    assert len(gradients) > 3
    return [result, *gradients, *network.buffers()]


def compared(one: nn.Module, other: nn.Module, x: Tensor) -> None:
    for first, second in zip(trained(one, x), trained(other, x), strict=True):
        torch.testing.assert_close(first, second, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("scheme", "how"),
    [
        ("lm_resnet", "store"),
        ("dropout", "checkpoint=2"),
        ("fractalnet", "store"),
        ("revnet", "reversible=9/10"),
    ],
)
def test_compiled_regions_compute_the_same(scheme: str, how: str) -> None:
    network = built(scheme, how=how)
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    assert list(compiled.state_dict()) == list(network.state_dict())
    x = torch.randn(2, 3, 6, 6)
    compared(network, compiled, x)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs
    compared(network, compiled, x)
    assert counters["stats"]["unique_graphs"] == graphs
    with torch.no_grad():
        for batch in (2, 3):
            x = torch.randn(batch, 3, 6, 6)
            torch.testing.assert_close(network.eval()(x), compiled.eval()(x))
    assert not counters["graph_break"]


def test_a_deeper_network_compiles_no_more_bodies() -> None:
    found = []
    for steps in (3, 7):
        torch._dynamo.reset()
        counters.clear()
        compiled = schemegen.compile_network(built("ab2", steps), backend="eager")
        trained(compiled, torch.randn(2, 3, 6, 6))
        found.append(counters["stats"]["unique_graphs"])
    assert found[0] == found[1]


def test_a_copy_and_a_pickle_compile_anew() -> None:
    network = built("resnet")
    compiled = schemegen.compile_network(network, backend="eager")
    x = torch.randn(2, 3, 6, 6)
    want = compiled.eval()(x)
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):  # noqa: S301
        graphs = counters["stats"]["unique_graphs"]
        assert torch.equal(other(x), want)
        assert counters["stats"]["unique_graphs"] > graphs


def test_parameters_are_those_of_the_network() -> None:
    network = built("resnet")
    compiled = schemegen.compile_network(network, backend="eager")
    assert all(a is b for a, b in zip(network.parameters(), compiled.parameters(), strict=True))
    assert not hasattr(network, "regions")
    x = torch.randn(2, 3, 6, 6)
    whole = torch.compile(compiled.eval(), fullgraph=True, backend="eager")
    assert torch.equal(whole(x), network.eval()(x))


@pytest.mark.parametrize("how", ["store", "checkpoint=2"])
def test_an_error_names_its_step(how: str) -> None:
    network = built("resnet", how=how)
    network.get_submodule("stage2.1.f").conv1 = nn.Conv2d(5, 8, 3)
    compiled = schemegen.compile_network(network, backend="eager")
    with pytest.raises(schemegen.backends.NetworkError, match="stage 2, step 1, k1"):
        compiled(torch.randn(2, 3, 6, 6))


def test_what_cannot_be_compiled_so_is_refused() -> None:
    compiled = schemegen.compile_network(built("resnet"), backend="eager")
    with pytest.raises(UsageError, match="compiled already"):
        schemegen.compile_network(compiled)
    with pytest.raises(UsageError, match="`fullgraph` is not an option"):
        schemegen.compile_network(built("resnet"), fullgraph=False)
    with pytest.raises(UsageError, match=r"schemegen\.build"):
        schemegen.compile_network(fx.symbolic_trace(nn.Linear(2, 2)))


SHARED = """network n {{
  input: shape [8], classes 3
  stem: linear, width 8
  stage: width 8, steps {steps}
  head: bn, relu, linear
}}"""


def tied(rule: str, steps: int) -> fx.GraphModule:
    text = f"scheme s {{ state u\n drift f(u): block mlp, weights network\n step {{ {rule} }} }}\n"
    return schemegen.build(text + SHARED.format(steps=steps)).train().double()


@pytest.mark.parametrize(
    "rule",
    [
        "k = f(u[n])\n u[n+1] = u[n] + h/4*f(u[n] + h/8*k)",
        "u[n+1] = 3/2*u[n] - 1/2*u[n-1] + 1/8*h*f(u[n])",
    ],
)
@pytest.mark.parametrize("steps", [5, 40])
def test_shared_weights_run_as_a_loop_with_the_same_gradients(
    rule: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "MOST", 0)
    network = tied(rule, steps)
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    loops = [item for item in compiled.modules() if isinstance(item, Loop)]
    assert len(loops) == 1
    assert loops[0].count >= steps - 2
    agreeing(network, compiled)


def agreeing(network: fx.GraphModule, compiled: nn.Module, batch: int = 3) -> None:
    """Compare a step of training, the gradient of the input, and evaluation."""
    x = torch.randn(batch, 8, dtype=torch.float64, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    for first, second in zip(trained(network, x), trained(compiled, other), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-9, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), compiled.eval()(x))


@pytest.mark.parametrize(
    ("rule", "weights", "whole"),
    [
        ("u[n] + h/8*f(u[n])", "network", True),
        ("u[n] + h/8*f(u[n])", "step", False),
        ("u[n] + h/16*(3*f(u[n]) - f(u[n-1]))", "network", True),
    ],
)
def test_few_small_steps_are_one_body_with_composed_layers(
    rule: str, weights: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A multistep method with its first and its last steps too, which are of other forms."""
    monkeypatch.setattr(costs, "WORTH", 1)
    text = f"scheme s {{ state u\n drift f(u): block mlp, weights {weights}\n step {{ u[n+1] = {rule} }} }}"
    text += SHARED.format(steps=12)
    network = schemegen.build(text).train().double()
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    assert not [item for item in compiled.modules() if isinstance(item, Loop)]
    codes = [str(item.form.code) for item in compiled.modules() if isinstance(item, Region)]
    assert (
        not whole or len(codes) == 3
    )  # the stem, all steps, the head, whose normalisation has modes
    assert sum("weighted" in code for code in codes) == int(whole)
    assert sum("functions_layer(" in code for code in codes) == int(whole)
    agreeing(network, compiled)
    agreeing(network.eval(), compiled.eval(), batch=1)
    with torch.no_grad():
        compiled.get_parameter("shared_f.linear1.weight" if whole else "stem.0.weight").mul_(2)
    x = torch.randn(4, 8, dtype=torch.float64)
    assert not torch.allclose(network(x), compiled(x))


def test_stem_and_head_are_composed_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "WORTH", 1)
    rule = "step { u[n+1] = u[n] + h/16*(3*f(u[n]) - f(u[n-1])) }"
    text = f"scheme s {{ state u\n drift f(u): block mlp, weights network\n {rule} }}"
    text += SHARED.format(steps=12).replace("head: bn, relu", "head: relu")
    network = schemegen.build(text).train().double()
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    (region,) = (item for item in compiled.modules() if isinstance(item, Region))
    assert "weighted" in str(region.form.code)
    agreeing(network, compiled)
    agreeing(network.eval(), compiled.eval(), batch=1)
    for module in (network, compiled):
        with torch.no_grad():
            module.get_parameter("stem.0.weight").mul_(2)
    agreeing(network, compiled)


@pytest.mark.parametrize(
    ("scheme", "how"),
    [("lm_resnet", "store"), ("revnet", "reversible=9/10"), ("resnet", "checkpoint=2")],
)
@pytest.mark.parametrize("place", [0, -1])
def test_a_hook_on_one_of_many_layers_is_heard_there_alone(
    scheme: str, how: str, place: int
) -> None:
    """A compiled body looks at the hooks of the first module that it meets, and serves many."""
    network = built(scheme, how=how).double()
    layers = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and name.startswith("stage1")
    ]
    assert len(layers) > 4
    layers[place].register_forward_hook(lambda m, i, y: 1.5 * y)
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for one, other in zip(trained(network, x), trained(compiled, x), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize("how", ["store", "checkpoint=1"])
def test_gradients_of_solutions_are_those_of_the_network(how: str) -> None:
    """Batch statistics make this step expand, so that the series a compiled solver sums up would diverge."""
    text = zoo_file("bdf1").read_text(encoding="utf-8") + SHARED.format(steps=2)
    text = text.replace("stem:", "block preact: seq [bn, softplus, linear]\n  stem:")
    network = schemegen.build(text, backprop=how)
    network = network.double().train()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    compiled = schemegen.compile_network(copy.deepcopy(network), backend="aot_eager")
    assert [item for item in compiled.modules() if isinstance(item, Region)] or how != "store"
    x = torch.randn(5, 8, dtype=torch.float64)
    for one, other in zip(trained(network, x), trained(compiled, x), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


def test_a_loop_takes_no_step_that_mixes_samples_or_draws() -> None:
    text = zoo_file("resnet").read_text(encoding="utf-8")
    text = text.replace("weights per step", "weights network")
    assert "weights network" in text
    network = schemegen.build(text + NETWORK.format(steps=3))
    compiled = schemegen.compile_network(network, backend="eager")
    assert not [item for item in compiled.modules() if isinstance(item, Loop)]
