"""Shortcuts that share a BN-ReLU: what the fit of scheme and network reports is what cannot be built."""

from __future__ import annotations

from dataclasses import replace

import pytest

import schemegen
from schemegen.backends import emit_graph
from schemegen.diagnostics import SchemeError, Source
from schemegen.resources import resource_dir
from schemegen.scheme import bind, fit
from schemegen.scheme.builders import from_text
from schemegen.scheme.model import Scheme
from schemegen.scheme.network import NetworkSpec
from schemegen.selection import read_network
from schemegen.step import lower

ALL = sorted(path.stem for path in resource_dir("zoo").glob("schemes/*.scheme"))
QUICK = (
    "resnet",
    "revnet",
    "lm_resnet",
    "momentum_net",
    "fractalnet",
    "smooth_resnet",
    "plain_cnn",
)
NETWORK = """network small {{
  input: shape [1, 8, 8], classes 3
  {block}
  stem: conv(3), width 8
  shortcut: {shortcut}
  stage: width 8, steps 6{first}
  stage: width {width}, steps 6, stride 2
  stage: width 8, steps 6, stride 2
  head: bn, relu, avgpool, linear
}}"""
PLAIN = {"block": "", "shortcut": "shared, conv1x1", "width": 16, "first": ""}
NETWORKS = {
    "shared": {},
    "postact": {"block": "block preact: postact"},
    "seq": {"block": "block preact: seq [bn, relu, conv(3)]"},
    "equal": {"width": 8, "first": ", stride 2"},
    "own": {"shortcut": "bn, relu, conv1x1"},
    "bare": {"shortcut": "conv1x1, bn"},
}


def spec_of(name: str) -> NetworkSpec:
    text = NETWORK.format_map({**PLAIN, **NETWORKS[name]})
    return read_network(Source("small.scheme", text), "small")


def errors(scheme: Scheme, spec: NetworkSpec) -> list[str]:
    return [item.message for item in fit(scheme, spec) if item.is_error]


def unbuildable(scheme: Scheme, spec: NetworkSpec) -> bool:
    """Return whether the network cannot be built for want of a BN-ReLU to share; other misfits pass through."""
    try:
        emit_graph(lower(scheme), bind(scheme, spec))
    except SchemeError as error:
        (said,) = error.diagnostics
        assert said.code == "E0605"
        assert "shared" in said.message
        return True
    return False


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL]
)
def test_what_cannot_share_is_reported_before(name: str, network: str, shared: bool) -> None:
    scheme, spec = schemegen.load(name), spec_of(network)
    if shared:
        scheme = replace(scheme, transition=replace(scheme.transition, bn="shared"))
    said = errors(scheme, spec)
    if all("shared" in message for message in said):
        assert unbuildable(scheme, spec) is bool(said)


STEPS = {
    "a block alone": ("step { u[n+1] = h*f(u[n]) }", False),
    "through a value": ("step { y = u[n]; u[n+1] = y + h*f(y) }", True),
    "a map of the branch": ("map F(x) = h*f(x); step { u[n+1] = F(u[n]) }", False),
    "a map that passes": ("map F(x) = x + h*f(x); step { u[n+1] = F(u[n]) }", True),
    "maps in one another": (
        "map F(x) = h*f(x); map G(x) = F(x) + F(F(x)); step { u[n+1] = G(u[n]) }",
        False,
    ),
    "damping": ("const r = 1; damping r: explicit; step { u[n+1] = u[n] + h*f(u[n]) }", False),
    "a param, whatever its value": (
        "param r: fixed, init 1; damping r: explicit; step { u[n+1] = u[n] + h*f(u[n]) }",
        True,
    ),
    "half of it": ("const r = 1/2; damping r: explicit; step { u[n+1] = u[n] + h*f(u[n]) }", True),
    "damping elsewhere": (
        "const r = 1; damping r: explicit, transition off; step { u[n+1] = u[n] + h*f(u[n]) }",
        True,
    ),
    "history": ("step { u[n+1] = h*f(u[n]) + u[n-1] }; transition: history project", True),
}


@pytest.mark.parametrize(("update", "reads"), STEPS.values(), ids=STEPS)
def test_a_step_that_only_evaluates_drifts_has_no_shortcut(update: str, reads: bool) -> None:
    scheme = from_text(f"scheme s {{ state u; drift f(u): block conv1x1; {update} }}")
    spec = spec_of("shared")
    assert bool(errors(scheme, spec)) is reads
    assert unbuildable(scheme, spec) is reads


def test_the_report_says_which_state_and_why() -> None:
    spec = spec_of("postact")
    (found,) = (item for item in fit(schemegen.load("resnet"), spec) if item.is_error)
    assert found.code == "E0605"
    assert found.span.text == "shortcut: shared, conv1x1"
    assert found.message.endswith("at `u[n]`: `preact` does not")
    assert found.help == "write `bn, relu` in place of `shared`"
    (found,) = fit(schemegen.load("en_resnet"), spec_of("bare"))
    assert "`bn shared` of `en_resnet`" in found.message
    python = fit(schemegen.load("resnet"), spec_of("shared"), python_blocks=["preact"])
    assert [item.code for item in python] == ["E0605"]
