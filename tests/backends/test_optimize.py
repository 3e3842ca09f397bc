"""Optimised networks: the same numbers, gradients, buffers and draws, whatever is done to the network."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import VERLET
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode

import schemegen
from schemegen.backends import NetworkError, functional, optimized
from schemegen.backends.adjoint import with_adjoint
from schemegen.backends.inplace import reuse
from schemegen.backends.rewrites import interpolate, share
from schemegen.diagnostics import SchemeError, Source, UsageError
from schemegen.network.noise import Noise
from schemegen.network.solvers import Solver
from schemegen.resources import resource_dir
from schemegen.scheme import fit
from schemegen.scheme.builders import from_text
from schemegen.selection import read_network

ALL = sorted(path.stem for path in resource_dir("zoo").glob("schemes/*.scheme"))
# A learned and a shared coefficient, history, states that are split, noise on and inside branches, branches that
# a draw removes, implicit stages, functions of coefficients, statistics of each stage.
DEFAULT = (
    ("euler", "tiny"), ("rk4", "mlp"), ("ab2", "tiny"), ("lm_resnet", "tiny"), ("revnet", "mlp"),
    ("stochastic_depth", "tiny"), ("backward_euler", "mlp"), ("exp_euler", "mlp"), ("milstein", "mlp"),
    ("antisymmetric_net", "tiny"), ("shake_shake", "tiny"), ("stoermer_verlet", "mlp"),
    ("hamiltonian", "tiny"), ("en_resnet", "mlp"), ("deep_limit", "tiny"), ("dense_multistep", "tiny"),
)  # fmt: skip


def misfits(scheme: str, network: str) -> tuple[str, ...]:
    """Return the codes for which a scheme of the zoo does not fit a network of the zoo."""
    text = (resource_dir("zoo") / "networks" / f"{network}.scheme").read_text(encoding="utf-8")
    spec = read_network(Source(f"{network}.scheme", text), network)
    return tuple(item.code for item in fit(schemegen.load(scheme), spec) if item.is_error)


MISFITS = {(name, network): misfits(name, network) for name in ALL for network in ("mlp", "tiny")}
CASES = [
    pytest.param(*case, marks=[] if case in DEFAULT else pytest.mark.slow)
    for case, codes in MISFITS.items()
    if not codes
]
SHARED = """scheme shared {
  state u
  drift f(u): block mlp, weights network
  step { u[n+1] = u[n] + h/8*f(u[n]) }
}
network n {
  input: shape [64], classes 3
  stem: identity, width 64
  stage: width 64, steps 20
  head: linear
}"""
SOLVED = 1e-7  # implicit stages are solved to their tolerance, 1e-5
LAYERS = """scheme layered {{
  state u
  drift f(u): block branch
  noise m: bernoulli(3/4), scope element
  step {{ u[n+1] = u[n] + h*f(u[n] + 1/2*f(u[n])) }}
}}
network n {{
  input: shape [{shape}], classes 3
  block branch: seq [{layers}]
  stem: {stem}, width 6
  stage: width 6, steps 3
  head: {head}
}}"""


def of(scheme: str, network: str) -> nn.Module:
    return schemegen.build(scheme, network).double()


def shape_of(network: nn.Module) -> tuple[int, ...]:
    return next(node.meta["shape"] for node in network.graph.nodes if node.op == "placeholder")


def outcome(network: nn.Module, batch: int = 3) -> list[Tensor | None]:
    """Return outputs, gradients of weights and inputs, buffers, and the generator after a training step."""
    torch.manual_seed(5)
    x = torch.randn(batch, *shape_of(network), dtype=torch.float64, requires_grad=True)
    learned = [p for p in network.parameters() if p.requires_grad]
    y = network(x)
    weights = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
    found = torch.autograd.grad((y * weights).sum(), [x, *learned], allow_unused=True)
    return [y.detach(), *found, *network.buffers(), torch.get_rng_state()]


def same(one: list[Tensor | None], other: list[Tensor | None], bound: float = 1e-10) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        if a is None or b is None:
            # what nothing depends on may have no gradient, or the gradient zero
            rest = a if b is None else b
            assert rest is None or not rest.any()
        elif a.is_floating_point():
            assert float((a - b).detach().abs().max()) <= bound * (1 + float(a.abs().max()))
        else:
            assert torch.equal(a, b)


def check(network: nn.Module, bound: float = 1e-10) -> None:
    """Compare a step of training, and what either network gives without gradients in both modes."""
    fast = schemegen.optimize(copy.deepcopy(network))
    assert list(fast.state_dict()) == list(network.state_dict())
    same(outcome(network), outcome(fast), bound)
    x = torch.randn(3, *shape_of(network), dtype=torch.float64)
    kept = x.clone()
    for training in (True, False):
        found = []
        for module in (network.train(training), fast.train(training)):
            torch.manual_seed(1)
            with torch.no_grad():
                found.append([module(x), *(item.clone() for item in module.buffers())])
        same(*found, bound)
    same(outcome(network), outcome(fast), bound)
    assert torch.equal(x, kept)


def test_the_cases_are_schemes_of_every_kind() -> None:
    assert all(MISFITS[case] == () for case in DEFAULT)
    assert MISFITS["lie_trotter", "mlp"] == ("E0605",)
    assert MISFITS["bdf6", "tiny"] == ("E0604", "E0604")
    assert len(CASES) > 0.85 * len(MISFITS)


@pytest.mark.parametrize(
    ("scheme", "network", "codes"), [(*case, codes) for case, codes in MISFITS.items() if codes]
)
def test_what_does_not_fit_is_not_built(scheme: str, network: str, codes: tuple[str, ...]) -> None:
    with pytest.raises(SchemeError) as caught:
        of(scheme, network)
    assert tuple(item.code for item in caught.value.diagnostics if item.is_error) == codes


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize(("scheme", "network"), CASES)
def test_the_zoo_trains_alike(scheme: str, network: str) -> None:
    made = of(scheme, network)
    solved = any(isinstance(module, Solver) for module in made.modules())
    check(made, SOLVED if solved else 1e-10)


@pytest.mark.parametrize(
    ("layers", "shape", "stem", "head"),
    [
        ("linear, tanh, linear", "5", "linear", "linear"),
        ("linear, relu, linear, sigmoid", "5", "linear", "bn, relu, linear"),
        ("bn, relu, linear, layernorm, gelu, linear", "5", "linear", "linear"),
        ("layernorm, elu, linear, softplus, linear, silu", "5", "linear", "linear"),
        ("bn, relu, conv(3), bn, relu, conv(3)", "1, 6, 6", "conv(3)", "bn, relu, avgpool, linear"),
        ("conv(3), groupnorm(2), silu, conv1x1", "1, 6, 6", "conv(3)", "relu, flatten, linear"),
        ("groupnorm(2), relu, conv(3)", "1, 6, 6", "conv(3)", "groupnorm(3), avgpool, linear"),
        ("conv(3), drop(m), tanh, conv(3)", "1, 6, 6", "conv(3, 2)", "avgpool, linear"),
        ("conv(3), drop(1/4), elu, conv(3)", "1, 6, 6", "conv(3)", "avgpool, linear"),
        (
            "layernorm, conv(3), gelu, conv1x1",
            "2, 6, 6",
            "patch(2), positions",
            "layernorm, avgpool, linear",
        ),
    ],
)
def test_layers_train_alike(layers: str, shape: str, stem: str, head: str) -> None:
    text = LAYERS.format(layers=layers, shape=shape, stem=stem, head=head)
    if "drop(m)" not in layers:
        text = text.replace("  noise m: bernoulli(3/4), scope element\n", "")
    check(schemegen.build(from_text(text)).double())


@pytest.mark.parametrize("batch", [1, 2, 70])
def test_gradients_are_gathered_or_not_alike(batch: int) -> None:
    network = of("rk4", "mlp").eval()
    same(outcome(network, batch), outcome(schemegen.optimize(network), batch))


class Counted(TorchDispatchMode):
    """Counts the sums over the rows of a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rows = func is torch.ops.aten.sum.dim_IntList and list(args[1]) == [0]
        self.sums += rows and args[0].shape[1:] == (64,)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("frozen", [(), ("weight",), ("bias",)])
@pytest.mark.parametrize(("batch", "gathered"), [(30, True), (70, False)])
def test_cotangents_of_a_bias_are_added_before_their_rows(
    batch: int, gathered: bool, frozen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = schemegen.build(SHARED, "n").double()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.endswith(frozen))
    monkeypatch.setattr("schemegen.backends.flat.cheapest", lambda *_: 0)
    same(outcome(network, batch), outcome(schemegen.optimize(network), batch))
    with Counted() as counted:
        outcome(schemegen.optimize(network), batch)
    # two biases for all steps; that of the head is of another size
    assert counted.sums == (0 if gathered or "bias" in frozen else 2)


def test_frozen_weights_and_inputs_without_gradient() -> None:
    network = of("lm_resnet", "mlp").eval()
    fast = schemegen.optimize(network)
    for index, parameter in enumerate(network.parameters()):
        parameter.requires_grad_(index % 3 > 0)
    same(outcome(network), outcome(fast))
    x = torch.randn(2, *shape_of(network), dtype=torch.float64)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert not fast(x).requires_grad


@pytest.mark.parametrize("scheme", ["rk2", "dropout", "milstein"])
def test_gradients_of_gradients_are_those_of_autograd(scheme: str) -> None:
    network = of(scheme, "mlp").train()
    found = []
    for module in (network, schemegen.optimize(copy.deepcopy(network))):
        torch.manual_seed(0)
        x = torch.randn(4, 64, dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        learned = list(module.parameters())
        second = torch.autograd.grad(first.square().sum(), learned, allow_unused=True)
        found.append([first.detach(), *second, *module.buffers()])
    same(*found)


# --- what happens to a network --------------------------------------------------------------------------


def changed(network: nn.Module, change: Callable[[nn.Module], object]) -> None:
    """Compare after both networks ran once and were changed alike."""
    fast = schemegen.optimize(copy.deepcopy(network))
    for module in (network, fast):
        outcome(module)
        change(module)
    same(outcome(network), outcome(fast))


def test_the_mode_of_a_noise_inside_a_block_is_seen() -> None:
    def started(network: nn.Module) -> None:
        for module in network.modules():
            if isinstance(module, Noise):
                module.train()

    changed(of("dropout_inner", "tiny").eval(), started)


def block(network: nn.Module) -> nn.Module:
    return network.get_submodule("stage1.1.f")


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def grown(network: nn.Module) -> None:
    block(network).linear1.forward = lambda x: 3 * x


@pytest.mark.parametrize("change", [
    lambda n: block(n).register_forward_hook(lambda m, i, y: 2 * y),
    lambda n: block(n).linear1.register_forward_pre_hook(lambda m, i: (2 * i[0],)),
    lambda n: block(n).linear2.register_full_backward_hook(lambda m, i, o: (2 * i[0],)),
    lambda n: parametrize.register_parametrization(block(n).linear1, "weight", Doubled()),
    lambda n: setattr(block(n), "linear2", nn.Linear(64, 64, False, dtype=torch.float64)),
    lambda n: setattr(n.get_submodule("stage1.2"), "f", nn.Tanh()),
    lambda n: n.load_state_dict({k: 2 * v for k, v in n.state_dict().items()}),
    lambda n: n.load_state_dict({k: 2 * v for k, v in n.state_dict().items()}, assign=True),
    lambda n: n.eval(),
    grown,
], ids=[
    "hook", "pre-hook", "backward hook", "parametrisation", "layer", "block", "load", "assign", "eval", "forward",
])  # fmt: skip
def test_what_is_done_to_a_network_is_seen(change: Callable[[nn.Module], object]) -> None:
    def seeded(network: nn.Module) -> None:
        torch.manual_seed(3)
        change(network)

    changed(of("euler", "mlp"), seeded)


def test_hooks_are_seen_only_as_long_as_they_are_there() -> None:
    network = schemegen.optimize(of("euler", "mlp").eval())
    x = torch.randn(2, 64, dtype=torch.float64)
    calls: list[int] = []
    before = network(x)
    handle = block(network).register_forward_hook(lambda m, i, y: calls.append(1))
    torch.testing.assert_close(network(x), before)
    handle.remove()
    torch.testing.assert_close(network(x), before)
    assert calls == [1]


def test_gradients_of_gradients_around_a_block_that_is_called() -> None:
    """What follows the block has both the state and the branch, which depends on it, as its inputs."""
    made = of("euler", "tiny").train()
    for network in (made, fast := schemegen.optimize(copy.deepcopy(made))):
        block(network).register_forward_hook(lambda module, given, found: 2 * found)
    every = []
    for network in (made, fast):
        x = torch.linspace(-1, 1, 3 * 64, dtype=torch.float64).view(3, 1, 8, 8).requires_grad_()
        learned = [x, *network.parameters()]
        first = torch.autograd.grad(network(x).square().sum(), learned, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), learned, allow_unused=True)
        every.append([*(item.detach() for item in first), *second])
    same(*every)


IMAGES = """
network n {
  input: shape [3, 6, 6], classes 2
  stem: conv(3), width 8
  stage: width 8, steps 2
  head: relu, avgpool, linear
}"""


HANDED = [("backward_euler", "mlp", nn.Linear), ("stochastic_depth", "tiny", nn.Conv2d)]
"""Networks whose blocks are handed to modules, with a kind of layer that the blocks have."""


@pytest.mark.parametrize(("scheme", "network", "kind"), HANDED)
def test_blocks_that_modules_are_handed_run_flat(
    scheme: str, network: str, kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = of(scheme, network).train()
    fast = schemegen.optimize(copy.deepcopy(made))
    calls: list[nn.Module] = []
    real = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: calls.append(self) or real(self, x))
    same(outcome(fast), outcome(made), SOLVED)
    assert calls
    own = set(fast.modules())
    assert not own.intersection(calls)
    # somebody listens to a layer for a while
    layer = next(item for item in fast.get_submodule("stage1.1.f").modules() if type(item) is kind)
    handle = layer.register_forward_hook(lambda *_: None)
    same(outcome(fast), outcome(made), SOLVED)
    assert own.intersection(calls) == {layer}
    handle.remove()
    same(outcome(fast), outcome(made), SOLVED)
    for module in (made, fast):  # another block takes its place
        other = copy.deepcopy(module.get_submodule("stage1.1.f"))
        module.get_submodule("stage1.1").f = other
        with torch.no_grad():
            for value in other.parameters():
                value.mul_(1 / 2)
    same(outcome(fast), outcome(made), SOLVED)


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize(("scheme", "expected"), [("euler", True), ("backward_euler", False)])
def test_images_have_channels_last_unless_equations_are_solved(scheme: str, expected: bool) -> None:
    text = (resource_dir("zoo") / "schemes" / f"{scheme}.scheme").read_text(encoding="utf-8")
    network = schemegen.optimize(schemegen.build(from_text(text + IMAGES)).eval())
    seen: list[bool] = []

    def is_last(x: Tensor) -> Tensor:
        seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return x

    network.get_submodule("head.0").forward = is_last
    network(torch.randn(2, 3, 6, 6))
    is_last(network.get_parameter("stage1.0.f.conv2.weight"))
    assert seen == [expected, expected]


def test_it_shares_with_the_network_it_was_made_from() -> None:
    network = of("lm_resnet", "tiny")
    fast = schemegen.optimize(network)
    pairs = [*zip(network.parameters(), fast.parameters(), strict=True)]
    pairs += [*zip(network.buffers(), fast.buffers(), strict=True)]
    assert all(one is other for one, other in pairs)
    fast.float()
    x = torch.randn(2, *shape_of(network))
    torch.testing.assert_close(network.eval()(x), fast.eval()(x))


def test_copies_pickles_and_functional_calls() -> None:
    network = schemegen.optimize(of("rk2", "mlp").eval())
    x = torch.randn(2, 64, dtype=torch.float64)
    true = network(x)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        next(network.parameters()).zero_()
    torch.testing.assert_close(twin(x), true)
    other = pickle.loads(pickle.dumps(twin))  # noqa: S301  written here
    assert type(other).__mro__[1] is optimized.OptimizedNetwork
    torch.testing.assert_close(other(x), true)
    values = {name: 2 * value for name, value in twin.named_parameters()}
    doubled = copy.deepcopy(twin)
    doubled.load_state_dict({**doubled.state_dict(), **values})
    torch.testing.assert_close(functional_call(twin, values, (x,)), doubled(x))
    gradient = torch.func.grad(lambda v: functional_call(twin, v, (x,)).sum())(values)
    torch.testing.assert_close(gradient["head.2.bias"], torch.full((10,), 2.0, dtype=torch.float64))


def test_exports_and_autocast_go_through_the_graph() -> None:
    network = of("lm_resnet", "mlp").float().eval()
    fast = schemegen.optimize(network)
    x = torch.randn(2, 64)
    program = torch.export.export(fast, (x,))
    torch.testing.assert_close(program.module()(x), network(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fast(x), network(x))


def test_errors_name_the_line_of_the_scheme() -> None:
    fast = schemegen.optimize(of("euler", "mlp"))
    with pytest.raises(NetworkError, match=r"mlp\.scheme:6: stem, linear"):
        fast(torch.randn(2, 65, dtype=torch.float64))


def test_usage() -> None:
    with pytest.raises(UsageError, match="unknown mode"):
        schemegen.optimize(of("euler", "mlp"), mode="fast")
    with pytest.raises(UsageError, match="generated"):
        schemegen.optimize(nn.Linear(1, 1))


# --- each pass on its own -------------------------------------------------------------------------------


def targets(graph: fx.Graph) -> list[object]:
    return [node.target for node in graph.nodes if node.op.startswith("call")]


def test_known_blocks_leave_no_module_calls() -> None:
    written = functional.functional(of("rk4", "mlp").eval())
    calls = targets(written.graph)
    assert all(not isinstance(item, str) or item == "type_as" for item in calls)
    assert calls.count(torch.tanh) == 4 * 6


@pytest.mark.parametrize(
    "block",
    ["attention, heads 2", "feedforward", "encoder, heads 3", "seq [layernorm, conv1x1, gelu, conv1x1]"],
)  # fmt: skip
def test_layers_at_every_place_of_an_image_have_a_written_pullback(block: str) -> None:
    text = LAYERS.format(
        layers="", shape="2, 6, 6", stem="patch(2), positions", head="avgpool, linear"
    )
    text = text.replace("  noise m: bernoulli(3/4), scope element\n", "").replace("seq []", block)
    network = schemegen.build(from_text(text)).double()
    _, graph = with_adjoint(functional.functional(network).graph)
    assert targets(graph)[1:] == [operator.getitem]
    check(network)


def test_the_last_evaluation_of_a_step_is_the_first_of_the_next() -> None:
    text = LAYERS.format(layers="linear, tanh, linear", shape="6", stem="linear", head="linear")
    network = schemegen.build(from_text(VERLET + text[text.index("network n") :])).double()
    graph = functional.functional(network).graph
    assert targets(graph).count(torch.tanh) == 2 * 3
    share(graph)
    assert targets(graph).count(torch.tanh) == 3 + 1
    check(network)


@pytest.mark.parametrize(
    "scheme",
    [
        "antisymmetric_net", "hamiltonian", "midpoint_net", "dropout", "dropout_inner", "en_resnet",
        "milstein", "gaussian_noise_sample", "shake_shake", "deep_limit", "dense_multistep",
    ],
)  # fmt: skip
def test_the_backward_pass_of_every_block_is_written(scheme: str) -> None:
    _, graph = with_adjoint(functional.functional(of(scheme, "tiny")).graph)
    assert next(node.op for node in graph.nodes if node.op.startswith("call")) == "call_module"
    assert targets(graph)[1:] == [operator.getitem]


def test_interpolations_are_found_and_equal() -> None:
    graph = fx.Graph()
    u, v, raw = (graph.placeholder(name) for name in ("u", "v", "raw"))
    k = graph.call_function(operator.sub, (1.0, raw))
    left = graph.call_function(operator.mul, (u, graph.call_function(operator.sub, (1.0, k))))
    one = graph.call_function(torch.addcmul, (left, v, k))
    third = graph.call_function(operator.mul, (one, 1 / 4))
    two = graph.call_function(torch.add, (third, v), {"alpha": 3 / 4})
    for node in (u, v, left, one, third, two):
        node.meta["shape"] = (3,)
    graph.output(two)
    values = torch.randn(2, 3), torch.randn(2, 3), torch.tensor(0.3)
    true = fx.GraphModule(nn.Module(), copy.deepcopy(graph))(*values)
    interpolate(graph)
    assert targets(graph) == [torch.lerp, torch.lerp]
    torch.testing.assert_close(fx.GraphModule(nn.Module(), graph)(*values), true)


def test_results_are_written_over_operands_that_nothing_reads() -> None:
    graph = fx.Graph()
    x, weight = graph.placeholder("x"), graph.placeholder("weight")
    first = graph.call_function(F.linear, (x, weight))
    second = graph.call_function(torch.tanh, (first,))
    third = graph.call_function(torch.add, (first, second), {"alpha": 2})
    fourth = graph.call_function(torch.add, (x, third), {"alpha": 2})
    fifth = graph.call_function(torch.relu, (third,))
    for node in (x, first, second, third, fourth, fifth):
        node.meta["shape"] = (3,)
    graph.output((fourth, fifth))
    values = torch.randn(2, 3), torch.randn(3, 3)
    true = fx.GraphModule(nn.Module(), copy.deepcopy(graph))(*values)
    reuse(graph)
    # `first` is read later by the sum, which may write over it; `x` belongs to the caller
    assert targets(graph) == [F.linear, torch.tanh, "add_", torch.add, "relu_"]
    kept = values[0].clone()
    for one, other in zip(fx.GraphModule(nn.Module(), graph)(*values), true, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(values[0], kept)


def test_results_are_written_into_operands_that_are_read_for_the_last_time() -> None:
    graph = fx.Graph()
    x, weight, bias = (graph.placeholder(name) for name in ("x", "weight", "bias"))
    first = graph.call_function(F.conv2d, (x, weight))
    kept = graph.call_function(torch.add, (x, first), {"alpha": 2})  # into `first`
    normed = graph.call_function(
        torch.native_batch_norm, (kept, bias, bias, None, None, True, 0.1, 1e-5)
    )
    whole = graph.call_function(operator.getitem, (normed, 0))
    soft = graph.call_function(torch.relu, (whole,))
    sizes = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, False])
    pulled = graph.call_function(
        torch.ops.aten.convolution_backward, (soft, x, weight, None, *sizes)
    )
    image = graph.call_function(operator.getitem, (pulled, 0))
    cut = graph.call_function(torch.ops.aten.threshold_backward, (image, soft, 0))  # into `image`
    between = graph.call_function(torch.lerp, (kept, cut, 0.25))  # into `cut`
    both = graph.call_function(torch.add, (soft, between))
    for node in (x, first, kept, whole, soft, image, cut, between, both):
        node.meta["shape"] = (3, 1, 1)
    graph.output((kept, both))
    values = torch.randn(5, 3, 1, 1), torch.randn(3, 3, 1, 1), torch.randn(3)
    true = fx.GraphModule(nn.Module(), copy.deepcopy(graph))(*values)
    reuse(graph, frozenset({kept, soft}))
    found = [node for node in graph.nodes if "out" in node.kwargs or "grad_input" in node.kwargs]
    assert [node.name for node in found] == [kept.name, cut.name, between.name]
    assert soft.target == "relu_"
    assert both.target == "add_"
    assert both.args[0] is between  # `soft` is kept
    before = [value.clone() for value in values]
    for one, other in zip(fx.GraphModule(nn.Module(), graph)(*values), true, strict=True):
        torch.testing.assert_close(one, other)
    assert all(map(torch.equal, values, before))


# --- inference ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize(("scheme", "backbone"), CASES)
def test_frozen_networks_give_the_same_outputs(scheme: str, backbone: str) -> None:
    network = of(scheme, backbone)
    shape = shape_of(network)
    for _ in range(2):
        network(torch.randn(8, *shape, dtype=torch.float64))
    network.eval()
    frozen = schemegen.optimize(network, mode="inference")
    x = torch.randn(4, *shape, dtype=torch.float64)
    found = []
    for module in (network, frozen, copy.deepcopy(frozen)):
        torch.manual_seed(0)
        with torch.no_grad():
            found.append(module(x))
    same(found[:1], found[1:2])
    assert torch.equal(found[1], found[2])
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_normalisations_are_folded() -> None:
    network = of("euler", "tiny").eval()
    calls = targets(functional.functional(network).graph)
    frozen = schemegen.optimize(network, mode="inference")
    folded = targets(frozen.graph)
    assert F.batch_norm in calls
    assert F.batch_norm not in folded
    # one of the two in each branch; those before a branch, a projection and the head stay as products
    assert folded.count(torch.addcmul) == calls.count(F.batch_norm) - sum(
        ".f" in name and name.endswith("bn2") for name, _ in network.named_modules()
    )


@pytest.mark.parametrize(
    "layers", ["layernorm, bn, conv(3)", "conv(3), layernorm, relu, bn, conv(3)"]
)
def test_normalisations_behind_any_layer_are_frozen(layers: str) -> None:
    """Of the channels, and behind a layer that somebody listens to, of whose result no shape is known."""
    text = LAYERS.format(
        layers=layers, shape="2, 6, 6", stem="conv(3)", head="avgpool, linear"
    ).replace("  noise m: bernoulli(3/4), scope element\n", "")
    network = schemegen.build(from_text(text)).double()
    x = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    network(x)
    for listened in (False, True):
        if listened:
            part = next(m for m in network.modules() if isinstance(m, nn.LayerNorm | nn.ReLU))
            part.register_forward_hook(lambda m, i, y: 2 * y)
        frozen = schemegen.optimize(network, mode="inference")
        assert (F.batch_norm in targets(frozen.graph)) == listened
        same([network.eval()(x).detach()], [frozen(x)])


def test_removed_branches_are_dropped() -> None:
    text = LAYERS.format(layers="linear, tanh, linear", shape="5", stem="linear", head="linear")
    start, end = text.index("  noise"), text.index("}\nnetwork")
    step = "  param g: learnable, per step, init 0\n  step { u[n+1] = u[n] + g*h*f(u[n]) }\n"
    network = schemegen.build(from_text(text[:start] + step + text[end:])).eval()
    frozen = schemegen.optimize(network, mode="inference")
    assert targets(frozen.graph).count(F.linear) == 2
    x = torch.randn(2, 5)
    torch.testing.assert_close(frozen(x), network(x))


@pytest.mark.parametrize(
    ("scheme", "raw"),
    [("lambda_in_resnet", -1), ("lambda_in_resnet", 0), ("lambda_in_resnet", 1),
     ("in_resnet", 1), ("lm_resnet", 0), ("lm_resnet", 1)],
)  # fmt: skip
def test_dampings_and_weights_of_0_and_1_are_dropped(scheme: str, raw: float) -> None:
    text = LAYERS.format(layers="linear, tanh, linear", shape="5", stem="linear", head="linear")
    source = (resource_dir("zoo") / "schemes" / f"{scheme}.scheme").read_text(encoding="utf-8")
    source = source.replace("block preact", "block branch")
    network = schemegen.build(source + text[text.index("network n") :]).double().eval()
    with torch.no_grad():
        for coefficient in network.meta["coefficients"]:
            network.get_parameter(coefficient).fill_(raw)
    frozen = schemegen.optimize(network, mode="inference")
    found = targets(frozen.graph)
    calls = (torch.addcmul, torch.lerp, operator.sub, operator.mul)
    left = {call.__name__: found.count(call) for call in calls if call in found}
    doubled = (
        scheme == "lambda_in_resnet" and raw == 1
    )  # 2 f(u) is left of (1 - 1) u + (1 + 1) f(u)
    assert set(left) <= ({"mul"} if doubled else set())
    x = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(frozen(x), network(x))
