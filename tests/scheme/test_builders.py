"""Schemes from Python numbers are the schemes of the files, and wrong ones get a file's messages."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from schemegen.diagnostics import SchemeError
from schemegen.scheme.builders import from_butcher, from_multistep, from_text
from schemegen.scheme.model import Multistep, Tableaus


def test_explicit_tableau() -> None:
    scheme = from_butcher(
        [[0, 0], [Fraction(1, 2), 0]], [0, 1], [0, 0.5], name="rk2", title="Midpoint"
    )
    assert (scheme.name, scheme.title) == ("rk2", "Midpoint")
    assert isinstance(scheme.update, Tableaus)
    tableau = scheme.update.parts[0].tableau
    assert tableau.kind == "explicit"
    assert tableau.a == ((0, 0), (sympy.Rational(1, 2), 0))


def test_sympy_numbers_and_strings_keep_their_exact_value() -> None:
    g = (2 - sympy.sqrt(2)) / 2
    scheme = from_butcher([[g], [1 - g, "(2 - sqrt(2))/2"]], [1 - g, g], expect=["order = 2"])
    assert isinstance(scheme.update, Tableaus)
    tableau = scheme.update.parts[0].tableau
    assert tableau.kind == "dirk"
    assert sympy.simplify(tableau.a[1][1] - g) == 0
    assert str(scheme.expectations[0]) == "order = 2"


def test_multistep() -> None:
    scheme = from_multistep([1, -1, 0], [0, Fraction(3, 2), Fraction(-1, 2)])
    assert isinstance(scheme.update, Multistep)
    assert scheme.update.beta[0][1] == (0, sympy.Rational(3, 2), sympy.Rational(-1, 2))


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        ([[0, 0], [0.5, 0]], [0, 0.5], "E0204"),
        ([[0, 0], [0.5, 0]], [1], "E0202"),
        ([[0], [0.5, 0, 0, 0]], [0, 1], "E0201"),
        ([[0, 0], ["x", 0]], [0, 1], "E0301"),
    ],
)
def test_wrong_numbers_are_diagnosed(a: list[list[object]], b: list[object], code: str) -> None:
    with pytest.raises(SchemeError) as caught:
        from_butcher(a, b)  # type: ignore[arg-type]
    assert code in [item.code for item in caught.value.diagnostics]


def test_text_that_is_no_number_is_a_syntax_error_and_nothing_more() -> None:
    with pytest.raises(SchemeError):
        from_butcher([[0]], ["1 }\nscheme other { state u"])


def test_one_scheme_is_wanted() -> None:
    with pytest.raises(ValueError, match="found 0"):
        from_text(
            "network n {\ninput: shape [4]\nstem: linear, width 4\nstage: width 4, steps 1\nhead: linear\n}\n"
        )
