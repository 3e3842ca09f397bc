"""Networks as torch.export programs, ONNX and drawings, and as entries of torch.hub and timm."""

from __future__ import annotations

import io
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

import schemegen
from schemegen.backends.drawing import dot, draw_network, draw_step, layers, svg
from schemegen.backends.exports import exported_bytes, onnx_bytes
from schemegen.diagnostics import Source, UsageError
from schemegen.pipeline import emit_network
from schemegen.resources import resource_dir
from schemegen.scheme import bind
from schemegen.selection import read_network
from schemegen.step import lower

ZOO = sorted(path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme"))
TYPICAL = ("resnet", "lm_resnet", "shake_shake", "revnet", "polynet")
# An export unrolls all iterations of a solver, which for these takes minutes each.
LONG = {
    name for name in ZOO
    if (solver := schemegen.load(name).solver) and solver.method in ("anderson", "newton_krylov")
}  # fmt: skip
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


def exported_equals(name: str) -> None:
    network = small(name)
    content = exported_bytes(network, (1, 4, 4))
    assert network.training
    x = torch.randn(5, 1, 4, 4)
    with torch.no_grad():
        again = torch.export.load(io.BytesIO(content)).module()(x)
        torch.testing.assert_close(again, network.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TYPICAL)
def test_an_exported_program_is_the_network(name: str) -> None:
    exported_equals(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ZOO if name not in LONG])
def test_every_scheme_of_the_zoo_is_exported(name: str) -> None:
    exported_equals(name)


def test_onnx_runtime_gives_the_same() -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for name in TYPICAL:
        network = small(name)
        session = runtime.InferenceSession(onnx_bytes(network, (1, 4, 4)))
        x = torch.randn(5, 1, 4, 4)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(found), network.eval()(x), rtol=1e-4, atol=1e-5
            )


def test_what_onnx_cannot_say_is_said_before_the_work() -> None:
    with pytest.raises(UsageError, match=r"stage1\.0\.solver\w* uses anderson"):
        onnx_bytes(small("sdirk2"), (1, 4, 4))


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
