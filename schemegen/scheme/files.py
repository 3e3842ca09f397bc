"""A whole file: its imports, its schemes and networks, and where their names are looked up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from schemegen.diagnostics import Diagnostic, Label, Source, Span, in_order
from schemegen.language import Parsed, parse
from schemegen.language.nodes import Declaration, Import, Name, NetworkNode, SchemeNode
from schemegen.resources import resource_dir
from schemegen.scheme.checker import check_scheme
from schemegen.scheme.mentions import mentioned
from schemegen.scheme.model import Multistep, Scheme
from schemegen.scheme.network import NetworkSpec
from schemegen.scheme.networks import check_network
from schemegen.scheme.report import Report

__all__ = ["Checked", "check"]

IMPORT_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Checked:
    """What is sound in a file, and everything that is to be said of the rest."""

    schemes: tuple[Scheme, ...]
    networks: tuple[NetworkSpec, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(slots=True)
class _Files:
    """The checked files of one run, by path, so that each is read once."""

    root: Path | None
    pedantic: bool
    known: dict[Path, Checked]


def check(parsed: Parsed, *, root: Path | None = None, pedantic: bool = False) -> Checked:
    """Check a parsed file. Never raises for what the user wrote; a scheme with errors is left out.

    ``root`` is the folder that imports must stay in; without one nothing can be imported.
    """
    return _check(parsed, _Files(root.resolve() if root else None, pedantic, {}), depth=0)


def _check(parsed: Parsed, files: _Files, depth: int) -> Checked:
    report = Report(parsed.poisoned, parsed.damaged, files.pedantic)
    source = parsed.file.source
    schemes: dict[str, Scheme | None] = {}
    networks: list[NetworkSpec] = []
    own: list[Scheme] = []
    seen: dict[str, Span] = {}
    in_blocks = frozenset(
        name
        for item in parsed.file.items
        if isinstance(item, NetworkNode)
        for statement in item.statements
        if isinstance(statement, Declaration)
        for attribute in statement.attributes
        for name in mentioned(attribute.values)
    )
    imported: list[Scheme] = []
    for item in parsed.file.items:
        if isinstance(item, Import):
            found = _import(report, item, files, depth)
            imported += found.schemes
            networks += found.networks

    def lookup(name: Name) -> Scheme | None:
        return _starter(report, name, [*own, *imported])

    for item in parsed.file.items:
        if isinstance(item, Import):
            continue
        if item.name.id in seen:
            report.add(
                "E0302",
                f"`{item.name.id}` is declared twice",
                item.name.span,
                f"first declared at {seen[item.name.id].line}:{seen[item.name.id].column}",
                labels=[Label(seen[item.name.id], "first declared here")],
            )
        seen.setdefault(item.name.id, item.name.span)
        if isinstance(item, SchemeNode):
            # names that were poisoned in one scheme say nothing of the next
            local = Report(parsed.poisoned, parsed.damaged, files.pedantic, in_blocks=in_blocks)
            local.diagnostics = report.diagnostics
            scheme = check_scheme(local, source, item, lookup)
            schemes[item.name.id] = scheme
            if scheme is not None:
                own.append(scheme)
        else:
            spec = check_network(report, source, item)
            if spec is not None:
                networks.append(spec)
    empty = not any(isinstance(item, SchemeNode) for item in parsed.file.items)
    has_network = any(isinstance(item, NetworkNode) for item in parsed.file.items)
    if empty and not has_network and not imported and not parsed.diagnostics:
        span = Span(source, 0, max(len(source.line(1)), 0))
        report.add(
            "E0117",
            "the file declares no scheme",
            span,
            "start with `scheme name {`; `schemegen new rk2` writes one",
        )
    return Checked(tuple(own), tuple(networks), in_order(report.diagnostics))


def _import(report: Report, node: Import, files: _Files, depth: int) -> Checked:
    """Return the checked file that ``import "path"`` names, or nothing after an E0119."""
    nothing = Checked((), (), ())
    text = node.path.text

    def refuse(message: str, help_text: str) -> Checked:
        report.add("E0119", message, node.path.span, help_text)
        return nothing

    if files.root is None:
        return refuse(
            f"import `{text}` has no folder to start from", "name the file on the command line"
        )
    if depth >= IMPORT_DEPTH:
        return refuse(
            f"imports are nested deeper than {IMPORT_DEPTH} files", "import the file directly"
        )
    here = Path(node.path.span.source.name)
    base = here.parent if here.is_absolute() else files.root
    path = (base / text).resolve()
    if "://" in text or not path.is_relative_to(files.root):
        return refuse(
            f"import `{text}` leaves the project folder", "copy the file in, or pass `--root`"
        )
    if path in files.known:
        return files.known[path]
    files.known[path] = nothing  # a cycle of imports ends here
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        return refuse(f"import `{text}` cannot be read", "check the path, relative to this file")
    parsed = parse(Source(str(path), content))
    checked = _check(parsed, files, depth + 1)
    report.diagnostics += [
        item for item in (*parsed.diagnostics, *checked.diagnostics) if item.is_error
    ]
    files.known[path] = checked
    return checked


def _starter(report: Report, name: Name, near: list[Scheme]) -> Scheme | None:
    """Return the one-step scheme that ``start: NAME`` names: in the file, imported, or of the zoo."""
    found = next((scheme for scheme in near if scheme.name == name.id), None)
    if found is None:
        path = resource_dir("zoo") / "schemes" / f"{name.id}.scheme"
        if path.is_file():
            source = Source(path.name, path.read_text(encoding="utf-8"))
            checked = _check(parse(source), _Files(None, False, {}), depth=IMPORT_DEPTH)
            found = next((scheme for scheme in checked.schemes if scheme.name == name.id), None)
    if found is None:
        known = {scheme.name for scheme in near} | {"euler", "copy"}
        known |= {path.stem for path in (resource_dir("zoo") / "schemes").glob("*.scheme")}
        report.unknown("E0301", f"`{name.id}` is not a scheme", name.id, name.span, known, "scheme")
        return None
    if isinstance(found.update, Multistep):
        report.add(
            "E0324",
            f"`{name.id}` needs a history itself",
            name.span,
            "start with a one-step scheme: `euler`, `rk4`",
        )
        return None
    return replace(found, expectations=())
