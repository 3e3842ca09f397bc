"""Reading what a user names: a file, standard input, or a scheme or network of the zoo."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import BinaryIO

from schemegen.diagnostics import Source, UsageError
from schemegen.resources import resource_dir

__all__ = ["display", "from_zoo", "path_of", "read", "read_file", "zoo_file", "zoo_names"]

MOST_BYTES = 1 << 20


def read(file: str, stdin_name: str = "<stdin>") -> Source:
    """Return the text of ``file``, of standard input for ``-``, or of a file of the zoo, see :func:`from_zoo`."""
    if file == "-":
        return Source(stdin_name, decode(limited(sys.stdin.buffer, stdin_name), stdin_name))
    return read_file(path_of(file))


def path_of(file: str) -> Path:
    """Return the path of a file or of a shipped one. Errors: UsageError for a word that is neither."""
    if from_zoo(file):
        return zoo_file(file)
    path = Path(file)
    if file.isidentifier() and not path.exists():
        message = f"no file {file}, and the zoo has no {file}"
        raise UsageError(message, _similar(path) or _similar_in_zoo(file))
    return path


def from_zoo(file: str) -> bool:
    """Return whether ``file`` names a shipped one: ``zoo/NAME``, or ``NAME`` where the zoo has it.

    A file of that name goes first; a word with a suffix or a folder is always a file.
    """
    if Path(file).exists():
        return False
    return file.startswith("zoo/") or file in (*zoo_names("schemes"), *zoo_names("networks"))


def read_file(path: Path) -> Source:
    """Return the text of the file ``path`` under the name that messages use.

    Errors: :class:`UsageError` for a file that is missing, unreadable, a folder or not UTF-8.
    """
    name = display(path)
    try:
        with path.open("rb") as stream:
            data = limited(stream, name)
    except FileNotFoundError:
        raise UsageError(f"no file {name}", _similar(path)) from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder", f"name a file: {name}/*.scheme") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name} cannot be read: {reason.lower()}") from None
    return Source(name, decode(data, name))


def limited(stream: BinaryIO, name: str) -> bytes:
    """Read a stream that may have no end; the language's own limit (E0118) is far below this one."""
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"{name} is larger than {MOST_BYTES >> 20} MiB, it cannot be a scheme file"
        )
    return data


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8; the message names the first byte that is not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{byte:02x} in line {line}", "save it as UTF-8"
        ) from None


def display(path: Path) -> str:
    """Return ``path`` relative to the working directory where it lies below it.

    A shipped file is ``zoo/..`` wherever schemegen is installed, so that output does not depend on it.
    """
    zoo = resource_dir("zoo")
    if path.is_relative_to(zoo):
        return (Path("zoo") / path.relative_to(zoo)).as_posix()
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith("..") else Path(relative).as_posix()


def zoo_names(kind: str = "schemes") -> tuple[str, ...]:
    """Return the names of the shipped ``schemes`` or ``networks``, sorted."""
    return tuple(sorted(path.stem for path in (resource_dir("zoo") / kind).glob("*.scheme")))


def zoo_file(name: str, kinds: tuple[str, ...] = ("schemes", "networks")) -> Path:
    """Return the shipped file of a scheme, or else of a network; ``zoo/rk2`` is ``rk2``."""
    plain = name.removeprefix("zoo/").removesuffix(".scheme")
    for kind in kinds:
        if plain in zoo_names(kind):
            return resource_dir("zoo") / kind / f"{plain}.scheme"
    raise UsageError(f"the zoo has no {name}", _similar_in_zoo(plain, kinds))


def _similar_in_zoo(name: str, kinds: tuple[str, ...] = ("schemes", "networks")) -> str:
    near = difflib.get_close_matches(name, [n for kind in kinds for n in zoo_names(kind)], n=1)
    return f"a similar name exists: {near[0]}" if near else "schemegen zoo list"


def _similar(path: Path) -> str | None:
    if path.parent.is_dir():
        names = sorted(item.name for item in path.parent.glob("*.scheme"))
        near = difflib.get_close_matches(path.name, names, n=1)
        if near:
            return f"a similar name exists: {display(path.parent / near[0])}"
    return None
