"""The files of the zoo: sound, formatted, sourced, and every claim in them holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemegen.diagnostics import Source
from schemegen.language import format_source
from schemegen.pipeline import load, prepare
from schemegen.resources import resource_dir

SCHEMES = sorted((resource_dir("zoo") / "schemes").glob("*.scheme"))
NETWORKS = sorted((resource_dir("zoo") / "networks").glob("*.scheme"))
CLASSICAL = """
    euler rk2 heun2 ralston2 kutta3 ssprk2 ssprk3 ssprk104 rk4 rk38 bs23 cash_karp fehlberg45 dopri5
    backward_euler implicit_midpoint trapezoid gauss2 gauss3 radau_ia2 radau_iia2 radau_iia3
    lobatto_iiia2 lobatto_iiia3 lobatto_iiib2 lobatto_iiib3 lobatto_iiic2 lobatto_iiic3 sdirk2 crouzeix3
    ab1 ab2 ab3 ab4 ab5 am1 am2 am3 am4 bdf1 bdf2 bdf3 bdf4 bdf5 bdf6 leapfrog stoermer_verlet
    symplectic_euler nystrom3 milne4 milne_simpson ars222 ars443
"""
NETWORK_SCHEMES = """
    resnet polynet polynet_picard fractal2 fractal3 revnet hamiltonian lm_resnet lm_stochastic_depth
    momentum_net zerosnet in_resnet lambda_in_resnet plain_cnn exp_euler euler_maruyama stochastic_depth
    shake_shake dropout
"""

# What a warning of a shipped scheme may be about: facts of the method that its reader is to know.
# A built-in network that stands in (W0607) is no fact of the scheme.
KNOWN_WARNINGS = {
    "polynet": {"W0406"},
    "fractal2": {"W0404"},
    "fractal3": {"W0404"},
    "hamiltonian": {"W0404"},
    "plain_cnn": {"W0409"},
    "lm_resnet": {"W0402", "W0404", "W0408", "W0608"},
    "lm_resnext": {"W0402", "W0404", "W0408", "W0608"},
    "lm_stochastic_depth": {"W0402", "W0404", "W0408", "W0505", "W0608"},
    "zerosnet_family": {"W0402", "W0408", "W0608"},
    "in_resnet": {"W0402", "W0403", "W0407", "W0408"},
    "lambda_in_resnet": {"W0402", "W0403", "W0407", "W0408"},
    "in_resnet_164": {"W0402", "W0403", "W0407", "W0408"},
    "lambda_in_resnet_164": {"W0402", "W0403", "W0407", "W0408"},
    "in_resnet_exact": {"W0403", "W0408"},
    "in_resnet_implicit": {"W0403", "W0408"},
    "exp_euler": {"W0404", "W0408"},
    "stochastic_depth": {"W0404", "W0408", "W0505"},
    "stochastic_depth_inverted": {"W0408", "W0505"},
    "dropout": {"W0505"},
    "shake_shake": {"W0404"},
    "shake_shake_batch": {"W0404"},
    "shake_even": {"W0404"},
    "shake_keep": {"W0404"},
    "even_even": {"W0404"},
    "dense_multistep": {"W0402", "W0404", "W0408"},
    "en_resnet": {"W0312"},
    "fractalnet": {"W0409"},
    "leapfrog_net": {"W0409"},
}


def by_name(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.stem) for path in paths]


def test_the_methods_a_reader_looks_up_are_there() -> None:
    names = {path.stem for path in SCHEMES}
    assert not {*CLASSICAL.split(), *NETWORK_SCHEMES.split()} - names


@pytest.mark.parametrize("path", by_name(SCHEMES + NETWORKS))
def test_a_file_names_itself_and_its_source_and_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kind = "scheme" if path in SCHEMES else "network"
    assert re.search(rf'^{kind} {path.stem} "[^"]+" {{$', text, re.MULTILINE)
    assert text.startswith("# ")
    assert format_source(Source(path.name, text)) == text
    assert max(len(line) for line in text.splitlines() if line.startswith("#")) <= 100


@pytest.mark.parametrize("path", by_name(SCHEMES))
def test_every_claim_holds_and_nothing_else_is_wrong(path: Path) -> None:
    """All stages before emission, with the network that `compile` would take."""
    from schemegen.pipeline import raise_errors
    from schemegen.selection import source_of

    [unit] = prepare(source_of(path))
    raise_errors(unit.diagnostics)
    for verdict in unit.analysis.verdicts:
        assert verdict.holds is True, verdict.found
    said = {item.code for item in unit.diagnostics} - {"W0607"}
    assert said <= KNOWN_WARNINGS.get(path.stem, set())


def test_a_claim_that_does_not_hold_is_noticed() -> None:
    text = (resource_dir("zoo") / "schemes" / "dopri5.scheme").read_text(encoding="utf-8")
    assert "-2187/6784" in text
    wrong = text.replace("-2187/6784", "-2186/6784")
    from schemegen.pipeline import diagnose

    codes = {item.code for item in diagnose(Source("dopri5.scheme", wrong))}
    assert {"E0203", "E0401"} & codes


@pytest.mark.parametrize("path", by_name(NETWORKS))
def test_networks_are_sound(path: Path) -> None:
    from schemegen.language import parse
    from schemegen.scheme import check

    parsed = parse(Source(path.name, path.read_text(encoding="utf-8")))
    checked = check(parsed)
    found = [*parsed.diagnostics, *checked.diagnostics]
    assert {item.code for item in found} <= {"E0117"}
    assert [item.name for item in checked.networks] == [path.stem]


def test_the_depth_of_a_cifar_network_is_in_its_name() -> None:
    for name, steps in (("20", 3), ("32", 5), ("44", 7), ("56", 9), ("110", 18)):
        text = (resource_dir("zoo") / "networks" / f"cifar_resnet{name}.scheme").read_text()
        assert re.findall(r"steps (\d+)", text) == [str(steps)] * 3
        assert 6 * steps + 2 == int(name)


def test_a_scheme_loads_by_its_name() -> None:
    assert load("rk4").name == "rk4"
