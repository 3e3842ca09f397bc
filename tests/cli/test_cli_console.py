"""Colour, width and characters follow the terminal, the locale and the options."""

from __future__ import annotations

import io

import pytest

from schemegen.cli.console import Console


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)


def test_colour_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console().colors(Terminal())
    assert not Console().colors(io.StringIO())
    assert Console(color="always").colors(io.StringIO())
    assert not Console(color="never").colors(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Console().colors(Terminal())
    assert Console(color="always").colors(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not Console().colors(Terminal())


@pytest.mark.parametrize(
    ("encoding", "locale", "unicode"),
    [
        ("utf-8", {}, True),
        ("ascii", {}, False),
        ("utf-8", {"LC_ALL": "C"}, False),
        ("utf-8", {"LANG": "de_DE.ISO-8859-1"}, False),
        ("utf-8", {"LANG": "de_DE.UTF-8"}, True),
        ("utf-8", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False),
        ("utf-8", {"LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ("utf-8", {"LC_ALL": "C", "PYTHONUTF8": "1"}, True),
    ],
)
def test_unicode_follows_encoding_and_locale(
    monkeypatch: pytest.MonkeyPatch, encoding: str, locale: dict[str, str], unicode: bool
) -> None:
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    assert Console().unicode(Terminal(encoding)) is unicode


def test_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console().width(io.StringIO()) == 100
    monkeypatch.setenv("COLUMNS", "72")
    assert Console().width(io.StringIO()) == 72
    monkeypatch.setenv("COLUMNS", "7")
    assert Console().width(io.StringIO()) == 40


def test_what_an_ascii_stream_cannot_hold_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal("ascii")
    monkeypatch.setattr("sys.stdout", stream)
    Console().out("Störmer")
    assert stream.text() == "St\\xf6rmer\n"


def test_quiet_keeps_results_and_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.out("result")
    console.say("remark")
    console.complain("error")
    assert capsys.readouterr() == ("result\n", "error\n")
