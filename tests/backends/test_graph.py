"""The graph backend: counts, names, origins, coefficients, errors, dtypes."""

from __future__ import annotations

import copy

import pytest
import sympy
import torch
from reference import SPAN, compare, equations, network, program
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from schemegen.backends import NetworkError, emit_graph, emit_source
from schemegen.backends.coefficients import bounds, inside
from schemegen.diagnostics import SchemeError
from schemegen.scheme.model import (
    Constant,
    Drift,
    Interval,
    Noise,
    Param,
    Schedule,
    Solver,
    Start,
    State,
    Transition,
    Uniform,
)
from schemegen.scheme.network import Block
from schemegen.step import lower

R = sympy.Rational
H, P = sympy.Symbol("h"), sympy.Symbol("p")
RAW = sympy.Symbol("raw")
EULER = "step { u[n+1] = u[n] + h*f(u[n]) }"
LM = "step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }"
K = Param("k", SPAN, init=Uniform(R(-1, 10), R(0)), via=1 - RAW)


def lm(**fields: object):
    return program(LM, **{"params": (K,), "transition": Transition("project"), **fields})


def cifar(depth: int, block: str = "preact", classes: int = 10):
    wide = 4 if block == "bottleneck" else 1
    stages = [(16 * wide, depth, 1), (32 * wide, depth, 2), (64 * wide, depth, 2)]
    blocks = (Block("preact", block, (), (), SPAN),)
    return network(*stages, shape=(3, 32, 32), stem=16, blocks=blocks, classes=classes)


@pytest.mark.parametrize(
    ("depth", "block", "classes", "plain", "damped"),
    [
        (3, "preact", 10, 272378, 272384),
        (5, "preact", 10, 466810, 466822),
        (9, "preact", 10, 855674, 855698),
        (18, "preact", 10, 1730618, 1730669),
        (18, "bottleneck", 10, 1703674, 1703725),
        (18, "preact", 100, 1736468, 1736519),
        (18, "bottleneck", 100, 1726804, 1726855),
    ],
)
def test_parameter_counts(depth: int, block: str, classes: int, plain: int, damped: int) -> None:
    """Pre-activation ResNet and LM-ResNet on CIFAR, arithmetic of the published layouts."""
    spec = cifar(depth, block, classes)
    for prog, count in ((program(EULER), plain), (lm(), damped)):
        module = emit_graph(prog, spec)
        assert sum(p.numel() for p in module.parameters()) == count


def test_nodes_say_where_they_come_from() -> None:
    module = emit_graph(lm(), network((4, 2, 1), (8, 2, 2)))
    names = [node.name for node in module.graph.nodes]
    assert "stage1_step1_k" in names
    assert "stage2_step0_projection" in names
    assert "stage2_step1_u" in names
    for node in module.graph.nodes:
        custom = node.meta["custom"]
        assert set(custom) == {"scheme", "file", "line", "stage", "step", "value"}
        assert f'File "{custom["file"]}", line {custom["line"]}' in node.stack_trace
    node = next(node for node in module.graph.nodes if node.name == "stage2_step1_u")
    assert node.meta["custom"] == {
        "scheme": "case",
        "file": "case.scheme",
        "line": 2,
        "stage": 2,
        "step": 1,
        "value": "u[n+1]",
    }
    assert node.meta["shape"] == (8, 2, 2)


def test_dead_coefficients_are_not_made() -> None:
    module = emit_graph(lm(), network((4, 3, 1), (8, 3, 2)))
    made = [name for name, _ in module.named_parameters() if name.endswith(".k")]
    assert made == ["stage1.1.k", "stage1.2.k", "stage2.1.k", "stage2.2.k"]
    assert set(module.meta["coefficients"]) == set(made)


@pytest.mark.parametrize(
    ("via", "init"),
    [
        (None, R(1, 3)),
        (1 - RAW, R(1, 3)),
        (2 * RAW + 1, R(1, 3)),
        (sympy.Function("sigmoid")(RAW), R(9, 10)),
        (sympy.Function("softplus")(RAW), R(1, 10)),
        (sympy.Function("relu")(1 - RAW), R(1, 4)),
        (sympy.Function("relu")(RAW), R(1, 4)),
        (sympy.tanh(RAW), R(-1, 2)),
        (sympy.exp(RAW), R(3, 2)),
        (2 * sympy.Function("sigmoid")(1 - RAW) - 1, R(1, 5)),
    ],
)
@pytest.mark.parametrize("spread", [False, True])
def test_init_is_of_the_value(via: sympy.Expr | None, init: sympy.Expr, spread: bool) -> None:
    """The value at the start is what ``init`` says, whatever tensor is stored."""
    start = Uniform(init, init + R(1, 20)) if spread else Constant(init)
    param = Param("k", SPAN, init=start, via=via, shape="channel")
    module = emit_graph(program(EULER.replace("h*f", "h*k*f"), params=(param,)), network((4, 1, 1)))
    raw = module.get_parameter("stage1.0.k").detach().double()
    value = raw
    if via is not None:
        scalar = sympy.lambdify(
            RAW,
            via,
            [
                {
                    "sigmoid": torch.sigmoid,
                    "relu": torch.relu,
                    "softplus": torch.nn.functional.softplus,
                    "tanh": torch.tanh,
                    "exp": torch.exp,
                }
            ],
        )
        value = scalar(raw)
    assert value.shape == (4, 1, 1)
    low, high = float(init), float(init) + (0.05 if spread else 0.0)
    assert bool(((value >= low - 1e-6) & (value <= high + 1e-6)).all())
    assert (len(set(value.flatten().tolist())) > 1) == spread


def test_seed_and_global_generator() -> None:
    spec = network((4, 2, 1))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = emit_graph(lm(), spec, seed=1)
    assert torch.equal(torch.rand(3), expected)
    two, other = emit_graph(lm(), spec, seed=1), emit_graph(lm(), spec, seed=2)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key])
    assert not torch.equal(one.state_dict()["stem.0.weight"], other.state_dict()["stem.0.weight"])


def test_a_range_is_kept_and_can_be_left() -> None:
    """A coefficient outside its range acts as the bound; a gradient that leads back passes."""
    interval = Interval(R(0), R(1), True, True)
    param = Param("k", SPAN, init=Constant(R(1, 2)), range=interval)
    module = emit_graph(program(EULER.replace("h*f", "h*k*f"), params=(param,)), network((4, 1, 1)))
    x = torch.randn(2, 1, 4, 4)
    raw = module.get_parameter("stage1.0.k")
    with torch.no_grad():
        raw.fill_(3.0)
        outside = module.eval()(x)
        raw.fill_(1.0)
        torch.testing.assert_close(outside, module(x))
        raw.fill_(3.0)
    for sign in (1.0, -1.0):
        raw.grad = None
        (module(x).sum() * sign).backward()
        with torch.no_grad():
            raw.fill_(0.999999)
        (inner,) = torch.autograd.grad(module(x).sum() * sign, raw)
        with torch.no_grad():
            raw.fill_(3.0)
        assert raw.grad is not None
        assert inner != 0
        # Descent lowers the value, and so leads back in, where the gradient is positive.
        torch.testing.assert_close(raw.grad, inner.clamp_min(0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("via", "low", "high", "closed", "wanted"),
    [
        (None, -1, 1, (False, True), (-1 + 2**-24, 1)),
        (None, -1, 1, (True, False), (-1, 1 - 2**-24)),
        (None, 0, 1, (False, False), (2.0**-126, 1 - 2**-24)),
        (sympy.Function("sigmoid")(RAW), 0, 1, (True, False), (0, 1 - 2**-24)),
        (sympy.Function("sigmoid")(RAW), 0, 1, (True, True), None),
        (sympy.Function("softplus")(RAW), 0, sympy.oo, (True, False), None),
        (sympy.Function("softplus")(RAW), 0, sympy.oo, (False, False), (2.0**-126, float("inf"))),
        (None, 0, sympy.oo, (True, False), (0, float("inf"))),
        (None, -sympy.oo, sympy.oo, (False, False), None),
    ],
)
def test_an_open_end_of_a_range_is_never_reached(
    via: sympy.Expr | None,
    low: sympy.Expr | int,
    high: sympy.Expr | int,
    closed: tuple[bool, bool],
    wanted: tuple[float, float] | None,
) -> None:
    """A sigmoid of single precision takes the values 0 and 1, and a clamp its bounds."""
    interval = Interval(sympy.S(low), sympy.S(high), *closed)
    assert inside(via, interval) == (wanted is None)
    if wanted is not None:
        assert tuple(map(float, bounds(interval))) == wanted


def test_schedules_leave_no_trivial_factors() -> None:
    schedule = Schedule("p", "linear", (R(1), R(0)), SPAN)
    prog = program(EULER.replace("h*f", "h*p*f"), schedules=(schedule,))
    module = emit_graph(prog, network((4, 3, 1)))
    nodes = {node.name: node for node in module.graph.nodes}
    assert not nodes["stage1_step0_u"].kwargs  # p = 1
    assert nodes["stage1_step1_u"].kwargs == {"alpha": 0.5}
    assert "stage1_step2_u" not in nodes  # p = 0: the step is the identity
    assert compare(prog, network((4, 3, 1)), module) < 1e-12


@pytest.mark.parametrize("kind", ["cosine", "list", "drop"])
def test_schedule_kinds(kind: str) -> None:
    values = (R(1), R(3, 4), R(1, 2)) if kind == "list" else (R(1), R(1, 2))
    schedule = Schedule(
        "p", "linear" if kind == "drop" else kind, values, SPAN, first_drop=kind == "drop"
    )
    prog = program(EULER.replace("h*f", "h*p*f"), schedules=(schedule,))
    assert compare(prog, network((4, 3, 1)), emit_graph(prog, network((4, 3, 1)))) < 1e-12


def test_a_shape_error_at_the_call_names_the_scheme() -> None:
    module = emit_graph(program(EULER), network((4, 2, 1), head=("linear",)))
    with pytest.raises(NetworkError, match=r"case\.scheme:\d+: head, linear"):
        module(torch.randn(2, 1, 6, 6))
    with pytest.raises(NetworkError, match="stem, conv"):
        module(torch.randn(2, 3, 4, 4))


def test_a_block_that_does_not_fit_is_an_error_of_the_file() -> None:
    blocks = (Block("preact", "mlp", (), (), SPAN),)
    with pytest.raises(SchemeError) as caught:
        emit_graph(program(EULER), network((4, 2, 1), shape=(1, 4, 5), blocks=blocks))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0605"
    assert "stage 1, step 0" in diagnostic.message


def test_unknown_block() -> None:
    with pytest.raises(SchemeError, match="E0601"):
        emit_graph(
            program(EULER, drifts=(Drift("f", ("u",), SPAN, block="nope"),)), network((4, 1, 1))
        )


def test_autocast_keeps_the_state_in_float32() -> None:
    spec = network((4, 3, 1), (8, 2, 2))
    module = emit_graph(lm(), spec)
    seen: dict[str, torch.dtype] = {}

    class Watch(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node):
            result = super().run_node(n)
            if isinstance(result, torch.Tensor):
                seen[n.name] = result.dtype
            return result

    with torch.autocast("cpu", dtype=torch.bfloat16):
        Watch(module).run(torch.randn(2, 1, 4, 4))
    assert torch.bfloat16 in {seen[name] for name in seen if name.startswith("stage1_step1")}
    assert seen["stage1_step1_k"] == torch.float32
    assert {seen[f"stage{s}_step{i}_u"] for s, i in ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1))} == {
        torch.float32
    }


def test_double() -> None:
    module = emit_graph(lm(), network((4, 2, 1)), dtype=torch.float64)
    assert module(torch.randn(2, 1, 4, 4).double()).dtype == torch.float64


def test_gradients_of_coefficients_and_inputs() -> None:
    module = emit_graph(lm(), network((4, 3, 1)), dtype=torch.float64).eval()
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    raw = module.get_parameter("stage1.1.k")

    def function(x: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, {"stage1.1.k": raw}, (x,))

    assert torch.autograd.gradcheck(function, (x, raw.detach().clone().requires_grad_()))


@pytest.mark.parametrize("sharing", ["stage", "call", "network", "step"])
def test_weight_sharing(sharing: str) -> None:
    text = "step { y = u[n] + h/2*f(u[n]); u[n+1] = u[n] + h*f(y) }"
    prog = program(text, drifts=(Drift("f", ("u",), SPAN, weights=sharing),))
    module = emit_graph(prog, network((4, 3, 1)))
    kernels = [name for name, _ in module.named_parameters() if name.endswith("conv1.weight")]
    assert len(kernels) == {"stage": 6, "call": 6, "network": 1, "step": 3}[sharing]
    statistics = [name for name, _ in module.named_buffers() if name.endswith("bn1.running_mean")]
    statistics += [
        name
        for name, _ in module.named_buffers()
        if ".bn1.statistics." in name and name.endswith("running_mean")
    ]
    assert len(statistics) == 6  # each evaluation keeps its own


def test_statistics_can_be_shared() -> None:
    text = "step { y = u[n] + h/2*f(u[n]); u[n+1] = u[n] + h*f(y) }"
    prog = program(text, drifts=(Drift("f", ("u",), SPAN, norm_stats="shared"),))
    module = emit_graph(prog, network((4, 3, 1)))
    assert not any("statistics" in name for name, _ in module.named_buffers())


@pytest.mark.parametrize("per", ["stage", "network"])
def test_shared_coefficients(per: str) -> None:
    param = Param("k", SPAN, init=Constant(R(1, 2)), per=per)
    spec = network((4, 3, 1), (8, 2, 2))
    module = emit_graph(program(EULER.replace("h*f", "h*k*f"), params=(param,)), spec)
    made = [name for name, _ in module.named_parameters() if "shared_k" in name]
    assert made == (["shared_k"] if per == "network" else ["shared_k_stage1", "shared_k_stage2"])


@pytest.mark.parametrize("history", ["project", "each", "reset"])
@pytest.mark.parametrize("scheme", ["off", "on"])
@pytest.mark.parametrize("start", ["euler", "copy"])
def test_transitions_of_history(history: str, scheme: str, start: str) -> None:
    text = "step { u[n+1] = u[n] + h*(23/12*f(u[n]) - 16/12*f(u[n-1]) + 5/12*f(u[n-2])) }"
    prog = program(text, transition=Transition(history, scheme), start=Start(start))
    spec = network((4, 3, 1), (8, 3, 2), (8, 1, 1))
    module = emit_graph(prog, spec)
    projections = {n for n, _ in module.named_modules() if "projection" in n.rpartition(".")[2]}
    extra = 2 if history != "reset" and scheme == "on" else int(history == "each")
    assert len(projections) == 1 + extra
    if scheme == "off" and history == "project":
        assert compare(prog, spec, module) < 1e-12


def test_shared_normalisation_of_the_projection() -> None:
    """``bn shared``: the shortcut maps the block's own first BN-ReLU, which runs once."""
    spec = network((4, 1, 1), (8, 1, 2))
    own = emit_graph(program(EULER), spec)
    shared = emit_graph(program(EULER, transition=Transition(bn="shared")), spec)
    count = [sum(p.numel() for p in module.parameters()) for module in (own, shared)]
    assert count[0] - count[1] == 2 * 4
    shared.eval()
    x = torch.randn(2, 1, 4, 4)
    block, projection = (
        shared.get_submodule("stage2.0.f"),
        shared.get_submodule("stage2.0.projection"),
    )
    u = shared.get_submodule("stem.0")(x)
    u = u + shared.get_submodule("stage1.0.f")(u)
    activated = torch.relu(block.bn1(u))
    u = projection.conv(activated) + block(u)
    for index in range(4):
        u = shared.get_submodule(f"head.{index}")(u)
    torch.testing.assert_close(shared(x), u)


def test_uneven_states() -> None:
    states = (State("x", SPAN, split=1), State("v", SPAN, split=3))
    drifts = (Drift("f", ("v",), SPAN), Drift("g", ("x",), SPAN))
    text = "step { x[n+1] = x[n] + h*f(v[n]); v[n+1] = v[n] + h*g(x[n+1]) }"
    prog = program(text, states=states, drifts=drifts)
    spec = network((4, 2, 1), (8, 2, 2))
    module = emit_graph(prog, spec)
    assert module.get_parameter("stage1.0.f.conv1.weight").shape[:2] == (1, 3)
    assert compare(prog, spec, module) < 1e-12
    with pytest.raises(SchemeError, match="E0602"):
        emit_graph(prog, network((6, 1, 1), stem=6))


def test_vectors() -> None:
    blocks = (Block("preact", "mlp", (), (), SPAN),)
    spec = network((8, 2, 1), (6, 2, 1), shape=(5,), stem=8, blocks=blocks)
    module = emit_graph(lm(), spec)
    assert module(torch.randn(3, 5)).shape == (3, 3)
    assert compare(lm(), spec, module) < 1e-12


def test_sequences_and_python_blocks() -> None:
    from reference import layers

    blocks = (
        Block("preact", "seq", layers("bn", "relu", "conv(3)", "bn", "tanh", "conv(1)"), (), SPAN),
    )
    spec = network((4, 2, 1), (8, 2, 2), blocks=blocks)
    module = emit_graph(program(EULER), spec)
    assert module.get_parameter("stage2.0.f.2.weight").shape == (8, 4, 3, 3)
    assert module.get_parameter("stage2.0.f.5.weight").shape == (8, 8, 1, 1)
    assert compare(program(EULER), spec, module) < 1e-12
    python = {"preact": "schemegen.network.blocks:Conv1x1"}
    module = emit_graph(program(EULER), spec, blocks=python)
    assert type(module.get_submodule("stage1.0.f")).__name__ == "Conv1x1"
    assert "from schemegen.network.blocks import Conv1x1" in emit_source(
        program(EULER), spec, blocks=python
    )


def test_no_file_text_in_source() -> None:
    """Names that Python or torch claim are renamed; the text runs and keeps the graph's keys."""
    states = (State("self", SPAN), State("lambda", SPAN))
    drifts = (Drift("forward", ("lambda",), SPAN), Drift("training", ("self",), SPAN))
    text = (
        "step { self[n+1] = self[n] + h*forward(lambda[n]);"
        " lambda[n+1] = lambda[n] + h*training(self[n+1]) }"
    )
    prog = program(text, states=states, drifts=drifts)
    spec = network((4, 2, 1), (8, 1, 2))
    names: dict[str, object] = {"__name__": "model"}
    exec(emit_source(prog, spec), names)  # noqa: S102  our own text
    model, graph = names["Model"](), emit_graph(prog, spec)  # type: ignore[operator]
    model.load_state_dict(graph.state_dict())
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(model.eval()(x), graph.eval()(x))


def test_deepcopy_and_state_dict() -> None:
    module = emit_graph(lm(), network((4, 2, 1)))
    twin = copy.deepcopy(module)
    assert twin.meta["coefficients"] == module.meta["coefficients"]
    node = next(iter(reversed(list(twin.graph.nodes))))
    assert "custom" in node.meta
    other = emit_graph(lm(), network((4, 2, 1)), seed=9)
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(other.eval()(x), module.eval()(x))


@pytest.mark.parametrize("method", ["anderson", "newton_krylov", "fixed_point"])
@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_gradients_through_a_solver(method: str, gradient: str) -> None:
    """Both gradients are those of the solution."""
    solver = Solver(
        method, SPAN, iterations=40, tolerance=R(1, 10**13), memory=6, gradient=gradient
    )
    text = "step { u[n+1] = u[n] + h/4*f((u[n] + u[n+1])/2) }"
    prog = lower(equations(text, solver=solver))
    spec = network((4, 1, 1))
    module = emit_graph(prog, spec, dtype=torch.float64).eval()
    exact = lower(equations(text, solver=Solver("fixed_point", SPAN, iterations=60)))
    plain = emit_graph(exact, spec, dtype=torch.float64).eval()
    plain.load_state_dict(module.state_dict())
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    gradients = []
    for net in (module, plain):
        net(x).square().sum().backward()
        gradients.append({name: p.grad for name, p in net.named_parameters()})
    for name, value in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], value, rtol=1e-6, atol=1e-8)


def test_noise_is_fresh_and_follows_the_mode() -> None:
    noise = Noise("b", "bernoulli", (R(1, 2),), SPAN, scope="sample")
    prog = program(EULER.replace("h*f", "h*b*f"), noises=(noise,))
    module = emit_graph(prog, network((4, 3, 1)))
    x = torch.randn(8, 1, 4, 4)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_options_of_blocks() -> None:
    """ResNeXt's branch: groups inside a bottleneck; options a block does not have are refused."""
    options = (("expansion", "2"), ("groups", "4"))
    spec = network((8, 2, 1), stem=8, blocks=(Block("preact", "bottleneck", (), options, SPAN),))
    module = emit_graph(program(EULER), spec)
    assert module.get_parameter("stage1.0.f.conv2.weight").shape == (4, 1, 3, 3)
    assert "expansion=2, groups=4" in emit_source(program(EULER), spec)
    assert compare(program(EULER), spec, module) < 1e-12
    for kind, option, code in (("conv1x1", "width", "E0608"), ("preact", "groups", "E0605")):
        wrong = (Block("preact", kind, (), ((option, "3"),), SPAN),)
        with pytest.raises(SchemeError, match=code):
            emit_graph(program(EULER), network((8, 2, 1), stem=8, blocks=wrong))


@pytest.mark.parametrize("image", [True, False])
def test_every_layer(image: bool) -> None:
    from reference import layers

    names = ["bn", "layernorm", "groupnorm(2)", "relu", "tanh", "sigmoid", "softplus", "gelu"]
    names += ["identity", "drop(1/2)", *(["conv(3)", "conv1x1"] if image else ["linear"])]
    blocks = (Block("preact", "seq", layers(*names), (), SPAN),)
    shape = (1, 4, 4) if image else (4,)
    spec = network((4, 2, 1), (8, 1, 1), shape=shape, blocks=blocks)
    names_: dict[str, object] = {}
    exec(emit_source(program(EULER), spec), names_)  # noqa: S102  our own text
    graph = emit_graph(program(EULER), spec).eval()
    model = names_["Model"]().eval()  # type: ignore[operator]
    model.load_state_dict(graph.state_dict())
    x = torch.randn(2, *shape)
    assert torch.equal(model(x), graph(x))


def test_shapes_of_a_deep_network_are_found_once_for_each_kind_of_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    run = FakeTensorProp.call_module

    def counted(self, target, args, kwargs):
        calls.append(target)
        return run(self, target, args, kwargs)

    monkeypatch.setattr(FakeTensorProp, "call_module", counted, raising=False)
    counts = []
    for steps in (2, 9):
        calls.clear()
        graph = emit_graph(program(EULER), network((4, steps, 1), (8, steps, 2)))
        counts.append(len(calls))
        shapes = [n.meta["shape"] for n in graph.graph.nodes if n.op == "call_module"]
        assert all(len(shape) in (1, 3) for shape in shapes)
        assert len([shape for shape in shapes if shape == (8, 2, 2)]) >= steps
    assert counts[0] == counts[1]
