"""What the checker makes of sound files, and the limits and look-ups that bad files alone do not show."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy
from sympy import Rational, sqrt

from schemegen.diagnostics import Diagnostic, Source
from schemegen.language import parse
from schemegen.scheme import Checked, check, fit
from schemegen.scheme.model import (
    Constant,
    Equations,
    Interval,
    Multistep,
    Scheme,
    Tableaus,
    Uniform,
)

EULER = "tableau explicit { 0 | ; --+-- ; | 1 }"


def checked(text: str, **options: object) -> Checked:
    parsed = parse(Source("test.scheme", text))
    assert not [item for item in parsed.diagnostics if item.is_error]
    return check(parsed, **options)  # type: ignore[arg-type]


def scheme(body: str, head: str = "state u; drift f(u)") -> Scheme:
    result = checked(f"scheme s {{\n{head}\n{body}\n}}\n")
    assert [item for item in result.diagnostics if item.is_error] == []
    return result.schemes[0]


def codes(text: str, **options: object) -> list[str]:
    return [item.code for item in checked(text, **options).diagnostics]


def errors(body: str) -> list[Diagnostic]:
    return list(checked(f"scheme s {{\nstate u; drift f(u)\n{body}\n}}\n").diagnostics)


def test_tableau_entries_are_exact_and_padded() -> None:
    found = scheme(
        """const g = (2 - sqrt(2))/2
        tableau dirk {
          g | g
          1 | (1-g) g
          --+--------
            | (1-g) g
        }
        solve: anderson, memory 3, iterations 30, tol 1e-5, gradient implicit, init euler"""
    )
    assert isinstance(found.update, Tableaus)
    tableau = found.update.parts[0].tableau
    g = (2 - sqrt(2)) / 2
    assert tableau.a == ((g, 0), (1 - g, g))
    assert tableau.b == (1 - g, g)
    assert tableau.c == (g, 1)
    assert [span.text if span else None for span in tableau.a_spans[0]] == ["g", None]
    assert found.solver is not None
    assert (found.solver.method, found.solver.memory, found.solver.iterations) == (
        "anderson",
        3,
        30,
    )
    assert found.solver.tolerance == Rational(1, 100000)
    assert (found.solver.gradient, found.solver.init) == ("implicit", "euler")


def test_abscissae_are_row_sums_where_left_out() -> None:
    found = scheme("tableau explicit {\n |\n | 1/3\n | 0 2/3\n ---\n | 1/4 0 3/4\n}")
    assert isinstance(found.update, Tableaus)
    assert found.update.parts[0].tableau.c == (0, Rational(1, 3), Rational(2, 3))


def test_decimals_are_exact() -> None:
    found = scheme("const g = 0.1\nconst e = 1e-3\nstep { u[n+1] = u[n] + h*g*e*f(u[n]) }")
    assert found.constants == (("g", Rational(1, 10)), ("e", Rational(1, 1000)))


def test_multistep_rows_run_backwards() -> None:
    found = scheme(
        "multistep {\n| n+1 n n-1\n--\nu | 1 -1 0\nf | 0 3/2 -1/2\n}\nstart: rk2\n"
        "transition: history each, scheme on, bn shared"
    )
    assert isinstance(found.update, Multistep)
    assert found.update.alpha == (1, -1, 0)
    assert found.update.beta == (("f", (0, Rational(3, 2), Rational(-1, 2))),)
    assert found.start.scheme is not None
    assert found.start.scheme.name == "rk2"
    assert (found.transition.history, found.transition.scheme, found.transition.bn) == (
        "each",
        "on",
        "shared",
    )


def test_params_keep_init_range_and_via() -> None:
    found = scheme(
        """param k: learnable, per step, init uniform(-0.1, 0), via (1 - raw), decay off
        param c: fixed, init 1/10, range [0, inf), shape channel
        step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + c*h*f(u[n]) }
        transition: history project"""
    )
    k, c = found.params
    assert k.init == Uniform(Rational(-1, 10), sympy.Integer(0))
    assert k.via == 1 - sympy.Symbol("raw")
    assert (k.per, k.decay, k.learnable, k.shape) == ("step", False, True, "scalar")
    assert c.init == Constant(Rational(1, 10))
    assert c.range == Interval(sympy.Integer(0), sympy.oo, True, False)
    assert (c.per, c.learnable, c.shape) == ("network", False, "channel")


def test_statements_may_stand_in_any_order() -> None:
    found = scheme(
        "step { u[n+1] = u[n] + a*h*b*f(u[n]) }\nnoise b: bernoulli(p), scope sample\n"
        "schedule p = linear(1, 1/2), first drop\nparam a: fixed, init 1"
    )
    assert isinstance(found.update, Equations)
    assert found.noises[0].arguments == (sympy.Symbol("p"),)
    assert found.schedules[0].first_drop


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "tableau explicit {\n" + "|\n" + "| " + "0\n| ".join([""] * 32) + "0\n---\n| 1\n}",
            "33 stages, the limit is 32",
        ),
        (
            "".join(f"param k{i}\n" for i in range(65)) + "step { u[n+1] = u[n] + h*f(u[n]) }",
            "65 params, the limit is 64",
        ),
        ("step { u[n+1] = u[n-17] + h*f(u[n]) }", "17 steps back, the limit is 16"),
        (
            "map F0(x) = x + h*f(x)\n"
            + "".join(f"map F{i}(x) = F{i - 1}(F{i - 1}(x))\n" for i in range(1, 14))
            + "step { u[n+1] = F13(u[n]) }",
            "8192 drift calls, the limit is 4096",
        ),
        (
            "".join(f"map F{i}(x) = x + h*f(x)\n" for i in range(33))
            + "step { u[n+1] = F0(u[n]) }",
            "33 maps, the limit is 32",
        ),
        ("const g = ((9^64)^64)^64\nstep { u[n+1] = u[n] + g*h*f(u[n]) }", "the limit is 4096"),
        (
            "param k\nstep { u[n+1] = u[n] + ((1 + k)^64)^64*h*f(u[n]) }",
            "degree 4096, the limit is 256",
        ),
        (
            "param a\nparam b\nparam c\nparam d\nparam e\n"
            "step { u[n+1] = u[n] + (1 + a + b + c + d + e)^20*h*f(u[n]) }",
            "more than 5000 terms",
        ),
        (
            "const r = sqrt(2) + sqrt(3)\nconst s = sqrt(5) + sqrt(7)\n"
            "step { u[n+1] = u[n] + r*s*h*f(u[n]) }",
            "degree up to 16, the limit is 12",
        ),
    ],
    ids=["stages", "params", "history", "calls", "maps", "bits", "degree", "terms", "roots"],
)
def test_limits(body: str, message: str) -> None:
    found = errors(body)
    assert any(item.code == "E0118" and message in item.message for item in found), found


def test_all_mistakes_are_reported_at_once() -> None:
    found = errors(
        "param k: lernable\nnoise b: bernoulli(3/2)\ntableau explicit {\n0 |\n1/2 | 1/3\n--\n| 1/2 1/3\n}\n"
        "expect ordr = 2"
    )
    assert [item.code for item in found] == ["E0115", "E0501", "E0203", "E0204", "E0122"]


def test_claims_survive_a_wrong_abscissa() -> None:
    found = checked(
        "scheme s {\nstate u; drift f(u)\ntableau explicit {\n0 |\n1/3 | 1/2\n--\n| 0 1\n}\nexpect order = 2\n}\n"
    )
    assert [item.code for item in found.diagnostics] == ["E0203"]
    assert [str(item) for item in found.schemes[0].expectations] == ["order = 2"]


def test_poisoned_names_cause_no_further_errors() -> None:
    parsed = parse(
        Source(
            "test.scheme",
            "scheme s {\nstate u; drift f(u)\nparam k learnable\nstep { u[n+1] = u[n] + k*h*f(u[n]) }\n}\n",
        )
    )
    assert parsed.diagnostics
    assert [item.code for item in check(parsed).diagnostics] == []


def test_imports_stay_inside_the_root_and_end(tmp_path: Path) -> None:
    (tmp_path / "a.scheme").write_text('import "b.scheme"\n', encoding="utf-8")
    (tmp_path / "b.scheme").write_text(
        'import "a.scheme"\nscheme one {\nstate u; drift f(u)\n' + EULER + "\n}\n", encoding="utf-8"
    )
    text = (
        'import "a.scheme"\nimport "b.scheme"\nscheme two {\nstate u; drift f(u)\n'
        "step { u[n+1] = u[n-1] + 2*h*f(u[n]) }\nstart: one\n}\n"
    )
    result = checked(text, root=tmp_path)
    assert [item.code for item in result.diagnostics] == []
    assert [item.name for item in result.schemes] == ["two"]
    assert result.schemes[0].start.scheme is not None
    outside = 'import "../x.scheme"\n'
    assert "E0119" in codes(outside, root=tmp_path)
    assert "E0119" in codes('import "missing.scheme"\n', root=tmp_path)
    assert "E0119" in codes('import "https://example.org/x.scheme"\n', root=tmp_path)
    assert "E0119" in codes(outside)


def test_pedantic_asks_for_h() -> None:
    text = "scheme s {\nstate u; drift f(u)\nstep { u[n+1] = u[n] + f(u[n]) }\n}\n"
    assert "W0313" not in codes(text)
    assert "W0313" in codes(text, pedantic=True)


def test_scalar_locals_are_no_tensors() -> None:
    found = checked(
        "scheme s {\nstate u; drift f(u)\nstep {\na = 1/2\nk = f(u[n])\nu[n+1] = u[n] + a*h*k\n}\n}\n"
    )
    assert found.diagnostics == ()


NETWORK = """network n {
  input: shape [3, 32, 32], classes 100
  block b: seq [bn, relu, conv(3)]
  block wide: bottleneck, expansion 2
  stem: conv(5), bn, width 8
  stage: width 8, steps 2
  stage: width 16, steps 4, stride 2
  head: bn, relu, avgpool, linear
}
"""


def test_network_section() -> None:
    spec = checked(NETWORK).networks[0]
    assert (spec.input_shape, spec.classes, spec.stem_width) == ((3, 32, 32), 100, 8)
    assert [layer.name for layer in spec.stem] == ["conv", "bn"]
    assert spec.stem[0].arguments == ("5",)
    assert [(item.width, item.steps, item.stride) for item in spec.stages] == [
        (8, 2, 1),
        (16, 4, 2),
    ]
    assert [(item.name, item.kind) for item in spec.blocks] == [
        ("b", "seq"),
        ("wide", "bottleneck"),
    ]
    assert spec.blocks[1].options == (("expansion", "2"),)


def test_fit_asks_two_step_schemes_for_a_transition() -> None:
    spec = checked(NETWORK).networks[0]
    body = "step { u[n+1] = u[n-1] + 2*h*f(u[n]) }\nstart: euler"
    assert [item.code for item in fit(scheme(body), spec)] == ["E0603"]
    assert fit(scheme(body + "; transition: history reset"), spec) == ()
