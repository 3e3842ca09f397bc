"""Reversible lifts of one-step schemes: the coupled pair, its order, its inverse, its gradients."""

from __future__ import annotations

import pytest
import torch

import schemegen
from schemegen.diagnostics import UsageError
from schemegen.lifting import lifted_text
from schemegen.pipeline import analyze, load
from schemegen.resources import resource_dir
from schemegen.scheme.model import Scheme, Tableaus
from schemegen.step import lower
from schemegen.step.arithmetic import floating
from schemegen.step.interpret import run

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
        and not any(drift.timed for drift in scheme.drifts)
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
        drift.name: lambda u, i=i: u * u - u / (3 + i) + 1 for i, drift in enumerate(scheme.drifts)
    }

    def increment(u: float, h: float) -> float:
        return run(lower(scheme), {"u[n]": u}, fields, floating({"h": h}))["u[n+1]"] - u

    u, w, h = 0.4, 0.35, 0.1
    after = coupling * u + (1 - coupling) * w + increment(w, h)
    other = w - increment(after, -h)
    program = lower(lifted(name, str(coupling)))
    found = run(program, {"u[n]": u, "d[n]": w - u}, fields, floating({"h": h}))
    assert found["u[n+1]"] == pytest.approx(after, abs=1e-14)
    assert found["u[n+1]"] + found["d[n+1]"] == pytest.approx(other, abs=1e-14)


def test_there_is_a_lift_of_every_explicit_method() -> None:
    assert {"euler", "rk4", "dopri5", "verner65", "ssprk104", "gill4"} <= set(ALL)
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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("network", ["tiny", "mlp"])
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
        ("neural_ode", "1/2", "takes the time"),
    ],
)
def test_what_is_refused(name: str, coupling: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        lifted_text(load(name), coupling)
