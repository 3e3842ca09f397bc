"""i-ResNet: convolutions of bounded norm, and networks run backwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.backends.inverting import InverseError
from schemegen.diagnostics import SchemeError, UsageError
from schemegen.network.lipschitz import BoundedConv, Lipschitz


def matrix(layer: BoundedConv, kernel: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The convolution as a matrix on images of this size."""
    width = kernel.shape[1] * size[0] * size[1]
    basis = torch.eye(width).double().view(width, kernel.shape[1], *size)
    return F.conv2d(basis, kernel, padding=layer.padding).flatten(1).T


@pytest.mark.parametrize("size", [3, 1])
@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_the_norm_is_that_of_the_operator(size: int, scale: float) -> None:
    """sigma is the largest singular value; a kernel above the bound is scaled to it, one below is left alone."""
    torch.manual_seed(0)
    layer = BoundedConv(3, 4, size, 5, 4, 0.9).double().train()
    with torch.no_grad():
        layer.weight.mul_(scale)
    x = torch.randn(2, 3, 5, 4).double()
    for _ in range(100):
        layer(x)
    norm = torch.linalg.matrix_norm(matrix(layer, layer.weight.detach(), (5, 4)), 2)
    assert float(layer.sigma().detach()) == pytest.approx(float(norm), rel=1e-6)
    used = torch.linalg.matrix_norm(matrix(layer, layer.kernel().detach(), (5, 4)), 2)
    assert float(used) == pytest.approx(min(0.9, float(norm)), rel=1e-6)
    if scale < 1:
        assert torch.equal(layer.kernel(), layer.weight)
    before = layer.direction.clone()
    layer.eval()(x)
    assert torch.equal(before, layer.direction)


def test_the_gradient_is_that_of_the_singular_value() -> None:
    torch.manual_seed(0)
    layer = BoundedConv(2, 2, 3, 4, 4, 0.9).double().train()
    for _ in range(200):
        layer(torch.zeros(1, 2, 4, 4).double())
    weight = layer.weight.detach().clone().requires_grad_()
    norm = torch.linalg.matrix_norm(matrix(layer, weight, (4, 4)), 2)
    (wanted,) = torch.autograd.grad(norm, weight)
    (found,) = torch.autograd.grad(layer.sigma(), layer.weight)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_the_branch_contracts() -> None:
    torch.manual_seed(0)
    branch = Lipschitz(3, 3, rows=4, columns=4, width=6).double().train()
    with torch.no_grad():
        for layer in (branch.conv1, branch.conv2, branch.conv3):
            layer.weight.mul_(50)
    x = torch.randn(1, 3, 4, 4).double()
    for _ in range(60):
        branch(x)
    branch.eval()
    jacobian = torch.autograd.functional.jacobian(branch, x).reshape(48, 48)
    assert 0.01 < float(torch.linalg.matrix_norm(jacobian, 2)) <= 0.9**3 + 1e-6


def images() -> torch.Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


ONE_STAGE = """network one "" {
  input: shape [1, 8, 8], classes 10
  stem: conv(3), width 4
  stage: width 4, steps 4
  head: bn, relu, avgpool, linear
}
"""


@pytest.mark.parametrize(
    "name", ["i_resnet", "revnet", "momentum_net", "leapfrog", "midpoint_net", "hamiltonian"]
)
def test_a_network_is_undone(name: str, tmp_path) -> None:
    """From the last states back to the stem's output, to 1e-10 in float64."""
    (tmp_path / "one.scheme").write_text(ONE_STAGE)
    model = schemegen.build(name, tmp_path / "one.scheme").double()
    for _ in range(3):
        model(images().repeat(4, 1, 1, 1))
    model.eval()
    with torch.no_grad():
        carries = schemegen.states(model, images())
        assert len(carries) == 5
        found = schemegen.inverse(model, carries[-1])
    assert len(found) == len(carries)
    first = model.get_submodule("stem.0")(images())
    assert torch.equal(carries[0][0], first[:, : carries[0][0].shape[1]])
    for mine, theirs in zip(found, carries, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    part = schemegen.inverse(model, carries[-1], 2)
    assert len(part) == 3
    torch.testing.assert_close(part[0][0], carries[2][0], rtol=1e-10, atol=1e-10)


def test_states_end_at_the_head() -> None:
    model = schemegen.build("i_resnet", "tiny").double().eval()
    (last,) = schemegen.states(model, images())[-1]
    for layer in model.get_submodule("head").children():
        last = layer(last)
    torch.testing.assert_close(last, model(images()), rtol=1e-12, atol=1e-12)


def test_what_cannot_be_undone_says_so() -> None:
    model = schemegen.build("i_resnet", "tiny")
    carries = schemegen.states(model, images().float())
    with pytest.raises(UsageError, match="eval"):
        schemegen.inverse(model, carries[-1])
    model.eval()
    with pytest.raises(UsageError, match="stage 2, step 0 changes the shape"):
        schemegen.inverse(model, carries[-1])
    with pytest.raises(UsageError, match="has 6 steps"):
        schemegen.inverse(model, carries[-1], 7)
    expanding = schemegen.build("resnet", "tiny").eval()
    with torch.no_grad():
        for name, item in expanding.named_parameters():
            if name.startswith("stage2") and item.dim() == 4:
                item.mul_(30)
        carries = schemegen.states(expanding, images().float())
        with pytest.raises(InverseError, match="stage 2, step 2: residual"):
            schemegen.inverse(expanding, carries[-1], 2, iterations=50)
    with pytest.raises(UsageError, match="folded"):
        schemegen.states(schemegen.build("resnet", "tiny", backprop="checkpoint=2"), images())
    with pytest.raises(UsageError, match="does not know its scheme"):
        schemegen.states(torch.nn.Linear(1, 1), images())
    adams = schemegen.build("ab2", "tiny").eval()
    carries = schemegen.states(adams, images().float())
    with pytest.raises(UsageError, match="has no inverse"):
        schemegen.inverse(adams, carries[-1], 1)


def test_a_branch_that_must_contract_does_not_change_the_shape() -> None:
    text = (schemegen.load("i_resnet").source.text).replace("  transition: scheme on\n", "")
    with pytest.raises(SchemeError, match="transition: scheme on") as caught:
        schemegen.build(text, "tiny")
    assert caught.value.diagnostics[0].code == "E0605"
    with pytest.raises(SchemeError, match="maps images"):
        schemegen.build("i_resnet", "mlp")


def test_checkpoints_leave_the_power_iteration_as_it_was() -> None:
    """Recomputed steps iterate again, and buffers and gradients end as without recomputation."""
    found = []
    for backprop in ("store", "checkpoint=2"):
        model = schemegen.build("i_resnet", "tiny", backprop=backprop).double()
        model(images()).square().sum().backward()
        buffers = {key: item.clone() for key, item in model.named_buffers()}
        found.append((buffers, [item.grad for item in model.parameters()]))
    assert found[0][0].keys() == found[1][0].keys()
    assert all(torch.equal(item, found[1][0][key]) for key, item in found[0][0].items())
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


def test_an_ensemble_averages_networks_that_start_apart() -> None:
    model = schemegen.ensemble("resnet", "tiny", members=3, seed=4).eval()
    x = images().float()
    outputs = [member(x) for member in model.members]
    torch.testing.assert_close(model(x), sum(outputs) / 3)
    assert not torch.allclose(outputs[0], outputs[1])
    again = schemegen.ensemble("resnet", "tiny", members=3, seed=4).eval()
    assert torch.equal(again(x), model(x))
    assert torch.equal(
        schemegen.ensemble("resnet", "tiny", members=1, seed=5).eval()(x), outputs[1]
    )
    with pytest.raises(UsageError, match="1 member"):
        schemegen.ensemble("resnet", "tiny", members=0)
