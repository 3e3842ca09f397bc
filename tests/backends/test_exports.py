"""Networks as torch.export programs, ONNX and drawings, and as entries of torch.hub and timm."""

from __future__ import annotations

import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import onnxruntime
import pytest
import torch

import schemegen
from schemegen.backends.drawing import dot, draw_network, draw_step, layers, svg
from schemegen.backends.exports import exported_program, onnx_bytes, packaged_bytes
from schemegen.diagnostics import Source, UsageError
from schemegen.network.solvers import convergence
from schemegen.pipeline import emit_network
from schemegen.resources import resource_dir
from schemegen.scheme import bind
from schemegen.selection import read_network
from schemegen.step import lower

ZOO = sorted(path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme"))
IMPLICIT = """
scheme s {{
  state u; drift f(u): block mlp
  step {{ u[n+1] = u[n] + h/4*f(u[n+1]) }}
  solve: {0}, memory 3, iterations 30, tol 1e-6, gradient implicit
}}
network n {{
  input: shape [4], classes 3
  stem: linear, width 6
  stage: width 6, steps 1
  head: linear
}}
"""
SPEC = """
network small {
  input: shape [1, 4, 4], classes 3
  stem: conv(3), width 4
  stage: width 4, steps 6
  head: bn, relu, avgpool, linear
}
"""


def small(name: str) -> torch.fx.GraphModule:
    scheme = schemegen.load(name)
    spec = read_network(Source("small.scheme", SPEC), "small")
    return emit_network(scheme, lower(scheme), bind(scheme, spec), {})


@pytest.mark.parametrize("method", ["anderson", "newton_krylov"])
def test_a_solver_is_exported_as_a_loop_that_stops(method: str) -> None:
    """It takes as many iterations as the network, so both outputs are the same; the graph has one of them."""
    network = schemegen.build(IMPLICIT.format(method))
    program = exported_program(network, (4,))
    assert network.training
    x = torch.randn(5, 4)
    with torch.no_grad():
        wanted = network.eval()(x)
    (reached,) = convergence(network).values()
    assert reached["converged"]
    assert 1 < reached["iterations"] < 30
    torch.testing.assert_close(program.module()(x), wanted, rtol=1e-6, atol=1e-6)
    session = onnxruntime.InferenceSession(onnx_bytes(program))
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-5, atol=1e-5)
    loops = [
        node for node in program.graph.nodes if node.target is torch.ops.higher_order.while_loop
    ]
    assert len(loops) == 1


def texts(drawing: str) -> list[str]:
    return [item.text or "" for item in ET.fromstring(drawing) if item.tag.endswith("text")]


def test_a_drawing_of_a_step_has_its_values_and_coefficients() -> None:
    drawing = draw_step(lower(schemegen.load("rk4")))
    found = texts(svg(drawing))
    assert {"u[n]", "f(u[n])", "Y2", "f(Y4)", "u[n+1]", "h/6", "h/3"} <= set(found)
    assert found.count("h/6") == found.count("h/3") == found.count("h/2") == 2
    assert '"k2" -> "u[n+1]" [label="h/3"]' in dot(drawing)


@pytest.mark.parametrize("name", ZOO)
def test_every_step_is_drawn_downwards(name: str) -> None:
    drawing = draw_step(lower(schemegen.load(name)))
    depth = {box: index for index, row in enumerate(layers(drawing)) for box in row}
    assert sorted(depth) == sorted(drawing.boxes)
    for start, stop in drawing.arrows.keys() - drawing.back:
        assert depth[start] < depth[stop]
    assert svg(drawing) == svg(draw_step(lower(schemegen.load(name))))
    ET.fromstring(svg(drawing))


def test_a_drawing_of_a_network_shows_what_passes_a_step() -> None:
    graph = small("lm_resnet").graph
    drawing = draw_network("lm_resnet", graph)
    boxes = [label for label, _ in drawing.boxes.values()]
    assert boxes[-1] == "head: 3"
    assert "stage 1, step 5: 4 x 4 x 4" in boxes
    assert ("stage 1, step 3", "stage 1, step 4") in drawing.arrows
    assert ("stage 1, step 2", "stage 1, step 4") in drawing.arrows
    assert ("stage 1, step 1", "stage 1, step 4") not in drawing.arrows
    ET.fromstring(svg(drawing))


def test_torch_hub() -> None:
    root = str(Path(schemegen.__file__).parents[1])
    if not (Path(root) / "hubconf.py").exists():
        pytest.skip("not a checkout")
    network = torch.hub.load(root, "build", "lm_resnet", source="local", network="tiny", k="1/10")
    assert str(network.graph) == str(schemegen.build("lm_resnet", "tiny", k="1/10").graph)


def test_timm_is_told_only_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from schemegen import timm_models

    monkeypatch.setattr(timm_models, "find_spec", lambda name: None)
    assert timm_models.register() == ()
    told: dict[str, object] = {}
    models = types.ModuleType("timm.models")
    models.register_model = lambda entry: told.update({entry.__name__: entry})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", types.ModuleType("timm"))
    monkeypatch.setitem(sys.modules, "timm.models", models)
    monkeypatch.setattr(timm_models, "find_spec", lambda name: object())
    assert set(timm_models.register()) == set(told) == {f"schemegen_{name}" for name in ZOO}
    network = told["schemegen_resnet"](pretrained=False, pretrained_cfg=None, network="tiny")
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(UsageError, match="no trained weights"):
        told["schemegen_resnet"](pretrained=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "lm_resnet"])
def test_a_package_of_machine_code_is_the_network(name: str, tmp_path: Path) -> None:
    network = small(name)
    file = tmp_path / "compiled.pt2"
    file.write_bytes(packaged_bytes(exported_program(network, (1, 4, 4))))
    assert network.training
    call = torch._inductor.aoti_load_package(str(file))
    with torch.no_grad():
        for batch in (2, 5):
            x = torch.randn(batch, 1, 4, 4)
            torch.testing.assert_close(call(x), network.eval()(x), rtol=1e-5, atol=1e-5)


def test_a_package_without_a_compiler_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_arguments: object, **_options: object) -> str:
        raise torch._inductor.exc.InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", none)
    with pytest.raises(UsageError, match="needs a C"):
        packaged_bytes(exported_program(small("euler"), (1, 4, 4)))
