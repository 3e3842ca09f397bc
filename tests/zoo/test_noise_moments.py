"""One step of every stochastic scheme, drawn by the network's modules: moments within confidence bounds.

Draws come from the noise modules that networks are made of, the step is the interpreter's, and the expectations
are those of the operator of the step: forests over the derivatives of the test problem.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy
import torch

from schemegen.analysis.random_step import RandomStep
from schemegen.network.noise import NOISES
from schemegen.pipeline import analyze, load
from schemegen.scheme.builders import from_text
from schemegen.scheme.model import Scheme
from schemegen.sources import zoo_names
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.interpret import run
from schemegen.step.program import Program
from schemegen.verification.draws import number_of, with_numbers, without_draws
from schemegen.verification.forests import tensors
from schemegen.verification.problem import fields_of
from schemegen.verification.subject import chosen_numbers

DRAWS = 200_000
STEP = 1 / 64
POWERS = 4  # of h in the derived moments
SIGMAS = 5.0

# Noise in schemes of other families: stages, several states, a memory, damping, two noises, channels.
OTHERS = {
    "stages": """scheme stages {
  state u
  drift f(u): block preact
  noise b: bernoulli(1/3), scope element
  noise s: uniform(-1, 2), scope channel
  step {
    k = f(u[n])
    u[n+1] = u[n] + h*s*f(u[n] + h*b*k) + h*b*s*k
  }
}
""",
    "partitioned": """scheme partitioned {
  state x
  state v
  drift f(x): block preact
  drift g(v): block preact
  noise b: bernoulli(1/4), scope sample
  noise dW: wiener, scope element
  step {
    v[n+1] = v[n] + h*2*b*f(x[n]) + dW/2
    x[n+1] = x[n] + h*g(v[n+1])
  }
}
""",
    "adams": """scheme adams {
  state u
  drift f(u): block preact
  noise b: bernoulli(1/2), scope sample
  step { u[n+1] = u[n] + h*(3/2*f(u[n]) - b*f(u[n-1])) }
  start: euler
}
""",
    "damped": """scheme damped {
  state u
  drift f(u): block preact
  noise m: bernoulli(4/5), scope element
  noise r: rademacher, scope sample
  step { u[n+1] = (1 - h/2)/(1 + h/3)*u[n] + h*m*f(u[n]) + h*r*u[n] }
}
""",
}


# Noise of the size of the state, or in proportion to a deviation of the batch.
WITHOUT_LIMIT = ("dropout_input", "dropout_state", "en_resnet", "fractalnet")


@cache
def stochastic() -> tuple[str, ...]:
    """Every scheme of the zoo that has noise; asked of the files, so that a new one is tested too."""
    return tuple(name for name in zoo_names() if load(name).noises)


def test_the_stochastic_schemes_are_found() -> None:
    assert {"stochastic_depth", "dropout", "shake_shake", "lm_stochastic_depth"} <= set(
        stochastic()
    )
    assert len(stochastic()) >= 10


def numbered(scheme: Scheme) -> Program:
    program = lower(scheme)
    numbers = chosen_numbers(without_draws(program))
    return with_numbers(program, numbers)


def columns(field):
    weight, constant = field.weight.astype(float)[:, None], field.constant.astype(float)[:, None]
    matrices = [matrix.astype(float) for matrix in field.matrices]
    return lambda *at: (
        weight * np.sin(sum((m @ x for m, x in zip(matrices, at, strict=True)), constant))
    )


def drawn(program: Program) -> dict[str, np.ndarray]:
    """Draw with the network's modules for DRAWS samples of two channels; one draw a batch is one a sample here."""
    torch.manual_seed(5)
    like = torch.empty(DRAWS, 2, dtype=torch.float64)
    found = {}
    for noise in program.noises:
        scope = "sample" if noise.scope == "batch" else noise.scope
        module = NOISES[noise.kind](scope, noise.active, noise.evaluation).train()
        arguments = [number_of(a, {"h": STEP}) for a in noise.parameters]
        found[noise.name] = module(like, *arguments).numpy().T
    return found


def compare(program: Program, step: RandomStep | None = None) -> None:
    """Hold the draws of a program against the operator of its step, or of another's."""
    step = RandomStep(program, POWERS) if step is None else step
    fields = fields_of(program)
    at = [np.array([0.3, -0.2]) + 0.1 * i for i in range(len(step.principal))]
    values = {f"{name}[n]": x[:, None] for name, x in zip(step.principal, at, strict=True)}
    for memory in step.memories:  # as it is where the last steps agree with the state
        factors = [number_of(step.draws.coefficients.expression(z), {}) for z in memory.limit]
        values[memory.now] = sum(z * x[:, None] for z, x in zip(factors, at, strict=True))
    values |= {item.name: values[f"{item.of}@{item.lag}"] for item in program.inputs}
    real = lambda item: float(item.evalf(30))  # noqa: E731
    arithmetic = Arithmetic(real, {"h": STEP, **drawn(program)}, functions_of(np))
    known = run(program, values, {k: columns(f) for k, f in fields.items()}, arithmetic)
    moved = np.concatenate(
        [
            np.broadcast_to(known[f"{name}[n+1]"], (2, DRAWS)) - x[:, None]
            for name, x in zip(step.principal, at, strict=True)
        ]
    )
    expression = step.draws.coefficients.expression
    series = {
        power: {
            forest: float(expression(c))
            for forest, c in level.items()
            if all(slot < len(at) for slot, _ in forest)
        }
        for power, level in step.operator.items()
    }
    leaves = set(step.operators.leaves.values())
    series = {
        power: {f: c for f, c in level.items() if not leaves & set(colours(f))}
        for power, level in series.items()
    }
    eps = STEP ** (1 / step.unit)
    raw = {d: tensors(step.operators, series, eps, fields, at, d)[0] for d in (1, 2, 3)}
    m, s, t = raw[1], raw[2], raw[3]
    wanted = {
        1: m,
        2: s - np.multiply.outer(m, m),
        3: t
        - np.einsum("ab,c->abc", s, m)
        - np.einsum("ac,b->abc", s, m)
        - np.einsum("bc,a->abc", s, m)
        + 2 * np.einsum("a,b,c->abc", m, m, m),
    }
    d = moved - moved.mean(1)[:, None]
    letters = {1: "an->an", 2: "an,bn->abn", 3: "an,bn,cn->abcn"}
    left_out = 20 * STEP ** (POWERS + 1)
    for degree in (1, 2, 3):
        products = np.einsum(letters[degree], *([moved if degree == 1 else d] * degree))
        error = products.std(-1) / np.sqrt(DRAWS)
        off = np.abs(products.mean(-1) - wanted[degree])
        assert (off <= SIGMAS * error + left_out).all(), (degree, off, error)


def colours(forest):
    for _, (colour, _, children) in forest:
        yield colour
        yield from colours(children)


@pytest.mark.parametrize("name", [n for n in stochastic() if n not in WITHOUT_LIMIT])
def test_the_moments_of_a_step(name: str) -> None:
    compare(numbered(load(name)))


@pytest.mark.parametrize("name", WITHOUT_LIMIT)
def test_other_noise_has_no_weak_order_and_says_why(name: str) -> None:
    found = analyze(name)
    assert found.weak_order is None
    assert found.strong_order is None
    reasons = ("size of the state", "does not tend", "pointwise function")
    assert any(reason in note.text for note in found.notes for reason in reasons)


@pytest.mark.parametrize("name", OTHERS)
def test_the_moments_of_a_step_of_other_families(name: str) -> None:
    compare(numbered(from_text(OTHERS[name])))


def test_a_wrong_probability_is_seen() -> None:
    program = numbered(load("dropout"))
    (noise,) = program.noises
    wrong = replace(noise, arguments=(noise.arguments[0] - sympy.Rational(1, 50),))
    with pytest.raises(AssertionError):
        compare(replace(program, noises=(wrong,)), RandomStep(program, POWERS))
