"""Analyses that are kept between runs: what is read is what was calculated, and nothing stale is read."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sympy
from click.testing import CliRunner

import schemegen
from schemegen import cache
from schemegen.analysis import known, questions
from schemegen.analysis.stored import (
    NotStorableError,
    read_analysis,
    scheme_data,
    written_analysis,
)
from schemegen.cli.application import cli
from schemegen.pipeline import examine, study
from schemegen.scheme.model import Scheme
from schemegen.sources import read_file, zoo_file, zoo_names

# Explicit, implicit, additive, partitioned, multistep, with params, with noise, exponential, with irrational
# coefficients.
SOME = (
    *("dopri5", "gauss2", "imex_euler", "leapfrog", "ab2", "lm_resnet", "momentum_net"),
    *("stochastic_heun", "stochastic_depth", "exp_euler", "sdirk2"),
)
NAMES = [
    *SOME,
    *(pytest.param(name, marks=pytest.mark.slow) for name in zoo_names() if name not in SOME),
]

WARNED = """\
# a comment
scheme late {
  state u
  drift f(u): block preact
  param k: learnable, init 1/2, range [0, 9]
  step { u[n+1] = (1 - k)*u[n] + k*u[n-1] + (1 + k)*h*f(u[n]) }
  expect order >= 3
}
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where analyses are kept, a new folder."""
    monkeypatch.delenv("SCHEMEGEN_NO_CACHE")
    monkeypatch.setenv("SCHEMEGEN_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "analyses"


def schemes(name: str) -> tuple[Scheme, ...]:
    return examine(read_file(zoo_file(name)))[0].schemes


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def forbidden(*_: object) -> NoReturn:
    raise AssertionError("analysed again")


def said(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, list(arguments))
    return done.exit_code, done.stdout, done.stderr


# --- what is written is read back ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_the_same(name: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [
        *(["analyze", f"zoo/{name}", "--as", form] for form in ("text", "json", "html", "latex", "md")),
        ["check", f"zoo/{name}", "--format", "json"],
    ]  # fmt: skip
    without = [said(*command, "--no-cache") for command in commands]
    assert not entries(kept)
    assert [said(*command) for command in commands] == without
    assert len(entries(kept)) == len(schemes(name))
    monkeypatch.setattr(known, "new", forbidden)
    assert [said(*command) for command in commands] == without
    assert all(code == 0 for code, _, _ in without)


@pytest.mark.parametrize("name", NAMES)
def test_an_analysis_is_read_back_equal(name: str) -> None:
    for scheme in schemes(name):
        analysis = study(scheme).analysis
        _, places = scheme_data(scheme)
        again = read_analysis(written_analysis(analysis, places), places)
        assert again == analysis
        assert again.diagnostics == analysis.diagnostics
        assert repr(again) == repr(analysis)  # of every number the same form, not an equal one


def test_a_built_network_is_the_same(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["compile", "zoo/lm_resnet", "--network", "tiny", "-o", "-", "--emit"]
    without = [said(*command, form, "--no-cache") for form in ("json", "latex")]
    assert [said(*command, form) for form in ("json", "latex")] == without
    assert len(entries(kept)) == 1
    monkeypatch.setattr(known, "new", forbidden)
    assert [said(*command, form) for form in ("json", "latex")] == without


def test_what_cannot_be_kept_is_not(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scheme,) = schemes("rk2")
    analysis = study(scheme).analysis
    (entry,) = entries(kept)
    entry.unlink()
    odd = dataclasses.replace(analysis, depth_term=sympy.Symbol("x", positive=True))
    _, places = scheme_data(scheme)
    with pytest.raises(NotStorableError):
        written_analysis(odd, places)
    monkeypatch.setattr(known, "new", lambda *_: odd)
    assert study(scheme).analysis is odd
    assert not entries(kept)


# --- when it is read ----------------------------------------------------------------------------------


def test_a_scheme_may_move_in_its_file(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, moved = tmp_path / "first.scheme", tmp_path / "moved.scheme"
    first.write_text(WARNED)
    moved.write_text("# one more line\n\n" + WARNED)
    without = said("check", str(moved), "--format", "json", "--no-cache")
    assert '"line":9' in without[1].replace(" ", "")  # of the claim that fails
    said("check", str(first))
    assert len(entries(kept)) == 1
    monkeypatch.setattr(known, "new", forbidden)
    assert said("check", str(moved), "--format", "json") == without


def test_another_scheme_or_order_is_another_entry(tmp_path: Path, kept: Path) -> None:
    path = tmp_path / "a.scheme"
    counts = []
    for text in (
        WARNED,
        WARNED.replace("[0, 9]", "[0, 8]"),
        WARNED.replace("k: l", "k:  l"),
        WARNED,
    ):
        path.write_text(text)
        said("check", str(path))
        counts.append(len(entries(kept)))
    assert counts == [1, 2, 3, 3]
    (scheme,) = schemes("rk2")
    orders = (None, 3, 5)
    modified = [
        study(scheme, order=order).analysis.modified_equation for order in (*orders, *orders)
    ]
    assert [found.truncation for found in modified if found is not None] == [4, 3, 5] * 2
    assert len(entries(kept)) == 6


def test_what_calculates_is_part_of_the_key(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scheme,) = schemes("rk2")
    study(scheme)
    monkeypatch.setattr(known, "loaded", lambda: "another version")
    assert study(scheme).analysis.order == 2
    # The sources on disk are no longer those that this process has loaded: nothing is kept.
    assert len(entries(kept)) == 1
    monkeypatch.setattr(known, "made_by", lambda: "another version")
    study(scheme)
    assert len(entries(kept)) == 2


def test_a_changed_source_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "order.py"
    source.write_text("ONE = 1\n")
    monkeypatch.setattr(known, "sources", lambda: iter([source]))
    before = known.made_by()
    assert before == known.made_by()
    source.write_text("ONE = 2\n")
    assert known.made_by() not in (None, before)
    source.unlink()
    assert known.made_by() is None
    monkeypatch.undo()
    versions = {"sympy": "1"}
    monkeypatch.setattr(known, "version", lambda name: versions.get(name, "1"))
    before = known.made_by()
    versions["sympy"] = "2"
    assert known.made_by() != before


LOADED = """
import sys
import schemegen.analysis.analyze, schemegen.analysis.stored, schemegen.step
for name, module in sys.modules.items():
    if name.startswith("schemegen") and module.__file__:
        print(module.__file__)
"""
NOT_CALCULATING = {"__init__.py", "cache.py", "files.py", "resources.py"}


def test_the_sources_are_all_that_calculates() -> None:
    package = Path(schemegen.__file__).resolve().parent
    settings = os.environ | {"PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=settings, check=True
    )
    loaded = {Path(line).resolve() for line in done.stdout.splitlines()}
    rest = loaded - set(known.sources())
    assert {path.relative_to(package).as_posix() for path in rest} <= NOT_CALCULATING
    assert len(loaded - rest) > 80


def test_a_damaged_entry_is_written_anew(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scheme,) = schemes("rk2")
    analysis = study(scheme).analysis
    (entry,) = entries(kept)
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    assert study(scheme).analysis == analysis
    assert entry.read_bytes() == whole
    # A whole text that is no analysis of this version.
    for text in ("", "{}", '{"exact": [], "value": 1}', '{"exact": [["os"]], "value": null}'):
        cache.write("analyses", entry.stem, text)
        assert study(scheme).analysis == analysis
        assert entry.read_bytes() == whole
    monkeypatch.setattr(known, "new", forbidden)
    assert study(scheme).analysis == analysis


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no limit without timers")
def test_an_analysis_that_was_cut_short_is_not_kept(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: Any) -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        while True:
            pass

    (scheme,) = schemes("rk2")
    with monkeypatch.context() as patched:
        patched.setattr(questions, "dispersion_and_dissipation", endless)
        assert study(scheme).analysis.dispersion is None
    assert not entries(kept)
    assert study(scheme).analysis.dispersion is not None
    assert len(entries(kept)) == 1


def test_an_analysis_needs_no_cache(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scheme,) = schemes("rk2")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCHEMEGEN_CACHE", str(tmp_path / "file"))
    assert study(scheme).analysis.order == 2
    monkeypatch.setattr(known, "loaded", lambda: None)
    monkeypatch.setenv("SCHEMEGEN_CACHE", str(kept.parent))
    assert study(scheme).analysis.order == 2
    assert not entries(kept)


def test_a_source_that_is_newer_than_the_process_is_not_what_calculates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "order.py"
    source.write_text("ONE = 1\n")
    monkeypatch.setattr(known, "sources", lambda: iter([source]))
    found = []
    for later in (-1, 1):
        os.utime(source, ns=(0, known.IMPORTED + later * 10**9))
        known.loaded.cache_clear()
        found.append(known.loaded())
    known.loaded.cache_clear()
    assert found == [known.made_by(), None]


def test_nothing_is_hashed_before_it_is_asked_for() -> None:
    code = "import hashlib; hashlib.sha256 = None; import schemegen.analysis.known"
    subprocess.run([sys.executable, "-c", code], check=True)


KNOWN = """
import sys
from schemegen.pipeline import study, load
print(study(load("rk2")).analysis.order)
print(*sorted({"numpy", "schemegen.analysis.analyze", "schemegen.series"} & sys.modules.keys()))
"""


def test_a_known_analysis_loads_nothing_that_calculates(kept: Path) -> None:
    settings = os.environ | {"PYTHONPATH": str(Path(schemegen.__file__).parents[1])}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", KNOWN], capture_output=True, text=True, env=settings, check=True
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["2\nnumpy schemegen.analysis.analyze schemegen.series\n", "2\n\n"]
