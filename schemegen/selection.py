"""Which scheme of a text, and which network for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from schemegen.diagnostics import Diagnostic, SchemeError, Source, Span, UsageError
from schemegen.sources import path_of, read_file, zoo_file, zoo_names

if TYPE_CHECKING:
    from schemegen.scheme.model import Scheme
    from schemegen.scheme.network import NetworkSpec

__all__ = [
    "DEFAULT_NETWORK",
    "choose_network",
    "choose_scheme",
    "import_blocks",
    "read_network",
    "root_of",
    "source_of",
]

DEFAULT_NETWORK = "digits"

Named = TypeVar("Named", "Scheme", "NetworkSpec")


def source_of(what: str | Path) -> Source:
    """Return the text that ``what`` names: a path, a scheme of the zoo, or the text itself."""
    if isinstance(what, str) and ("\n" in what or "{" in what):
        return Source("<text>", what)
    return read_file(path_of(str(what)))


def root_of(source: Source) -> Path | None:
    """Return the folder that imports of a file may not leave: its own."""
    path = Path(source.name)
    return path.parent if path.is_file() else None


def choose_scheme(schemes: Sequence[Scheme], name: str | None, where: str) -> Scheme:
    """Return the scheme ``name``, or the only one."""
    return _choose(schemes, name, where, "scheme")


def choose_network(
    scheme: Scheme, declared: Sequence[NetworkSpec], wanted: str | Path | None
) -> tuple[NetworkSpec, tuple[Diagnostic, ...]]:
    """Return the network to build, and W0607 where the built-in one stands in.

    ``wanted`` is the name of a network of the file or the zoo, a path, or ``path:name``; without it the
    network of the file, and ``digits`` where the file has none.
    """
    if wanted is None and declared:
        return _choose(declared, None, scheme.source.name, "network"), ()
    if wanted is None:
        return _read_network(zoo_file(DEFAULT_NETWORK, ("networks",)), None), (_built_in(scheme),)
    text = str(wanted)
    if text in [item.name for item in declared]:
        return _choose(declared, text, scheme.source.name, "network"), ()
    path, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    if not path or Path(text).exists():
        path, name = text, ""
    if Path(path).exists() or Path(path).suffix == ".scheme":
        return _read_network(Path(path), name or None), ()
    known = [*(item.name for item in declared), *zoo_names("networks")]
    if text not in known:
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"a similar name exists: {near[0]}" if near else f"networks: {', '.join(known)}"
        raise UsageError(f"no network {text!r} in {scheme.source.name} or the zoo", hint)
    return _read_network(zoo_file(text, ("networks",)), None), ()


def import_blocks(blocks: Mapping[str, str]) -> None:
    """Import the classes that the command line names; never anything that a file names.

    Errors: :class:`UsageError` where a module or a class in it is missing or is no class.
    """
    for name, text in blocks.items():
        module, _, attribute = text.partition(":")
        try:
            found = getattr(import_module(module), attribute, None)
        except ModuleNotFoundError as error:
            raise UsageError(f"block {name}: no module {error.name}", f"in {text}") from None
        except ImportError as error:
            raise UsageError(f"block {name}: {module} cannot be imported: {error}") from None
        if not isinstance(found, type):
            raise UsageError(f"block {name}: {module} has no class {attribute}", f"in {text}")


def _read_network(path: Path, name: str | None) -> NetworkSpec:
    return read_network(read_file(path), name, path.parent)


def read_network(source: Source, name: str | None, root: Path | None = None) -> NetworkSpec:
    """Return the network ``name`` of a text, or its only one; imports stay in the folder ``root``."""
    from schemegen.language import parse
    from schemegen.scheme import check

    parsed = parse(source)
    # A file of networks alone is sound here, although `check` asks a file for a scheme.
    checked = check(parsed, root=root)
    found = (*parsed.diagnostics, *checked.diagnostics)
    errors = [item for item in found if item.is_error and item.code != "E0117"]
    if errors:
        raise SchemeError(errors)
    return _choose(checked.networks, name, source.name, "network")


def _choose(items: Sequence[Named], name: str | None, where: str, kind: str) -> Named:
    names = ", ".join(item.name for item in items)
    chosen = [item for item in items if name in (None, item.name)]
    if not chosen:
        what = f"no {kind} {name!r} in {where}" if name else f"{where} declares no {kind}"
        raise UsageError(what, f"it declares {names}" if names else None)
    if len(chosen) > 1:
        raise UsageError(f"{where} declares {len(chosen)} {kind}s", f"name one of {names}")
    return chosen[0]


def _name_of(scheme: Scheme) -> Span:
    """Return the span of the scheme's name, behind the word that opens it."""
    match = re.match(r"scheme\s+(\w+)", scheme.span.text)
    if match is None:
        return scheme.span
    start = scheme.span.start
    return Span(scheme.source, start + match.start(1), start + match.end(1))


def _built_in(scheme: Scheme) -> Diagnostic:
    return Diagnostic(
        "W0607",
        f"no network section, using the built-in `{DEFAULT_NETWORK}`",
        _name_of(scheme),
        help="add a `network` section, or pass `--network`",
    )
