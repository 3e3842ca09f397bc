"""A field written out, as ``--field "x, y: x*(1-y), y*(x-1)"`` gives it: text to exact expressions.

The text is read by the language's own parser, with places in the text the user wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from schemegen.diagnostics import Diagnostic, SchemeError, Source, Span
from schemegen.language import nodes, parse
from schemegen.scheme.expressions import FUNCTIONS, coefficient
from schemegen.scheme.mentions import parts
from schemegen.scheme.model import Scheme
from schemegen.scheme.report import Report

__all__ = ["WrittenField", "read_fields", "read_point"]

LONGEST = 4000  # characters of one field
MOST = 12  # components
CODE = "E0805"
HEAD = "scheme written {\n"


@dataclass(frozen=True, slots=True)
class WrittenField:
    """What a scheme's fields are: ``variables`` of each state, and per field the expressions of its components.

    Names that are no variables are symbols.
    """

    variables: Mapping[str, tuple[sympy.Symbol, ...]]
    fields: Mapping[str, tuple[sympy.Expr, ...]]


@dataclass(frozen=True, slots=True)
class _Text:
    """One field as read: declared variables (None: by first appearance), and the syntax of each component."""

    source: Source
    names: tuple[str, ...] | None
    components: tuple[nodes.Expression, ...]
    shift: tuple[tuple[int, int], ...]


def read_fields(scheme: Scheme, texts: Mapping[str, str]) -> WrittenField:
    """Read a field for each drift of ``scheme``; the name of the only drift may be empty.

    ``expr, ..`` has the variables in the order of first appearance; ``x, y: expr, ..`` declares them, and other
    names are symbols. With several states each field declares its variables, which are those of the states it
    depends on, in their order; its components are those of the state that it drives, so that state has as many.

    Errors: :class:`SchemeError` with every mistake, each at its place in the text.
    """
    drifts = {drift.name: drift for drift in scheme.drifts}
    given = {
        next(iter(drifts)) if not name and len(drifts) == 1 else name: t
        for name, t in texts.items()
    }
    found: list[Diagnostic] = []
    read: dict[str, _Text] = {}
    if "" in given:
        names = ", ".join(f'--field {name}=".."' for name in drifts)
        source = Source("--field", given[""])
        raise SchemeError(
            [_mistake(source, f"the scheme has {len(drifts)} fields, name each", names)]
        )
    for name, text in given.items():
        source = Source(f"--field {name}".strip(), text)
        if name not in drifts:
            known = ", ".join(f"`{item}`" for item in drifts)
            found.append(
                _mistake(source, f"the scheme has no field `{name}`", f"its fields are {known}")
            )
            continue
        try:
            read[name] = _read(source)
        except SchemeError as error:
            found += error.diagnostics
    for name in drifts:
        if name not in given and set(given) <= set(drifts):
            source = Source("--field", "")
            found.append(
                _mistake(source, f"no field is given for `{name}`", f'add `--field {name}="..."`')
            )
    if found:
        raise SchemeError(found)
    return _checked(scheme, read)


def read_point(written: WrittenField, text: str) -> dict[sympy.Symbol, sympy.Expr]:
    """Read ``x=0, y=1/2``: an exact number for each variable, and for symbols as well if wanted."""
    source = Source("--at", text)
    known = {s.name: s for items in written.variables.values() for s in items}
    known |= {s.name: s for items in written.fields.values() for e in items for s in e.free_symbols}
    point: dict[sympy.Symbol, sympy.Expr] = {}
    place = 0
    for piece in text.split(","):
        name, equals, _ = piece.partition("=")
        span = Span(source, place, place + len(piece))
        if not equals or name.strip() not in known:
            listed = ", ".join(f"`{item}`" for item in known)
            raise SchemeError(
                [
                    _mistake(
                        source,
                        f"`{piece.strip()}` sets no variable",
                        f"write `x=0`; known: {listed}",
                        span,
                    )
                ]
            )
        value = _read(Source("--at", " " * (place + len(name) + 1) + piece[len(name) + 1 :]))
        report = Report()
        exact = coefficient(value.components[0], {}, report)
        if exact is None:
            raise SchemeError(_moved(report.diagnostics, replace(value, source=source)))
        point[known[name.strip()]] = exact
        place += len(piece) + 1
    return point


def _mistake(source: Source, message: str, help_text: str, span: Span | None = None) -> Diagnostic:
    return Diagnostic(CODE, message, span or Span(source, 0, len(source.text)), help_text)


def _pieces(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Split at the commas outside of brackets; yield each piece and where it begins."""
    depth = 0
    begin = start
    for place in range(start, len(text) + 1):
        character = text[place : place + 1]
        depth += (character in "([") - (character in ")]") if character else 0
        if not character or (character == "," and depth == 0):
            yield begin, text[begin:place]
            begin = place + 1


def _read(source: Source) -> _Text:
    text = source.text
    if not text.strip():
        raise SchemeError([_mistake(source, "the field is empty", 'write `"y, -x"`')])
    if len(text) > LONGEST:
        raise SchemeError(
            [
                _mistake(
                    source,
                    f"the field has {len(text)} characters, the limit is {LONGEST}",
                    "shorten it",
                )
            ]
        )
    for place, character in enumerate(text):
        if character in "\r\n;{}#\\'\"":
            span = Span(source, place, place + 1)
            raise SchemeError(
                [
                    _mistake(
                        source, f"`{character}` has no place in an expression", "remove it", span
                    )
                ]
            )
    head, colon, _ = text.partition(":")
    names = tuple(item.strip() for item in head.split(",")) if colon else None
    if names is not None and not all(name.isidentifier() for name in names):
        span = Span(source, 0, len(head))
        raise SchemeError(
            [_mistake(source, "variables are names, separated by commas", "write `x, y: ..`", span)]
        )
    pieces = list(_pieces(text, len(head) + 1 if colon else 0))
    if len(pieces) > MOST:
        raise SchemeError(
            [
                _mistake(
                    source,
                    f"the field has {len(pieces)} components, the limit is {MOST}",
                    "use fewer",
                )
            ]
        )
    wrapper, shift = HEAD, []
    for index, (begin, piece) in enumerate(pieces):
        wrapper += f"const c{index} = "
        shift.append((len(wrapper), begin))
        wrapper += f"{piece}\n"
    parsed = parse(Source(source.name, wrapper + "}\n"))
    found = _Text(source, names, (), tuple(shift))
    if parsed.diagnostics:
        raise SchemeError(_moved(parsed.diagnostics, found))
    item = parsed.file.items[0]
    assert isinstance(item, nodes.SchemeNode)
    values = tuple(s.value for s in item.statements if isinstance(s, nodes.Binding))
    if len(values) != len(pieces):
        raise SchemeError([_mistake(source, "this is no list of expressions", 'write `"y, -x"`')])
    return replace(found, components=values)


def _moved(diagnostics: Sequence[Diagnostic], read: _Text) -> list[Diagnostic]:
    """Return diagnostics of the wrapped text with places in the text that the user wrote."""

    def moved(span: Span | None) -> Span:
        start = 0
        span = span or Span(read.source, 0, 1)
        for wrapped, begin in read.shift:
            if span.start >= wrapped:
                start = begin + span.start - wrapped
        start = min(start, max(len(read.source.text) - 1, 0))
        end = min(max(start + span.end - span.start, start + 1), len(read.source.text))
        return Span(read.source, start, max(end, start))

    return [replace(item, span=moved(item.span), labels=(), fix=None) for item in diagnostics]


def _checked(scheme: Scheme, read: Mapping[str, _Text]) -> WrittenField:
    found: list[Diagnostic] = []
    variables: dict[str, tuple[sympy.Symbol, ...]] = {}
    several = len(scheme.states) > 1
    for drift in scheme.drifts:
        text = read[drift.name]
        names = text.names
        if names is None and several:
            source = text.source
            found.append(
                _mistake(
                    source, "with several states a field declares its variables", "write `p: p`"
                )
            )
            continue
        if names is None:
            names = tuple(dict.fromkeys(_free(text.components)))
            if len(names) != len(text.components):
                listed = ", ".join(names) or "none"
                message = f"components: {len(text.components)}; variables: {len(names)}, {listed}"
                found.append(
                    _mistake(
                        text.source,
                        message,
                        "declare the variables: `x, y: ..`; other names are symbols",
                    )
                )
                continue
        share, rest = divmod(len(names), len(drift.arguments))
        if rest or not share or len(set(names)) != len(names):
            message = f"`{drift.name}` depends on {len(drift.arguments)} states, found {len(names)} variables"
            found.append(
                _mistake(text.source, message, "give each state as many, each a name of its own")
            )
            continue
        for index, state in enumerate(drift.arguments):
            own = tuple(sympy.Symbol(name) for name in names[index * share : (index + 1) * share])
            if variables.setdefault(state, own) != own:
                said = ", ".join(map(str, variables[state]))
                found.append(
                    _mistake(
                        text.source, f"state `{state}` has other variables here", f"they are {said}"
                    )
                )
    if not found:
        sizes = {len(own) for own in variables.values()}
        for drift in scheme.drifts:
            count = len(read[drift.name].components)
            if {count} != sizes:
                message = f"{count} component{'s' * (count != 1)} for {max(sizes)} variables"
                found.append(
                    _mistake(
                        read[drift.name].source,
                        message,
                        "a field has one for each variable of a state",
                    )
                )
        missing = [state.name for state in scheme.states if state.name not in variables]
        for name in missing:
            size = max(sizes, default=1)
            letters = tuple(
                sympy.Symbol(f"{name}{i + 1}" if size > 1 else name) for i in range(size)
            )
            variables[name] = letters
    if found:
        raise SchemeError(found)
    symbols = {
        name: sympy.Symbol(name) for text in read.values() for name in _free(text.components)
    }
    symbols |= {s.name: s for own in variables.values() for s in own}
    fields: dict[str, tuple[sympy.Expr, ...]] = {}
    for name, text in read.items():
        report = Report()
        values = [coefficient(item, symbols, report) for item in text.components]
        found += _moved(report.diagnostics, text)
        fields[name] = tuple(value for value in values if value is not None)
    if found:
        raise SchemeError(found)
    return WrittenField(variables, fields)


def _free(components: Sequence[nodes.Expression]) -> Iterator[str]:
    for component in components:
        for node in parts(component):
            if isinstance(node, nodes.Name) and node.id not in FUNCTIONS:
                yield node.id
