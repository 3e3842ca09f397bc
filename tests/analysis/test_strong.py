"""Strong orders against Brownian paths, Stratonovich drifts, noises that do not commute."""

from __future__ import annotations

import pytest
import sympy
from forests_by_components import program_of

from schemegen.analysis.weak import weak_analysis
from schemegen.sources import zoo_file

Q = sympy.Rational


def analysed(update: str, *lines: str):
    fields = "".join(f"  drift {f}(u): block preact\n" for f in "fg" if f"{f}(" in update)
    body = "".join(f"  {line}\n" for line in lines)
    found, notes = weak_analysis(
        program_of(f"scheme s {{\n  state u\n{fields}{body}  step {{ u[n+1] = {update} }}\n}}\n")
    )
    return found, notes


# Kloeden, Platen (1992): Euler-Maruyama 10.2, Milstein 10.3 and 11.1, additive noise 10.3; weak orders 14 and 15.
@pytest.mark.parametrize(
    ("update", "scope", "strong", "weak"),
    [
        ("u[n] + h*f(u[n]) + dW*g(u[n])", "batch", Q(1, 2), Q(1)),
        ("u[n] + h*f(u[n]) + dW/3", "element", Q(1), Q(1)),
        ("u[n] + h*f(u[n]) + dW*u[n] + (dW^2 - h)/2*u[n]", "element", Q(1), Q(1)),
        ("u[n] + h*f(u[n]) + dW*u[n] + (dW^2 - h)/2*u[n]", "channel", Q(1), Q(1)),
        ("u[n] + h*f(u[n]) + dW*u[n] + dW^2/2*u[n]", "element", Q(1), Q(1)),
        ("u[n] + h*f(u[n]) + dW*u[n] + (dW^2 - h)/3*u[n]", "element", Q(1, 2), Q(1)),
    ],
)
def test_orders_of_euler_and_milstein(
    update: str, scope: str, strong: sympy.Expr, weak: sympy.Expr
) -> None:
    found, _ = analysed(update, f"noise dW: wiener, scope {scope}")
    assert (found.strong_order, found.weak_order) == (strong, weak)


@pytest.mark.parametrize(
    ("name", "strong", "weak"),
    [
        ("milstein", Q(1), Q(1)),
        ("platen_weak2", Q(1), Q(2)),
        ("stochastic_heun", Q(1), Q(1)),
        ("euler_maruyama", Q(1), Q(1)),
        ("multiplicative_noise", Q(1, 2), Q(1)),
    ],
)
def test_orders_of_the_zoo(name: str, strong: sympy.Expr, weak: sympy.Expr) -> None:
    found, _ = weak_analysis(program_of(zoo_file(name).read_text(encoding="utf-8")))
    assert (found.strong_order, found.weak_order) == (strong, weak)


def test_without_the_correction_the_scheme_follows_another_equation() -> None:
    """``dW^2/2`` in place of ``(dW^2 - h)/2`` is Stratonovich's equation: drift f + u/2 in the sense of Ito."""
    found, _ = analysed(
        "u[n] + h*f(u[n]) + dW*u[n] + dW^2/2*u[n]", "noise dW: wiener, scope sample"
    )
    assert found.sde is not None
    limit = lambda drift: {t.term: t.coefficient for t in drift[0][1] if t.h_power == 0}  # noqa: E731
    assert limit(found.sde.drift) == {"f": 1, "u": Q(1, 2)}
    assert limit(found.sde.stratonovich_drift) == {"f": 1}


def test_the_stratonovich_drift_of_diagonal_noise() -> None:
    """dX_i = s g_i(X) dW_i: the correction is s^2/2 sum_i g_i d_i g_i, the diagonal of the Jacobian alone."""
    found, _ = analysed("u[n] + h*f(u[n]) + 2*dW*g(u[n])", "noise dW: wiener, scope element")
    assert found.sde is not None
    terms = {t.term: t.coefficient for t in found.sde.stratonovich_drift[0][1] if t.h_power == 0}
    assert terms == {"f": 1, "g.i[g.i]": -2}


def test_noises_that_do_not_commute_are_named() -> None:
    found, _ = analysed(
        "u[n] + dW*f(u[n]) + dV*g(u[n])",
        "noise dW: wiener, scope sample",
        "noise dV: wiener, scope sample",
    )
    assert [(a.first, a.second) for a in found.areas] == [("dV", "dW")]
    assert found.strong_order == Q(1, 2)
    found, _ = analysed("u[n] + h*f(u[n]) + dW*g(u[n])", "noise dW: wiener, scope element")
    assert [(a.first, a.second) for a in found.areas] == [("dW", "dW")]


@pytest.mark.parametrize(
    "update",
    ["u[n] + h*f(u[n]) + dW + 2*dV", "u[n] + h*f(u[n]) + dW*f(u[n]) + 3*dV*f(u[n])"],
)
def test_noises_that_commute_are_not(update: str) -> None:
    found, _ = analysed(update, "noise dW: wiener, scope sample", "noise dV: wiener, scope sample")
    assert found.areas == ()


def test_noise_of_the_size_h_has_strong_order_one_half() -> None:
    """The limit is an ordinary equation; independent errors h (b - p) f add up like a random walk."""
    found, _ = analysed("u[n] + h*2*b*f(u[n])", "noise b: bernoulli(1/2), scope batch")
    assert found.strong_order == Q(1, 2)


def test_draws_that_are_no_path_have_no_strong_order() -> None:
    found, notes = analysed("u[n] + h*f(u[n]) + sqrt(h)*r", "noise r: rademacher, scope batch")
    assert found.strong_order is None
    assert any("Brownian path" in note.text for note in notes)
