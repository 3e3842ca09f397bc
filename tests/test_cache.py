"""What is kept between runs: texts come back whole or not at all, and nothing that goes wrong is an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import schemegen
from schemegen import cache

VARIABLES = ("SCHEMEGEN_CACHE", "SCHEMEGEN_NO_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCHEMEGEN_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_comes_back(kept: Path) -> None:
    text = "a\n\nb \N{GREEK SMALL LETTER LAMDA}\r\n"
    assert cache.read("notes", "one") is None
    cache.write("notes", "one", text)
    assert cache.read("notes", "one") == text
    assert cache.read("notes", "two") is None
    assert cache.read("others", "one") is None
    assert names(kept / "notes") == ["one.json"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="truncated"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data.replace(b"text", b"test"), id="changed"),
        pytest.param(lambda data: data + b"\n", id="longer"),
        pytest.param(lambda data: data[1:], id="mark"),
        pytest.param(lambda data: b"\xff\xfe" + data, id="bytes"),
    ],
)
def test_a_damaged_file_is_none_and_is_written_anew(kept: Path, damage: object) -> None:
    assert callable(damage)
    cache.write("notes", "one", "the text")
    path = kept / "notes" / "one.json"
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read("notes", "one") is None
    cache.write("notes", "one", "the text")
    assert cache.read("notes", "one") == "the text"


def test_where_it_is(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.folder() == kept
    monkeypatch.delenv("SCHEMEGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "schemegen"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / "home" / ".cache" / "schemegen"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == tmp_path / "home" / "Library" / "Caches" / "schemegen"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.folder() == tmp_path / "local" / "schemegen"


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SCHEMEGEN_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    cache.write("notes", "one", "text")
    assert cache.read("notes", "one") is None


def test_it_can_be_switched_off(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write("notes", "one", "text")
    with cache.switched_off():
        assert cache.folder() is None
        assert cache.read("notes", "one") is None
        cache.write("notes", "two", "text")
    assert cache.read("notes", "one") == "text"
    for yes in ("1", "true", "YES"):
        monkeypatch.setenv("SCHEMEGEN_NO_CACHE", yes)
        assert cache.read("notes", "one") is None
    cache.write("notes", "two", "text")
    for no in ("", "0", "false"):
        monkeypatch.setenv("SCHEMEGEN_NO_CACHE", no)
        assert cache.read("notes", "one") == "text"
    assert names(kept / "notes") == ["one.json"]


def test_a_place_that_cannot_be_written_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SCHEMEGEN_CACHE", str(tmp_path / "file"))
    cache.write("notes", "one", "text")
    assert cache.read("notes", "one") is None
    assert (tmp_path / "file").read_text() == "not a folder"


def test_the_oldest_go(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    folder = kept / "notes"
    for age, name in enumerate("abc"):
        cache.write("notes", name, "text")
        os.utime(folder / f"{name}.json", (age, age))
    (folder / ".half-written").write_text("by a process that was killed")
    os.utime(folder / ".half-written", (0, 0))
    assert cache.read("notes", "a") == "text"  # read now: no longer the oldest
    cache.write("notes", "d", "text")
    assert names(folder) == ["a.json", "c.json", "d.json"]
    monkeypatch.setattr(cache, "MOST_BYTES", 500)
    os.utime(folder / "a.json", (5, 5))
    cache.write("notes", "e", "text " * 80)
    assert names(folder) == ["e.json"]


TOGETHER = """
import sys
from schemegen import cache
for i in range(40):
    text = sys.argv[1] * (1000 + 500 * (i % 7))
    cache.write("notes", "one", text)
    cache.write("notes", f"{sys.argv[1]}{i}", text)
    found = cache.read("notes", "one")
    assert found is None or len(set(found)) == 1 and len(found) % 500 == 0, found
    if i % 10 == 9:
        for path in (cache.folder() / "notes").iterdir():
            path.unlink(missing_ok=True)
"""


def test_processes_share_it_while_it_is_being_deleted(kept: Path) -> None:
    settings = os.environ | {"PYTHONPATH": str(Path(schemegen.__file__).parents[1])}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, letter],
            env=settings,
            stderr=subprocess.PIPE,
            text=True,
        )
        for letter in "abcd"
    ]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    cache.write("notes", "one", "text")
    assert cache.read("notes", "one") == "text"
