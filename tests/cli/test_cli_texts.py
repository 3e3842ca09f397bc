"""Commands that move texts: fmt, new, zoo, explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemegen.cli.application import cli
from schemegen.cli.new import TEMPLATES
from schemegen.explanations import codes
from schemegen.sources import zoo_file

UNTIDY = "scheme a {\n  state    u   # kept\n}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, text: str | bytes = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=text)


def tidy() -> str:
    return invoke("fmt", "-", text=UNTIDY).stdout


def test_fmt_changes_files_in_place(folder: Path) -> None:
    (folder / "a.scheme").write_text(UNTIDY)
    result = invoke("fmt", "a.scheme")
    assert result.exit_code == 0
    assert result.stderr == "formatted a.scheme\n"
    assert (folder / "a.scheme").read_text() == tidy() != UNTIDY
    assert "# kept" in tidy()
    again = invoke("fmt", "a.scheme")
    assert (again.exit_code, again.stderr) == (0, "")


def test_fmt_check_changes_nothing(folder: Path) -> None:
    (folder / "a.scheme").write_text(UNTIDY)
    (folder / "b.scheme").write_text(tidy())
    result = invoke("fmt", "--check", "a.scheme", "b.scheme")
    assert result.exit_code == 1
    assert result.stderr == "would change a.scheme\n"
    assert (folder / "a.scheme").read_text() == UNTIDY
    assert invoke("fmt", "--check", "b.scheme").exit_code == 0


def test_fmt_diff(folder: Path) -> None:
    (folder / "a.scheme").write_text(UNTIDY)
    result = invoke("fmt", "--diff", "a.scheme")
    assert result.exit_code == 1
    assert "-  state    u   # kept" in result.stdout
    assert "+  state u" in result.stdout
    assert (folder / "a.scheme").read_text() == UNTIDY


def test_fmt_of_a_wrong_file_is_exit_1_and_formats_the_others(folder: Path) -> None:
    (folder / "bad.scheme").write_text("scheme a { state u = ( }\n")
    (folder / "a.scheme").write_text(UNTIDY)
    result = invoke("fmt", "bad.scheme", "a.scheme")
    assert result.exit_code == 1
    assert "bad.scheme:1" in result.stderr
    assert (folder / "bad.scheme").read_text() == "scheme a { state u = ( }\n"
    assert (folder / "a.scheme").read_text() == tidy()


def test_fmt_takes_files_only() -> None:
    result = invoke("fmt", "zoo/rk4")
    assert result.exit_code == 2
    assert "no file zoo/rk4" in result.stderr


def test_stdin_has_a_name() -> None:
    result = invoke("fmt", "-", "--stdin-name", "cell 3", text="scheme a { state u = ( }\n")
    assert result.exit_code == 1
    assert "cell 3:1" in result.stderr


def test_stdin_that_is_not_utf8() -> None:
    result = invoke("fmt", "-", text=b"scheme \xff")
    assert result.exit_code == 2
    assert "<stdin> is not UTF-8: byte 0xff in line 1" in result.stderr


@pytest.mark.parametrize("form", TEMPLATES)
def test_new_writes_a_file_that_is_formatted_and_sound(folder: Path, form: str) -> None:
    result = invoke("new", "mine", "--form", form)
    assert result.exit_code == 0, result.output
    assert result.stderr == "wrote mine.scheme\n"
    assert invoke("fmt", "--check", "mine.scheme").exit_code == 0
    checked = invoke("check", "--format", "json", "mine.scheme")
    assert checked.exit_code == 0
    assert {json.loads(line)["code"] for line in checked.stdout.splitlines()} == EXPECTED[form]


# What the templates are meant to draw: the warnings say something a reader should know.
EXPECTED = {"tableau": set[str](), "multistep": set[str](), "step": {"W0404", "W0408"}}


def test_new_refuses_what_exists_and_what_is_no_name(folder: Path) -> None:
    assert invoke("new", "mine").exit_code == 0
    (folder / "mine.scheme").write_text("precious")
    result = invoke("new", "mine")
    assert result.exit_code == 2
    assert "mine.scheme exists" in result.stderr
    assert (folder / "mine.scheme").read_text() == "precious"
    assert invoke("new", "mine", "--force").exit_code == 0
    for name in ("step", "a b", "../up", "1st", "x" * 65):
        assert invoke("new", name).exit_code == 2
    assert [item.name for item in folder.iterdir()] == ["mine.scheme"]


def test_zoo_list_searches_names_and_titles() -> None:
    lines = invoke("zoo", "list").stdout.splitlines()
    assert len(lines) > 60
    assert lines == sorted(lines)
    found = invoke("zoo", "list", "explicit", "midpoint").stdout
    assert found.startswith("rk2 ")
    assert "digits" in invoke("zoo", "list", "--networks").stdout
    assert invoke("zoo", "list", "qqq").exit_code == 2


def test_zoo_show_and_copy(folder: Path) -> None:
    text = zoo_file("rk4").read_text(encoding="utf-8")
    assert invoke("zoo", "show", "rk4").stdout == text
    result = invoke("zoo", "copy", "rk4", "digits", "-o", "mine")
    assert result.exit_code == 0
    assert (folder / "mine" / "rk4.scheme").read_text(encoding="utf-8") == text
    assert (folder / "mine" / "digits.scheme").exists()
    (folder / "mine" / "rk4.scheme").write_text("precious")
    assert invoke("zoo", "copy", "rk2", "rk4", "-o", "mine").exit_code == 2
    assert (folder / "mine" / "rk4.scheme").read_text() == "precious"
    assert not (folder / "mine" / "rk2.scheme").exists()
    assert "a similar name exists: rk4" in invoke("zoo", "show", "rk44").stderr


def test_explain() -> None:
    code = codes()[0]
    text = invoke("explain", code.lower()).stdout
    assert text.startswith(f"{code}: ")
    assert "```" not in text
    assert invoke("explain", code, "--as", "md").stdout.startswith(f"# {code}: ")
    everything = invoke("explain", "--all").stdout
    assert all(f"\n{code}: " in "\n" + everything for code in codes())
    missing = invoke("explain", "E9999")
    assert missing.exit_code == 2
    assert "there is no diagnostic E9999" in missing.stderr
    assert invoke("explain").exit_code == 2
