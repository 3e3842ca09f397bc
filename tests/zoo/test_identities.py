"""Identities between published architectures, as tensors (numbers as in the catalogue of systems)."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sympy
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "backends"))

from reference import layers, network, randomise

from schemegen.backends import emit_graph
from schemegen.diagnostics import Source
from schemegen.language import parse
from schemegen.resources import resource_dir
from schemegen.scheme import check
from schemegen.scheme.model import Constant, Damping, Param, Scheme, Start
from schemegen.scheme.network import Block
from schemegen.step import lower

SPEC = network((4, 4, 1))


def zoo(name: str) -> Scheme:
    path = resource_dir("zoo") / "schemes" / f"{name}.scheme"
    checked = check(parse(Source(path.name, path.read_text(encoding="utf-8"))))
    return checked.schemes[0]


def built(scheme: Scheme, spec=SPEC, weights: nn.Module | None = None):
    module = emit_graph(lower(scheme), spec, dtype=torch.float64)
    if weights is not None:
        state = weights.state_dict()
        extra = set(state) - set(module.state_dict())
        assert not extra, extra
        module.load_state_dict(state, strict=False)
    return module


def fixed(scheme: Scheme, **values: sympy.Expr) -> Scheme:
    """Replace learnable params by numbers."""
    params = tuple(
        Param(p.name, p.span, learnable=False, init=Constant(sympy.sympify(values[p.name])))
        if p.name in values
        else p
        for p in scheme.params
    )
    return replace(scheme, params=params)


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(4)).double()


@pytest.mark.parametrize("mode", [True, False])
def test_1_every_family_contains_resnet(mode: bool) -> None:
    """LM at k = 0, In at lam = 0, momentum at gamma = 0, stochastic depth at p = 1: the same bits."""
    resnet = built(zoo("resnet"))
    randomise(resnet)
    others = [
        fixed(zoo("lm_resnet"), k=sympy.Integer(0)),
        fixed(zoo("in_resnet"), lam=sympy.Integer(0)),
        fixed(zoo("momentum_net"), gamma=sympy.Integer(0)),
    ]
    depth = zoo("stochastic_depth")
    schedule = replace(depth.schedules[0], values=(sympy.Integer(1), sympy.Integer(1)))
    others.append(replace(depth, schedules=(schedule,)))
    x = images()
    for scheme in others:
        assert torch.equal(built(scheme, weights=resnet).train(mode)(x), resnet.train(mode)(x))
    # The learnable networks too, with their stored coefficients set to the same values.
    learnt = built(zoo("lm_resnet"), weights=resnet)
    with torch.no_grad():
        for name, item in learnt.named_parameters():
            if name.endswith(".k"):
                item.fill_(1.0)
    assert torch.equal(learnt.train(mode)(x), resnet.train(mode)(x))


def test_2_momentum_is_a_multistep_method() -> None:
    """Momentum(gamma) is LM with k = -gamma and branches scaled by 1 - gamma, started by a copy."""
    gamma = sympy.Rational(3, 10)
    momentum = built(fixed(zoo("momentum_net"), gamma=gamma)).eval()
    randomise(momentum)
    linear = replace(fixed(zoo("lm_resnet"), k=-gamma), step_size=1 - gamma, start=Start("copy"))
    x = images()
    torch.testing.assert_close(built(linear, weights=momentum).eval()(x), momentum(x))
    # From equal history the first step is Euler's with the scaled branch; unscaled, it is not.
    euler = built(replace(linear, start=Start("euler")), weights=momentum).eval()
    torch.testing.assert_close(euler(x), momentum(x))
    unscaled = built(replace(linear, step_size=sympy.Integer(1)), weights=momentum).eval()
    assert not torch.allclose(unscaled(x), momentum(x))


def test_3_at_k_1_lm_is_the_two_step_midpoint_rule() -> None:
    leapfrog = built(replace(zoo("leapfrog"), step_size=sympy.Rational(1, 2), start=Start("copy")))
    randomise(leapfrog)
    lm = fixed(zoo("lm_resnet"), k=sympy.Integer(1))
    lm = built(replace(lm, start=Start("copy")), weights=leapfrog)
    torch.testing.assert_close(lm.eval()(images()), leapfrog.eval()(images()))


def dropping(scheme: Scheme, *kept: int) -> Scheme:
    """The branch of step n is kept where ``kept[n]`` is 1."""
    values = tuple(sympy.Integer(item) for item in kept)
    schedule = replace(scheme.schedules[0], kind="list", values=values)
    return replace(scheme, schedules=(schedule,))


def test_4_what_is_left_when_all_branches_are_dropped() -> None:
    """Stochastic depth is the identity; LM with stochastic depth still moves: (1 - k) u[n] + k u[n-1]."""
    x = images()
    model = built(dropping(zoo("stochastic_depth"), 0, 0, 0, 0)).train()
    y = model.get_submodule("stem.0")(x)
    for index in range(4):
        y = model.get_submodule(f"head.{index}")(y)
    assert torch.equal(model(x), y)
    k = sympy.Rational(1, 3)
    model = built(dropping(fixed(zoo("lm_stochastic_depth"), k=k), 1, 0, 0, 0)).train()
    old = model.get_submodule("stem.0")(x)
    new = old + model.get_submodule("stage1.0.f")(old)
    for _ in range(3):
        old, new = new, 2 / 3 * new + 1 / 3 * old
    y = new
    for index in range(4):
        y = model.get_submodule(f"head.{index}")(y)
    torch.testing.assert_close(model(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["revnet", "leapfrog", "momentum_net"])
def test_5_reversible_networks_are_undone(name: str) -> None:
    """Solving the update for the old values, step by step from the end, returns the input."""
    scheme = zoo(name)
    scheme = fixed(scheme, gamma=sympy.Rational(9, 10)) if name == "momentum_net" else scheme
    module = built(scheme).eval()
    randomise(module)
    record: dict[str, torch.Tensor] = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node):
            record[n.name] = super().run_node(n)
            return record[n.name]

    with torch.no_grad():
        Recorder(module).run(images())

        def branch(index: int, name: str, at: torch.Tensor) -> torch.Tensor:
            return module.get_submodule(f"stage1.{index}.{name}")(at)

        def u(index: int, state: str = "u") -> torch.Tensor:
            return record[f"stage1_step{index}_{state}"]

        if name == "revnet":
            x, v = u(3, "x"), u(3, "v")
            for index in (3, 2, 1, 0):
                v = v - branch(index, "g", x)
                x = x - branch(index, "f", v)
            found, wanted = torch.cat([x, v], 1), record["stem_u"]
        elif name == "leapfrog":
            new, old = u(3), u(2)
            for index in (3, 2, 1):
                new, old = old, new - 2 * branch(index, "f", old)
            found, wanted = old, record["stem_u"]
        else:
            x, v = u(3, "x"), u(3, "v")
            for index in (3, 2, 1, 0):
                x = x - v
                v = (v - 0.1 * branch(index, "f", x)) / 0.9
            found, wanted = x, record["stem_u"]
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_6_polynet_and_picard_agree_for_linear_fields_only() -> None:
    """``u + F(u) + F(F(u))`` is ``u + F(u + F(u))`` where F is linear, and not otherwise."""
    literal = zoo("polynet")
    assert literal.solver is not None
    picard = replace(literal, solver=replace(literal.solver, method="fixed_point", iterations=2))
    linear = (Block("preact", "conv1x1", (), (), SPEC.span),)
    for blocks, agree in ((linear, True), ((), False)):
        spec = replace(SPEC, blocks=blocks)
        one = built(literal, spec).eval()
        randomise(one)
        two = built(picard, spec, one).eval()
        assert torch.allclose(one(images()), two(images()), rtol=1e-12, atol=1e-12) is agree


@pytest.mark.parametrize("gain", [1, 2])
def test_10_full_damping_is_a_plain_network(gain: int) -> None:
    """At lam = 1 the skip is gone: the network is its blocks in a row, and no node adds or multiplies."""
    scheme = zoo("resnet")
    one = sympy.Integer(1)
    damping = Damping(one, "explicit", sympy.Integer(gain), scheme.span)
    module = built(replace(scheme, damping=damping)).eval()
    randomise(module)
    called = [n for n in module.graph.nodes if n.op == "call_function" and "stage" in n.name]
    assert len(called) == (0 if gain == 1 else 4)
    x = module.get_submodule("stem.0")(images())
    for index in range(4):
        x = gain * module.get_submodule(f"stage1.{index}.f")(x)
    for index in range(len(layers("bn", "relu", "avgpool", "linear"))):
        x = module.get_submodule(f"head.{index}")(x)
    torch.testing.assert_close(module(images()), x)
