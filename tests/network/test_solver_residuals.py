"""Implicit steps say what they reached: residuals, iterations, and one warning where that is not enough."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import Tensor

import schemegen
from schemegen.network.solvers import Solver, convergence

FILE = """\
scheme stiff {{
  state u; drift f(u): block mlp
  step {{ u[n+1] = u[n] + h*f(u[n+1]) }}
  solve: {0}
}}
network vectors {{
  input: shape [4], classes 3
  stem: linear, width 6
  stage: width 6, steps 2
  head: linear
}}
"""
METHODS = {
    "fixed_point": "fixed_point, iterations 60",
    "anderson": "anderson, memory 4, iterations 60",
    "newton_krylov": "newton_krylov, memory 6, iterations 20",
}


def network(settings: str, scale: float = 1.0) -> torch.fx.GraphModule:
    built = schemegen.build(FILE.format(settings)).double()
    with torch.no_grad():
        for name, value in built.named_parameters():
            if "linear" in name:
                value.mul_(scale)
    return built


def data() -> Tensor:
    return torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", METHODS)
def test_the_residual_is_that_of_the_equation(method: str) -> None:
    built = network(f"{METHODS[method]}, tol 1e-9, gradient implicit")
    assert all(row["residual"] is None for row in convergence(built).values())
    built(data()).square().sum().backward()
    rows = convergence(built)
    assert list(rows) == ["stage1.0.solver", "stage1.1.solver"]
    for row in rows.values():
        assert row["converged"] is True
        assert 0 < row["iterations"] < 60
        assert row["residual"] <= 1e-9
        assert row["adjoint_residual"] <= 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_the_implicit_gradient_is_that_of_the_converged_iteration(method: str) -> None:
    gradients = []
    for settings in (
        f"{METHODS[method]}, tol 1e-13, gradient implicit",
        "fixed_point, iterations 80",
    ):
        built = network(settings)
        built(data()).square().sum().backward()
        gradients.append([value.grad for value in built.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_each_step_that_stops_early_says_so_once() -> None:
    built = network("fixed_point, iterations 2, tol 1e-9")
    with pytest.warns(RuntimeWarning) as caught:
        built(data())
    said = [str(item.message) for item in caught]
    assert len(said) == 2
    assert said[0].startswith("stage1.0.solver: fixed_point stopped after 2 iterations, residual ")
    assert said[0].endswith(", tolerance 1e-09")
    assert f"{convergence(built)['stage1.0.solver']['residual']:.2g}" in said[0]
    assert convergence(built)["stage1.0.solver"]["converged"] is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(data())


def test_values_that_are_no_numbers_are_said() -> None:
    built = network("fixed_point, iterations 3, tol 1e-9")
    with pytest.warns(RuntimeWarning, match="residual nan"):
        built(data() * float("nan"))


def test_an_adjoint_system_that_is_not_solved_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Solver, "restarts", 0)
    built = network("fixed_point, iterations 60, tol 1e-9, gradient implicit")
    y = built(data())
    with pytest.warns(RuntimeWarning, match="the adjoint system stopped after 0 restarts"):
        y.square().sum().backward()


def test_without_a_tolerance_the_residual_is_kept_all_the_same() -> None:
    built = network("anderson, memory 3, iterations 3")
    built(data())
    row = convergence(built)["stage1.1.solver"]
    assert row["converged"] is None
    assert row["iterations"] == 3
    assert 0 < row["residual"] < 1


def test_copies_and_pickles_after_a_call() -> None:
    built = network("anderson, memory 3, iterations 30, tol 1e-9, gradient implicit")
    y = built(data())
    y.sum().backward()
    for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):  # noqa: S301  our own
        assert torch.equal(twin(data()), y)


def test_compiled_without_a_break() -> None:
    built = network("anderson, memory 2, iterations 12, tol 1e-6, gradient implicit")
    call = torch.compile(built, fullgraph=True, backend="eager")
    torch.testing.assert_close(call(data()), built(data()), rtol=1e-5, atol=1e-6)
