"""Claims that are right agree with what is measured; each kind of wrong claim is contradicted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import sympy
from click.testing import CliRunner

from schemegen.analysis.model import Analysis, ModifiedEquation, TreeTerm
from schemegen.cli.application import cli
from schemegen.pipeline import Unit, load, study
from schemegen.sources import zoo_names
from schemegen.verification import Check, verify

NEW = sympy.Rational(1, 7)
ONE = sympy.Integer(1)


@cache
def unit(name: str) -> Unit:
    return study(load(name))


WITHOUT_CLAIMS = {
    "en_resnet"
}  # noise by the deviation of a batch: nothing is claimed, nothing measured


@pytest.mark.parametrize("name", zoo_names())
def test_the_zoo_is_what_it_claims(name: str) -> None:
    checks = verify(unit(name).program, unit(name).analysis)
    assert [item for item in checks if item.holds is False] == []
    assert any(item.holds for item in checks) is (name not in WITHOUT_CLAIMS)


# --- wrong claims -------------------------------------------------------------------------------------


def changed(terms: tuple[TreeTerm, ...], index: int) -> tuple[TreeTerm, ...]:
    """Return the terms with one coefficient off by 1/7."""
    one = replace(terms[index], coefficient=terms[index].coefficient + NEW)
    return (*terms[:index], one, *terms[index + 1 :])


def of_field(equation: ModifiedEquation, index: int) -> ModifiedEquation:
    assert equation.field is not None
    state, terms = equation.field[0]
    return replace(equation, field=((state, changed(terms, index)), *equation.field[1:]))


def stability(**values: object) -> Callable[[Analysis], Analysis]:
    return lambda a: replace(a, stability=replace(a.stability, **values))


def structure(**values: object) -> Callable[[Analysis], Analysis]:
    return lambda a: replace(a, geometry=replace(a.geometry, **values))


def modified(index: int) -> Callable[[Analysis], Analysis]:
    return lambda a: replace(a, modified_equation=of_field(a.modified_equation, index))


def modifying(index: int) -> Callable[[Analysis], Analysis]:
    def change(a: Analysis) -> Analysis:
        state, terms = a.modifying_equation[0]
        return replace(a, modifying_equation=((state, changed(terms, index)),))

    return change


def scaled(key: str, factor: float) -> Callable[[Analysis], Analysis]:
    return lambda a: stability(**{key: float(getattr(a.stability, key)) * factor})(a)


def generator(index: int) -> Callable[[Analysis], Analysis]:
    """One coefficient of the generator off by 1/7."""

    def change(a: Analysis) -> Analysis:
        terms = a.modified_sde.generator
        one = replace(terms[index], coefficient=terms[index].coefficient + NEW)
        wrong = (*terms[:index], one, *terms[index + 1 :])
        return replace(a, modified_sde=replace(a.modified_sde, generator=wrong))

    return change


def without(term: str) -> Callable[[Analysis], Analysis]:
    def change(a: Analysis) -> Analysis:
        kept = tuple(item for item in a.modified_sde.generator if item.term != term)
        assert len(kept) < len(a.modified_sde.generator)
        return replace(a, modified_sde=replace(a.modified_sde, generator=kept))

    return change


WRONG: list[tuple[str, str, Callable[[Analysis], Analysis]]] = [
    ("rk4", "order", lambda a: replace(a, order=a.order + 1)),
    ("rk4", "order", lambda a: replace(a, order=a.order - 1)),
    ("lm_resnet", "order", lambda a: replace(a, order=2)),
    ("bs23", "embedded_order", lambda a: replace(a, embedded_order=3)),
    ("fehlberg45", "embedded_order", lambda a: replace(a, embedded_order=4)),
    ("rk2", "modified_equation", modified(1)),
    ("rk2", "modified_equation", modified(2)),
    ("lm_resnet", "modified_equation", modified(3)),
    ("symplectic_euler", "modified_equation", modified(2)),
    ("euler", "modifying_equation", modifying(1)),
    ("gauss2", "modifying_equation", modifying(3)),
    (
        "heun3",
        "principal_error",
        lambda a: replace(a, principal_error=changed(a.principal_error, 0)),
    ),
    (
        "gauss3",
        "principal_error",
        lambda a: replace(a, principal_error=changed(a.principal_error, 1)),
    ),
    ("ab3", "error_constant", lambda a: replace(a, error_constant=a.error_constant + NEW / 10)),
    ("bdf4", "error_constant", lambda a: replace(a, error_constant=-a.error_constant)),
    ("rk4", "stability.function", stability(numerator=(ONE, ONE, NEW))),
    ("ab2", "stability.function", stability(rho=(NEW, -ONE, ONE))),
    ("rk4", "stability.real_interval", stability(real_interval=(-2.9, 0.0))),
    ("rk4", "stability.real_interval", stability(real_interval=(-2.6, 0.0))),
    ("rk4", "stability.imaginary_interval", stability(imaginary_interval=(-3.0, 3.0))),
    ("leapfrog", "stability.imaginary_interval", stability(imaginary_interval=(-0.9, 0.9))),
    ("rk2", "stability.imaginary_interval", stability(imaginary_interval=(-0.5, 0.5))),
    ("rk4", "stability.A", stability(a_stable=True)),
    ("bdf3", "stability.A", stability(a_stable=True)),
    ("bdf3", "stability.A_alpha_degrees", stability(a_alpha_degrees=87.0)),
    ("bdf5", "stability.A_alpha_degrees", stability(a_alpha_degrees=51.0)),
    ("trapezoid", "stability.L", stability(l_stable=True)),
    ("backward_euler", "stability.L", stability(l_stable=False)),
    ("ab2", "stability.zero_stable", stability(zero_stable=False)),
    ("ssprk3", "stability.ssp", scaled("ssp", 1.5)),
    ("rk4", "stability.linear_monotonicity", scaled("linear_monotonicity", 1.1)),
    ("rk4", "stability.linear_monotonicity", scaled("linear_monotonicity", 0.9)),
    ("euler", "geometry.symmetric", structure(symmetric=True)),
    ("ab2", "geometry.symmetric", structure(symmetric=True)),
    ("leapfrog", "geometry.symmetric", structure(symmetric=False)),
    ("gauss2", "geometry.symmetric", structure(symmetric=False)),
    ("rk4", "geometry.symplectic", structure(symplectic=True)),
    ("trapezoid", "geometry.symplectic", structure(symplectic=True)),
    ("stoermer_verlet", "geometry.symplectic", structure(symplectic=False)),
    ("rk4", "geometry.conserves_quadratic", structure(conserves_quadratic=True)),
    ("euler", "geometry.algebraically_stable", structure(algebraically_stable=True)),
    ("rk4", "geometry.fsal", structure(fsal=True)),
    ("dopri5", "geometry.fsal", structure(fsal=False)),
    ("stochastic_depth", "modified_sde.generator", generator(0)),
    ("stochastic_depth", "modified_sde.generator", without("f f")),
    ("dropout", "modified_sde.generator", without("f.i f.i")),
    ("shake_shake", "modified_sde.generator", without("f g")),
    ("lm_stochastic_depth", "modified_sde.generator", generator(1)),
    ("lm_stochastic_depth", "modified_sde.generator", without("f f f")),
    ("euler_maruyama", "modified_sde.generator", without("1.i 1.i")),
    ("milstein", "modified_sde.generator", without("g g")),
    ("euler_maruyama", "weak_order", lambda a: replace(a, weak_order=sympy.Integer(2))),
    ("platen_weak2", "weak_order", lambda a: replace(a, weak_order=sympy.Integer(3))),
    (
        "dropout",
        "mean_square.function",
        lambda a: replace(
            a, mean_square=replace(a.mean_square, function=a.mean_square.function + NEW / 5)
        ),
    ),
    (
        "euler_maruyama",
        "stationary_variance",
        lambda a: replace(
            a,
            stationary_variance=replace(a.stationary_variance, scheme=a.stationary_variance.limit),
        ),
    ),
]


@pytest.mark.parametrize(
    ("name", "key", "change"),
    WRONG,
    ids=[f"{name}-{key}-{i}" for i, (name, key, _) in enumerate(WRONG)],
)
def test_a_wrong_claim_is_not_confirmed(
    name: str, key: str, change: Callable[[Analysis], Analysis]
) -> None:
    """What can be refuted is; a property denied of a scheme that has it is at least not confirmed."""
    wrong = change(unit(name).analysis)
    assert wrong != unit(name).analysis
    found = [item.holds for item in verify(unit(name).program, wrong) if item.key == key]
    denied = any(
        value is False for value in (getattr(wrong.geometry, key.rpartition(".")[2], None),)
    )
    if denied and key != "geometry.fsal":
        assert True not in found
    else:
        assert False in found


# --- the command --------------------------------------------------------------------------------------


def run(*arguments: str, text: str | None = None):
    return CliRunner().invoke(cli, ["verify", *arguments], input=text)


def test_the_table_and_the_exit_code() -> None:
    done = run("zoo/rk2", "zoo/leapfrog")
    assert done.exit_code == 0
    assert "2 schemes" in done.stdout
    assert "0 contradicted" in done.stdout
    assert "imaginary interval" in done.stdout


def test_json_has_every_check() -> None:
    done = run("zoo/lm_resnet", "--as", "json")
    [data] = json.loads(done.stdout)
    assert data["scheme"] == "lm_resnet"
    assert data["contradicted"] == 0
    assert data["agree"] == sum(item["holds"] is True for item in data["checks"])
    assert {"key", "what", "claimed", "measured", "holds", "note"} == set(data["checks"][0])


def test_a_claim_of_the_file_that_fails_is_a_contradiction() -> None:
    text = (
        "scheme s { state u; drift f(u); step { u[n+1] = u[n] + h*f(u[n]) }\n expect order = 2\n}"
    )
    done = run("-", text=text)
    assert done.exit_code == 1
    assert "1 contradicted" in done.stdout


def test_a_file_with_mistakes_is_refused() -> None:
    done = run("-", text="scheme s { state u; drift f(u); step { u[n+1] = u[n] + h*g(u[n]) } }")
    assert done.exit_code == 1
    assert "E0301" in done.stderr


def test_what_is_not_claimed_is_not_measured() -> None:
    checks = verify(unit("plain_cnn").program, unit("plain_cnn").analysis)
    order = next(item for item in checks if item.key == "order")
    assert isinstance(order, Check)
    assert order.holds is None
    assert "no modified equation" in order.note
