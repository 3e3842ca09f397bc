"""Fields that are written out: published equations and Hamiltonians, and the step measured against them."""

from __future__ import annotations

import math

import pytest
import sympy

from schemegen.diagnostics import SchemeError
from schemegen.pipeline import analyze, load
from schemegen.step import lower
from schemegen.step.arithmetic import Arithmetic, functions_of
from schemegen.step.interpret import run

q, p, x, y, v, w, h = sympy.symbols("q p x y v w h")
sin, cos = sympy.sin, sympy.cos
R = sympy.Rational


def terms(items, variable: str) -> dict[int, sympy.Expr]:
    return {item.h_power: item.expression for item in items if item.variable == variable}


def same(found: dict[int, sympy.Expr], expected: dict[int, object]) -> bool:
    keys = found.keys() | expected.keys()
    return all(
        sympy.simplify(sympy.sympify(found.get(k, 0)) - sympy.sympify(expected.get(k, 0))) == 0
        for k in keys
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Hairer, Lubich, Wanner (2006), example IX.1.1: y' = y^2
        ("euler", {0: x**2, 1: -(x**3), 2: R(3, 2) * x**4, 3: -R(8, 3) * x**5}),
        ("rk2", {0: x**2, 2: -R(5, 4) * x**4, 3: R(7, 4) * x**5}),
        ("implicit_midpoint", {0: x**2, 2: R(1, 4) * x**4}),
    ],
)
def test_the_blow_up_equation(name: str, expected) -> None:
    found = analyze(name, field="x^2").concrete
    got = terms(found.modified, "x")
    if name != "euler":
        got = {k: e for k, e in got.items() if k in expected}
        own = dict(expected)
        # the coefficients of f'f'f = 4 x^4 and f''(f,f) = 2 x^4 from the table of the catalogue
        if name == "rk2":
            own[2] = -R(1, 6) * 4 * x**4 - R(1, 24) * 2 * x**4
            own[3] = R(1, 16) * 2 * x * 2 * x**4 + R(1, 8) * 8 * x**5
        else:
            own[2] = R(1, 12) * 4 * x**4 - R(1, 24) * 2 * x**4
        expected = own
    assert same(got, expected)


def test_the_modified_hamiltonian_of_the_symplectic_euler_method() -> None:
    """IX.3: H - h/2 H_p H_q + h^2/12 (H_pp H_q^2 + H_qq H_p^2) - h^3/12 H_pp H_qq H_q H_p."""
    found = analyze("symplectic_euler", field={"f": "v: v", "g": "x: -sin(x)"}).concrete
    expected = {
        0: v**2 / 2 - cos(x),
        1: -v * sin(x) / 2,
        2: (sin(x) ** 2 + cos(x) * v**2) / 12,
        3: -cos(x) * sin(x) * v / 12,
    }
    assert same(terms(found.hamiltonian, "H"), expected)


def test_the_modified_hamiltonian_of_stoermer_and_verlet() -> None:
    """IX.3, example 3.4: H + h^2 (V_q^2/12 - p^2 V_qq/24) for half steps of q around one of p, or its mirror."""
    found = analyze("stoermer_verlet", field={"f": "p: p", "g": "q: -sin(q)"}).concrete
    one = {0: p**2 / 2 - cos(q), 2: sin(q) ** 2 / 12 - p**2 * cos(q) / 24}
    other = {0: p**2 / 2 - cos(q), 2: p**2 * cos(q) / 12 - sin(q) ** 2 / 24}
    got = terms(found.hamiltonian, "H")
    assert same(got, one) or same(got, other)


def test_symbols_and_the_implicit_midpoint_rule() -> None:
    found = analyze("implicit_midpoint", field="q, p: p, -w^2*sin(q)").concrete
    got = terms(found.hamiltonian, "H")
    assert same(
        got, {0: p**2 / 2 - w**2 * cos(q), 2: -(w**2) * (p**2 * cos(q) + w**2 * sin(q) ** 2) / 24}
    )


def test_a_quadratic_hamiltonian_is_only_rescaled() -> None:
    """Symplectic Runge-Kutta methods keep quadratic invariants: every power of H~ is a multiple of H."""
    found = analyze("gauss2", field="q, p: p, -q", order=7).concrete
    for item in found.hamiltonian:
        assert sympy.simplify(item.expression / (q**2 + p**2)).is_number


@pytest.mark.parametrize(
    ("name", "field", "reason"),
    [
        ("rk4", "q, p: p, -sin(q)", "not symplectic"),
        ("gauss2", "x*(1-y), y*(x-1)", "not Hamiltonian"),
        ("gauss2", "x^2", "even number"),
        ("gauss2", "q, p: p, -phi1(q)", "no derivative"),
    ],
)
def test_no_hamiltonian_has_a_reason(name: str, field: str, reason: str) -> None:
    found = analyze(name, field=field).concrete
    assert found.hamiltonian is None
    assert any(reason in note.text for note in found.notes)


FIELDS = {
    "x*(1-y), y*(x-1)": lambda u: (u[0] * (1 - u[1]), u[1] * (u[0] - 1)),
    "y, -sin(x)/(1+x^2)": lambda u: (u[1], -math.sin(u[0]) / (1 + u[0] ** 2)),
    "exp(-x)*y, tanh(x) - y^3/3": lambda u: (
        math.exp(-u[0]) * u[1],
        math.tanh(u[0]) - u[1] ** 3 / 3,
    ),
}


@pytest.mark.parametrize("text", FIELDS)
@pytest.mark.parametrize("name", ["euler", "rk2", "heun3", "rk4"])
def test_the_step_follows_the_written_equation(name: str, text: str) -> None:
    """One step and the flow of the written-out field up to h^r differ by h^(r+2), in 50 digits."""
    import mpmath

    program = lower(load(name))
    found = analyze(name, field=text).concrete
    names = [s.name for s in found.variables]
    last = max(item.h_power for item in found.modified)
    compiled = [
        (
            names.index(item.variable),
            item.h_power,
            sympy.lambdify(found.variables, item.expression, "mpmath"),
        )
        for item in found.modified
    ]
    plain = [sympy.lambdify(found.variables, e, "mpmath") for e in found.field]

    def error(size) -> float:
        def modified(_t, u):
            total = [mpmath.mpf(0)] * 2
            for index, power, value in compiled:
                total[index] += size**power * value(*u)
            return total

        start = mpmath.matrix([mpmath.mpf("0.7"), mpmath.mpf("0.4")])
        numbers = Arithmetic(
            lambda item: mpmath.mpf(str(item.evalf(60))), {"h": size}, functions_of(mpmath)
        )
        values = run(
            program,
            {"u[n]": start},
            {"f": lambda u: mpmath.matrix([value(u[0], u[1]) for value in plain])},
            numbers,
        )
        order = {s: i for i, s in enumerate(found.variables)}
        assert len(order) == 2
        flow = taylor(modified, list(start), size)
        return max(abs(values["u[n+1]"][i] - flow[i]) for i in range(2))

    def taylor(field, start, size):
        u = [mpmath.mpf(s) for s in start]
        pieces = 8
        step = size / pieces
        for _ in range(pieces):  # extrapolated midpoint, far more exact than needed
            table = []
            for row in range(1, 9):
                count = 2 * row
                small = step / count
                old, new = u, [a + small * b for a, b in zip(u, field(0, u), strict=True)]
                for _ in range(count - 1):
                    slope = field(0, new)
                    old, new = new, [a + 2 * small * b for a, b in zip(old, slope, strict=True)]
                line = [new]
                for j in range(len(table)):
                    ratio = mpmath.mpf(count) / (2 * (row - 1 - j))
                    factor = ratio**2 - 1
                    line.append(
                        [a + (a - b) / factor for a, b in zip(line[-1], table[-1][j], strict=True)]
                    )
                table.append(line)
            u = table[-1][-1]
        return u

    with mpmath.workdps(50):
        sizes = [mpmath.mpf(1) / 64, mpmath.mpf(1) / 128]
        slope = float(mpmath.log(error(sizes[0]) / error(sizes[1]), 2))
    assert slope == pytest.approx(last + 2, abs=0.35)


def test_values_at_a_point_and_a_pole() -> None:
    found = analyze("euler", field="1/x", at="x=2").concrete
    assert terms(found.values, "x") == {0: R(1, 2), 1: R(1, 16), 2: R(1, 64), 3: R(7, 1536)}
    found = analyze("euler", field="1/x", at="x=0").concrete
    assert found.values is None
    assert any("pole at x = 0" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("field", "code", "place"),
    [
        ("", "E0805", ""),
        ("x*(1-y)", "E0805", "x*(1-y)"),
        ("x, y: y, -x, x", "E0805", "x, y: y, -x, x"),
        ("x + foo(y), y", "E0301", "foo"),
        ("x*(1-y, y", "E0110", "("),
        ("y; x", "E0805", ";"),
        ("x, x: x, x", "E0805", "x, x: x, x"),
        ("x y: x, y", "E0805", "x y"),
        ("1/0*x, y", "E0210", "0"),
        ("x" * 5000, "E0805", "x" * 5000),
        ("__import__('os'), x", "E0805", "'"),
    ],
)
def test_a_wrong_field_is_refused_at_its_place(field: str, code: str, place: str) -> None:
    with pytest.raises(SchemeError) as caught:
        analyze("rk2", field=field)
    first = caught.value.diagnostics[0]
    assert first.code == code
    assert first.span is not None
    assert first.span.text == place


def test_fields_by_name() -> None:
    with pytest.raises(SchemeError) as caught:
        analyze("symplectic_euler", field={"f": "v: v", "k": "x: x"})
    messages = [item.message for item in caught.value.diagnostics]
    assert messages == ["the scheme has no field `k`"]
    with pytest.raises(SchemeError) as caught:
        analyze("symplectic_euler", field={"f": "v: v"})
    assert [item.message for item in caught.value.diagnostics] == ["no field is given for `g`"]
    with pytest.raises(SchemeError) as caught:
        analyze("symplectic_euler", field="x, y: y, -x")
    assert [item.message for item in caught.value.diagnostics] == [
        "the scheme has 2 fields, name each"
    ]
    with pytest.raises(SchemeError) as caught:
        analyze("symplectic_euler", field={"f": "v", "g": "-x"})
    assert all("declares its variables" in item.message for item in caught.value.diagnostics)


def test_a_scheme_without_a_modified_equation_says_so() -> None:
    found = analyze("plain_cnn", field="x^2").concrete
    assert found.modified is None
    assert "no modified equation" in found.notes[0].text
