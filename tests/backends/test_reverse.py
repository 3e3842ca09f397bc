"""Steps that run backwards: which do, how exactly, and what is kept for it."""

from __future__ import annotations

import warnings

import pytest
import sympy
import torch
from torch import nn

import schemegen
from schemegen.analysis.inverse import inverse, remembered_name
from schemegen.analysis.reversible import reversible
from schemegen.diagnostics import SchemeError
from schemegen.network.replay import Rerun, Reverse
from schemegen.network.solvers import evaluate
from schemegen.pipeline import load
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_file
from schemegen.step import lower
from schemegen.step.program import Combine, Evaluate, Program, Solve

REVERSIBLE = (
    "revnet", "hamiltonian", "leapfrog", "momentum_net", "second_order", "stoermer_verlet",
    "symplectic_euler",
)  # fmt: skip
NETWORK = """network n {{
  input: shape [1, 8, 8], classes 4
  stem: conv(3), width 8
  stage: width 8, steps {steps}
  head: bn, relu, avgpool, linear
}}
"""
VECTORS = """network n {{
  input: shape [64], classes 4
  block preact: mlp
  stem: linear, width 16
  stage: width 16, steps {steps}
  head: linear
}}
"""


def build(name: str, steps: int, how: str, kind: str = NETWORK, **values: str) -> nn.Module:
    text = zoo_file(name).read_text(encoding="utf-8") + "\n" + kind.format(steps=steps)
    return schemegen.build(load(text, name), backprop=how, **values)


def names(program: Program) -> tuple[list[str], list[str]]:
    """Return what a step has before and after it."""
    most: dict[str, int] = {}
    for item in program.inputs:
        most[item.of] = max(item.lag, most.get(item.of, 0))
    lags = [(of, lag) for of, top in most.items() for lag in range(1, top + 1)]
    old = [f"{s.name}[n]" for s in program.states]
    old += [remembered_name(program, of, lag) for of, lag in lags]
    new = [f"{s.name}[n+1]" for s in program.states]
    return old, new + [remembered_name(program, of, lag - 1) for of, lag in lags]


@pytest.mark.parametrize(
    "path", sorted(zoo_file("rk2").parent.glob("*.scheme")), ids=lambda p: p.stem
)
def test_the_inverse_agrees_with_the_verdict_of_the_analysis(path) -> None:
    program = lower(load(path.stem))
    old, new = names(program)
    found = inverse(program, new, old)
    verdict, _ = reversible(program)
    if not any(isinstance(item, Solve) for item in program.statements) and verdict is not None:
        assert (found is not None) is verdict
    if found is not None:
        assert values_of(program, found.statements, old)


def values_of(program: Program, statements, old: list[str]) -> bool:
    """Run a step and its inverse on symbols, slopes as unknown functions; compare exactly."""
    start = {name: sympy.Symbol(f"v{i}") for i, name in enumerate(old)}

    def run(items, values: dict[str, sympy.Expr]) -> dict[str, sympy.Expr]:
        values["1"] = sympy.Integer(1)
        for item in items:
            if isinstance(item, Combine):
                total = sum((t.coefficient * values[t.value] for t in item.terms), sympy.S.Zero)
                values[item.target] = sympy.cancel(total)
            elif isinstance(item, Evaluate):
                function = sympy.Function(f"{item.field}{item.weights}")
                values[item.target] = function(*(values[name] for name in item.at))
        return values

    forward = run(program.statements, dict(start))
    _, new = names(program)
    back = run(statements, {name: forward[name] for name in new})
    return all(sympy.cancel(back[name] - value) == 0 for name, value in start.items())


def gradients(module: nn.Module, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(2)
    shape = (64,) if hasattr(module.get_submodule("stem.0"), "in_features") else (1, 8, 8)
    y = module(torch.randn(6, *shape, dtype=dtype))
    y.square().sum().backward()
    return [p.grad for p in module.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    ("network", "scheme"),
    [
        (network, scheme)
        for network in ("tiny", "mlp")
        for scheme in REVERSIBLE
        if (network, scheme) != ("mlp", "hamiltonian")  # its tied kernels are convolutions
    ],
)
def test_gradients_are_those_of_a_stored_run(scheme: str, network: str) -> None:
    stored, back = (
        schemegen.build(scheme, network=network, backprop=how).double()
        for how in ("store", "reversible")
    )
    assert any(isinstance(item, Reverse) for item in back.chain.plan)
    assert list(stored.state_dict()) == list(back.state_dict())
    assert [n for n, _ in stored.named_parameters()] == [n for n, _ in back.named_parameters()]
    one, other = gradients(stored, torch.float64), gradients(back, torch.float64)
    for a, b in zip(one, other, strict=True):
        assert float((a - b).norm()) <= 1e-10 * float(a.norm())
    for a, b in zip(stored.buffers(), back.buffers(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("scheme", REVERSIBLE)
def test_a_branch_is_evaluated_once_on_the_way_back(scheme: str) -> None:
    module = build(scheme, 6, "reversible")
    calls: list[int] = []
    for owner in module.chain.owners():
        if isinstance(owner, nn.Module):
            owner.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        module(x)
    once = len(calls)
    module(x).square().sum().backward()
    chain = module.chain
    back = [i for p in chain.plan if isinstance(p, Reverse) for i in range(p.start, p.stop)]
    forms = [chain.forms[chain.calls[index].form] for index in back]
    slopes = sum(len(form.graph.find_nodes(op="call_function", target=evaluate)) for form in forms)
    assert slopes > 0
    assert len(calls) == 2 * once + slopes


@pytest.mark.parametrize("scheme", ["revnet", "momentum_net"])
def test_branches_without_weights_to_learn(scheme: str) -> None:
    found = []
    for how in ("store", "reversible"):
        module = build(scheme, 5, how).double()
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(not name.startswith(("stem", "stage1.1.", "stage1.3.f")))
        found.append(gradients(module, torch.float64))
    assert len(found[0]) == len(found[1])
    for a, b in zip(*found, strict=True):
        assert float((a - b).norm()) <= 1e-10 * float(a.norm())


@pytest.mark.parametrize(
    ("scheme", "values"),
    [
        ("revnet", {}),
        ("leapfrog", {}),
        ("momentum_net", {}),
        ("lm_resnet", {"k": "1/2"}),
        ("lm_resnet", {"k": "-7/10"}),
    ],
)
@pytest.mark.parametrize("kind", [NETWORK, VECTORS], ids=["images", "vectors"])
def test_the_expected_error_is_the_measured_one_within_a_factor_of_ten(
    scheme: str, values: dict[str, str], kind: str
) -> None:
    module = build(scheme, 32, "reversible", kind, **values)
    gradients(module, torch.float32)
    facts = module.meta["backprop"]
    measured = float(module.chain.meter.error)
    assert facts["expected_error"] / 10 < measured < facts["expected_error"] * 10
    assert facts["expected_error"] <= facts["bound"]


def test_a_bound_places_just_enough_carries() -> None:
    """Each step back multiplies the error by 1/|k| = 2: twice the steps need about twice the carries."""
    kept = {}
    for bound in ("1e-5", "1e-3"):
        module = build("lm_resnet", 40, f"reversible={bound}", k="1/2")
        segments = [item for item in module.chain.plan if isinstance(item, Reverse)]
        kept[bound] = len(segments)
        lengths = [item.stop - item.start for item in segments[1:]]
        assert max(lengths) - min(lengths) <= 4
    assert kept["1e-3"] < kept["1e-5"]
    assert len([i for i in build("revnet", 40, "reversible").chain.plan if i != 39]) == 1


def test_the_error_grows_as_the_coefficients_say() -> None:
    """Undoing 20 steps with k = 1/2 loses about 2^20 roundings, with a thousand times less for k = 9/10."""
    found = {}
    for k in ("1/2", "9/10"):
        module = build("lm_resnet", 22, "reversible=9/10", VECTORS, k=k)
        found[k] = module.meta["backprop"]["expected_error"]
    assert 200 < found["1/2"] / found["9/10"] < 10**6


def test_weights_that_grow_are_noticed() -> None:
    module = build("revnet", 12, "reversible=1e-6", VECTORS)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradients(module, torch.float32)
    with pytest.warns(RuntimeWarning, match="backwards had the relative error"):
        gradients(module, torch.float32)


@pytest.mark.parametrize(
    ("scheme", "code", "said"),
    [
        ("resnet", "E0806", "cannot be run backwards"),
        ("rk4", "E0806", "cannot be run backwards"),
        ("backward_euler", "E0806", "solved up to a residual only"),
        ("lm_stochastic_depth", "E0806", "it draws random numbers"),
        ("lm_resnet", "E0807", "divides by `k`"),
    ],
)
def test_what_is_refused(scheme: str, code: str, said: str) -> None:
    with pytest.raises(SchemeError) as refused:
        schemegen.build(scheme, network="tiny", backprop="reversible")
    [found] = refused.value.diagnostics
    assert found.code == code
    assert said in found.message
    assert found.span is not None
    with pytest.raises(SchemeError, match="E0807"):
        schemegen.build("zerosnet", network="tiny", backprop="reversible=1e-12")


@pytest.mark.parametrize(
    ("scheme", "method"),
    [("revnet", "reversible"), ("leapfrog", "reversible"), ("lm_resnet", "checkpoint"),
     ("rk4", "checkpoint"), ("zerosnet", "checkpoint"), ("stochastic_depth", "checkpoint")],
)  # fmt: skip
def test_what_auto_chooses(scheme: str, method: str) -> None:
    assert build(scheme, 24, "auto").meta["backprop"]["method"] == method


def test_steps_that_are_not_undone_run_again() -> None:
    """The change of shape of the second stage, and the last leapfrog step before it, whose past is dropped."""
    plan = schemegen.build("leapfrog", network="tiny", backprop="reversible").chain.plan
    assert plan == (Reverse(0, 2), Rerun(2, 3, (2,)), Rerun(3, 4, (3,)), Reverse(4, 5), 5)


DROPPED = """scheme s {{ state x, v
  drift f(v): block branch
  drift g(x): block branch
  step {{ x[n+1] = x[n] + h*f(v[n]); v[n+1] = v[n] + h*g(x[n+1]) }} }}
network n {{
  input: shape [1, 8, 8], classes 3
  block branch: seq [conv(3), {layer}]
  stem: conv(3), width 4
  stage: width 4, steps 4
  head: bn, relu, avgpool, linear
}}"""


def test_blocks_that_draw_are_not_undone() -> None:
    assert schemegen.build(from_text(DROPPED.format(layer="tanh")), backprop="reversible")
    with pytest.raises(SchemeError, match="E0806"):
        schemegen.build(from_text(DROPPED.format(layer="drop(1/10)")), backprop="reversible")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "scheme", ["revnet", *(pytest.param(n, marks=pytest.mark.slow) for n in REVERSIBLE[1:])]
)
def test_compiled_without_a_break(scheme: str) -> None:
    stored = schemegen.build(scheme, network="tiny").double()
    back = schemegen.build(scheme, network="tiny", backprop="reversible").double()
    torch._dynamo.reset()
    call = torch.compile(back, fullgraph=True, backend="aot_eager")
    torch.manual_seed(2)
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    results = []
    for module, run in ((stored, stored), (back, call)):
        run(x).square().sum().backward()
        results.append([p.grad for p in module.parameters()])
    for a, b in zip(*results, strict=True):
        assert float((a - b).norm()) <= 1e-10 * float(a.norm())


def test_half_precision_keeps_more_carries() -> None:
    plain = build("momentum_net", 60, "reversible")
    with torch.autocast("cpu", torch.bfloat16):
        half = build("momentum_net", 60, "reversible")
        y = half(torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    y.float().square().sum().backward()
    assert half.meta["backprop"]["kept"] > plain.meta["backprop"]["kept"]
    assert float(half.chain.meter.error) < 10 * half.meta["backprop"]["bound"]
