"""Pictures: what they are drawn from, against numbers computed in another way; equal bytes; sensible limits."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import sympy

from schemegen.diagnostics import UsageError
from schemegen.pipeline import Unit, load, study
from schemegen.report.forest import Dot, Label, Line, sheet, sheet_svg
from schemegen.report.notation import parse_tree
from schemegen.report.plots import FORMATS, KINDS, canvas, figure, picture
from schemegen.report.plots.characteristic import Characteristic, characteristic, free_symbols
from schemegen.report.plots.members import members
from schemegen.report.plots.region import window_of

pytest.importorskip("matplotlib")


def unit(name: str) -> Unit:
    return study(load(name))


def polynomial(name: str, **values: str) -> Characteristic:
    at = {sympy.Symbol(key): sympy.Rational(value) for key, value in values.items()}
    found = characteristic(unit(name).analysis.stability, at)
    assert found is not None
    return found


# --- the characteristic polynomial ---------------------------------------------------------------------


def test_growth_of_rk4_is_the_modulus_of_its_polynomial() -> None:
    z = np.array([0.3 - 1.2j, -2.5 + 0.1j, 4.0 + 3.0j])
    expected = np.abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)
    np.testing.assert_allclose(polynomial("rk4").growth(z), expected, rtol=1e-13)


def test_roots_of_ab2_solve_its_recursion() -> None:
    z = np.array([-0.5 + 0.25j])
    roots = polynomial("ab2").roots(z)[0]
    np.testing.assert_allclose(sorted(abs(roots**2 - (1 + 1.5 * z) * roots + z / 2)), 0, atol=1e-14)


@pytest.mark.parametrize("name", ["bdf5", "am4", "ab5"])
def test_roots_of_many_steps_are_those_of_numpy(name: str) -> None:
    stability = unit(name).analysis.stability
    assert stability.rho is not None and stability.sigma is not None  # noqa: PT018
    for z in (-0.3, 1.5j, -4 + 2j):
        values = [
            complex(r) - z * complex(s) for r, s in zip(stability.rho, stability.sigma, strict=True)
        ]
        found = polynomial(name).roots(np.array([z]))[0]
        expected = np.roots(values[::-1])
        assert len(found) == len(expected)
        assert np.abs(found[:, None] - expected[None, :]).min(axis=0).max() < 1e-10


def test_matrix_schemes_are_measured_by_the_spectral_radius() -> None:
    """Stoermer-Verlet on x' = z v, v' = z x: |zeta| = 1 up to |Im z| = 2 (GNI, I.5.2)."""
    item = polynomial("stoermer_verlet")
    np.testing.assert_allclose(item.growth(np.array([0.5j, 1.9j])), 1, atol=1e-12)
    assert item.growth(np.array([2.1j]))[0] > 1.3
    z = 0.4 - 0.3j
    matrix = np.array([[1 + z**2 / 2, z + z**3 / 4], [z, 1 + z**2 / 2]])
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    np.testing.assert_allclose(item.growth(np.array([z]))[0], radius, rtol=1e-13)


def test_params_and_functions_in_coefficients_are_put_in() -> None:
    lam = 0.75
    z = np.array([-0.5 + 1j])
    expected = np.abs(np.exp(-lam) + z * (1 - np.exp(-lam)) / lam)
    np.testing.assert_allclose(polynomial("exp_euler", lam="3/4").growth(z), expected, rtol=1e-13)
    at_zero = polynomial("exp_euler", lam="0")
    np.testing.assert_allclose(at_zero.growth(z), np.abs(1 + z), rtol=1e-13)
    assert [str(s) for s in free_symbols(unit("exp_euler").analysis.stability)] == ["lam"]


def test_locus_points_have_a_root_on_the_circle() -> None:
    for name in ("bdf3", "rk4", "gauss2", "leapfrog"):
        item = polynomial(name)
        theta = np.array([0.7, 2.0])
        for angle, row in zip(theta, item.locus(theta), strict=True):
            for z in row[np.isfinite(row)]:
                assert np.abs(item.roots(np.array([z]))[0] - np.exp(1j * angle)).min() < 1e-7


def test_a_method_without_roots_at_a_pole_is_infinite_there() -> None:
    item = polynomial("backward_euler")
    assert np.isinf(item.growth(np.array([1.0 + 0j]))[0])
    np.testing.assert_allclose(item.poles(), [1.0])


@pytest.mark.parametrize("name", ["rk4", "ab3", "dopri5", "bdf4", "ssprk104", "radau_iia3"])
def test_ends_of_exact_intervals_lie_on_the_drawn_boundary(name: str) -> None:
    it = unit(name)
    low, _ = it.analysis.stability.real_interval or (0, 0)
    item = polynomial(name)
    window = window_of(item, it.analysis.stability)
    if low == -sympy.oo:
        assert item.growth(np.array([-1e6 + 0j]))[0] <= 1
    else:
        np.testing.assert_allclose(item.growth(np.array([complex(low)]))[0], 1, atol=1e-6)
        assert window.left < float(low)


# --- members of a family -------------------------------------------------------------------------------


def test_members_are_zero_stable_and_in_the_range() -> None:
    it = unit("lm_resnet")
    names = [name for name, _ in members(it.analysis, it.scheme)]
    assert names == ["k = -1/2", "k = 0", "k = 1/4", "k = 1/2", "k = 1"]
    it = unit("momentum_net")
    names = [name for name, _ in members(it.analysis, it.scheme)]
    assert names == ["γ = 0", "γ = 1/4", "γ = 1/2", "γ = 3/4", "γ = 9/10"]


def test_several_params_ask_for_values() -> None:
    it = unit("lm_stochastic_depth")
    with pytest.raises(UsageError, match="depends on `k` and `p`") as raised:
        figure("region", it.analysis, it.scheme)
    assert raised.value.help == "give --set k=NUMBER"


# --- figures -------------------------------------------------------------------------------------------


def texts(kind: str, name: str) -> list[str]:
    from matplotlib.text import Text

    it = unit(name)
    return [text.get_text() for text in figure(kind, it.analysis, it.scheme).findobj(Text)]


def test_region_names_what_it_shows() -> None:
    shown = texts("region", "gauss2")
    for part in (
        "gauss2 - Gauss, two stages",
        "Re z",
        "Im z,   z = hλ",
        "zeros of R",
        "poles of R",
    ):
        assert part in shown
    # Only the imaginary segment of the leapfrog method is stable: no area to name.
    assert "stable" not in texts("region", "leapfrog")
    assert "stable on the axes" in texts("region", "leapfrog")


def test_region_window_is_symmetric_and_shows_the_region() -> None:
    it = unit("rk4")
    axes = figure("region", it.analysis).axes[0]
    low, high = axes.get_ylim()
    assert low == -high
    assert high > 2.95  # the region reaches 2.95 upwards, -2.785 to the left
    assert axes.get_xlim()[0] < -2.785
    assert axes.get_aspect() == 1


def test_region_of_a_stiff_method_shows_all_of_its_boundary() -> None:
    """Radau IIA with two stages is unstable on the real axis between 0 and 6."""
    it = unit("radau_iia2")
    assert figure("region", it.analysis).axes[0].get_xlim()[1] > 6
    it = unit("gauss2")  # the boundary is the whole imaginary axis
    assert figure("region", it.analysis).axes[0].get_ylim()[1] < 12


def test_what_a_picture_lacks_is_said_first() -> None:
    with pytest.raises(UsageError, match="no order star"):
        figure("order-star", unit("momentum_net").analysis)
    with pytest.raises(UsageError, match="depends on `p`") as raised:
        figure("locus", unit("stochastic_depth").analysis)
    assert raised.value.help is None  # a schedule, no param


def test_locus_counts_the_roots_outside() -> None:
    shown = texts("locus", "ab5")
    assert {"stable", "1 root outside", "2 roots outside", "θ = 0", "θ = π"} <= set(shown)
    assert "stable" not in texts("locus", "leapfrog")


def test_order_star_is_of_one_step_methods() -> None:
    it = unit("bdf2")
    with pytest.raises(UsageError, match="no order star"):
        figure("order-star", it.analysis)


def test_root_locus_of_a_param_and_of_z() -> None:
    assert "k at z = 0" in texts("root-locus", "lm_resnet")
    assert "z = hλ" in texts("root-locus", "ab2")
    # The roots of LM at z = 0 are 1 and -k: both ends of -3/2 <= k <= 3/2 are marked.
    it = unit("lm_resnet")
    offsets = np.vstack(
        [c.get_offsets() for c in figure("root-locus", it.analysis).axes[0].collections]
    )
    assert {(1.0, 0.0), (1.5, 0.0), (-1.5, 0.0)} <= {tuple(map(float, row)) for row in offsets}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS)
def test_bytes_are_equal_from_run_to_run(kind: str, form: str) -> None:
    it = unit("heun2")
    first = picture(kind, form, it.analysis, it.scheme)
    assert first == picture(kind, form, it.analysis, it.scheme)
    if form == "svg":
        root = ET.fromstring(first)
        assert root.tag.endswith("svg")
        assert b"<dc:date>" not in first
    else:
        assert first.startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[form])
        assert b"CreationDate" not in first


def test_a_matplotlibrc_changes_nothing() -> None:
    import matplotlib as mpl

    it = unit("euler")
    usual = picture("region", "svg", it.analysis)
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.grid": True}):
        assert picture("region", "svg", it.analysis) == usual


def test_pyplot_is_never_imported() -> None:
    picture("region", "png", unit("euler").analysis)
    assert "matplotlib.pyplot" not in sys.modules


def test_a_title_is_text(recwarn: pytest.WarningsRecorder) -> None:
    text = 'scheme s "$frac{$ ^_ 漢 <b>&" { state u; drift f(u); tableau explicit { 0 | ; --+-- ; | 1 } }'
    it = study(load(text + "\n"))
    for kind in KINDS:
        ET.fromstring(picture(kind, "svg", it.analysis, it.scheme))
    assert not recwarn.list


def test_matplotlib_is_asked_for_politely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pictures need matplotlib") as raised:
        figure("region", unit("euler").analysis)
    assert raised.value.help == "pip install 'schemegen[plot]'"


# --- trees ---------------------------------------------------------------------------------------------


def size(text: str) -> int:
    tree = parse_tree(text)

    def count(item: object) -> int:
        return 1 + sum(count(branch) for branch in item.branches)  # type: ignore[attr-defined]

    return count(tree)


@pytest.mark.parametrize("name", ["rk4", "lm_resnet", "stoermer_verlet", "in_resnet", "ars222"])
def test_trees_are_drawn_whole_and_apart(name: str) -> None:
    a = unit(name).analysis
    assert a.modified_equation is not None
    assert a.modified_equation.field is not None
    page = sheet(a.modified_equation.field, a.states, a.fields)
    dots = [item for item in page.items if isinstance(item, Dot)]
    lines = [item for item in page.items if isinstance(item, Line)]
    trees = [term.tree for _, terms in a.modified_equation.field for term in terms[:40]]
    assert len(lines) == sum(size(tree) - 1 for tree in trees)
    spots = {(round(dot.x, 3), round(dot.y, 3)) for dot in dots}
    assert len(spots) == len(dots)
    assert all(line.y2 < line.y1 for line in lines)  # children stand above their parent
    assert all(0 < dot.x < page.width and 0 < dot.y < page.height for dot in dots)
    names = [item.text for item in page.items if isinstance(item, Label)]
    assert not any(text.startswith("/") for text in names)


def test_trees_have_the_colour_of_their_field() -> None:
    a = unit("stoermer_verlet").analysis
    assert a.modified_equation is not None
    assert a.modified_equation.field is not None
    page = sheet((("x", a.modified_equation.field[0][1][:1]),), a.states, a.fields)
    (dot,) = [item for item in page.items if isinstance(item, Dot)]
    assert dot.color == "#0072B2"
    damped = unit("in_resnet").analysis
    assert damped.modified_equation is not None
    assert damped.modified_equation.field is not None
    page = sheet(damped.modified_equation.field, damped.states, damped.fields)
    assert any(item.hollow for item in page.items if isinstance(item, Dot))  # u itself


def test_tree_svg_is_well_formed_and_counts_what_is_left_out() -> None:
    a = unit("dopri5").analysis
    assert a.modified_equation is not None
    assert a.modified_equation.field is not None
    text = sheet_svg(sheet(a.modified_equation.field, a.states, a.fields), "<trees> & more")
    root = ET.fromstring(text)
    assert "and 20 more trees" in "".join(root.itertext())
    assert root[0].text == "<trees> & more"
