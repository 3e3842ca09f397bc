"""The compiler, stage by stage: parse, check, lower, analyse, fit, emit.

Every function here is one stage or a row of them; the mathematics is in the packages they call. Imports
are local so that a stage which needs neither sympy nor torch does not pay for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from schemegen.diagnostics import Diagnostic, SchemeError, Source, in_order, limited
from schemegen.files import write_folder
from schemegen.selection import choose_network, choose_scheme, import_blocks, root_of, source_of

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from schemegen.analysis.model import Analysis
    from schemegen.artifacts import Build
    from schemegen.scheme import Checked
    from schemegen.scheme.model import Scheme
    from schemegen.scheme.network import NetworkSpec
    from schemegen.step.program import Program

__all__ = [
    "EMIT",
    "Unit",
    "analyze",
    "build",
    "check",
    "diagnose",
    "emit",
    "emit_network",
    "examine",
    "finish",
    "load",
    "load_all",
    "prepare",
    "study",
    "unit_of",
]

EMIT = ("fx", "python", "json")


@dataclass(frozen=True, slots=True)
class Unit:
    """One scheme and what the stages before emission made of it."""

    scheme: Scheme
    program: Program
    analysis: Analysis
    network: NetworkSpec | None = None
    blocks: tuple[tuple[str, str], ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


# --- the stages --------------------------------------------------------------------------------------


def examine(
    source: Source,
    *,
    root: Path | None = None,
    pedantic: bool = False,
    values: Mapping[str, str] | None = None,
) -> tuple[Checked, tuple[Diagnostic, ...]]:
    """Parse and check; ``values`` replace params by exact numbers. Returns the sound part and the rest."""
    from schemegen.language import parse
    from schemegen.scheme import check as check_file

    if values:
        from schemegen.values import with_values

        source = with_values(source, values)
    parsed = parse(source)
    checked = check_file(parsed, root=root or root_of(source), pedantic=pedantic)
    return checked, limited((*parsed.diagnostics, *checked.diagnostics))


def study(scheme: Scheme, *, order: int | None = None) -> Unit:
    """Lower and analyse, or take the analysis that is known from an earlier run."""
    from schemegen.analysis.known import known_or_new
    from schemegen.step import lower

    program = lower(scheme)
    analysis = known_or_new(scheme, program, order=order)
    return Unit(scheme, program, analysis, diagnostics=analysis.diagnostics)


def write_out(unit: Unit, fields: Mapping[str, str], point: str | None = None) -> Unit:
    """Add the equations of a field that is written out.

    ``fields``: ``{"f": "x, y: y, -sin(x)"}``; the key may be empty where there is one field.
    ``point``: ``x=0, y=1/2``, where the corrections are evaluated. Errors: :class:`SchemeError`.
    """
    from schemegen.analysis.concrete import concrete
    from schemegen.scheme.concrete import read_fields, read_point

    written = read_fields(unit.scheme, fields)
    at = None if point is None else read_point(written, point)
    found = concrete(unit.analysis, unit.scheme, written, at)
    notes = (*unit.analysis.notes, *found.notes)
    return replace(unit, analysis=replace(unit.analysis, concrete=found, notes=notes))


def prepare(
    source: Source,
    *,
    only: str | None = None,
    network: str | Path | None = None,
    order: int | None = None,
    values: Mapping[str, str] | None = None,
    blocks: Mapping[str, str] | None = None,
) -> tuple[Unit, ...]:
    """Take every scheme of a text (or ``only`` one) through all stages before emission.

    ``blocks`` are branches written in Python, ``module:Class`` by name; they are imported.

    Errors: :class:`SchemeError` with all mistakes; warnings are in ``Unit.diagnostics``.
    """
    from schemegen.scheme import bind, fit

    python = dict(blocks or {})
    import_blocks(python)
    checked, found = examine(source, values=values)
    units: list[Unit] = []
    for scheme in (item for item in checked.schemes if only in (None, item.name)):
        spec, remarks = choose_network(scheme, checked.networks, network)
        if units:
            remarks = ()  # that the built-in network stands in is said once
        unit = study(scheme, order=order)
        said = in_order((*remarks, *fit(scheme, spec, python_blocks=python), *unit.diagnostics))
        named = tuple(python.items())
        units.append(Unit(scheme, unit.program, unit.analysis, bind(scheme, spec), named, said))
    raise_errors((*found, *(item for unit in units for item in unit.diagnostics)))
    if found and units:
        # What was said of the whole text is shown once, with its first scheme.
        units[0] = replace(units[0], diagnostics=in_order((*found, *units[0].diagnostics)))
    return tuple(units)


def emit(unit: Unit, *, seed: int = 0, backprop: str = "store") -> GraphModule:
    """Generate the network of a scheme as one graph; ``seed`` decides its initial weights.

    ``backprop``: ``store``, ``checkpoint=K``, ``reversible``, ``memory=MIB,batch=N`` or ``auto``, what the
    backward pass keeps; see ``docs/backprop.md``.
    """
    assert unit.network is not None
    blocks = dict(unit.blocks)
    return emit_network(
        unit.scheme, unit.program, unit.network, blocks, seed=seed, backprop=backprop
    )


def emit_network(
    scheme: Scheme,
    program: Program,
    network: NetworkSpec,
    blocks: Mapping[str, str],
    *,
    seed: int = 0,
    backprop: str = "store",
) -> GraphModule:
    """Generate a network and note in ``meta["origin"]`` the texts that compile to it."""
    from schemegen.backends import emit_graph, request

    wanted = request(backprop)
    graph = emit_graph(program, network, seed=seed, blocks=blocks, backprop=wanted)
    graph.meta["origin"] = {
        "scheme_name": scheme.name,
        "scheme_text": scheme.source.text,
        "network_name": network.name,
        "network_text": network.source.text,
        "blocks": dict(blocks),
        "backprop": backprop,
    }
    return graph


def finish(unit: Unit, *, backprop: str = "store") -> Build:
    """Generate the network and keep it with what it was made from."""
    from schemegen.artifacts import Build

    assert unit.network is not None
    graph = emit(unit, backprop=backprop)
    return Build(unit.scheme, unit.program, unit.analysis, unit.network, graph, dict(unit.blocks))


# --- what a user calls -------------------------------------------------------------------------------


def diagnose(
    source: Source,
    *,
    root: Path | None = None,
    network: str | None = None,
    pedantic: bool = False,
) -> tuple[Diagnostic, ...]:
    """Return everything ``schemegen check`` says of one text, in order.

    Parses, checks, fits each scheme to the networks of the text, or to ``network`` alone (one of the text, of
    the zoo, or a file), analyses it and decides its claims. No mistake in a text raises.

    Errors: :class:`UsageError` where there is no such network.
    """
    from schemegen.scheme import fit

    checked, found = examine(source, root=root, pedantic=pedantic)
    for scheme in checked.schemes:
        networks = checked.networks
        if network is not None:
            try:
                networks = (choose_network(scheme, checked.networks, network)[0],)
            except SchemeError as error:
                found += error.diagnostics
                networks = ()
        for spec in networks:
            found += fit(scheme, spec)
        found += study(scheme).diagnostics
    return in_order(found)


def check(what: str | Path, *, pedantic: bool = False) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of a file, a scheme of the zoo or a text; empty where all is well."""
    return diagnose(source_of(what), pedantic=pedantic)


def load_all(what: str | Path) -> tuple[Scheme, ...]:
    """Return every scheme of a file, of a zoo file or of a text.

    Errors: :class:`SchemeError` with all mistakes of the text; :class:`UsageError` for a missing file.
    """
    checked, found = examine(source_of(what))
    raise_errors(found)
    return checked.schemes


def load(what: str | Path, name: str | None = None) -> Scheme:
    """Return the scheme of a file, of the zoo or of a text; ``name`` chooses where there are several.

    Errors: as :func:`load_all`; :class:`UsageError` where ``name`` is missing or unknown.
    """
    return choose_scheme(load_all(what), name, str(what) if "\n" not in str(what) else "the text")


def analyze(
    scheme: Scheme | str | Path,
    *,
    order: int | None = None,
    field: str | Mapping[str, str] | None = None,
    at: str | None = None,
) -> Analysis:
    """Return everything that is known of a scheme; ``order`` is the largest tree kept.

    ``field``: a drift written out (``"x, y: y, -sin(x)"``, or one text for each field by name), whose modified
    equation is then written out as ``analysis.concrete``; ``at``: a point ``"x=0, y=1/2"`` for its corrections.

    A claim that fails raises nothing: ``analysis.verdicts`` and ``analysis.diagnostics`` say so.
    """
    unit = study(load(scheme) if isinstance(scheme, str | Path) else scheme, order=order)
    if field is not None:
        unit = write_out(unit, {"": field} if isinstance(field, str) else field, at)
    return unit.analysis


def build(
    scheme: Scheme | str | Path,
    network: str | Path | None = None,
    *,
    backprop: str = "store",
    **values: object,
) -> GraphModule:
    """Return the network of ``scheme`` as one ``torch.fx.GraphModule``.

    Args:
        network:  the name of a network of the file or the zoo, or a path; where not given, the network
                  of the file, or else ``digits``.
        backprop: what the backward pass keeps: ``store``, ``checkpoint=K``, ``reversible`` or ``auto``.
        values:   exact numbers that replace params: ``k="1/10"``.
    """
    return emit(unit_of(scheme, network, values), backprop=backprop)


def compile_scheme(
    scheme: Scheme | str | Path,
    network: str | Path | None = None,
    *,
    output: str | Path = "build",
    emit: Iterable[str] = EMIT,
    backprop: str = "store",
    **values: object,
) -> Path:
    """Write ``output/<name>/`` with the files of :data:`schemegen.artifacts.FORMS`; return the folder.

    Byte-equal from run to run and written in one go: a reader sees the old folder or the new one.
    """
    from schemegen.artifacts import artifacts, require

    emit = tuple(emit)
    require(emit)
    build = finish(unit_of(scheme, network, values), backprop=backprop)
    folder = Path(output) / build.scheme.name
    write_folder(folder, artifacts(build, emit))
    return folder


def unit_of(
    scheme: Scheme | str | Path, network: str | Path | None, values: Mapping[str, object]
) -> Unit:
    """Take a scheme, with ``values`` in place of its params, through all stages before emission."""
    from schemegen.values import as_text

    if isinstance(scheme, str | Path):
        scheme = load(scheme)
    numbers = {name: as_text(value) for name, value in values.items()}
    (unit,) = prepare(scheme.source, only=scheme.name, network=network, values=numbers)
    return unit


def raise_errors(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise :class:`SchemeError` where there is an error among ``diagnostics``."""
    found = tuple(diagnostics)
    if any(item.is_error for item in found):
        raise SchemeError(found)
