"""FractalNet written out by hand from its paper, and drop-path, which is one draw for the whole network."""

from __future__ import annotations

import types
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import schemegen
from schemegen.backends import emit_source
from schemegen.diagnostics import Source
from schemegen.network.fractal import Fractal as Block
from schemegen.network.fractal import PathDraw
from schemegen.scheme.builders import from_text
from schemegen.selection import read_network
from schemegen.sources import zoo_file
from schemegen.step import lower


class Fractal(torch.nn.Module):
    """The fractal rule as it stands in the paper: ``f_(c+1) = (f_c o f_c) join conv``."""

    def __init__(self, in_width: int, out_width: int, columns: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(in_width, out_width, 3, padding=1, bias=False)
        self.bn = torch.nn.BatchNorm2d(out_width)
        self.columns = columns
        if columns > 1:
            self.first = Fractal(in_width, out_width, columns - 1)
            self.second = Fractal(out_width, out_width, columns - 1)

    def parts(self, x: Tensor) -> list[Tensor]:
        """The inputs of the last join, of all columns that end there."""
        own = F.relu(self.bn(self.conv(x)))
        if self.columns == 1:
            return [own]
        return [own, *self.second.parts(self.first(x))]

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(self.parts(x)).mean(0)

    def units(self, column: int) -> list[torch.nn.Module]:
        """The convolutions of a column, counted from the shallowest, in order."""
        if column == 0:
            return [self]
        return self.first.units(column - 1) + self.second.units(column - 1)


def fractal_block(columns: int, drop: int = 15) -> torch.nn.Module:
    torch.manual_seed(0)
    return Block(2, 3, columns=columns, drop=drop).double()


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_the_fractal_block_is_the_recursion(columns: int) -> None:
    block = fractal_block(columns).eval()
    wanted = Fractal(2, 3, columns).double().eval()
    for column in range(columns):
        for mine, theirs in zip(block.columns[column], wanted.units(column), strict=True):
            theirs.conv.load_state_dict(mine.conv.state_dict())
    x = torch.randn(2, 2, 4, 4).double()
    torch.testing.assert_close(block(x), wanted(x), rtol=1e-12, atol=1e-12)
    own = {name for name, _ in wanted.named_parameters()}
    assert sum(p.numel() for p in block.parameters()) == sum(p.numel() for p in wanted.parameters())
    assert len(own) == 3 * (2**columns - 1)


def test_drop_path_keeps_one_input_of_every_join() -> None:
    """Half of the draws are one column (global), the others drop inputs of each join by themselves."""
    block = fractal_block(3, drop=50).train()
    x = torch.zeros(1, 1)
    torch.manual_seed(0)
    draw = PathDraw()
    paths = [max(int(block.chosen(draw(x))), -1) for _ in range(4000)]
    shares = [paths.count(column) / 4000 for column in (-1, 0, 1, 2)]
    assert shares == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.04)
    local = torch.stack([block.weights(x, [0, 1, 2], torch.tensor(-1)) for _ in range(4000)])
    assert bool((local.sum(1) >= 1).all())
    # P(kept) = 1/2 + P(all dropped) / 3
    assert local.mean(0).tolist() == pytest.approx([1 / 2 + 1 / 24] * 3, abs=0.04)
    assert block.weights(x, [0, 1, 2], torch.tensor(1)).tolist() == [0, 1, 0]
    assert block.weights(x, [1, 2], torch.tensor(0)).tolist() == [1, 1]
    assert int(block.chosen(torch.tensor(1 - 2**-24))) == 2
    state = torch.get_rng_state()
    assert block.eval().chosen(draw.eval()(x)) is None
    assert torch.equal(torch.get_rng_state(), state)


def test_a_column_alone_is_its_convolutions_in_a_row() -> None:
    """In training by global drop-path, in evaluation by ``only``."""
    block = fractal_block(3).eval()
    x = torch.randn(2, 2, 4, 4).double()
    for column in range(3):
        wanted = x
        for unit in block.columns[column]:
            wanted = unit(wanted)
        block.only = column
        torch.testing.assert_close(block(x), wanted, rtol=1e-12, atol=1e-12)
    block.only = None
    block.train()
    for column, path in enumerate((0.5, 0.8, 0.99)):
        wanted = x
        for unit in block.columns[column]:
            wanted = unit(wanted)
        found = block(x, torch.tensor(path))
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_fractalnet_is_its_blocks_in_a_row() -> None:
    """Five blocks without a skip, a pooling between two of them, evaluated with all columns."""
    model = schemegen.build("fractalnet", "fractalnet").eval()
    x = torch.randn(2, 3, 32, 32)
    y = x
    for stage in range(1, 6):
        block = model.get_submodule(f"stage{stage}.0.f")
        y = F.max_pool2d(y, 2) if stage > 1 else y
        assert block.stride == (1 if stage == 1 else 2)
        block.stride = 1
        y = block(y)
        block.stride = 1 if stage == 1 else 2
    wanted = model.get_submodule("head.1")(y.mean((2, 3)))
    torch.testing.assert_close(model(x), wanted, rtol=1e-5, atol=1e-5)
    widths = [3, 64, 128, 256, 512, 512]
    units = sum(9 * o * (i * 3 + o * 4) + 7 * 2 * o for i, o in pairwise(widths))
    assert sum(p.numel() for p in model.parameters()) == units + 512 * 10 + 10
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(x), model(x))


NARROW = """network narrow {
  input: shape [3, 32, 32], classes 4
  block fractal: fractal, columns 3, drop 15
  stem: identity, width 3
  stage: width 4, steps 1
  stage: width 6, steps 1, stride 2
  stage: width 8, steps 1, stride 2
  stage: width 8, steps 1, stride 2
  stage: width 8, steps 1, stride 2
  head: avgpool, linear
}"""


def narrow() -> torch.nn.Module:
    return schemegen.build(zoo_file("fractalnet").read_text(encoding="utf-8") + NARROW)


@pytest.mark.parametrize(("column", "path"), [(0, 0.55), (1, 0.7), (2, 0.95)])
def test_global_drop_path_is_one_column_of_the_whole_network(column: int, path: float) -> None:
    """Convolutions in a row, with dropout of 0 to 40 % behind blocks and a pooling between two, same draws."""
    model = narrow().double()
    model.path.forward = lambda x: torch.tensor(path)
    x = torch.randn(4, 3, 32, 32).double()
    torch.manual_seed(1)
    found = model(x)
    torch.manual_seed(1)
    y = x
    for stage, keep in enumerate((1.0, 0.9, 0.8, 0.7, 0.6), start=1):
        y = F.max_pool2d(y, 2) if stage > 1 else y
        for columns in (1, 2, 1, 3):
            torch.rand(
                columns
            )  # local drop-path, which each join draws whether it is needed or not
        for unit in model.get_submodule(f"stage{stage}.0.f").columns[column]:
            y = F.relu(unit.bn(unit.conv(y)))
        y = y * torch.empty_like(y).bernoulli_(keep) / keep
    wanted = model.get_submodule("head.1")(y.mean((2, 3)))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_a_pass_draws_one_path_for_all_blocks() -> None:
    """Local in half of the passes; a seed repeats them."""
    model = narrow()
    columns: list[list[int]] = []
    for stage in range(1, 6):
        model.get_submodule(f"stage{stage}.0.f").register_forward_pre_hook(
            lambda block, given: columns[-1].append(max(int(block.chosen(given[1])), -1))
        )
    x = torch.randn(2, 3, 32, 32)
    outputs = []
    for seed in [*range(60), *range(3)]:
        torch.manual_seed(seed)
        columns.append([])
        outputs.append(model(x))
    assert all(len(row) == 5 and len(set(row)) == 1 for row in columns)
    assert {row[0] for row in columns} == {-1, 0, 1, 2}
    assert 20 <= sum(row[0] == -1 for row in columns[:60]) <= 40
    assert columns[60:] == columns[:3]
    assert all(map(torch.equal, outputs[60:], outputs[:3]))


TEXT = """scheme s {{
  state {states}
  drift f({states}): block fractal, weights {weights}
  {update}
}}
network n {{
  input: shape [1, 4, 4], classes 3
  block fractal: fractal, columns 2, drop {drop}
  stem: conv(3), width 4
  stage: width 4, steps 4
  head: avgpool, linear
}}"""
EXPLICIT = "step { path[n+1] = path[n] + h*f(path[n]) }"
IMPLICIT = "step { u[n+1] = u[n] + h/9*f(u[n+1]) }; solve: anderson, iterations 3"


@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize("drop", [0, 20])
@pytest.mark.parametrize(
    ("weights", "states", "update"),
    [
        ("per step", "path", EXPLICIT),
        ("smooth 2", "path", EXPLICIT),
        ("network", "u", IMPLICIT),
        ("per step", "u", IMPLICIT),
    ],
)
def test_every_form_hands_the_path_on(weights: str, states: str, update: str, drop: int) -> None:
    """Graph, source, recomputation and optimised network agree, with blocks shared, smooth or in a solver."""
    text = TEXT.format(weights=weights, states=states, update=update, drop=drop)
    graph, again = (schemegen.build(text, backprop=how) for how in ("store", "checkpoint=1"))
    assert hasattr(graph, "path") is bool(drop)
    scheme = from_text(text)
    source = emit_source(lower(scheme), read_network(Source("n.scheme", text), "n"))
    module = types.ModuleType("model")
    exec(compile(source, "model.py", "exec"), module.__dict__)  # noqa: S102  our own text
    written = module.Model()
    written.load_state_dict(graph.state_dict())
    fast = schemegen.optimize(schemegen.build(text))
    x = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for seed in range(4):
        found = []
        for network in (graph, again, written, fast):
            torch.manual_seed(seed)
            y = network.train()(x)
            network.zero_grad()
            y.square().sum().backward()
            found.append([y, *(item.grad for item in network.parameters()), torch.get_rng_state()])
        for other in found[1:3]:
            assert all(map(torch.equal, found[0], other))
        for one, other in zip(found[0], found[3], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    if drop:
        assert not torch.equal(graph(x), graph(x))
