"""Files and folders are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemegen import files
from schemegen.diagnostics import UsageError
from schemegen.files import MARK, write_atomically, write_folder

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.scheme"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new\r\n")
    assert path.read_bytes() == b"new\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a.scheme"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_nothing_is_left_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.scheme"
    path.write_text("old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UsageError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.scheme"]


def test_a_folder_is_made_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "rk2"
    write_folder(folder, {"a.txt": "one", "b.bin": b"\0"})
    assert names(folder) == [MARK, "a.txt", "b.bin"]
    write_folder(folder, {"a.txt": "two"})
    assert names(folder) == [MARK, "a.txt"]
    assert (folder / "a.txt").read_text() == "two"
    assert names(folder.parent) == ["rk2"]


def test_files_that_a_user_added_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "rk2"
    write_folder(folder, {"a.txt": "one"})
    (folder / "notes.md").write_text("mine")
    (folder / "runs").mkdir()
    (folder / "runs" / "last").write_text("weights")
    write_folder(folder, {"b.txt": "two"})
    assert names(folder) == [MARK, "b.txt", "notes.md", "runs"]
    assert (folder / "runs" / "last").read_text() == "weights"


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "rk2"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="was not written by schemegen"):
        write_folder(folder, {"a.txt": "one"})
    assert names(folder) == ["thesis.tex"]
    assert names(tmp_path) == ["rk2"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_link_in_its_place_is_left_alone(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "rk2"
    if kind == "file":
        place.write_text("mine")
    else:
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to("elsewhere")
    with pytest.raises(UsageError, match="was not written by schemegen"):
        write_folder(place, {"a.txt": "one"})


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "rk2").mkdir()
    write_folder(tmp_path / "rk2", {"a.txt": "one"})
    assert (tmp_path / "rk2" / "a.txt").read_text() == "one"


def test_a_failed_swap_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rk2"
    write_folder(folder, {"a.txt": "one"})
    real = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == folder and self.parent == tmp_path:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(UsageError, match="input/output error"):
        write_folder(folder, {"a.txt": "two"})
    assert (folder / "a.txt").read_text() == "one"
    assert names(tmp_path) == ["rk2"]


def test_an_interrupt_while_writing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "rk2"
    write_folder(folder, {"a.txt": "one"})

    def interrupted(new: Path, old: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, {"a.txt": "two"})
    assert (folder / "a.txt").read_text() == "one"
    assert names(tmp_path) == ["rk2"]


@pytest.mark.skipif(AS_ROOT, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="permission denied"):
        write_folder(tmp_path / "rk2", {"a.txt": "one"})
    with pytest.raises(UsageError, match="permission denied"):
        write_atomically(tmp_path / "a", "one")
