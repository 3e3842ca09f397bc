"""Trained networks made by hand, whose coefficients, spectra, smoothness and corrections are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import schemegen
from schemegen.diagnosis import Diagnosis, diagnose
from schemegen.diagnosis.correction import Differentials
from schemegen.diagnosis.smoothness import INDEPENDENT, order_p, relative_difference
from schemegen.diagnosis.spectrum import eigenvalues
from schemegen.pipeline import Unit, emit, prepare
from schemegen.report.notation import parse_tree
from schemegen.scheme.builders import from_text
from schemegen.selection import source_of

FEW = 3  # power iterations where the distances are not what is tested


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit_of(name: str, network: str) -> Unit:
    [unit] = prepare(source_of(name), network=network)
    return unit


def linear(name: str, size: float = 0.1) -> tuple[nn.Module, Unit, list[Tensor]]:
    """Return a scheme's network on vectors whose branches are small random matrices, and these."""
    text = schemegen.load(name).source.text.replace("block preact", "block conv1x1")
    [unit] = prepare(from_text(text).source, network="mlp")
    model = emit(unit).double().eval()
    matrices = []
    for index in range(6):
        weight, bias = model.get_submodule(f"stage1.{index}.f").parameters()
        bias.data.zero_()
        weight.data = size * random(*weight.shape, seed=index)
        matrices.append(weight.data)
    return model, unit, matrices


def states(model: nn.Module, x: Tensor, index: int) -> Tensor:
    """Return the state before a step of a network on vectors."""
    found: list[Tensor] = []
    block = model.get_submodule(f"stage1.{index}.f")
    handle = block.register_forward_pre_hook(lambda _m, args: found.append(args[0].detach()))
    with torch.no_grad():
        model(x)
    handle.remove()
    return found[0]


# --- spectra -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [7, 400])
def test_eigenvalues_are_those_of_the_matrix(n: int) -> None:
    matrix = random(n, n) / math.sqrt(n)
    found, complete = eigenvalues(lambda v: v @ matrix.T, random(1, n, seed=1))
    wanted = np.linalg.eigvals(matrix.numpy())
    assert complete is (n == 7)
    for value in found:
        assert np.abs(wanted - value).min() < 1e-5
    assert abs(found).max() == pytest.approx(abs(wanted).max(), rel=1e-6)
    assert found.real.max() == pytest.approx(wanted.real.max(), rel=1e-6)


def test_spectra_lie_in_the_region_or_not() -> None:
    """Branches -1.9 I are stable under Euler and those of -2.1 I are not: growth 0.9 and 1.1."""
    model, unit, _ = linear("resnet")
    for index in range(6):
        weight, _ = model.get_submodule(f"stage1.{index}.f").parameters()
        eye = torch.eye(weight.shape[0], dtype=torch.float64)
        weight.data = (-1.9 if index < 3 else -2.1) * eye
    found = diagnose(model, unit, random(2, 64), iterations=FEW)
    assert [item.growth for item in found.spectrum] == [
        pytest.approx(g) for g in (0.9, 0.9, 0.9, 1.1, 1.1, 1.1)
    ]
    assert [item.inside == len(item.eigenvalues) for item in found.spectrum] == [True] * 3 + [
        False
    ] * 3


# --- the modified equation -----------------------------------------------------------------------------


def test_corrections_of_a_linear_branch_are_exact() -> None:
    """Euler on u' = A u: h/2 |A A u|, h^2/3 |A A A u| and |(I + A - exp A) u|, all over |A u|."""
    model, unit, matrices = linear("resnet")
    x = random(5, 64)
    found = diagnose(model, unit, x, iterations=FEW)
    assert [item.step for item in found.correction] == list(range(6))
    for item, a in zip(found.correction, matrices, strict=True):
        u = states(model, x, item.step)
        first, second, third = u @ a.T, u @ a.T @ a.T, u @ a.T @ a.T @ a.T
        size = first.norm(dim=1)
        sizes = [(second.norm(dim=1) / 2 / size).median(), (third.norm(dim=1) / 3 / size).median()]
        assert item.terms == (
            (1, pytest.approx(float(sizes[0]))),
            (2, pytest.approx(float(sizes[1]))),
        )
        exact = u + first - u @ torch.linalg.matrix_exp(a).T
        error = float((exact.norm(dim=1) / size).median())
        assert item.local_error == pytest.approx(error, rel=1e-6)


def test_the_second_order_midpoint_rule_has_no_first_correction() -> None:
    model, unit, matrices = linear("rk2")
    x = random(3, 64)
    item = diagnose(model, unit, x, iterations=FEW).correction[2]
    a = matrices[2]
    u = states(model, x, 2)
    wanted = (u @ a.T @ a.T @ a.T).norm(dim=1) / 6 / (u @ a.T).norm(dim=1)
    assert item.terms[0] == (2, pytest.approx(float(wanted.median())))


def test_a_damped_step_without_a_branch_is_a_logarithm() -> None:
    """u[n+1] = (1 - lam) u[n] is the flow of u' = log(1 - lam) u: corrections lam/2 and lam^2/3 of lam u."""
    unit = unit_of("in_resnet", "tiny")
    model = emit(unit)
    for key, value in model.named_parameters():
        if ".f.conv" in key:
            value.data.zero_()
        if key.endswith(".lam"):
            value.data.fill_(0.7)  # lam = 1 - raw
    found = diagnose(model, unit, random(2, 1, 8, 8), iterations=FEW)
    assert [(item.stage, item.step) for item in found.correction] == [
        (s, i) for s in (1, 2) for i in range(3) if (s, i) != (2, 0)
    ]
    damped = found.correction[1]
    assert dict(damped.terms) == {1: pytest.approx(0.15), 2: pytest.approx(0.03)}
    assert damped.local_error == pytest.approx(abs(0.7 - math.exp(-0.3)) / 0.3, rel=1e-6)


def test_elementary_differentials_of_polynomials() -> None:
    """f(u) = u^2 in every component: f'f = 2 u^3, f''(f,f) = 2 u^4, f'f'f = 4 u^4, f'''(f,f,f) = 0."""
    u = random(2, 3)
    made = Differentials({"f": torch.square}, {"f": ("u",)}, {"f": "u", "u": "u"}, {"u": u})
    wanted = {
        "f": u**2,
        "u": u,
        "f[f]": 2 * u**3,
        "f[u]": 2 * u**2,
        "f[f,f]": 2 * u**4,
        "f[f[f]]": 4 * u**4,
        "f[u,f]": 2 * u**3,
        "f[f,f,f]": 0 * u,
    }
    for tree, value in wanted.items():
        torch.testing.assert_close(made.value(parse_tree(tree)), value)


def test_differentials_of_two_fields() -> None:
    """x' = v^3, v' = x^2: f_v g = 3 v^2 x^2, g_x f_v g = 2 x 3 v^2 x^2."""
    x, v = random(2, 3), random(2, 3, seed=1)
    fields = {"f": lambda v: v**3, "g": torch.square}
    moves = {"f": "x", "g": "v", "x": "x", "v": "v"}
    made = Differentials(fields, {"f": ("v",), "g": ("x",)}, moves, {"x": x, "v": v})
    torch.testing.assert_close(made.value(parse_tree("f[g]")), 3 * v**2 * x**2)
    torch.testing.assert_close(made.value(parse_tree("g[f[g]]")), 2 * x * 3 * v**2 * x**2)
    torch.testing.assert_close(made.value(parse_tree("f[g,g]")), 6 * v * x**4)


# --- coefficients --------------------------------------------------------------------------------------


def test_values_outside_the_set_are_named() -> None:
    """k = -1.84 and 1.5 leave (-1, 1], and their parasitic modes -k grow by |k|; k = 1 does not."""
    unit = unit_of("lm_resnet", "tiny")
    model = emit(unit)
    values = {"stage1.1.k": 0.25, "stage1.2.k": 1.0, "stage2.1.k": -1.84, "stage2.2.k": 1.5}
    for key, value in values.items():
        model.get_parameter(key).data.fill_(1 - value)
    first, second = diagnose(model, unit, random(1, 1, 8, 8), iterations=FEW).learned
    assert (first.minimum, first.mean, first.maximum) == (0.25, 0.625, 1.0)
    assert first.sets == (("zero_stable", "-1 < k <= 1", ()),)
    assert first.ends == (-1.0, 1.0)
    [(_, _, outside)] = second.sets
    assert [(item.step, round(item.value, 6)) for item in outside] == [(1, -1.84), (2, 1.5)]
    assert [item.growth for item in outside] == [pytest.approx(1.84), pytest.approx(1.5)]


def test_a_declared_range_is_kept_and_the_worst_channel_counts() -> None:
    text = """scheme s {
  state u
  drift f(u): block preact
  param k: learnable, per stage, shape channel, init 0, range [-3, 2]
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + h*f(u[n]) }
  start: euler
  transition: history project, scheme off
}
"""
    [unit] = prepare(from_text(text).source, network="tiny")
    model = emit(unit)
    for key, value in model.named_parameters():
        if "shared_k" in key:
            value.data = torch.linspace(-9, 9, value.numel()).reshape(value.shape)
    first, _ = diagnose(model, unit, random(1, 1, 8, 8), iterations=FEW).learned
    assert (first.minimum, first.maximum) == (-3.0, 2.0)
    assert first.count == 4 * len(first.steps)
    [(_, _, outside)] = first.sets
    assert outside[0].value == -3.0
    assert outside[0].growth == pytest.approx(3.0)


# --- smoothness ------------------------------------------------------------------------------------------


def measured(model: nn.Module, unit: Unit, x: Tensor) -> Diagnosis:
    return diagnose(model, unit, x, iterations=FEW)


def test_equal_steps_are_perfectly_smooth_and_independent_ones_are_not() -> None:
    model, unit, _ = linear("resnet", 0.01)
    [loose] = measured(model, unit, random(8, 64)).smoothness
    assert loose.weights == pytest.approx(INDEPENDENT, rel=0.03)
    assert loose.field == pytest.approx(INDEPENDENT, rel=0.1)
    assert loose.order_p is not None
    assert loose.order_p > 0.02
    for index in range(6):
        weight, _ = model.get_submodule(f"stage1.{index}.f").parameters()
        weight.data = 0.01 * random(*weight.shape)
    [equal] = measured(model, unit, random(8, 64)).smoothness
    assert (equal.weights, equal.field) == (0.0, 0.0)


def test_a_path_in_depth_is_found_by_its_order() -> None:
    model, unit, _ = linear("resnet", 0.01)
    for index in range(6):
        weight, _ = model.get_submodule(f"stage1.{index}.f").parameters()
        t = index / 5
        way = math.cos(t) * random(*weight.shape) + math.sin(t) * random(*weight.shape, seed=1)
        weight.data = 0.01 * way
    [found] = measured(model, unit, random(8, 64)).smoothness
    assert found.weights == pytest.approx(0.2, rel=0.02)
    assert found.order_p == pytest.approx(2 / math.factorial(6))


def test_permuted_channels_are_the_same_field() -> None:
    """Weights know the numbers of hidden channels, the field does not."""
    unit = unit_of("resnet", "tiny")
    model = emit(unit).double()
    order = torch.tensor([2, 0, 3, 1])
    first = model.get_submodule("stage1.0.f")
    for index in (1, 2):
        block = model.get_submodule(f"stage1.{index}.f")
        block.load_state_dict(first.state_dict())
        if index == 2:
            block.conv1.weight.data = first.conv1.weight.data[order].clone()  # type: ignore[union-attr, operator]
            block.conv2.weight.data = first.conv2.weight.data[:, order].clone()  # type: ignore[union-attr, operator]
    found = measured(model, unit, random(2, 1, 8, 8)).smoothness[0]
    assert found.field == pytest.approx(0.0, abs=1e-12)
    assert found.weights > 0.5


def test_the_order_test_counts_orders() -> None:
    points = np.arange(5.0)
    distances = np.abs(points[:, None] - points[None, :])
    assert order_p(distances) == pytest.approx(2 / 120)
    assert order_p(distances[:4, :4]) is None
    many = np.abs(np.arange(12.0)[:, None] - np.arange(12.0)[None, :])
    assert order_p(many, draws=999) == pytest.approx(1 / 1000)
    assert order_p(np.ones((6, 6)) - np.eye(6)) == 1.0


def test_relative_differences_are_symmetric() -> None:
    a, b = random(9), random(9, seed=1)
    assert relative_difference(a, b) == pytest.approx(relative_difference(3 * b, 3 * a))
    assert relative_difference(a, 0 * a) == 2.0
    assert relative_difference(0 * a, 0 * a) == 0.0


# --- every family ---------------------------------------------------------------------------------------

SPECTRA = (
    "backward_euler",
    "ab2",
    "momentum_net",
    "stochastic_depth",
    "exp_euler",
    "zerosnet_family",
)
OTHERS = ("revnet", "ars222", "fractal2", "polynet", "second_order")


@pytest.mark.parametrize("name", SPECTRA + OTHERS)
def test_schemes_of_every_family_are_measured(name: str) -> None:
    unit = unit_of(name, "tiny")
    model = emit(unit)
    for key, value in model.named_parameters():
        if ".conv" in key and key.startswith("stage"):
            value.data *= 0.2  # implicit steps have solutions then
    found = diagnose(model, unit, random(1, 1, 8, 8), iterations=FEW)
    notes = dict(found.notes)
    assert bool(found.spectrum) is ("spectrum" not in notes)
    assert bool(found.correction) is ("correction" not in notes)
    assert bool(found.spectrum) is (name in SPECTRA or name in ("fractal2", "polynet"))
    assert all(len(text) > 10 for text in notes.values())
    assert found.smoothness


def test_two_runs_are_equal() -> None:
    unit = unit_of("lm_resnet", "tiny")
    x = random(2, 1, 8, 8)
    both = [diagnose(emit(unit), unit, x, iterations=FEW) for _ in range(2)]
    assert replace(both[0], distances=()) == replace(both[1], distances=())
