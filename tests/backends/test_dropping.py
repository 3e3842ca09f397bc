"""Branches that a draw of 0 removes: not evaluated, and the step is still that of the mask."""

from __future__ import annotations

import pytest
import torch

import schemegen
from schemegen.network.noise import Kept
from schemegen.scheme.builders import from_text

STEP = "u[n+1] = u[n] + h*b*f(u[n])"


def build(scope: str, compute: str, network: str = "mlp", step: str = STEP, **more: str):
    noise = more.get("noise", f"bernoulli(1/2), scope {scope}, compute {compute}")
    text = f"""scheme dropped {{
      state u
      drift f(u): block preact
      {more.get("extra", "")}
      noise b: {noise}
      step {{ {step} }}
    }}"""
    return schemegen.build(from_text(text), network=network).double().train()


def gradients(module, x, seed: int):
    module.zero_grad()
    torch.manual_seed(seed)
    y = module(x)
    y.square().sum().backward()
    return y, [parameter.grad.clone() for parameter in module.parameters()]


def batch(module, size: int):
    torch.manual_seed(7)
    shape = next(node.meta["shape"] for node in module.graph.nodes if node.op == "placeholder")
    return torch.randn(size, *shape, dtype=torch.float64)


@pytest.mark.parametrize("scope", ["sample", "batch"])
@pytest.mark.parametrize("size", [1, 9])
def test_outputs_and_gradients_are_those_of_the_mask(scope: str, size: int) -> None:
    kept, masked = build(scope, "kept"), build(scope, "all")
    for module in (kept, masked):
        for norm in module.modules():
            if isinstance(norm, torch.nn.BatchNorm1d):
                norm.eval()
    x = batch(kept, size)
    for seed in range(6):
        one, other = gradients(kept, x, seed), gradients(masked, x, seed)
        torch.testing.assert_close(one[0], other[0], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(one[1], other[1], rtol=1e-12, atol=1e-12)


def test_only_the_kept_rows_are_evaluated() -> None:
    module = build("sample", "kept")
    rows = []
    for name, block in module.named_modules():
        if name.endswith(".f"):
            block.register_forward_hook(lambda _m, inputs, _y: rows.append(inputs[0].shape[0]))
    torch.manual_seed(0)
    module(batch(module, 400))
    assert len(rows) == 6
    assert all(150 < count < 250 for count in rows)


def test_a_dropped_batch_keeps_its_running_statistics() -> None:
    module = build("batch", "kept", "tiny")
    names = [name for name, _ in module.named_modules() if name.endswith(".f.bn1")]
    x = batch(module, 5)
    torch.manual_seed(3)
    draws = []
    for name, noise in module.named_modules():
        if name.endswith(".b"):
            noise.register_forward_hook(lambda _m, _i, y: draws.append(float(y)))
    module(x)
    seen = {name: int(module.get_submodule(name).num_batches_tracked) for name in names}
    # the first step of stage 2 changes shape: its branch has a stride and is masked
    regular = [name for name in names if not name.startswith("stage2.0.")]
    regular_draws = [draw for index, draw in enumerate(draws) if index != 3]
    assert [seen[name] for name in regular] == regular_draws
    assert set(regular_draws) == {0.0, 1.0}


def test_a_branch_that_nothing_keeps_has_zero_gradients() -> None:
    text = "bernoulli(0), scope {}, compute kept"
    for scope in ("sample", "batch"):
        module = build(scope, "kept", noise=text.format(scope))
        _, found = gradients(module, batch(module, 3), 0)
        branch = [
            parameter.grad
            for name, parameter in module.named_parameters()
            if ".f." in name and parameter.grad is not None
        ]
        assert len(branch) == 6 * 4
        assert all(not grad.any() for grad in branch)
        assert any(grad.any() for grad in found)


def test_eval_mode_evaluates_all_rows_with_the_mean() -> None:
    kept, masked = build("sample", "kept").eval(), build("sample", "all").eval()
    x = batch(kept, 4)
    assert torch.equal(kept(x), masked(x))


def test_one_row_of_vectors_with_batch_norm_is_masked() -> None:
    """Batch statistics of one number do not exist, so that one kept row is no batch of its own."""
    block = torch.nn.BatchNorm1d(3)
    x = torch.randn(4, 3)
    draw = torch.tensor([0.0, 0.0, 1.0, 0.0]).reshape(4, 1)
    found = Kept()(block, x, draw, torch.ones_like(x), 2 * draw)
    assert torch.equal(found, 1 + 2 * draw * block(x))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_graph_masks_without_a_break(backend: str) -> None:
    module = build("sample", "kept")
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.eval()
    x = batch(module, 6)
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    torch.manual_seed(5)
    expected = module(x)
    torch.manual_seed(5)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "noise", "extra"),
    [
        (STEP, "bernoulli(1/2), scope element", ""),
        (STEP, "bernoulli(1/2), scope channel", ""),
        (STEP, "bernoulli(1/2), scope sample, backward redraw", ""),
        (STEP, "bernoulli(1/2), scope sample, compute all", ""),
        (STEP, "uniform(0, 1), scope sample", ""),
        ("u[n+1] = u[n] + h*(b + 1)*f(u[n])", "bernoulli(1/2), scope sample", ""),
        ("u[n+1] = u[n] + h*b*f(u[n]) + h*f(u[n])", "bernoulli(1/2), scope sample", ""),
        ("u[n+1] = u[n] + h*b*f(u[n]) + h*b*f(u[n-1])", "bernoulli(1/2), scope sample", ""),
        (
            "v = h*b*f(u[n]); u[n+1] = u[n] + v + h*f(u[n] + f(u[n]))",
            "bernoulli(1/2), scope sample",
            "",
        ),
    ],
)
def test_what_is_needed_all_the_same_is_evaluated(step: str, noise: str, extra: str) -> None:
    module = build("", "", step=step, noise=noise, extra=extra)
    assert not any(isinstance(item, Kept) for item in module.modules())


def test_a_draw_inside_an_inner_stage_drops_that_stage_alone() -> None:
    module = build(
        "",
        "",
        step="k = f(u[n]); v = f(u[n] + h/2*k); u[n+1] = u[n] + h*b/2*k + h*b*v",
        noise="bernoulli(1/2), scope sample",
    )
    assert [name for name, item in module.named_modules() if isinstance(item, Kept)] == [
        f"stage1.{index}.kept_v" for index in range(6)
    ]


def test_a_slope_of_two_combinations_is_dropped_once() -> None:
    step = "k = f(u[n]); v[n+1] = v[n] + h*b*k; u[n+1] = u[n] + h*b/2*k"
    both = [
        build(
            "",
            compute,
            step=step,
            extra="state v",
            noise=f"bernoulli(1/2), scope sample, compute {compute}",
        )
        for compute in ("kept", "all")
    ]
    x = batch(both[0], 9)
    for norm in (item for module in both for item in module.modules()):
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.eval()
    one, other = (gradients(module, x, 4) for module in both)
    assert sum(isinstance(item, Kept) for item in both[0].modules()) == 6
    torch.testing.assert_close(one[0], other[0], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(one[1], other[1], rtol=1e-12, atol=1e-12)
