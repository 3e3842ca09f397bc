"""Drifts that take the time: when each family of schemes evaluates them, and what the blocks do with it."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy
import torch
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.network.timed import Ode, Time
from schemegen.scheme.builders import from_text
from schemegen.step import lower
from schemegen.step.arithmetic import exact
from schemegen.step.trajectory import trajectory

STEPS = """scheme s {{
  state u
  drift f(u, t): block ode, weights network
  stepsize h = 1/4
  {update}
}}
"""
TABLEAU = """tableau explicit {
     0  |
    1/3 | 1/3
     1  |  0   1
    ----+-------------
        | 1/4  0  3/4
  }"""
ADAMS = """multistep {
      | n+1   n    n-1
    --+---------------
    u |  1   -1     0
    f |  0   3/2  -1/2
  }
  start: euler"""
TRAPEZOID = """multistep {
      | n+1   n
    --+---------
    u |  1   -1
    f | 1/2  1/2
  }
  solve: fixed_point, iterations 2"""


def times(update: str, steps: int = 2) -> list[Fraction]:
    """The times at which a scheme evaluates, in units of h = 1/4."""
    program = lower(from_text(STEPS.format(update=update)))
    found = []

    def field(u, time):
        found.append(Fraction(str(4 * time)))
        return u

    def arithmetic(index):
        step = sympy.Rational(1, 4)
        return exact({"h": step, "t": index * step})

    trajectory(program, {"u": sympy.Integer(1)}, steps, fields={"f": field}, arithmetic=arithmetic)
    return found


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (TABLEAU, ["0", "1/3", "1", "1", "4/3", "2"]),
        (ADAMS, ["0", "1"]),
        (TRAPEZOID, ["0", "1", "1", "1", "2", "2"]),
        ("step { u[n+1] = u[n] + h*f(u[n] + h/2*f(u[n], t), t + h/2) }", ["0", "1/2", "1", "3/2"]),
        ("map F(x) = f(x, t - h/4)\n  step { u[n+1] = u[n] + h*F(u[n]) }", ["-1/4", "3/4"]),
        (
            "step { u[n+1] = u[n] + h*(3*f(u[n], t) - f(u[n-1], t - h))/2 }\n  start: euler",
            ["0", "1"],
        ),
    ],
)
def test_when_a_scheme_evaluates(update: str, expected: list[str]) -> None:
    assert times(update) == [Fraction(text) for text in expected]


def test_equal_arguments_at_other_times_are_other_evaluations() -> None:
    update = "step { u[n+1] = u[n] + h/2*f(u[n], t) + h/2*f(u[n], t + h) }"
    assert times(update, 1) == [0, 1]
    plain = "step { u[n+1] = u[n] + h/2*f(u[n], t) + h/2*f(u[n], t) }"
    assert times(plain, 1) == [0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rk2", 0), ("heun2", 0), ("euler", Fraction(-1, 2)), ("rk4", 0), ("am2", 0)],
)
def test_the_term_of_the_time(name: str, expected: Fraction) -> None:
    """B of h f_t: 0 for a method of order 2 that evaluates at its abscissae, whatever weights do at depth."""
    text = schemegen.load(name).source.text
    timed = text.replace(
        "f(u): block preact, weights per step", "f(u, t): block ode, weights network"
    )
    timed = timed.replace("f(u): block preact\n", "f(u, t): block ode, weights network\n")
    assert timed != text
    assert schemegen.analyze(from_text(timed)).depth_term == expected
    both = timed.replace("weights network", "weights per step")
    found = schemegen.analyze(from_text(both))
    assert found.depth_term is None
    assert any("themselves" in note.text for note in found.notes)


def test_a_state_called_t_is_a_state() -> None:
    text = """scheme s {
  state u, t
  drift f(u, t): block preact
  drift g(u): block preact
  step {
    u[n+1] = u[n] + h*f(u[n], t[n])
    t[n+1] = t[n] + h*g(u[n])
  }
}
"""
    scheme = from_text(text)
    assert scheme.drifts[0].arguments == ("u", "t")
    assert not scheme.drifts[0].timed


def test_the_block_is_the_published_one() -> None:
    torch.manual_seed(0)
    block = Ode(8, 8).double()
    with torch.no_grad():
        for item in block.parameters():
            if item.dim() == 1:
                item.add_(torch.rand_like(item))
    w = dict(block.named_parameters())
    x = torch.randn(2, 8, 4, 4).double()

    def norm(y: torch.Tensor, index: int) -> torch.Tensor:
        return F.group_norm(y, 4, w[f"norm{index}.weight"], w[f"norm{index}.bias"])

    def conv(y: torch.Tensor, index: int) -> torch.Tensor:
        channel = torch.full((2, 1, 4, 4), 0.25).double()
        return F.conv2d(torch.cat([y, channel], 1), w[f"conv{index}.conv.weight"], padding=1)

    y = conv(F.relu(norm(x, 1)), 1)
    wanted = norm(conv(F.relu(norm(y, 2)), 2), 3)
    torch.testing.assert_close(block(x, 0.25), wanted, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(block(x, 0.4), wanted)
    assert torch.equal(Time()(x, 2.0)[:, 8:], torch.full((2, 1, 4, 4), 2.0).double())


NETWORK = """network one "" {
  input: shape [1, 8, 8], classes 10
  block ode: seq [groupnorm(2), relu, time, conv(3), tanh, time, conv(3)]
  stem: conv(3), width 4
  stage: width 4, steps 3
  stage: width 6, steps 2, stride 2
  head: avgpool, linear
}
"""


def test_a_network_by_hand() -> None:
    """Heun with one set of weights a shape: times of stage 2 go on from those of stage 1."""
    text = STEPS.format(
        update="""tableau explicit {
    0 |
    1 | 1
    --+---------
      | 1/2 1/2
  }"""
    )
    model = schemegen.build(from_text(text + NETWORK), "one").double()
    x = torch.randn(2, 1, 8, 8).double()
    u = model.get_submodule("stem.0")(x)
    blocks = [item for name, item in model.named_children() if name.startswith("shared_f")]
    assert len(blocks) == 3
    wide = {block[3].weight.shape[:2]: block for block in blocks}
    for position in range(3):
        t = position / 4
        f = wide[4, 5]
        k = f(u, t)
        u = u + (k + f(u + k / 4, t + 1 / 4)) / 8
    f = wide[6, 5]
    assert f[3].stride == (2, 2)
    u = model.get_submodule("stage2.0.projection")(u) + f(u, 3 / 4) / 4
    f = wide[6, 7]
    k = f(u, 1.0)
    u = u + (k + f(u + k / 4, 1.25)) / 8
    wanted = model.get_submodule("head.1")(u.mean((2, 3)))
    torch.testing.assert_close(model(x), wanted, rtol=1e-12, atol=1e-12)


def test_the_deep_limit() -> None:
    """With h = 1/N the residual network tends to the flow, with an error of 1/N."""
    text = schemegen.load("deep_limit").source.text
    results = {}
    for steps in (8, 16, 32, 256):
        network = f"""network one "" {{
  input: shape [1, 8, 8], classes 10
  block ode: seq [time, conv(3), tanh, time, conv(3)]
  stem: conv(3), width 4
  stage: width 4, steps {steps}
  head: avgpool, linear
}}
"""
        changed = text.replace("stepsize h = 1/6", f"stepsize h = 1/{steps}")
        model = schemegen.build(from_text(changed + network), "one").double()
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
        results[steps] = model(x).detach()
    errors = [float((results[n] - results[256]).norm()) for n in (8, 16, 32)]
    # 1/N - 1/256 has the ratios 31/15 and 15/7
    assert errors[0] / errors[1] == pytest.approx(31 / 15, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(15 / 7, rel=0.1)


def test_noise_of_a_neural_sde_is_drawn_in_evaluation() -> None:
    model = schemegen.build("neural_sde", "tiny").eval()
    x = torch.randn(2, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    shared = [name for name, _ in model.named_children() if name.startswith("shared_f")]
    assert len(shared) == 3  # 4 to 4 channels, 4 to 8 with the stride, 8 to 8
