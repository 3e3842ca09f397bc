"""How trees, exact numbers and texts of the user are written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

from schemegen.analysis.model import TreeTerm
from schemegen.diagnostics import InternalError
from schemegen.pipeline import load_all, study
from schemegen.report import report_html, report_latex, report_markdown, report_text
from schemegen.report.equation import derivative_form, field_form
from schemegen.report.latex_text import escape
from schemegen.report.notation import Script, parse_tree, split, times

k = sympy.Symbol("k")
one, two, three = map(sympy.Integer, (1, 2, 3))
WIDE, ASCII = Script(), Script(unicode=False)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ("f", "f"),
        ("f[f]", "f'f"),
        ("f[f[f]]", "f'f'f"),
        ("f[f,f]", "f''(f,f)"),
        ("f[f[f,f]]", "f'f''(f,f)"),
        ("f[f,f[f]]", "f''(f,f'f)"),
        ("g[f,f[g]]", "g''(f,f'g)"),
        ("f[f,f,f,f]", "f''''(f,f,f,f)"),
        ("f[f,f,f,f,f]", "f⁽⁵⁾(f,f,f,f,f)"),
        ("left[right[left]]", "left' right' left"),
        ("f(w)[f(w),alpha(u,rho)]", "f(w)''(f(w),α(u,ρ))"),
    ],
)
def test_trees(tree: str, text: str) -> None:
    assert WIDE.differential(parse_tree(tree)) == text


def test_a_high_derivative_in_ascii() -> None:
    assert ASCII.differential(parse_tree("f[f,f,f,f,f]")) == "f^(5)(f,f,f,f,f)"


@pytest.mark.parametrize("text", ["", "[f]", "f[", "f[f", "f]", "f[f]g", "f(", "f()", "f(w)g"])
def test_what_is_no_tree_is_our_mistake(text: str) -> None:
    with pytest.raises(InternalError):
        parse_tree(text)


@pytest.mark.parametrize(
    ("coefficient", "power", "what", "expected"),
    [
        (one / 6, "", "f'f", (False, "1/6 f'f")),
        (-one / 2, "h", "f'f", (True, "h/2 f'f")),
        (one * 5 / 12, "h²", "F", (False, "5 h²/12 F")),
        (one, "", "f", (False, "f")),
        (1 / (1 + k), "", "f", (False, "f/(k + 1)")),
        (1 + k, "", "u'", (False, "(k + 1) u'")),
        ((1 - k) / 2, "h", "u''", (False, "(1 - k) h/2 u''")),
        ((k - 1) / 2, "h", "u''", (True, "(1 - k) h/2 u''")),
        (-(1 - k) / (2 * (1 + k) ** 3), "h", "f'f", (True, "(1 - k)/(k + 1)³ h/2 f'f")),
        (sympy.sqrt(2) / 4, "", "F", (False, "1/4 sqrt(2) F")),
        (three, "", "", (False, "3")),
    ],
)
def test_coefficients(
    coefficient: sympy.Expr, power: str, what: str, expected: tuple[bool, str]
) -> None:
    negative, text = WIDE.scaled(coefficient, power, what)
    # The order of terms in a sum is the printer's; both are right.
    swapped = text.replace("1 + k", "k + 1")
    assert (negative, swapped) == expected


def test_scaling_loses_no_value() -> None:
    """Read the parts back: sign * p/q * rest is the coefficient."""
    for value in (one / 6, -(1 - k) / (2 * (1 + k) ** 3), (k**2 - 10 * k + 1) / 12, k - 1, -k):
        rational, rest = split(value)
        assert sympy.cancel(rational * rest - value) == 0


def test_polynomials() -> None:
    assert WIDE.polynomial((one, one, one / 2), "z") == "1 + z + z²/2"
    assert WIDE.polynomial((-one, 0 * one, one), "z", descending=True) == "z² - 1"
    assert WIDE.polynomial((0 * one,), "z") == "0"
    assert WIDE.quotient((one,), (one, -one), "z") == "1 / (1 - z)"
    assert ASCII.polynomial((one, one, one / 2), "z") == "1 + z + z^2/2"


def test_greek_letters_are_drawn_where_they_can_be() -> None:
    assert WIDE.pretty("(1 + alpha)^12*beta") == "(1 + α)¹² β"
    assert ASCII.pretty("alpha*beta^2") == "alpha beta^2"
    assert WIDE.pretty("alphabet") == "alphabet"


def terms(*items: tuple[str, int, sympy.Expr]) -> list[TreeTerm]:
    return [TreeTerm(tree, tree.count("f"), power, value) for tree, power, value in items]


def test_the_field_is_grouped_by_powers_of_h() -> None:
    field = terms(
        ("f", 0, one),
        ("f[f[f]]", 2, -one / 6),
        ("f[f,f]", 2, -one / 24),
        ("f[f[f[f]]]", 3, one / 8),
        ("f[f[f,f]]", 3, -one / 16),
    )
    words = " ".join(field_form(field, WIDE))
    assert words == "f - h² ( 1/6 f'f'f + 1/24 f''(f,f) ) + h³ ( 1/8 f'f'f'f - 1/16 f'f''(f,f) )"
    assert " ".join(field_form(field, WIDE, levels=1)).endswith("1/24 f''(f,f) )")
    assert field_form(terms(("f[f]", 1, -one / 2)), WIDE) == ["-h/2 f'f"]
    assert field_form([], WIDE) == ["0"]


def test_a_long_level_says_how_many_are_left_out() -> None:
    many = terms(*[("f[f[f]]", 2, one / n) for n in range(2, 22)])
    assert " ".join(field_form(many, WIDE, levels=1)).endswith("+ 8 more )")
    assert "more" not in " ".join(field_form(many, WIDE))


def test_the_derivative_form() -> None:
    from schemegen.analysis.model import DerivativeTerm

    words = derivative_form(
        (DerivativeTerm(1, 0, one), DerivativeTerm(2, 1, one / 2)), "u", "f", WIDE
    )
    assert " ".join(words) == "u' + h/2 u'' = f + O(h²)"


def test_a_field_at_another_state_is_told_apart_in_every_form() -> None:
    source = """scheme a {
      state u, w; drift f(u)
      step { w[n+1] = w[n] + h*f(w[n]); u[n+1] = u[n] + h*f(w[n+1]) }
    }"""
    (scheme,) = load_all(source)
    analysis = study(scheme).analysis
    assert "u' = f(w) + h/2 f(w)' f(w)" in report_text(analysis, scheme)
    assert "f(w)' f(w)" in report_latex(analysis, scheme)
    assert "<mrow><mi>f</mi><mo>(</mo><mi>w</mi><mo>)</mo></mrow>" in report_html(analysis, scheme)
    assert "f(w)" in report_markdown(analysis, scheme)


HOSTILE = "</pre><script>alert(1)</script> $\\input{/etc/passwd}$ `x` | _a_ & [red]50%"


def test_a_title_is_text_in_every_form() -> None:
    source = 'scheme a "TITLE" { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }'
    (scheme,) = load_all(source)
    unit = study(scheme)
    analysis = replace(unit.analysis, title=HOSTILE)
    html = report_html(analysis, scheme)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    latex = report_latex(analysis, scheme)
    assert "\\input" not in latex
    assert escape(HOSTILE) in latex
    markdown = report_markdown(analysis, scheme)
    assert "<script>" not in markdown
    assert "\\`x\\`" in markdown
    for color in (False, True):
        assert "[red]50%" in report_text(analysis, scheme, color=color)


def test_a_short_report_keeps_what_grows_as_h_vanishes() -> None:
    """In-ResNet: the damping -(lam/h) u is the leading term, not one to leave out."""
    from schemegen.report.latex_formulas import field_latex

    field = terms(("u", -1, -one), ("f", 0, one), ("f[f]", 1, -one / 2), ("f[f[f]]", 2, one))
    assert " ".join(field_form(field, WIDE, levels=1)) == "-h⁻¹ u + f - h/2 f'f"
    assert field_latex(field, levels=1).startswith("h^{-1}")


def test_intervals_and_verdicts_are_not_broken() -> None:
    from schemegen.report.text import _folded

    text = "stable for z in [-2 sqrt(2) i, 2 sqrt(2) i] on the axis   (expected 2: holds)"
    for width in range(24, 80):
        lines = _folded(text, width)
        assert any("[-2 sqrt(2) i, 2 sqrt(2) i]" in line for line in lines)
        assert any("(expected 2: holds)" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "rational", "rest"),
    [
        ((k - 1) / (2 * (1 + k)), sympy.Rational(-1, 2), (1 - k) / (1 + k)),
        ((1 + k) / (2 * k - 2), sympy.Rational(-1, 2), (1 + k) / (1 - k)),
        ((1 + k) / (k - 1) ** 2, sympy.Integer(1), (1 + k) / (1 - k) ** 2),
        (k * (k - 1) / (k - 2) ** 3, sympy.Integer(1), k * (1 - k) / (2 - k) ** 3),
    ],
)
def test_signs_are_taken_out_of_sums(
    value: sympy.Expr, rational: sympy.Rational, rest: sympy.Expr
) -> None:
    found = split(value)
    assert found[0] == rational
    assert found[1] == rest
    assert sympy.simplify(found[0] * found[1] - value) == 0


def test_a_number_before_a_sum_is_not_multiplied_out() -> None:
    assert sympy.latex(times(2, 1 + k)) == r"2 \left(k + 1\right)"
    assert times(1, 1 + k) == 1 + k
    assert times(6, k) == 6 * k


def test_one_over_a_sum() -> None:
    script = Script(unicode=False)
    assert script.scaled(1 / (6 * (1 + k) ** 2), "", "f'f") == (False, "1/(6 (1 + k)^2) f'f")
    assert script.scaled(1 / (1 + k), "", "f") == (False, "f/(1 + k)")
    assert script.scaled(-3 / (2 * (1 + k)), "h", "f") == (True, "3 h/(2 (1 + k)) f")
