"""Zero-stability as a set in several symbols, against the same step with numbers decided by itself."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import partial

import flint
import pytest
import sympy
from schemes_in_symbols import HEAD, TEXTS, analysed, history, loaded, params

from schemegen.analysis import questions
from schemegen.analysis.a_stable_region import stable_regions
from schemegen.analysis.analyze import analyze
from schemegen.analysis.linear import linear_step
from schemegen.analysis.semialgebraic import Atom, Region
from schemegen.analysis.special_orders import substituted
from schemegen.analysis.stability import linear_analysis
from schemegen.analysis.stable_region import zero_stable_region
from schemegen.analysis.time_limit import time_limit
from schemegen.analysis.zero_stability import zero_stability
from schemegen.scheme.expressions import format_exact
from schemegen.step.program import Program


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what takes long, the dispersion with symbols, open sooner: it is not asked about here."""
    monkeypatch.setattr(questions, "time_limit", partial(time_limit, 3.0))


NETWORK_PARTS = "scheme s {\n  state x, v; drift f(x)\n" + params("beta", "r", "s")
CASES = {
    "family": TEXTS["family"],
    "heavy_ball": TEXTS["heavy_ball"],
    "three_steps": history(["a", "b"], ["1 - a - b", "a", "b"]),
    "three_free": history(["a", "b", "c"], ["c", "a", "b"]),
    "poles": history(["a", "b"], ["1 - a/b", "a/b"]),
    "squares": history(["a", "b"], ["a^2 - b", "b*a"]),
    "gap": history(["a", "b"], ["a", "0", "b"]),
    "four_steps": history(["a", "b"], ["1 - a", "a - b", "b", "a"]),
    "velocity": NETWORK_PARTS
    + "  step {\n v[n+1] = beta*v[n] + s*f(x[n])\n"
    + " x[n+1] = x[n] + h*(r*v[n+1] + (1 - r)*v[n])\n }\n  start: v zero\n}",
    "roots": history(["a", "b"], ["a^2 - 2", "b"]),
    "two_memories": HEAD
    + params("a", "b")
    + "  step { u[n+1] = a*u[n] + (1 - a)*u[n-1] + b*h*(f(u[n]) + f(u[n-1])) }\n  start: euler\n}",
}


def region(text: str) -> tuple[Program, Region]:
    _, program = loaded(text)
    return program, zero_stable_region(linear_step(program))


def with_numbers(
    program: Program, symbols: tuple[sympy.Symbol, ...], point: list[Fraction]
) -> bool:
    """Decide the step with these numbers; False where a coefficient divides by 0."""
    values = {
        s: sympy.Rational(v.numerator, v.denominator) for s, v in zip(symbols, point, strict=True)
    }
    coefficients = [t.coefficient for s in program.statements for t in getattr(s, "terms", ())]
    if any(c.xreplace(values).has(sympy.zoo, sympy.nan) for c in coefficients):
        return False
    special = substituted(program, values)
    found = zero_stability(linear_step(special), format_exact).holds
    assert isinstance(found, bool)
    return found


def on_a_face(rng: random.Random, found: Region, point: list[Fraction]) -> list[Fraction] | None:
    """Move one coordinate so that a random atom of the set becomes an equation."""
    atoms = [atom for piece in found.pieces for atom in piece.atoms]
    atom: Atom = rng.choice(atoms)
    index = rng.choice(found.space.used(atom.polynomial))
    parts = found.space.parts(atom.polynomial, index)
    if len(parts) != 2:
        return None
    zero, slope = (
        sum(
            (
                Fraction(int(c.p), int(c.q)) * Fraction(1) * _power(point, exponents)
                for exponents, c in part.to_dict().items()
            ),
            Fraction(0),
        )
        for part in parts
    )
    if not slope:
        return None
    return [-zero / slope if i == index else value for i, value in enumerate(point)]


def _power(point: list[Fraction], exponents: tuple[int, ...]) -> Fraction:
    total = Fraction(1)
    for value, power in zip(point, exponents, strict=True):
        total *= value ** int(power)
    return total


@pytest.mark.parametrize("name", sorted(CASES))
def test_points_inside_outside_and_on_the_boundary(name: str) -> None:
    program, found = region(CASES[name])
    symbols = found.space.symbols
    rng = random.Random(name)
    seen = {True: 0, False: 0}
    for _ in range(60):
        point = [Fraction(rng.randint(-12, 12), rng.choice([1, 2, 3, 5, 8])) for _ in symbols]
        if rng.random() < 0.5:
            point = [value / 5 for value in point]
        points = [point]
        for _ in range(2):  # an edge, then a corner
            moved = on_a_face(rng, found, points[-1])
            points += [moved] if moved is not None else []
        for place in points:
            wanted = with_numbers(program, symbols, place)
            got = found.holds([flint.fmpq(v.numerator, v.denominator) for v in place])
            assert got == wanted, (place, found.text)
            seen[wanted] += 1
    assert min(seen.values()) >= 5


def test_the_triangle_of_two_step_methods() -> None:
    """The triangle of zeta^2 - a1 zeta - a2, without the corners where two roots meet on the circle."""
    found = analysed("family").admissible
    assert found is not None
    assert found.zero_stable == ("a1 + a2 <= 1, a1 - a2 >= -1, a2 > -1; or a2 = -1, -2 < a1 < 2")


def test_three_steps() -> None:
    _, found = region(CASES["three_steps"])
    assert found.text == "a < 1, b <= 1, a + 2*b > -1; or a = 1, -1 < b < 1"


RANGED = (
    "scheme s {{\n  state u; drift f(u)\n"
    "  param a: learnable, per network, init 0, range {a}\n"
    "  param b: learnable, per network, init 0, range {b}\n"
    "  step {{ u[n+1] = (1 - a - b)*u[n] + a*u[n-1] + b*u[n-2] + h*f(u[n]) }}\n  start: euler\n}}"
)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("a", "b", "proved"),
    [
        ("[0, 1/2]", "[-1/4, 1]", True),
        ("[0, 1)", "(-1/2, 1]", True),  # the corner (0, -1/2) is on the boundary, and left out
        ("[0, 1)", "[-1/2, 1]", False),
        ("[0, 1]", "[0, 1]", False),  # at (1, 1) two roots meet in -1
        ("[0, 1]", "[0, 1)", True),  # needs both pieces of the set
        ("[0, 2]", "[0, 1/2]", False),
    ],
)
def test_a_box_of_ranges(a: str, b: str, proved: bool) -> None:
    found = analyze(*loaded(RANGED.format(a=a, b=b)))
    assert found.admissible is not None
    assert [proof.claim for proof in found.admissible.proofs] == ["zero_stable"] * proved
    assert ("W0402" in {item.code for item in found.diagnostics}) == (not proved)


# --- A- and L-stability ------------------------------------------------------------------------------

IMPLICIT = "  solve: fixed_point, iterations 4\n}"
TWO_POLES = {
    "theta": HEAD
    + params("a", "b")
    + "  step { u[n+1] = u[n] + h*(a*f(u[n]) + b*f(u[n+1])) }\n"
    + IMPLICIT,
    "weights": HEAD
    + params("b", "g")
    + "  tableau dirk {\n g | g\n (1 - g) | (1 - 2*g) g\n ---+---\n | (1 - b) b\n }\n"
    + IMPLICIT,
    "stiff": HEAD
    + params("d", "g")
    + "  tableau dirk {\n g | g\n 1 | (1 - d) d\n ---+---\n | (1 - d) d\n }\n"
    + IMPLICIT,
    "quotient": HEAD
    + params("d", "g")
    + "  tableau dirk {\n g | g\n (d/g) | (d/g - g) g\n ---+---\n | (1 - g) g\n }\n"
    + IMPLICIT,
}


@pytest.mark.parametrize("name", sorted(TWO_POLES))
def test_a_and_l_stable_points(name: str) -> None:
    _, program = loaded(TWO_POLES[name])
    general = linear_analysis(program).stability
    assert general.numerator is not None
    assert general.denominator is not None
    rng = random.Random(name)
    for position, found in enumerate(stable_regions(general.numerator, general.denominator)):
        symbols = found.space.symbols
        seen = {True: 0, False: 0}
        for _ in range(60):
            point = [Fraction(rng.randint(-6, 9), rng.choice([1, 2, 4])) for _ in symbols]
            points = [point]
            for _ in range(2):
                moved = on_a_face(rng, found, points[-1])
                points += [moved] if moved is not None else []
            for place in points:
                values = {
                    s: sympy.Rational(v.numerator, v.denominator)
                    for s, v in zip(symbols, place, strict=True)
                }
                if name == "quotient" and values[sympy.Symbol("g")] == 0:
                    continue
                special = linear_analysis(substituted(program, values)).stability
                wanted = (special.a_stable, special.l_stable)[position]
                got = found.holds([flint.fmpq(v.numerator, v.denominator) for v in place])
                assert got == wanted, (place, found.text)
                seen[got] += 1
        assert min(seen.values()) >= 3 or position == 1  # L-stable points may be a curve


def test_the_sets_of_a_and_l_stability_with_two_symbols() -> None:
    found = analyze(*loaded(TWO_POLES["theta"])).admissible
    assert found is not None
    assert found.a_stable == "a <= b, a + b >= 0; or a + b = 0"  # R = 1 where a + b = 0
    assert found.l_stable == "a = 0, b > 0"


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("b", "verdict"), [("[0, 1)", True), ("[0, 1]", None)])
def test_a_claim_of_zero_stability_needs_a_proof(b: str, verdict: bool | None) -> None:
    text = RANGED.format(a="[0, 1]", b=b)[:-1] + "  expect zero_stable\n}"
    found = analyze(*loaded(text))
    assert [item.holds for item in found.verdicts] == [verdict]


@pytest.mark.parametrize(
    ("coefficient", "proved"),
    [
        ("2*a*b + 1/2", True),  # at most 1 on the box, by its corners
        ("a^2 - a*b + b^2", True),
        ("a^3 + b", False),  # at most 5/8, but a cube has no bound in linear arithmetic
    ],
)
def test_products_in_a_box(coefficient: str, proved: bool) -> None:
    """What is neither proved nor refuted is said in a note, and no claim holds."""
    text = HEAD + (
        "  param a: learnable, per network, init 0, range [-1/2, 1/2]\n"
        "  param b: learnable, per network, init 0, range [-1/2, 1/2]\n"
        f"  step {{ u[n+1] = ({coefficient})*u[n] + h*f(u[n]) }}\n  expect zero_stable\n}}"
    )
    found = analyze(*loaded(text))
    assert found.admissible is not None
    assert [item.claim for item in found.admissible.proofs] == ["zero_stable"] * proved
    assert any(note.key == "admissible.proofs" for note in found.notes) == (not proved)
    assert [item.holds for item in found.verdicts] == [True if proved else None]
