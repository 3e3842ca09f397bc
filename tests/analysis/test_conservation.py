"""To which power of h the symplectic form and the energy are kept: published cases, and measured ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy

from schemegen.analysis.conservation import Conservation
from schemegen.analysis.expansion import expand, read
from schemegen.pipeline import analyze, load
from schemegen.scheme.builders import from_text
from schemegen.sources import zoo_names
from schemegen.step import lower
from schemegen.verification.geometry import Pendulums, _hamiltonian_fields, _run
from schemegen.verification.problem import LONG
from schemegen.verification.subject import subject_of


@pytest.mark.parametrize(
    ("name", "symplectic", "energy"),
    [
        ("euler", 1, 1),
        ("rk4", 4, 4),
        # b([[.]]) + b([.,.]) = -1/6 + 2/12 = 0: pseudo-symplectic of order (2, 3)
        ("heun2", 3, 2),
        # c_2 = 2/3 makes the coefficient of f''(f,f) vanish, and [[.]] never changes the energy
        ("ralston2", 2, 3),
        ("rk2", 2, 2),
        ("gauss2", sympy.oo, 4),
        ("gauss3", sympy.oo, 6),
        ("implicit_midpoint", sympy.oo, 2),
        ("symplectic_euler", sympy.oo, 1),
        ("stoermer_verlet", sympy.oo, 2),
        ("lobatto_iiic3", 5, 4),
        # Tang (1993): no multistep method is symplectic; so its underlying one-step method is not
        ("leapfrog", 2, 2),
    ],
)
def test_known_methods(name: str, symplectic, energy) -> None:
    g = analyze(name).geometry
    assert (g.symplectic_to, g.energy_preserving_to) == (symplectic, energy)


def test_a_finite_power_denies_the_property() -> None:
    assert analyze("leapfrog").geometry.symplectic is False
    assert analyze("leapfrog").geometry.conserves_quadratic is False
    assert analyze("dropout").geometry.symplectic is False


def test_linear_terms_have_no_hamiltonian_shape() -> None:
    found = analyze("in_resnet")
    assert found.geometry.symplectic_to is None
    assert any(n.key == "geometry.symplectic_to" and "shape" in n.text for n in found.notes)


@pytest.mark.parametrize("name", zoo_names())
def test_the_tableau_and_the_trees_agree(name: str) -> None:
    """A tableau that satisfies the symplecticity condition fails at no tree, and the other way round."""
    program = lower(load(name))
    expansion = expand(program)
    symplectic = analyze(name).geometry.symplectic
    if expansion.conservation is None or symplectic is None:
        return
    assert (expansion.conservation.symplectic_to is None) == symplectic


def test_the_averaged_vector_field_keeps_every_energy() -> None:
    """Its series, Celledoni et al. (2009): b = 1/(|t_1| + 1) .. per branch of the integral over [0, 1].

    The step ``x1 = x + h int f(x + s (x1 - x)) ds`` has the weights ``e(t) = prod e(t_i) / (m + 1)``.
    """
    reading = read(lower(load("euler")), 6)
    trees, ring = reading.trees, reading.ring
    weights = []
    for tree in range(len(trees)):
        value = ring.rational(1, len(trees.children[tree]) + 1)
        for child in trees.children[tree]:
            value = value * weights[child]
        weights.append(value)
    from schemegen.series import logarithm

    reading.field.coefficients[:] = logarithm(trees, ring, [weights], 6)
    found = Conservation(reading)
    assert found.energy_preserving_to(6) is None
    assert found.symplectic_to(6) == 2


def slope(values: list[float]) -> float:
    return math.log(values[0] / values[1], 2)


@pytest.mark.parametrize(
    "name", ["euler", "rk2", "heun2", "ralston2", "heun3", "rk4", "stoermer_verlet"]
)
def test_measured_energy_error_of_one_step(name: str) -> None:
    """The energy of a Hamiltonian problem changes by O(h^(q+1)) in one step."""
    found = analyze(name).geometry
    program = lower(load(name))
    subject = subject_of(program, expand(program), solved=True)
    fields, names = _hamiltonian_fields(program)
    problem = Pendulums(separable=len(names) == 2)
    start = np.array([0.9, -0.5, 0.8, -1.1], dtype=LONG)
    size = 4 // len(names)

    def energy(y):
        return (problem.a * np.cos(problem.w @ y + problem.c)).sum()

    errors = []
    for h in (LONG(1) / 128, LONG(1) / 256):
        states = {n: start[i * size : (i + 1) * size] for i, n in enumerate(names)}
        after = _run(subject, states, fields, h)
        errors.append(abs(float(energy(np.concatenate([after[n] for n in names])) - energy(start))))
    assert slope(errors) == pytest.approx(int(found.energy_preserving_to) + 1, abs=0.2)


def test_symbols_are_generic() -> None:
    """For free weights the first condition fails; where it is a symbol's, the verdict stays open."""
    scheme = from_text(
        """scheme s { state u; drift f(u); param a: learnable, init 1/2
        tableau implicit { a | a
        --+---
          | 1 }
        solve: fixed_point, iterations 4 }"""
    )
    g = analyze(scheme).geometry
    assert g.symplectic is None
    assert g.symplectic_to == 1


@pytest.mark.parametrize(
    "body",
    [
        "noise b: bernoulli(0), scope batch\n step { u[n+1] = u[n] + h*b*f(u[n]) }",
        "step { u[n+1] = u[n] + 0*h*f(u[n]) }",
    ],
)
def test_a_field_that_drives_nothing_has_no_hamiltonian_shape(body: str) -> None:
    found = analyze(from_text(f"scheme s {{ state u; drift f(u)\n {body}\n}}"))
    assert found.geometry.energy_preserving_to is None
