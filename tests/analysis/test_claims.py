"""Claims: what holds, what fails and how it is said, what stays open."""

from __future__ import annotations

import pytest

from schemegen.analysis.claims import spelled_tree
from schemegen.diagnostics import Diagnostic, Source
from schemegen.pipeline import diagnose
from schemegen.sources import zoo_file


def claimed(name: str, claim: str) -> tuple[Diagnostic, ...]:
    """Return what is said of a scheme of the zoo whose claims are replaced by ``claim``."""
    lines = zoo_file(name).read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines if not line.strip().startswith("expect")]
    end = min(i for i, line in enumerate(lines) if line.startswith("}"))
    text = "\n".join([*lines[:end], f"  expect {claim}", *lines[end:]])
    found = diagnose(Source(f"{name}.scheme", text))
    return tuple(item for item in found if item.span is not None and "expect" in item.span.text)


# Orders and stability: Hairer, Norsett, Wanner (1993), Hairer, Wanner (1996).
@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("rk4", "order = 4"),
        ("rk4", "order >= 3"),
        ("rk4", "order >= 4"),
        ("rk4", "order <= 4"),
        ("dopri5", "embedded_order = 4"),
        ("gauss2", "stage_order = 2"),
        ("radau_iia2", "stage_order = 2"),
        ("radau_iia2", "L_stable"),
        ("gauss2", "L_stable = false"),
        ("gauss2", "I_stable"),
        ("bdf3", "A_stable = false"),
        ("bdf6", "zero_stable"),
        ("rk4", "A_stable = false"),
        ("lobatto_iiic2", "algebraically_stable"),
        ("trapezoid", "algebraically_stable = false"),
        ("gauss2", "symmetric"),
        ("implicit_midpoint", "symplectic"),
        ("implicit_midpoint", "conserves_quadratic"),
    ],
)
def test_what_holds_is_not_mentioned(name: str, claim: str) -> None:
    assert claimed(name, claim) == ()


@pytest.mark.parametrize(
    ("name", "claim", "code", "said"),
    [
        ("rk4", "order = 3", "E0401", "expected order 3, found 4"),
        ("rk4", "order >= 5", "E0401", "expected order >= 5, found 4: tree"),
        ("rk4", "order <= 3", "E0401", "expected order <= 3, found 4"),
        ("dopri5", "embedded_order = 5", "E0406", "expected embedded order 5, found 4: tree"),
        ("gauss2", "stage_order = 4", "E0406", "expected stage order 4, found 2"),
        ("trapezoid", "L_stable", "E0403", "R(z) tends to -1"),
        ("rk4", "A_stable", "E0403", "stable on the real axis only from "),
        ("bdf3", "A_stable", "E0403", "alpha = 86.03 degrees"),
        ("backward_euler", "A_stable = false", "E0403", "expected the scheme not to be A-stable"),
        ("rk4", "symmetric", "E0405", "expected the scheme to be symmetric, found: no"),
        ("lm_resnet", "consistent", "E0404", "found: consistent with"),
    ],
)
def test_what_fails_says_what_was_found(name: str, claim: str, code: str, said: str) -> None:
    (found,) = claimed(name, claim)
    assert found.code == code
    assert said in found.message
    assert found.span is not None
    assert found.span.text == f"expect {claim}"
    assert found.help


def test_what_is_open_is_not_taken_as_true() -> None:
    (found,) = claimed("lm_stochastic_depth", "strong_order = 1")
    assert found.code == "W0410"
    assert found.help == "it is not taken as true"


@pytest.mark.parametrize(
    ("tree", "drifts", "text"),
    [
        ("f", ["f"], "."),
        ("f[f,f[f]]", ["f"], "[.,[.]]"),
        ("f[g]", ["f", "g"], "f[g]"),
        ("ff[ff]", ["ff"], "[.]"),
    ],
)
def test_trees_are_bare_for_one_field(tree: str, drifts: list[str], text: str) -> None:
    assert spelled_tree(tree, drifts) == text
