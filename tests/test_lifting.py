"""Reversible lifts of one-step schemes: the coupled pair, its order, its inverse, its gradients."""

from __future__ import annotations

import math
import re
from itertools import pairwise, product

import pytest
import torch

import schemegen
from schemegen.diagnostics import UsageError
from schemegen.lifting import lifted_text
from schemegen.pipeline import analyze, load
from schemegen.resources import resource_dir
from schemegen.scheme.model import Scheme, Tableaus
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic, floating
from schemegen.step.interpret import run
from schemegen.step.trajectory import trajectory

NAMES = ("euler", "ralston2", "ssprk3", "rk4")


def lifted(name: str, coupling: str = "99/100") -> Scheme:
    scheme = load(name)
    return load(lifted_text(scheme, coupling), f"{scheme.name}_lift")


def can_be_lifted(path: str) -> bool:
    scheme = load(path)
    return (
        isinstance(scheme.update, Tableaus)
        and len(scheme.states) == 1
        and all(part.tableau.kind == "explicit" for part in scheme.update.parts)
        and scheme.damping is None
        and not (scheme.noises or scheme.schedules)
        and all(drift.weights in ("step", "network") for drift in scheme.drifts)
    )


ALL = sorted(
    path.stem
    for path in (resource_dir("zoo") / "schemes").glob("*.scheme")
    if can_be_lifted(path.stem)
)


@pytest.mark.parametrize("coupling", [0.5, 0.99])
@pytest.mark.parametrize("name", ALL)
def test_a_step_is_that_of_the_coupled_pair(name: str, coupling: float) -> None:
    """McCallum, Foster (2024), definition 2.1, with the increments of the scheme itself."""
    scheme = load(name)
    fields = {
        drift.name: lambda u, t=0.0, i=i: u * u - u / (3 + i) + math.cos(3 * t)
        for i, drift in enumerate(scheme.drifts)
    }

    def increment(t: float, u: float, h: float) -> float:
        return run(lower(scheme), {"u[n]": u}, fields, floating({"h": h, "t": t}))["u[n+1]"] - u

    t, u, w, h = 0.7, 0.4, 0.35, 0.1
    after = coupling * u + (1 - coupling) * w + increment(t, w, h)
    other = w - increment(t + h, after, -h)
    program = lower(lifted(name, str(coupling)))
    found = run(program, {"u[n]": u, "d[n]": w - u}, fields, floating({"h": h, "t": t}))
    assert found["u[n+1]"] == pytest.approx(after, abs=1e-14)
    assert found["u[n+1]"] + found["d[n+1]"] == pytest.approx(other, abs=1e-14)


def test_there_is_a_lift_of_every_explicit_method() -> None:
    assert {"euler", "rk4", "dopri5", "verner65", "ssprk104", "gill4", "neural_ode"} <= set(ALL)
    assert len(ALL) >= 25


@pytest.mark.parametrize(
    "name", [name if name in NAMES else pytest.param(name, marks=pytest.mark.slow) for name in ALL]
)
def test_the_order_is_kept_and_steps_are_reversible(name: str) -> None:
    facts, plain = analyze(lifted(name)), analyze(name)
    assert facts.order == plain.order
    assert facts.consistent == plain.consistent
    assert facts.geometry.reversible is True
    assert facts.stability.zero_stable is True


@pytest.mark.parametrize(
    ("name", "network"), [*product(NAMES, ("tiny", "mlp")), ("neural_ode", "tiny")]
)
def test_networks_run_backwards(name: str, network: str) -> None:
    """Same parameters as the plain network, states back to 1e-10, gradients of a stored run to 1e-10."""
    scheme = lifted(name)
    stored, back = (
        schemegen.build(scheme, network, backprop=how).double() for how in ("store", "reversible")
    )
    plain = schemegen.build(name, network)
    count = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert count(back) == count(plain)
    shape = (64,) if network == "mlp" else (1, 8, 8)
    x = torch.randn(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradients = []
    for module in (stored, back):
        module(x).square().sum().backward()
        gradients.append([p.grad for p in module.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert float((one - other).norm()) <= 1e-10 * float(one.norm())
    carries = schemegen.states(stored.eval(), x)
    steps = 3 if network == "mlp" else 2
    again = schemegen.inverse(stored, carries[-1], steps)
    for carry, known in zip(again, carries[-steps - 1 :], strict=True):
        for a, b in zip(carry, known, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def timed(name: str) -> Scheme:
    """Return the lift of a scheme of the zoo with a drift ``f(u, t)``."""
    text = schemegen.load(name).source.text
    changed = re.sub(r"drift f\(u\)[^\n]*", "drift f(u, t): block ode, weights network", text)
    assert changed != text
    scheme = load(changed)
    return load(lifted_text(scheme, "1/2"), f"{name}_lift")


@pytest.mark.parametrize(
    ("name", "order"), [("euler", 1), ("ralston2", 2), ("ssprk3", 3), ("rk4", 4)]
)
def test_fields_that_change_with_the_time_are_solved_to_the_order(name: str, order: int) -> None:
    """``u' = cos(t) u + t``: the stages backwards are at the times that lead back from the end of the step."""
    program = lower(timed(name))
    fields = {"f": lambda u, t: math.cos(t) * u + t}
    fine = 4096
    exact = 1.0  # by the classical method with steps so small that it is exact here
    for n in range(fine):
        h, t = 1 / fine, n / fine
        k1 = fields["f"](exact, t)
        k2 = fields["f"](exact + h / 2 * k1, t + h / 2)
        k3 = fields["f"](exact + h / 2 * k2, t + h / 2)
        exact += h / 6 * (k1 + 2 * k2 + 2 * k3 + fields["f"](exact + h * k3, t + h))
    errors = []
    for steps in (20, 40, 80):

        def at(index: int, h: float = 1 / steps) -> Arithmetic:
            return floating({"h": h, "t": index * h})

        path = trajectory(program, {"u": 1.0}, steps, fields=fields, arithmetic=at)
        errors.append(abs(path[-1]["u"] - exact))
    slopes = [math.log2(one / other) for one, other in pairwise(errors)]
    assert slopes == pytest.approx([order, order], abs=0.25)


def test_a_lifted_network_with_the_time_is_the_pair_written_out() -> None:
    network = schemegen.build(lifted("neural_ode", "3/4"), "tiny").double().eval()
    f, h = network.get_submodule("shared_f"), 1 / 6

    def increment(t: float, u: torch.Tensor, h: float) -> torch.Tensor:
        k1 = f(u, t)
        k2 = f(u + h / 2 * k1, t + h / 2)
        k3 = f(u + h / 2 * k2, t + h / 2)
        return h / 6 * (k1 + 2 * k2 + 2 * k3 + f(u + h * k3, t + h))

    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    carries = schemegen.states(network, x)
    u = w = carries[0][0]
    for n in range(3):
        u = 0.75 * u + 0.25 * w + increment(n * h, w, h)
        w = w - increment((n + 1) * h, u, -h)
        torch.testing.assert_close(carries[n + 1][0], u, rtol=1e-12, atol=1e-12)
        if n < 2:  # a change of shape comes next, which begins with a new difference
            torch.testing.assert_close(sum(carries[n + 1]), w, rtol=1e-12, atol=1e-12)


def test_the_rest_of_a_file_stays() -> None:
    text = """# of mine
scheme s "mine" {
  state d
  drift f(d): block preact
  param w: learnable, per step, init 1/3
  tableau explicit {
    0 |
    1 | 1
    --+------------
      | (1 - w)  w
  }
  expect order = 1
}
network n {
  input: shape [64], classes 3; block preact: mlp
  stem: linear, width 8; stage: width 8, steps 2; head: linear
}
"""
    found = lifted_text(load(text), "1/2")
    assert found.startswith("# of mine\n")
    assert "state d, d_1" in found
    assert "w_1 = d[n] + d_1[n]" in found
    assert "network n" in found
    network = schemegen.build(load(found))
    assert network(torch.zeros(2, 64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "coupling", "said"),
    [
        ("rk4", "1", "no coupling"),
        ("rk4", "x", "no coupling"),
        ("rk4", "0", "no coupling"),
        ("gauss2", "1/2", "no explicit Runge-Kutta method"),
        ("ab2", "1/2", "no explicit Runge-Kutta method"),
        ("in_resnet", "1/2", "damping"),
    ],
)
def test_what_is_refused(name: str, coupling: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        lifted_text(load(name), coupling)
