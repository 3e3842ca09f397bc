"""What a user names is found, or named in the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemegen.diagnostics import UsageError
from schemegen.resources import resource_dir
from schemegen.selection import source_of
from schemegen.sources import read, zoo_file, zoo_names


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_has_its_relative_name(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.scheme").write_bytes("# ö\r\n".encode())
    for given in ("sub/a.scheme", str(folder / "sub" / "a.scheme"), "./sub/../sub/a.scheme"):
        source = read(given)
        assert source.name == "sub/a.scheme"
        assert source.text == "# ö\r\n"


def test_a_missing_file_is_named_with_a_similar_one(folder: Path) -> None:
    (folder / "rk2.scheme").write_text("")
    with pytest.raises(UsageError) as caught:
        read("rk3.scheme")
    assert caught.value.message == "no file rk3.scheme"
    assert caught.value.help == "a similar name exists: rk2.scheme"


def test_folders_bytes_and_nul_are_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read(str(folder))
    (folder / "a.scheme").write_bytes(b"scheme\nx \xff {")
    with pytest.raises(UsageError, match=r"a\.scheme is not UTF-8: byte 0xff in line 2"):
        read("a.scheme")
    with pytest.raises(UsageError, match="cannot be read"):
        read("a\0b")


def test_a_file_without_end_is_not_read_to_its_end(folder: Path) -> None:
    (folder / "long.scheme").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match=r"long\.scheme is larger than 1 MiB"):
        read("long.scheme")
    (folder / "long.scheme").write_bytes(b"#" * (1 << 20))
    assert len(read("long.scheme").text) == 1 << 20


def test_zoo_names() -> None:
    assert "rk4" in zoo_names()
    assert "digits" in zoo_names("networks")
    assert zoo_file("zoo/rk4") == zoo_file("rk4") == resource_dir("zoo") / "schemes" / "rk4.scheme"
    assert zoo_file("digits").parent.name == "networks"
    assert "scheme rk4" in read("zoo/rk4").text


def test_an_unknown_zoo_name() -> None:
    with pytest.raises(UsageError, match="the zoo has no rk44") as caught:
        zoo_file("rk44")
    assert caught.value.help is not None
    assert "rk4" in caught.value.help
    with pytest.raises(UsageError):
        zoo_file("../../etc/passwd")


def test_source_of_tells_text_path_and_name(folder: Path) -> None:
    assert source_of("scheme a { }").name == "<text>"
    assert "scheme rk2" in source_of("rk2").text
    (folder / "rk2").write_text("# a file before a name of the zoo")
    assert source_of("rk2").text.startswith("# a file")
    with pytest.raises(UsageError, match=r"no file rk2\.scheme"):
        source_of("rk2.scheme")
    with pytest.raises(UsageError, match="no file"):
        source_of(Path("a.scheme"))


def test_a_name_of_the_zoo_needs_no_folder(folder: Path) -> None:
    assert read("lm_resnet").name == "zoo/schemes/lm_resnet.scheme"
    assert read("cifar").name == "zoo/networks/cifar.scheme"
    (folder / "lm_resnet").write_text("# a file before a name of the zoo")
    assert read("lm_resnet").text.startswith("# a file")
    with pytest.raises(
        UsageError, match="no file lm_resnte, and the zoo has no lm_resnte"
    ) as caught:
        read("lm_resnte")
    assert caught.value.help == "a similar name exists: lm_resnet"
