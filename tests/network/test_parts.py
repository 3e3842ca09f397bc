"""The parts a generated network calls: functions, noise, solvers, blocks."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

from schemegen.network.blocks import BLOCKS, Preact, StageBatchNorm, preactivate, transform
from schemegen.network.functions import bounded, phi1, phi2, phi3, rescale
from schemegen.network.noise import NOISES
from schemegen.network.solvers import Solver, gmres


@pytest.mark.parametrize(("order", "phi"), [(1, phi1), (2, phi2), (3, phi3)])
def test_phi_functions(order: int, phi) -> None:
    """phi_k(z) = sum_j z^j / (j + k)!, without cancellation near 0, and differentiable there."""
    z = torch.tensor(
        [-30.0, -2.0, -0.6, -0.3, -1e-9, 0.0, 1e-5, 0.4, 0.99, 3.0], dtype=torch.float64
    )
    exact = [sum(float(x) ** j / math.factorial(j + order) for j in range(150)) for x in z[1:]]
    torch.testing.assert_close(
        phi(z)[1:], torch.tensor(exact, dtype=torch.float64), rtol=1e-12, atol=0
    )
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(phi(zero), zero)
    assert torch.isfinite(slope)
    inner = torch.tensor([-2.0, 0.3, 1.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(phi, (inner,))


def test_bounded_gradient_leads_back_only() -> None:
    value = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    bounded(value, 0.0, 1.0).sum().backward()
    assert value.grad.tolist() == [0.0, 1.0, 1.0]
    value.grad = None
    (-bounded(value, 0.0, 1.0).sum()).backward()
    assert value.grad.tolist() == [-1.0, -1.0, 0.0]
    assert bounded(value, 0.0, 1.0).tolist() == [0.0, 0.5, 1.0]


def test_rescale_has_its_own_backward() -> None:
    value = torch.randn(3, 2, requires_grad=True)
    forward, backward = torch.rand(3, 1, requires_grad=True), torch.rand(3, 1)
    result = rescale(value, forward, backward)
    assert torch.equal(result, value * forward)
    result.sum().backward()
    torch.testing.assert_close(value.grad, backward.expand(3, 2))
    torch.testing.assert_close(forward.grad, value.detach().sum(1, keepdim=True))


MOMENTS = [
    ("wiener", (0.25,), 0.0, 0.25, 0.0),
    ("gaussian", (2.0,), 0.0, 4.0, 0.0),
    ("bernoulli", (0.3,), 0.3, 0.21, 1.0),
    ("uniform", (-1.0, 3.0), 1.0, 16 / 12, 1.0),
    ("rademacher", (), 0.0, 1.0, 0.0),
]


@pytest.mark.parametrize(("kind", "arguments", "mean", "variance", "off"), MOMENTS)
@pytest.mark.parametrize("tensors", [False, True])
def test_moments(
    kind: str, arguments, mean: float, variance: float, off: float, tensors: bool
) -> None:
    torch.manual_seed(0)
    given = tuple(torch.tensor(a, dtype=torch.float64) for a in arguments) if tensors else arguments
    x = torch.zeros(400, 500, dtype=torch.float64)
    draw = NOISES[kind]("element")(x, *given)
    assert float(draw.mean()) == pytest.approx(mean, abs=0.02)
    assert float(draw.var()) == pytest.approx(variance, rel=0.02)
    still = NOISES[kind]("element").eval()(x, *given)
    assert float(still) == pytest.approx(mean)
    assert float(NOISES[kind]("element", "train", "off").eval()(x, *given)) == pytest.approx(off)


@pytest.mark.parametrize(
    ("scope", "shape"),
    [
        ("element", (2, 3, 4, 4)),
        ("channel", (2, 3, 1, 1)),
        ("sample", (2, 1, 1, 1)),
        ("batch", (1, 1, 1, 1)),
    ],
)
def test_scopes(scope: str, shape: tuple[int, ...]) -> None:
    assert NOISES["wiener"](scope)(torch.zeros(2, 3, 4, 4), 1.0).shape == shape


def test_when_noise_is_drawn() -> None:
    x = torch.zeros(4, 4)

    def varies(module: nn.Module) -> bool:
        return not torch.equal(module(x, 1.0), module(x, 1.0))

    wiener = NOISES["wiener"]
    assert varies(wiener("element"))
    assert not varies(wiener("element").eval())
    assert varies(wiener("element", "always").eval())
    assert varies(wiener("element", "train", "sample").eval())
    assert not varies(wiener("element", "never"))


def linear_map(size: int = 6, radius: float = 0.7):
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(size, size, generator=generator, dtype=torch.float64)
    a = radius * a / torch.linalg.eigvals(a).abs().max()
    b = torch.randn(size, generator=generator, dtype=torch.float64)
    return a, b, torch.linalg.solve(torch.eye(size, dtype=torch.float64) - a, b)


def test_gmres_is_exact_in_the_whole_space() -> None:
    a, b, _ = linear_map()
    torch.testing.assert_close(a @ gmres(lambda y: a @ y, b, 6), b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("enough", [1e-1, 1e-3, 1e-8])
def test_gmres_stops_with_the_first_space_that_is_enough(enough: float) -> None:
    a, b, _ = linear_map(30)
    a = a + torch.diag(torch.linspace(1, 9, 30, dtype=torch.float64))
    calls = []

    def left(size: int, enough: float | None = None) -> float:
        calls.clear()

        def apply(y: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            return a @ y

        return float((b - a @ gmres(apply, b, size, enough)).norm())

    assert left(30, enough) <= enough * (1 + 1e-6)
    size = len(calls)
    assert 1 < size < 30
    assert left(size - 1) > enough


@pytest.mark.parametrize("method", ["fixed_point", "anderson", "newton_krylov"])
def test_solvers_find_the_solution(method: str) -> None:
    a, b, solution = linear_map()
    solver = Solver(method, 200, 1e-12, 6, "unrolled")
    (found,) = solver(lambda z: (a @ z + b,), (torch.zeros_like(b),))
    torch.testing.assert_close(found, solution, rtol=1e-9, atol=1e-9)


def test_anderson_is_faster_than_iteration() -> None:
    a, b, solution = linear_map(radius=0.95)
    errors = []
    for method in ("fixed_point", "anderson"):
        solver = Solver(method, 12, None, 6, "unrolled")
        (found,) = solver(lambda z: (a @ z + b,), (torch.zeros_like(b),))
        errors.append(float((found - solution).norm()))
    assert errors[1] < 1e-3 * errors[0]


@pytest.mark.parametrize("method", ["fixed_point", "anderson", "newton_krylov"])
def test_implicit_gradient(method: str) -> None:
    """dz/db = (I - a)^-1, without differentiating the iteration."""
    a, b, _ = linear_map()
    right = b.clone().requires_grad_()
    solver = Solver(method, 200, 1e-12, 6, "implicit")
    (found,) = solver(lambda z: (a @ z + right,), (torch.zeros_like(b),))
    found.sum().backward()
    wanted = torch.linalg.solve(torch.eye(6, dtype=torch.float64) - a.T, torch.ones_like(b))
    torch.testing.assert_close(right.grad, wanted, rtol=1e-6, atol=1e-6)


def test_a_solver_that_stops_early_says_so_once() -> None:
    a, b, _ = linear_map()
    solver = Solver("fixed_point", 2, 1e-12, 6, "unrolled")
    with pytest.warns(RuntimeWarning, match="fixed_point stopped after 2 iterations, residual"):
        solver(lambda z: (a @ z + b,), (torch.zeros_like(b),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solver(lambda z: (a @ z + b,), (torch.zeros_like(b),))


def test_each_evaluation_keeps_its_statistics() -> None:
    norm = StageBatchNorm(2, 2)
    x = torch.randn(50, 2, 3, 3)
    norm(x + 5, 0)
    norm(x - 5, 1)
    means = [item.get_buffer("running_mean") for item in norm.statistics]
    assert bool((means[0] > 0.3).all())
    assert bool((means[1] < -0.3).all())
    plain = nn.BatchNorm2d(2)
    plain(x + 5)
    torch.testing.assert_close(plain.running_mean, means[0])
    torch.testing.assert_close(plain.running_var, norm.statistics[0].get_buffer("running_var"))
    torch.testing.assert_close(plain.eval()(x), norm.eval()(x, 0))


KEEPING = ("antisymmetric", "damped_antisymmetric", "lipschitz", "tied")
SIZES = {"lipschitz": {"rows": 6, "columns": 6}}
TIMES = {"ode": (torch.tensor(0.5),)}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_blocks_keep_or_change_the_shape(name: str) -> None:
    vectors, more, time = name == "mlp", SIZES.get(name, {}), TIMES.get(name, ())
    shape = (2, 4) if vectors else (2, 4, 6, 6)
    assert BLOCKS[name](4, 4, **more)(torch.randn(shape), *time).shape == shape
    changed = (2, 8) if vectors else (2, 8, 3, 3)
    if name in KEEPING:
        with pytest.raises(ValueError, match="keeps the shape"):
            BLOCKS[name](4, 8, 2, **more)
    else:
        assert BLOCKS[name](4, 8, 2, **more)(torch.randn(shape), *time).shape == changed


def test_preactivation_and_rest_make_the_block() -> None:
    block, x = Preact(4, 8, 2).eval(), torch.randn(2, 4, 6, 6)
    assert torch.equal(transform(block, preactivate(block, x)), block(x))
