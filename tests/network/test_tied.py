"""Tied and antisymmetric branches: the symmetry of their Jacobians, and what networks of them keep."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import schemegen
from schemegen.diagnostics import SchemeError
from schemegen.network.tied import Antisymmetric, DampedAntisymmetric, Tied
from schemegen.scheme.builders import from_text

SHAPE = (1, 3, 4, 4)


def jacobian(function, x: Tensor) -> Tensor:
    size = x.numel()
    return torch.autograd.functional.jacobian(function, x).reshape(size, size)


def block(cls, *arguments, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    new = cls(3, 3, *arguments, **options).double()
    with torch.no_grad():
        new.bias.normal_()
    return new


@pytest.mark.parametrize("width", [None, 5])
def test_a_tied_branch_is_the_gradient_of_a_convex_function(width: int | None) -> None:
    branch = block(Tied, width=width)
    x = torch.randn(SHAPE).double()
    found = jacobian(branch, x)
    torch.testing.assert_close(found, found.T, rtol=1e-12, atol=1e-12)
    assert torch.linalg.eigvalsh(found).min() > -1e-12
    z = x.clone().requires_grad_()
    inner = torch.nn.functional.conv2d(z, branch.weight, branch.bias, padding=1)
    (gradient,) = torch.autograd.grad((inner.relu() ** 2).sum() / 2, z)
    torch.testing.assert_close(branch(x), gradient, rtol=1e-12, atol=1e-12)
    assert inner.shape[1] == (width or 3)


def test_an_antisymmetric_branch_has_imaginary_eigenvalues() -> None:
    """The Jacobian is D A, D > 0 diagonal and A antisymmetric: similar to an antisymmetric matrix."""
    branch = block(Antisymmetric)
    x = torch.randn(SHAPE).double()
    linear = jacobian(lambda z: torch.nn.functional.conv2d(z, branch.kernel(), padding=1), x)
    torch.testing.assert_close(linear, -linear.T, rtol=0, atol=1e-14)
    assert linear.abs().max() > 0.1
    eigenvalues = torch.linalg.eigvals(jacobian(branch, x))
    assert eigenvalues.real.abs().max() < 1e-12
    assert eigenvalues.imag.abs().max() > 0.1


def test_damping_moves_the_eigenvalues_to_the_left() -> None:
    branch = block(DampedAntisymmetric, per_mille=200)
    x = torch.randn(SHAPE).double()
    slope = 1 - branch(x) ** 2
    scaled = jacobian(branch, x) / slope.reshape(-1, 1)
    symmetric = (scaled + scaled.T) / 2
    torch.testing.assert_close(symmetric, -0.1 * torch.eye(48).double(), rtol=0, atol=1e-14)
    assert torch.linalg.eigvals(jacobian(branch, x)).real.max() < 0


STEP = """scheme pair {
  state x, v
  drift f(v): block tied
  drift g(x): block tied
  step {
    x[n+1] = x[n] + h*f(v[n])
    v[n+1] = v[n] - h*g(x[n+1])
  }
}
network one "" {
  input: shape [6, 3, 3], classes 2
  stem: identity, width 6
  stage: width 6, steps 3
  head: avgpool, linear
}
"""


def test_the_steps_of_a_hamiltonian_network_are_symplectic() -> None:
    """``D^T J D = J`` for the derivative D of all steps together."""
    model = schemegen.build(from_text(STEP), "one").double()
    steps = [model.get_submodule(f"stage1.{index}") for index in range(3)]
    half = 27

    def flow(z: Tensor) -> Tensor:
        x, v = z[:half].view(1, 3, 3, 3), z[half:].view(1, 3, 3, 3)
        for step in steps:
            x = x + step.f(v)
            v = v - step.g(x)
        return torch.cat([x.flatten(), v.flatten()])

    z = torch.randn(2 * half, generator=torch.Generator().manual_seed(2)).double()
    states = {}
    node = next(n for n in model.graph.nodes if n.name.startswith("head")).args[0]
    hook = model.get_submodule("head.0").register_forward_pre_hook(
        lambda _module, args: states.update(last=args[0])
    )
    model(z.view(1, 6, 3, 3))
    hook.remove()
    torch.testing.assert_close(states["last"].flatten(), flow(z), rtol=1e-12, atol=1e-12)
    assert node is not None
    d = torch.autograd.functional.jacobian(flow, z)
    eye, zero = torch.eye(half).double(), torch.zeros(half, half).double()
    j = torch.cat([torch.cat([zero, eye], 1), torch.cat([-eye, zero], 1)])
    torch.testing.assert_close(d.T @ j @ d, j, rtol=1e-12, atol=1e-12)
    assert (d - torch.eye(2 * half).double()).abs().max() > 0.1


def test_a_tied_branch_cannot_change_the_shape() -> None:
    text = STEP.replace("stage: width 6, steps 3", "stage: width 12, steps 1")
    with pytest.raises(SchemeError, match="transition: scheme on") as caught:
        schemegen.build(from_text(text), "one")
    assert caught.value.diagnostics[0].code == "E0605"
    fixed = text.replace("\n}\nnetwork", "\n  transition: scheme on\n}\nnetwork")
    schemegen.build(from_text(fixed), "one")
